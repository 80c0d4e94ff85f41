"""RQ on Redis."""

import os

from redis import Redis
from rq import Queue

from peers import done

queue = Queue(connection=Redis.from_url(os.environ["BENCH_REDIS"]))


def work(number, ms):
    done(number, ms)


def enqueue(number, ms):
    queue.enqueue(work, number, ms, result_ttl=0)
