"""Stock Huey on SQLite, its own defaults but fast polling."""

import os

from huey import SqliteHuey

from peers import done

huey = SqliteHuey(filename=os.path.join(os.environ["BENCH_FOLDER"], "huey.db"), results=False)


@huey.task()
def work(number, ms):
    done(number, ms)


def enqueue(number, ms):
    work(number, ms)
