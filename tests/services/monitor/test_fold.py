import json

import pytest

from engine.lib import trace
from engine.lib.histogram import Histogram
from engine.lib.trace import Statement, Trace
from engine.records.metrics import OTHER, TOTAL, Series
from engine.services.monitor.fold import EVIDENCE_ONLY, FULL, ROLLUPS_ONLY, Folder, clean_name, hash_user
from engine.services.monitor.unit import Heavy, Unit, classify

MINUTE = 60_000


def unit(duration_us=1_000, *, kind="http", name="/orders", at_ms=MINUTE, status=200, **values):
    made = Unit("shop", kind, name)
    made.at_ms, made.duration_us, made.status = at_ms, duration_us, status
    for key, value in values.items():
        setattr(made, key, value)
    return made


def traced(*runs, loop=False, caller=""):
    made = Trace()
    for sql, durations_us in runs:
        statement = made.statements[sql] = Statement()
        statement.durations_ns = [us * 1_000 for us in durations_us]
        statement.caller = caller
        statement.n_on_loop = len(durations_us) if loop else 0
    return made


def folder():
    return Folder(slow_us=2_000_000, target_ms=lambda name: 500, user_hash=lambda name: f"#{name}")


def fold(*units, level=FULL):
    return folder().fold(list(units), level)


@pytest.mark.parametrize(
    ("duration_us", "failed", "band"),
    [(500_000, False, 0), (500_001, False, 1), (2_000_000, False, 1), (2_000_001, False, 2), (1, True, 2)],
)
def test_bands_are_those_of_apdex(duration_us, failed, band):
    """Satisfied up to T, tolerating up to 4 T, frustrated beyond or failed (apdex.org, T = 500 ms)."""
    assert classify(duration_us, 500, failed) == band


def test_a_minute_holds_the_series_and_the_total_of_its_kind():
    batch = fold(unit(10), unit(30, status=503, failed=True), unit(20, at_ms=2 * MINUTE))
    ok = Series("shop", "http", "/orders", "", "2xx")
    assert batch.minutes[MINUTE, ok].histogram == Histogram.of([10])
    total = batch.minutes[MINUTE, ok.total()]
    assert total.histogram == Histogram.of([10, 30])
    assert (total.n_errors, total.n_good) == (1, 1)
    assert batch.minutes[2 * MINUTE, ok].histogram.count == 1


def test_each_query_is_in_the_distribution_of_its_statement():
    batch = fold(unit(trace=traced(("select 1", [100, 300]), ("select  2", [50]))))
    (series,) = [s for (_, s) in batch.minutes if s.kind == "query" and s.name != TOTAL]
    assert batch.sql_texts == {series.name: "select ?"}
    assert batch.minutes[MINUTE, series].histogram == Histogram.of([100, 300, 50])
    assert batch.events[0].n_queries == 3
    assert batch.events[0].query_us == 450
    (run,) = batch.events[0].sql
    assert (run.n, run.total_us, run.max_us) == (3, 450, 300)


def test_waiting_of_tasks_is_a_series_of_its_own():
    batch = fold(unit(9_000, kind="task", name="report", status=0, outcome="succeeded", wait_us=700))
    assert batch.minutes[MINUTE, Series("shop", "wait", "report", "", "")].histogram == Histogram.of([700])


def test_a_long_task_is_not_critical():
    batch = fold(unit(60_000_000, kind="task", name="report", status=0))
    assert (batch.events[0].band, batch.events[0].keep_reason) == (0, "sample")


def test_evidence_says_why_it_is_kept():
    folded = folder().fold(
        [
            unit(1_000),
            unit(900),
            unit(5_000),
            unit(2_000_001),
            unit(10, failed=True, status=500),
            unit(800, at_ms=MINUTE + 15 * MINUTE),
        ],
        FULL,
    )
    reasons = [event.keep_reason for event in folded.events]
    assert reasons == ["sample", None, "worst", "slow", "failed", "sample"]
    assert [event.duration_us for event in folded.slow] == [2_000_001]


def test_a_slow_failure_is_in_the_slow_log_too():
    batch = fold(unit(3_000_000, failed=True, status=500), unit(10, failed=True, status=500))
    assert [event.duration_us for event in batch.slow] == [3_000_000]
    assert [event.keep_reason for event in batch.events] == ["failed", "failed"]


def test_with_less_detail_only_evidence_is_kept_and_everything_is_counted():
    units = [unit(1_000, trace=traced(("select 1", [5]))) for _ in range(3)]
    full, some, least = (fold(*units, level=level) for level in (FULL, EVIDENCE_ONLY, ROLLUPS_ONLY))
    assert [len(batch.events) for batch in (full, some, least)] == [3, 3, 1]
    assert [sum(bool(e.sql) for e in batch.events) for batch in (full, some, least)] == [3, 1, 1]
    totals = [
        batch.minutes[MINUTE, Series("shop", "http", TOTAL, "", "")].histogram.count
        for batch in (full, least)
    ]
    assert totals == [3, 3]


@pytest.mark.parametrize(
    ("work", "heavy"),
    [
        ({"trace": traced(("select a from t where b = 1", [1] * 5))}, Heavy.REPEATED_QUERY),
        ({"trace": traced(("select a from t where b = 1", [1] * 4))}, 0),
        (
            {"trace": traced(*((f"select a from t where b = {n}", [1]) for n in range(5)))},
            Heavy.REPEATED_QUERY,
        ),
        ({"trace": traced(*((f"select a from t where b = {n}", [1]) for n in range(4)))}, 0),
        ({"trace": traced(("-- orders\n  select a from t", [1] * 5))}, Heavy.REPEATED_QUERY),
        ({"trace": traced(("update t set a = 1", [1] * 9))}, 0),
        ({"trace": traced(("begin immediate", [1] * 9))}, 0),
        ({"trace": traced(*((f"select a{n} from t", [1]) for n in range(21)))}, Heavy.MANY_QUERIES),
        ({"trace": traced(*((f"select a{n} from t", [1]) for n in range(20)))}, 0),
        ({"trace": traced(("select 1", [71_000])), "duration_us": 100_000}, Heavy.DATABASE_SHARE),
        ({"trace": traced(("select 1", [69_000])), "duration_us": 100_000}, 0),
        ({"trace": traced(("select 1", [5]), loop=True)}, Heavy.BLOCKING_QUERY),
        ({"response_bytes": 1_000_001}, Heavy.LARGE_RESPONSE),
        ({"response_bytes": 1_000_000}, 0),
    ],
)
def test_heavy_operations_are_found(work, heavy):
    (event,) = fold(unit(work.pop("duration_us", 10_000), **work)).events
    assert event.heavy == heavy


@pytest.mark.parametrize(
    ("kind", "found"), [("http", {"render_in_request", "call_in_request"}), ("task", set())]
)
def test_slow_work_belongs_in_tasks_not_in_requests(kind, found):
    with trace.collect() as unit_trace:
        with trace.operation("render", "invoice"):
            pass
        with trace.operation("call", "POST offload"):
            pass
    unit_trace.operations.append(trace.Operation("call", "GET feed", 100_000, False, "", 0))
    batch = fold(unit(kind=kind, trace=unit_trace))
    assert {s.type for s in batch.sightings.values()} == found
    kinds = [o["kind"] for o in json.loads(batch.events[0].detail)["operations"]]
    assert kinds == ["render", "call", "call"]
    assert "POST offload" not in {s.subject for s in batch.sightings.values()}


def test_what_is_done_after_the_last_byte_is_recorded_but_no_finding():
    after = traced(*[("select 1", [90_000])] * 6)
    after.operations.append(
        trace.Operation("render", "invoice", 1, False, "", after.started_ns + 100_001_000)
    )
    one = unit(100_000)
    one.after = after
    batch = fold(one)
    assert not batch.sightings
    assert '"name":"invoice"' in batch.events[0].detail
    assert [r.n_good for (_, s), r in batch.minutes.items() if s.kind == "query"] == [1, 1]


def test_equal_sightings_of_a_batch_are_one():
    work = [unit(trace=traced(("select a", [10] * 5), caller="shop.py:9 orders")) for _ in range(3)]
    (sighting,) = fold(*work).sightings.values()
    assert (sighting.n, sighting.cost_us, sighting.type) == (3, 150, "repeated_query")
    assert "5 times at shop.py:9 orders" in sighting.example


def test_texts_that_differ_in_literals_only_are_one_finding():
    """The fingerprint counts: an application that writes values into its SQL repeats itself all the same."""
    runs = [(f"select a from t where b = {n}", [10]) for n in range(6)]
    (sighting,) = fold(unit(trace=traced(*runs, caller="shop.py:9 orders"))).sightings.values()
    assert sighting.example == "6 times at shop.py:9 orders: select a from t where b = ?"
    assert sighting.cost_us == 60


def computing(start_us, end_us):
    made = Trace()
    made.operations.append(
        trace.Operation("compute", "orders:all", end_us - start_us, False, "", start_us * 1_000)
    )
    return unit(kind="run", trace=made)


def test_three_units_computing_one_entry_at_once_are_a_stampede():
    assert not fold(computing(0, 10), computing(5, 15), computing(10, 20)).sightings
    batch = fold(computing(0, 12), computing(5, 15), computing(10, 20))
    (found,) = batch.sightings.values()
    assert (found.type, found.subject) == ("cache_stampede", "orders:all")
    assert [(event.heavy, event.keep_reason) for event in batch.events] == [(Heavy.STAMPEDE, "heavy")] * 3


def test_a_stampede_is_seen_once_though_its_units_end_in_different_flushes():
    writer = folder()
    batches = [
        writer.fold([computing(0, end)], FULL) for end in (10, 12, 14, 16)
    ]  # the fourth is alone again
    assert [len(batch.sightings) for batch in batches] == [0, 0, 1, 0]
    (found,) = batches[2].sightings.values()
    assert (found.example, found.cost_us) == ("3 at once computed orders:all", 36)


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("/a\nb\x00c", "/a?b?c"),
        ("x" * 500, "x" * 199 + "…"),
        (TOTAL, "_*"),
        (OTHER, "__OTHER"),
        ("", "_"),
        ("/ünï/<b>", "/ünï/<b>"),
        ("/right\u202eleft", "/right?left"),
    ],
)
def test_hostile_names_are_made_harmless(name, clean):
    assert clean_name(name) == clean


def test_text_that_no_database_takes_is_made_fit():
    """Half a surrogate pair has no UTF-8 form (Unicode 16.0, D92)."""
    bad = "\udc80x"
    work = traced((f"select '{bad}' from t", [1] * 5))
    work.operations.append(trace.Operation("render", bad, 1, False, bad, 0))
    made = unit(name=bad, method=bad, outcome=bad, error=bad, path=bad, user=bad, role=bad, trace=work)
    made.service = made.correlation_id = made.parent_id = bad
    batch = fold(made)
    (event,) = batch.events
    assert event.series == Series("?x", "http", "?x", "?x", "?x")
    assert json.loads(event.detail)["error"] == "?x"
    assert {s.subject for s in batch.sightings.values() if s.type == "render_in_request"} == {"?x"}
    texts = (
        event.detail,
        event.role,
        event.correlation_id,
        event.parent_id,
        *batch.sql_texts.values(),
        *map(repr, batch.sightings.values()),
    )
    assert all(text.encode() for text in texts)


def test_a_unit_that_cannot_be_folded_costs_only_itself():
    batch = fold(unit(10), unit("a while"), unit(30))
    total = batch.minutes[MINUTE, Series("shop", "http", TOTAL, "", "")]
    assert (batch.n_units, batch.n_refused, total.histogram.count) == (2, 1, 2)


def test_users_are_told_apart_without_naming_them():
    assert hash_user("ann", 1) == hash_user("ann", 1)
    assert hash_user("ann", 1) != hash_user("bob", 1)
    assert hash_user("ann", 1) != hash_user("ann", 2)
    assert fold(unit(user="ann", role="staff")).events[0].user_hash == "#ann"


def test_the_path_is_kept_with_evidence_only():
    first, second = fold(unit(1_000, path="/orders/7"), unit(900, path="/orders/8")).events
    assert json.loads(first.detail) == {"path": "/orders/7"}
    assert second.detail is None
