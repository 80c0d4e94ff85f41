import gc
import sqlite3
import threading
from contextvars import copy_context

import pytest

from engine.lib import sqltrace, trace
from engine.lib.sqltrace import TimedConnection, fingerprint, fingerprint_id


@pytest.fixture
def connection():
    made = sqlite3.connect(":memory:", factory=TimedConnection, isolation_level=None, check_same_thread=False)
    made.execute("create table t (a integer, b text)")
    yield made
    made.close()


def test_queries_are_counted_by_statement(connection):
    with sqltrace.collect() as unit:
        for number in range(3):
            connection.execute("insert into t values (?, 'x')", (number,))
        assert len(connection.execute("select a from t").fetchall()) == 3
    assert unit.n_queries == 4
    assert {sql: len(s.durations_ns) for sql, s in unit.statements.items()} == {
        "insert into t values (?, 'x')": 3,
        "select a from t": 1,
    }


def test_fetching_counts_as_time_of_the_query(connection):
    slow = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) select i from n"
    with sqltrace.collect() as unit:
        cursor = connection.execute(slow)
        before = unit.statements[slow].durations_ns[0]
        cursor.fetchmany(100)
        cursor.fetchall()
    assert unit.statements[slow].durations_ns[0] > before
    assert unit.n_queries == 1


@pytest.fixture
def ticking(monkeypatch):
    """A clock that each row of the table function `row(n)` moves on by a second."""
    at = [0]
    monkeypatch.setattr(sqltrace, "perf_counter_ns", lambda: at[0])

    def row(number):
        at[0] += 1_000_000_000
        return number

    return row


ROWS = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 10) select row(i) from n"


@pytest.mark.parametrize(
    "fetch",
    [
        lambda run: list(run(ROWS)),
        lambda run: [row for row in run(ROWS)],  # noqa: C416
        lambda run: run(ROWS).fetchall(),
        lambda run: list(iter(run(ROWS).fetchone, None)),
        lambda run: [*(cursor := run(ROWS)).fetchmany(4), *cursor.fetchmany(4), *cursor],
        lambda run: run.__self__.fetchall(ROWS),
    ],
)
def test_every_row_counts_however_it_is_fetched(connection, ticking, fetch):
    connection.create_function("row", 1, ticking)
    with sqltrace.collect(loop_thread=threading.get_ident()) as unit:
        assert fetch(connection.execute) == [(number,) for number in range(1, 11)]
    (statement,) = unit.statements.values()
    assert statement.durations_ns == [10_000_000_000]
    assert statement.n_on_loop == 1
    assert statement.caller != ""


def test_a_first_row_read_at_once_counts_as_one_query(connection, ticking):
    connection.create_function("row", 1, ticking)
    sql = "select row(7) where :wanted"
    assert connection.fetchone(sql, {"wanted": True}) == (7,)
    with sqltrace.collect() as unit:
        assert connection.fetchone(sql, {"wanted": True}) == (7,)
        assert connection.fetchone(sql, {"wanted": False}) is None
        with pytest.raises(sqlite3.OperationalError):
            connection.fetchall("select * from missing")
    assert [s.durations_ns for s in unit.statements.values()] == [[1_000_000_000, 0], [0]]


def test_what_happens_between_two_rows_does_not_count(connection, ticking):
    connection.create_function("row", 1, ticking)
    with sqltrace.collect() as unit:
        for _ in connection.execute(ROWS):
            ticking(0)
    assert unit.statements[ROWS].durations_ns == [10_000_000_000]


def test_fetchmany_follows_the_array_size(connection):
    connection.executemany("insert into t values (?, 'x')", [(1,), (2,), (3,)])
    for cursor in (connection.execute("select a from t"), connection.cursor().execute("select a from t")):
        cursor.arraysize = 2
        assert [len(cursor.fetchmany()), len(cursor.fetchmany(size=5))] == [2, 1]


def test_a_script_counts_as_one_query(connection):
    with sqltrace.collect() as unit:
        connection.executescript("create table u (a); insert into u values (1); insert into u values (2);")
    assert unit.n_queries == 1
    assert connection.execute("select count(*) from u").fetchone() == (2,)


def test_what_is_noted_after_a_unit_was_handed_over_is_apart(connection):
    with sqltrace.collect() as unit:
        connection.execute("select 1").fetchall()
        noted = unit.detach()
        assert unit.detach() is None
        connection.execute("select 2").fetchall()
    assert list(noted.statements) == ["select 1"]
    assert list(unit.statements) == ["select 2"]


def test_the_line_named_is_that_of_the_caller_of_a_mapper(connection, tmp_path):
    mapper = compile(
        "def ask(c):\n    c.execute('select 1').fetchall()\n", "/v/site-packages/sqlalchemy/x.py", "exec"
    )
    names = {}
    exec(mapper, names)
    with sqltrace.collect() as unit:
        for _ in range(5):
            names["ask"](connection)
    assert "test_sqltrace.py:" in unit.statements["select 1"].caller


def test_rows_left_over_can_be_fetched_later(connection):
    with sqltrace.collect():
        cursor = connection.execute("values (1), (2), (3)")
        assert next(iter(cursor)) == (1,)
        assert cursor.fetchone() == (2,)
        assert list(cursor) == [(3,)]
        assert list(cursor) == []


def test_a_query_that_fails_while_rows_are_fetched_fails(connection):
    connection.create_function("row", 1, lambda number: 1 // (3 - number))
    with sqltrace.collect(), pytest.raises(sqlite3.OperationalError):
        list(connection.execute(ROWS))


def test_outside_a_unit_nothing_is_kept(connection):
    assert sqltrace.current() is None
    assert connection.execute("select 1").fetchone() == (1,)
    assert connection.executemany("insert into t values (?, ?)", [(1, "a"), (2, "b")]).rowcount == 2


def test_row_factory_still_applies(connection):
    connection.row_factory = sqlite3.Row
    with sqltrace.collect():
        assert connection.execute("select 1 as one").fetchone()["one"] == 1


def test_a_failing_query_is_counted_and_raises(connection):
    with sqltrace.collect() as unit, pytest.raises(sqlite3.OperationalError):
        connection.execute("select * from missing")
    assert unit.n_queries == 1


def test_an_inner_unit_is_part_of_the_outer_one(connection):
    with sqltrace.collect() as outer:
        connection.execute("select 1")
        with sqltrace.collect() as inner:
            connection.execute("select 1")
            assert sqltrace.current() is inner
        assert sqltrace.current() is outer
    assert (inner.n_queries, outer.n_queries) == (1, 2)


def test_a_thread_with_a_copy_of_the_context_reports_to_the_same_unit(connection):
    with sqltrace.collect() as unit:
        context = copy_context()
        thread = threading.Thread(target=lambda: context.run(connection.execute, "select 1"))
        thread.start()
        thread.join()
        other = threading.Thread(target=connection.execute, args=("select 2",))
        other.start()
        other.join()
    assert list(unit.statements) == ["select 1"]


def test_the_line_that_repeats_a_statement_is_named(connection):
    with sqltrace.collect() as unit:
        for _ in range(4):
            connection.execute("select 1")
        assert unit.statements["select 1"].caller == ""
        connection.execute("select 1")
    path, function = unit.statements["select 1"].caller.split(" ")
    assert path.startswith("tests/lib/test_sqltrace.py:") or "test_sqltrace.py:" in path
    assert function == "test_the_line_that_repeats_a_statement_is_named"


def test_the_line_of_a_loop_that_writes_literals_is_named(connection):
    with sqltrace.collect() as unit:
        for number in range(5):
            connection.execute(f"select a from t where a = {number}")
    callers = [statement.caller for statement in unit.statements.values()]
    assert callers[:4] == [""] * 4
    assert callers[4].endswith("test_the_line_of_a_loop_that_writes_literals_is_named")


def test_long_queries_on_the_event_loop_thread_are_told_apart(connection, monkeypatch):
    with sqltrace.collect(loop_thread=threading.get_ident()) as short:
        connection.execute("select 1")
    monkeypatch.setattr(sqltrace, "BLOCKING_NS", 0)
    with sqltrace.collect(loop_thread=threading.get_ident()) as unit:
        connection.execute("select 1")
    with sqltrace.collect(loop_thread=threading.get_ident() + 1) as elsewhere:
        connection.execute("select 1")
    assert short.statements["select 1"].n_on_loop == 0
    assert unit.statements["select 1"].n_on_loop == 1
    assert elsewhere.statements["select 1"].n_on_loop == 0


def test_memory_is_bounded_and_what_exceeds_it_still_counted(connection, monkeypatch):
    monkeypatch.setattr(sqltrace, "MAX_RUNS", 10)
    monkeypatch.setattr(sqltrace, "MAX_STATEMENTS", 2)
    with sqltrace.collect() as unit:
        for _ in range(25):
            connection.execute("select 1").fetchall()
        for number in range(5):
            connection.execute(f"select {number} + 1").fetchall()
    assert unit.n_queries == 30
    assert len(unit.statements) == 2
    assert unit.dropped_runs == 15 + 4


def test_operations_and_cache_lookups_belong_to_the_unit():
    heard = []
    trace.on_operation.append(heard.append)
    try:
        with sqltrace.collect() as unit:
            with trace.operation("call", "GET example.com") as span:
                span.detail = "200"
            with pytest.raises(ZeroDivisionError), trace.operation("render", "invoice"):
                raise ZeroDivisionError
            trace.cache_lookup(hit=True)
            trace.cache_lookup(hit=False)
            trace.cache_lookup(hit=False)
    finally:
        trace.on_operation.remove(heard.append)
    assert [(o.kind, o.name, o.failed, o.detail) for o in unit.operations] == [
        ("call", "GET example.com", False, "200"),
        ("render", "invoice", True, "ZeroDivisionError"),
    ]
    assert (unit.cache_hits, unit.cache_misses) == (1, 2)
    assert heard == unit.operations


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select * from t where a = 5", "select * from t where a = ?"),
        ("select * from t where b = 'it''s  5'", "select * from t where b = ?"),
        ("select  1.5,\n -2e10, x'ff'", "select ?, ?, x?"),
        ("select a1, t2.b from t2 where c = :p1", "select a1, t2.b from t2 where c = :p1"),
        ("select * from t where a in (1, 2,3)", "select * from t where a in (?+)"),
        ("select * from t where a in (:a, :b)", "select * from t where a in (?+)"),
        ("select 1 -- comment 'x'\nfrom t /* 5 */", "select ? from t"),
        ("select '-- x', 'secret',\n 'secret'", "select ?, ?, ?"),
        ("select 'secret", "select ?"),
        ('select "secret', "select ?"),
        ("select 1 /* secret", "select ?"),
        ("select \"it's\", 'secret', `5`", 'select "it\'s", ?, `5`'),
        ("select 1_000_000", "select ?"),
        ("insert into t values (1, 'a'), (2, 'b')", "insert into t values (?+)"),
        ("insert into t values (?), (?)", "insert into t values (?)"),
    ],
)
def test_fingerprint_removes_literals_only(sql, expected):
    assert fingerprint(sql) == expected


def test_fingerprint_id_is_equal_for_equal_statements():
    assert fingerprint_id("select 1") == fingerprint_id("select  2")
    assert fingerprint_id("select 1") != fingerprint_id("select a")


def test_connection_is_closed_when_nobody_holds_it_any_more(tmp_path):
    made = sqlite3.connect(tmp_path / "x.db", factory=TimedConnection, isolation_level=None)
    made.execute("begin immediate")
    del made
    gc.collect()  # its cache of statements refers back to it
    other = sqlite3.connect(tmp_path / "x.db", timeout=0)
    try:
        other.execute("create table t (a)")
    finally:
        other.close()
