from dataclasses import replace

from engine.records import db, metrics
from engine.records.metrics import OTHER, TOTAL, Event, Series, SeriesIds, SqlRun

HOUR_MS = 3_600_000
SERIES = Series("shop", "http", "/orders", "GET", "2xx")
EVENT = Event(
    series=SERIES,
    at_ms=1_000,
    duration_us=2_000,
    wait_us=0,
    status=200,
    band=0,
    heavy=0,
    n_queries=1,
    query_us=500,
    n_cache_hits=0,
    n_cache_misses=0,
    response_bytes=10,
    correlation_id="abc",
    parent_id=None,
    user_hash=None,
    role=None,
    keep_reason=None,
    detail=None,
)


def store(*events):
    with db.metrics().write() as tx:
        metrics.add_events(tx, SeriesIds(), events)


def ids():
    return [row["id"] for row in db.metrics().read("select id from events order by id")]


def trim(before_ms, evidence_before_ms=0, after_ms=10**15, limit=500):
    with db.metrics().write() as tx:
        return metrics.trim_events(
            tx, before_ms=before_ms, evidence_before_ms=evidence_before_ms, after_ms=after_ms, limit=limit
        )


def test_an_event_keeps_its_queries(data_dir):
    store(EVENT, replace(EVENT, sql=[SqlRun("f1", 3, 900, 400, 1, "shop.py:10 orders")]))
    (row,) = db.metrics().read("select * from event_sql")
    assert tuple(row) == (2, "f1", 3, 900, 400, 1, "shop.py:10 orders")


def test_equal_series_share_an_id_between_writers(data_dir):
    with db.metrics().write() as tx:
        first = SeriesIds().get(tx, SERIES, 1)
        assert SeriesIds().get(tx, SERIES, 2) == first
        assert SeriesIds().get(tx, SERIES._replace(outcome="5xx"), 2) != first


def test_series_beyond_the_cap_are_counted_together(data_dir):
    known = SeriesIds()
    with db.metrics().write() as tx:
        numbers = [known.get(tx, SERIES._replace(name=f"/r{n}"), 1) for n in range(2_001)]
        other = known.get(tx, SERIES._replace(name="/another", outcome="5xx"), 1)
        total = known.get(tx, SERIES.total(), 1)
    assert len(set(numbers[:2_000])) == 2_000
    assert numbers[2_000] == other
    names = {row["id"]: row["name"] for row in db.metrics().read("select id, name from series")}
    assert names[other] == OTHER
    assert names[total] == TOTAL
    assert len(names) == 2_002


def test_plain_events_go_first_and_evidence_later(data_dir):
    store(EVENT, replace(EVENT, keep_reason="slow", sql=[SqlRun("f1", 1, 1, 1, 0, "")]), EVENT)
    store(replace(EVENT, at_ms=90_000))
    trim(before_ms=50_000)
    assert ids() == [2, 4]
    trim(before_ms=50_000, evidence_before_ms=50_000)
    assert ids() == [4]
    assert db.metrics().value("select count(*) from event_sql") == 0


def test_trimming_goes_on_where_it_stopped(data_dir):
    store(*[EVENT] * 7)
    assert [trim(before_ms=5_000, limit=3) for _ in range(4)] == [3, 3, 1, 0]
    assert ids() == []


def test_a_number_is_not_used_again_after_trimming(data_dir):
    store(EVENT, EVENT)
    trim(before_ms=5_000)
    store(EVENT)
    assert ids() == [3]
    trim(before_ms=5_000)
    assert ids() == []


def test_events_from_a_clock_that_was_ahead_do_not_stop_trimming(data_dir):
    store(replace(EVENT, at_ms=10**14), EVENT)
    trim(before_ms=5_000, after_ms=10**10)
    assert ids() == []


def test_texts_of_statements_are_bounded(data_dir, monkeypatch):
    monkeypatch.setattr(metrics, "MAX_TEXTS", 3)
    for batch in ({"a": "1", "b": "2"}, {"a": "1", "c": "3"}, {"d": "4"}, {}):
        with db.metrics().write() as tx:
            metrics.add_sql_texts(tx, batch)
    kept = db.metrics().read("select id from sql_texts order by id")
    assert [row["id"] for row in kept] == ["a", "b", "c"]
