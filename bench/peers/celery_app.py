"""Celery on Redis, set to lose as little as it can."""

import os

from celery import Celery

from peers import done

app = Celery("bench", broker=os.environ["BENCH_REDIS"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
)


@app.task(name="work")
def work(number, ms):
    done(number, ms)


def enqueue(number, ms):
    work.delay(number, ms)
