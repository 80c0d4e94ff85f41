"""Procrastinate on PostgreSQL."""

import os

import procrastinate

from peers import done

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["BENCH_POSTGRES"]))


@app.task(name="work")
def work(number, ms):
    done(number, ms)


def prepare():
    """Make the tables."""
    app.open()
    app.schema_manager.apply_schema()


def enqueue(number, ms):
    if not getattr(enqueue, "opened", False):
        app.open()
        enqueue.opened = True
    work.defer(number=number, ms=ms)
