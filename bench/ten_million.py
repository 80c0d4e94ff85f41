"""Fill a metrics database as years of traffic would, then time what the Performance page reads.

    python -m bench.ten_million --data /tmp/ten [--events 10000000] [--days 365] [--routes 60] [--read-only]

The rollups are made by the real fold and the real records: for each hour and route one minute's worth of
units goes through `rollups.add_minutes`, and the tiers roll forward as the beat does it. Single events, which
are plain rows, are written in blocks with their indexes, 48 h of them.
"""

import argparse
import os
import statistics
import time

import numpy as np

DAY_MS, HOUR_MS, MINUTE_MS = 86_400_000, 3_600_000, 60_000
PER_HOUR = 40


def fill(options, db, rollups, metrics, Histogram, Rollup, now_ms):
    random = np.random.default_rng(1)
    medians = random.lognormal(np.log(40_000), 1.0, options.routes)
    ids = metrics.SeriesIds()
    first = now_ms - options.days * DAY_MS
    first -= first % DAY_MS
    began = time.perf_counter()
    for day in range(options.days + 1):
        for hour in range(24):
            at = first + day * DAY_MS + hour * HOUR_MS + int(random.integers(0, 60)) * MINUTE_MS
            if at >= now_ms:
                break
            minutes, total = {}, Rollup()
            for number, median in enumerate(medians):
                values = (median * random.lognormal(0, 0.6, PER_HOUR)).astype(int)
                slow = random.random(PER_HOUR) < 0.02
                values = np.where(slow, values * 20, values).tolist()
                good = sum(v <= 500_000 for v in values)
                series = metrics.Series("offload", "http", f"/route/{number}/{{id}}", "GET", "2xx")
                rollup = Rollup(
                    n_good=good, n_queries=3 * PER_HOUR, query_us=90_000, histogram=Histogram.of(values)
                )
                minutes[at, series] = rollup
                total.merge(rollup)
            minutes[at, series.total()] = total
            with db.metrics().write() as tx:
                rollups.add_minutes(tx, ids, minutes)
        for tier in rollups.TIERS[1:]:
            more = True
            while more:
                with db.metrics().write() as tx:
                    more = rollups.roll_forward(tx, tier, min(now_ms, first + (day + 1) * DAY_MS))
        if day < options.days - 8:
            more = True
            while more:
                with db.metrics().write() as tx:
                    more = rollups.trim(tx, MINUTE_MS, first + (day + 1) * DAY_MS)
        if day % 30 == 0:
            print(f"day {day}, {time.perf_counter() - began:.0f} s", flush=True)


def fill_recent(options, db, rollups, metrics, Histogram, Rollup, now_ms):
    """Two days with every minute filled, as live traffic would."""
    random = np.random.default_rng(2)
    medians = np.random.default_rng(1).lognormal(np.log(40_000), 1.0, options.routes)
    ids = metrics.SeriesIds()
    for minute in range(now_ms - 2 * DAY_MS, now_ms, MINUTE_MS):
        at = minute - minute % MINUTE_MS
        minutes, total = {}, Rollup()
        for number, median in enumerate(medians):
            values = (median * random.lognormal(0, 0.6, 10)).astype(int).tolist()
            series = metrics.Series("offload", "http", f"/route/{number}/{{id}}", "GET", "2xx")
            minutes[at, series] = Rollup(n_good=10, histogram=Histogram.of(values))
            total.merge(minutes[at, series])
        minutes[at, series.total()] = total
        with db.metrics().write() as tx:
            rollups.add_minutes(tx, ids, minutes)


def fill_events(options, db, now_ms):
    """Single events of 48 h, as many as are missing; one in 200 is evidence."""
    block = 100_000
    random = np.random.default_rng(3)
    series = [r["id"] for r in db.metrics().read("select id from series where name <> '*'")]
    began = time.perf_counter()
    for start in range(db.metrics().value("select max(id) from events") or 0, options.events, block):
        at = now_ms - 2 * DAY_MS + (np.arange(start, start + block) * (2 * DAY_MS) // options.events)
        duration = random.lognormal(np.log(40_000), 1.2, block).astype(int)
        kept = random.random(block) < 0.005
        rows = [
            {
                "id": start + i + 1,
                "at": int(at[i]),
                "series": series[(start + i) % len(series)],
                "us": int(duration[i]),
                "corr": f"{(start + i) * 2654435761 % 2**64:016x}",
                "reason": "slow" if kept[i] else None,
            }
            for i in range(block)
        ]
        with db.metrics().write() as tx:
            tx.run_many(
                """insert into events (id, at_ms, series_id, duration_us, wait_us, status, band, heavy,
                       n_queries, query_us, n_cache_hits, n_cache_misses, response_bytes, correlation_id,
                       keep_reason)
                   values (:id, :at, :series, :us, 0, 200, 0, 0, 3, 900, 0, 0, 512, :corr, :reason)""",
                rows,
            )
        if start % 2_000_000 == 0:
            print(f"{start:,} events, {time.perf_counter() - began:.0f} s", flush=True)


def read(performance, histograms, db):
    named = {
        "overview": lambda w: performance.overview(w),
        "bands": lambda w: performance.bands(w),
        "traffic": lambda w: performance.traffic(w),
        "heat map": lambda w: performance.heat_map(w),
        "distribution": lambda w: performance.distribution(w),
        "slowest": lambda w: performance.slowest(w),
        "evidence": lambda w: performance.evidence(w),
        "one route's bands": lambda w: performance.bands(w.only("/route/7/{id}", "GET")),
    }
    periods = list(performance.PERIODS)
    print(f"{'ms (median of 5)':20}" + "".join(f"{p:>9}" for p in periods))
    for name, query in named.items():
        line = []
        for period in periods:
            took = []
            for _ in range(5):
                began = time.perf_counter()
                query(performance.last(period))
                took.append((time.perf_counter() - began) * 1000)
            line.append(statistics.median(took))
        print(f"{name:20}" + "".join(f"{ms:9.1f}" for ms in line))
    total = db.metrics().value("select id from series where name = '*' and kind = 'http'")
    blobs = [
        r["histogram"]
        for r in db.metrics().read(
            """select histogram from rollups where tier_ms = :h and series_id = :s
               order by bucket_at_ms desc limit 8760""",
            h=HOUR_MS,
            s=total,
        )
    ]
    took = []
    for _ in range(5):
        began = time.perf_counter()
        histograms.merge(blobs)
        took.append((time.perf_counter() - began) * 1000)
    size_mb, merge_ms = sum(map(len, blobs)) / 1e6, statistics.median(took)
    print(f"merge of {len(blobs)} hourly rollups, {size_mb:.1f} MB: {merge_ms:.0f} ms")
    correlation = db.metrics().value("select correlation_id from events order by id desc limit 1")
    began = time.perf_counter()
    performance.by_correlation(correlation)
    print(f"one correlation id: {(time.perf_counter() - began) * 1000:.1f} ms")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--routes", type=int, default=60)
    parser.add_argument("--read-only", action="store_true")
    options = parser.parse_args()
    os.environ["OFFLOAD_DATA_DIR"] = options.data
    from engine import clock
    from engine.lib import histograms
    from engine.lib.histogram import Histogram
    from engine.queries import performance
    from engine.records import db, metrics, rollups
    from engine.records.rollups import Rollup

    now_ms = clock.now_ms()
    if not options.read_only and not db.metrics().value("select max(id) from events"):
        fill(options, db, rollups, metrics, Histogram, Rollup, now_ms)
        fill_recent(options, db, rollups, metrics, Histogram, Rollup, now_ms)
    if not options.read_only:
        fill_events(options, db, now_ms)
    size = sum(path.stat().st_size for path in db.metrics().path.parent.glob("metrics.db*"))
    n = db.metrics().value("select max(id) from events")
    print(
        f"{n:,} events, {db.metrics().value('select count(*) from rollups'):,} rollups, {size / 1e6:,.0f} MB"
    )
    read(performance, histograms, db)


if __name__ == "__main__":
    main()
