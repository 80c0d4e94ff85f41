"""What timing a query costs: a plain connection, a timed one, and a timed one inside a unit.

    python -m bench.query

CPU time per `execute` and `fetchall` of one row by primary key, in alternation; lower quartile of 60 rounds.
Last the connection's own `fetchall`, with which `records.db` reads: one call, timed in one go.
"""

import sqlite3
import time

from engine.lib.sqltrace import TimedConnection, collect

ROUNDS, QUERIES = 60, 900


def connect(factory):
    made = sqlite3.connect(":memory:", factory=factory, isolation_level=None)
    made.execute("create table t (a integer primary key, b)")
    made.execute("insert into t values (1, 2)")
    return made


def run(connection):
    started = time.thread_time()
    for _ in range(QUERIES):
        connection.execute("select b from t where a = 1").fetchall()
    return (time.thread_time() - started) / QUERIES * 1e6


def run_at_once(connection):
    started = time.thread_time()
    for _ in range(QUERIES):
        connection.fetchall("select b from t where a = 1")
    return (time.thread_time() - started) / QUERIES * 1e6


def main():
    plain, timed = connect(sqlite3.Connection), connect(TimedConnection)
    took = {"plain": [], "timed, outside a unit": [], "timed, inside a unit": [], "the same, at once": []}
    for _ in range(ROUNDS):
        took["plain"].append(run(plain))
        took["timed, outside a unit"].append(run(timed))
        with collect():
            took["timed, inside a unit"].append(run(timed))
        with collect():
            took["the same, at once"].append(run_at_once(timed))
    quartile = {name: sorted(values)[ROUNDS // 4] for name, values in took.items()}
    for name, value in quartile.items():
        print(f"{name:24}{value:6.2f} us, added {value - quartile['plain']:5.2f}")


if __name__ == "__main__":
    main()
