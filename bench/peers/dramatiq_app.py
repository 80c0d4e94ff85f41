"""Dramatiq on Redis."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from peers import done

dramatiq.set_broker(RedisBroker(url=os.environ["BENCH_REDIS"]))


@dramatiq.actor(actor_name="work")
def work(number, ms):
    done(number, ms)


def enqueue(number, ms):
    work.send(number, ms)
