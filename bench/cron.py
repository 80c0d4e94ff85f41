"""Cron side by side: Offload, croniter alone, cronsim and APScheduler against Debian's rules by brute force.

    python -m bench.cron [--cases 400] [--seed 1]

cronsim and APScheduler are not dependencies; their columns are left out unless they are installed:

    python -m pip install --target /tmp/cron-others cronsim==2.8 apscheduler==3.11.3
    PYTHONPATH=/tmp/cron-others python -m bench.cron

Agreement: the first five runs equal those of `tests/lib/cron_oracle.py` (refusing or raising counts as a
difference). Time: ten runs, the median over the same expressions in one process, nothing cached.
"""

import argparse
import importlib.util
import random
import statistics
import time
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

from croniter import croniter

from engine.errors import InvalidInput
from engine.lib import cron
from engine.lib.cron import grammar
from engine.lib.cron.memory import Memory
from engine.lib.cron.runs import walk
from tests.lib import cron_oracle

HOUR, DAY = 3600, 86_400
ZONES = (
    "Europe/Berlin",
    "Europe/Dublin",
    "America/New_York",
    "America/Havana",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Antarctica/Troll",
    "Asia/Gaza",
    "Africa/Casablanca",
)


def offload(expression, zone, start, n):
    return list(islice(walk(grammar.parse(expression), zone, start, start + 365 * DAY), n))


def croniter_alone(expression, zone, start, n):
    runs = croniter(expression, datetime.fromtimestamp(start, ZoneInfo(zone)), max_years_between_matches=2)
    return [int(runs.get_next(float)) for _ in range(n)]


def with_cronsim(expression, zone, start, n):
    from cronsim import CronSim

    runs = CronSim(expression, datetime.fromtimestamp(start, ZoneInfo(zone)))
    return [int(run.timestamp()) for run in islice(runs, n)]


def with_apscheduler(expression, zone, start, n):
    from apscheduler.triggers.cron import CronTrigger

    trigger = CronTrigger.from_crontab(expression, ZoneInfo(zone))
    found, at = [], datetime.fromtimestamp(start + 1, ZoneInfo(zone))
    for _ in range(n):
        run = trigger.get_next_fire_time(None, at)
        found.append(int(run.timestamp()))
        at = datetime.fromtimestamp(found[-1] + 1, ZoneInfo(zone))
    return found


def engines():
    found = {"offload": offload, "croniter": croniter_alone}
    if importlib.util.find_spec("cronsim"):
        found["cronsim"] = with_cronsim
    if importlib.util.find_spec("apscheduler"):
        found["apscheduler"] = with_apscheduler
    return found


def plain_cases(rng, n):
    """Random expressions in UTC, where no clock changes."""
    start = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp())
    clock = cron_oracle.wall_minutes("UTC", start, start + 62 * DAY)
    cases = []
    while len(cases) < n:
        expression = cron_oracle.random_expression(rng)
        expected = [s for s in cron_oracle.runs(cron_oracle.Job(expression), clock) if s > start][:5]
        if len(expected) == 5:
            cases.append((expression, "UTC", start, expected))
    return cases


def night_cases(rng, n):
    """Random expressions begun within four hours of a clock change, and due within the next 28 hours."""
    changes = {zone: cron_oracle.changes(zone, 2024, 2026) for zone in ZONES}
    cases = []
    while len(cases) < n:
        zone = rng.choice(ZONES)
        change = rng.choice(changes[zone])
        start = change + rng.randint(-4 * HOUR, 2 * HOUR)
        clock = cron_oracle.wall_minutes(zone, change - 12 * HOUR, change + 28 * HOUR)
        expression = cron_oracle.random_expression(rng, night=True)
        expected = [s for s in cron_oracle.runs(cron_oracle.Job(expression), clock) if s > start][:5]
        if expected:
            cases.append((expression, zone, start, expected))
    return cases


def compare(engine, cases):
    """Return how many cases agree, and how many of the others step backwards or repeat."""
    agree = backwards = 0
    for expression, zone, start, expected in cases:
        try:
            found = engine(expression, zone, start, len(expected))
        except Exception:
            continue
        agree += found == expected
        backwards += any(b <= a for a, b in zip([start, *found], found, strict=False))
    return agree, backwards


def median_ms(engine, cases, n=10):
    spent = []
    for expression, zone, start, _ in cases:
        began = time.perf_counter()
        try:
            engine(expression, zone, start, n)
        except Exception:
            continue
        spent.append((time.perf_counter() - began) * 1000)
    return statistics.median(spent), max(spent)


def timed_ms(function):
    began = time.perf_counter()
    function()
    return (time.perf_counter() - began) * 1000


def budgets(rng, cases):
    """Measure the budgets of the public verbs, with the cache empty where it matters."""
    cron._memory = Memory()
    start = datetime(2026, 3, 28, tzinfo=UTC)
    rows = [(e, z) for e, z, _, _ in (cases * (500 // len(cases) + 1))[:500]]
    batch = timed_ms(lambda: [cron.next_runs(e, z, start, 10) for e, z in rows])
    worst_name, worst = "", 0.0
    for expression in (
        "0 0 29 2 *",
        "0 0 29 2 */7",
        "59 23 31 12 *",
        "59 23 31 12 */7",
        "1 1 31 1,3,5,7 6",
        "0-59 0-23 1-31 1-12 0-7",
        "1-59/2,0-58/2 */1 */1 */1 */1",
    ):
        for count in (10, 1000):
            cron._memory = Memory()
            spent = min(timed_ms(lambda e=expression, c=count: _fresh(e, start, c)) for _ in range(3))
            if spent > worst and count == 10:
                worst_name, worst = expression, spent
    thousand = timed_ms(lambda: _fresh("* * * * *", start, 1000))
    due = [(cron_oracle.random_expression(rng, night=True), rng.choice(ZONES)) for _ in range(200)]
    due = [(e, z) for e, z in due if _valid(e)]
    after_ms = int(start.timestamp() * 1000)
    first = timed_ms(lambda: [cron.next_after(e, z, after_ms) for e, z in due])
    many = [rng.choice(due) for _ in range(10_000)]
    again = timed_ms(lambda: [cron.next_after(e, z, after_ms) for e, z in many])
    print(f"500 rows of 10 runs:                {batch:8.1f} ms")
    print(f"worst of the awkward, 10 runs:      {worst:8.2f} ms ({worst_name})")
    print(f"1,000 runs of * * * * *:            {thousand:8.2f} ms")
    print(f"next run, {len(due)} distinct, first time: {first / len(due):8.3f} ms each")
    print(f"next run, 10,000 schedules of those:{again:8.1f} ms in all")


def _fresh(expression, start, count):
    cron._memory = Memory()
    cron.next_runs(expression, "Europe/Berlin", start, count)


def _valid(expression):
    try:
        grammar.parse(expression)
    except InvalidInput:
        return False
    return True


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--cases", type=int, default=400)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    rng = random.Random(given.seed)
    plain, night = plain_cases(rng, given.cases), night_cases(rng, given.cases)
    print(f"{'':14}{'plain agree':>14}{'night agree':>14}{'backwards':>11}{'10 runs p50':>13}{'slowest':>10}")
    for name, engine in engines().items():
        agree, _ = compare(engine, plain)
        at_night, backwards = compare(engine, night)
        p50, slowest = median_ms(engine, plain + night)
        print(
            f"{name:14}{agree:>9}/{len(plain)}{at_night:>10}/{len(night)}{backwards:>11}"
            f"{p50:>10.2f} ms{slowest:>7.1f} ms"
        )
    print()
    budgets(rng, plain + night)


if __name__ == "__main__":
    main()
