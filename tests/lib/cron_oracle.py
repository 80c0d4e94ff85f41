"""Debian's cron by brute force: every minute, every field, nothing shared with the engine.

`parse` restates `entry.c` of Debian's cron 3.0pl1-162 as bit sets, `Daemon` restates the main loop of its
`cron.c`, minute by minute with the wall clock of a zone. Slow on purpose. Also makes random expressions.
"""

from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
NAMES = {
    3: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    4: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}


class Job:
    """The bits and flags of one crontab line."""

    def __init__(self, text):
        words = text.split()
        assert len(words) == 5, text
        self.bits = [self._bits(i, word) for i, word in enumerate(words)]
        if self.bits[4] & {0, 7}:
            self.bits[4] |= {0, 7}
        self.wild = words[0][0] == "*" or words[1][0] == "*"
        self.day_star = words[2][0] == "*" or words[4][0] == "*"

    def _bits(self, index, word):
        low, high = BOUNDS[index]
        found = set()
        for part in word.split(","):
            body, _, step = part.partition("/")
            if body == "*":
                first, last = low, high
            elif "-" in body:
                first, last = (self._number(index, end) for end in body.split("-"))
            else:
                assert not step, "Debian refuses a step after a single value"
                first = last = self._number(index, body)
            found.update(
                number for number in range(first, last + 1) if (number - first) % int(step or 1) == 0
            )
        return found

    def _number(self, index, text):
        names = NAMES.get(index, [])
        return names.index(text.lower()) + BOUNDS[index][0] if text.lower() in names else int(text)

    def matches(self, minute):
        """`minute` counts minutes of wall-clock time since 1970."""
        minutes, hours, days, months, weekdays = self.bits
        if minute % 60 not in minutes or minute // 60 % 24 not in hours:
            return False
        date = _date(minute // 1440)
        if date.month not in months:
            return False
        day, weekday = date.day in days, date.isoweekday() in weekdays
        return (day and weekday) if self.day_star else (day or weekday)


@lru_cache(maxsize=100_000)
def _date(day):
    return date.fromordinal(date(1970, 1, 1).toordinal() + day)


def wall_minutes(zone, first, last):
    """Return (second since 1970, wall-clock minute since 1970) for each minute of real time."""
    tz = ZoneInfo(zone)
    found = []
    for second in range(first - first % 60, last + 1, 60):
        offset = datetime.fromtimestamp(second, tz).utcoffset().total_seconds()
        found.append((second, int(second + offset) // 60))
    return found


def runs(job, clock):
    """Return when the daemon runs a job, each second once. `clock` comes from `wall_minutes`."""
    found = []
    virtual = clock[0][1] - 1
    for second, running in clock:
        due = False
        difference = running - virtual
        if difference == 1:
            virtual = running
            due = job.matches(running)
        elif 0 < difference <= 5:
            while virtual < running:
                virtual += 1
                due = due or job.matches(virtual)
        elif 5 < difference <= 180:
            due = job.wild and job.matches(running)
            while virtual < running:
                virtual += 1
                due = due or (not job.wild and job.matches(virtual))
        elif -180 < difference <= 0:
            due = job.wild and job.matches(running)
        else:
            virtual = running
            due = job.matches(running)
        if due:
            found.append(second)
    return found


def changes(zone, first_year, last_year):
    """Return the seconds at which the offset of a zone changes, by looking at every quarter of an hour."""
    tz = ZoneInfo(zone)
    second = int(datetime(first_year, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(last_year + 1, 1, 1, tzinfo=UTC).timestamp())
    found = []
    before = datetime.fromtimestamp(second, tz).utcoffset()
    while second < end:
        second += 900
        after = datetime.fromtimestamp(second, tz).utcoffset()
        if after != before:
            found.append(second)
        before = after
    return found


def random_expression(random, *, night=False):
    """Make an expression Debian accepts; with `night`, one that is often due in the small hours."""
    minute = _field(random, 0, 59, stars=0.25)
    hour = (
        _field(random, 0, 3, stars=0.3)
        if night and random.random() < 0.8
        else _field(random, 0, 23, stars=0.3)
    )
    day = _field(random, 1, 31, stars=0.8 if night else 0.5)
    month = _field(random, 1, 12, stars=0.95 if night else 0.7)
    weekday = _field(random, 0, 7, stars=0.8 if night else 0.5)
    if random.random() < 0.2:
        weekday = random.choice(["mon", "SUN", "mon-fri", "tue,Thu", "sat", "wed-sat/2"])
    return f"{minute} {hour} {day} {month} {weekday}"


def _field(random, low, high, *, stars):
    if random.random() < stars:
        return "*" if random.random() < 0.6 else f"*/{random.randint(1, 12)}"
    return ",".join(_part(random, low, high) for _ in range(random.choice((1, 1, 1, 2, 3))))


def _part(random, low, high):
    first = random.randint(low, high)
    if random.random() < 0.6:
        return str(first)
    last = random.randint(first, high)
    return f"{first}-{last}" + (f"/{random.randint(1, 9)}" if random.random() < 0.4 else "")
