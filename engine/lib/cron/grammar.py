"""Read a cron expression the way Debian's cron does, and refuse the rest with a sentence that helps.

Grammar (crontab(5) of Debian's cron 3.0pl1-162, whose own parser was asked about each doubtful form): five
fields of `*`, numbers, ranges, names and lists; `/step` after `*` or a range only. We are stricter where that
parser swallows rubbish (`**`, `5*3`), refuse ranges that run backwards (there: accepted, never due) and let
weekday ranges wrap over the weekend (`fri-mon`).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

from engine import settings
from engine.errors import InvalidInput

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
ONCE = "On nights of a clock change it runs once: after the gap, or on the first pass."
MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Most days each month can have, January first."""


@dataclass(frozen=True, slots=True)
class Expression:
    """What an expression says: the values of each field, and the three stars that matter to cron."""

    text: str
    """Normalised: aliases expanded, names as numbers, single blanks. Equal text means equal runs."""
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    """0 is Sunday, 6 Saturday."""
    follows_clock: bool
    """Minute or hour begins with `*`: due by the real passing of time, also in a repeated hour."""
    either_day: bool
    """Neither day field begins with `*`: a day matches by day of month OR by weekday; else by both."""

    def on(self, month: int, day: int, weekday: int) -> bool:
        """Whether the job is due on a day; `weekday` 0 is Sunday."""
        if month not in self.months:
            return False
        if self.either_day:
            return day in self.days or weekday in self.weekdays
        return day in self.days and weekday in self.weekdays


@lru_cache(maxsize=4096)
def parse(text: str) -> Expression:
    """Read an expression; raise InvalidInput with a stable code and the 0-based wrong character."""
    _check_text(text)
    words = [(m.group(), m.start()) for m in re.finditer(r"[^ \t]+", text)]
    if not words:
        _refuse("empty", "Write five fields: minute hour day month weekday, for example 0 7 * * 1-5.", 0)
    if words[0][0].startswith("@"):
        return parse(_alias(words))
    if len(words) != 5:
        _refuse_count(words, len(text.rstrip(" \t")))
    fields = [_field(kind, word, at) for kind, (word, at) in zip(_KINDS, words, strict=True)]
    minutes, hours, days, months, weekdays = fields
    expression = Expression(
        text=" ".join(f.text for f in fields),
        minutes=minutes.values,
        hours=hours.values,
        days=days.values,
        months=months.values,
        weekdays=tuple(sorted({value % 7 for value in weekdays.values})),
        follows_clock=minutes.star or hours.star,
        either_day=not (days.star or weekdays.star),
    )
    _check_possible(expression, words[2][1])
    return expression


def remarks(expression: Expression) -> list[str]:
    """Return what surprises people about a valid expression, one sentence each."""
    _, _, day, _, weekday = expression.text.split()
    found = []
    if expression.either_day:
        found.append("Runs when the day of month or the weekday matches, as cron does when both are given.")
    elif day != "*" and weekday != "*":
        found.append("Runs only when both the day of month and the weekday match: one of them begins with *.")
    for kind, word in zip(_KINDS, expression.text.split(), strict=True):
        step = re.fullmatch(r"\*/(\d+)", word)
        if step and int(step.group(1)) > kind.high - kind.low:
            found.append(f"*/{step.group(1)} is wider than the {kind.name} field: only {kind.low} matches.")
        elif step and kind in _KINDS[:2] and (kind.high + 1) % int(step.group(1)):
            found.append(f"*/{step.group(1)} starts again at 0: the last step of the {kind.name} is shorter.")
    if not expression.either_day and day != "*":
        found += _short_months(expression)
    if not expression.follows_clock:
        found.append(ONCE)
    return found


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Field:
    values: tuple[int, ...]
    star: bool
    text: str


_KINDS = (
    _Kind("minute", 0, 59),
    _Kind("hour", 0, 23),
    _Kind("day of month", 1, 31),
    _Kind("month", 1, 12, MONTHS),
    _Kind("weekday", 0, 7, WEEKDAYS),
)
_INSTEAD = {
    "?": "? is not cron: write * instead",
    "#": "# is not cron: write the days of the month or the weekdays as a list",
    "~": "~ (a random value) is not cron: write a number; a schedule's jitter spreads the starts",
    "l": "L (the last day) is not cron: write days such as 28-31, or 1 for the first of the next month",
    "w": "W (the nearest working day) is not cron: write 1-5 in the weekday field",
    "h": "H (a value from a hash) is not cron: write a number; a schedule's jitter spreads the starts",
    "r": "R (a random value) is not cron: write a number; a schedule's jitter spreads the starts",
}


def _refuse(code: str, message: str, position: int) -> NoReturn:
    raise InvalidInput(message, code=code, position=position)


def _check_text(text: str) -> None:
    longest = settings.get().cron_max_chars
    if len(text) > longest:
        _refuse("too_long", f"At most {longest} characters; these are {len(text)}.", longest)
    for at, char in enumerate(text):
        if char in "\r\n":
            _refuse("line_break", "One expression is one line: remove the line break.", at)
        if char != "\t" and not " " <= char <= "~":
            name = f"U+{ord(char):04X}"
            _refuse("not_ascii", f"The character {name} is not cron: use digits, names and * , - / only.", at)


def _alias(words: list[tuple[str, int]]) -> str:
    name, at = words[0]
    if name.lower() == "@reboot":
        _refuse("unknown_alias", "@reboot has no time of day: write a time, for example @daily.", at)
    if name.lower() not in ALIASES:
        _refuse("unknown_alias", f"This @ word is not known: write one of {', '.join(ALIASES)}.", at)
    if len(words) > 1:
        _refuse("field_count", f"Nothing may follow {name.lower()}: remove it.", words[1][1])
    return ALIASES[name.lower()]


def _refuse_count(words: list[tuple[str, int]], end: int) -> NoReturn:
    if len(words) < 5:
        missing = ", ".join(kind.name for kind in _KINDS[len(words) :])
        given = "1 field" if len(words) == 1 else f"{len(words)} fields"
        _refuse("field_count", f"Five fields are needed and {given} given: add {missing} (or *).", end)
    extra = "the seconds or the year" if len(words) == 6 else "the seconds and the year"
    message = (
        f"Five fields are needed and {len(words)} given: leave out {extra}; the first field is the minute."
    )
    _refuse("field_count", message, words[5][1])


def _field(kind: _Kind, word: str, at: int) -> _Field:
    """Read one field; what it normalises to keeps the leading star, which has a meaning of its own."""
    values: set[int] = set()
    texts = []
    place = at
    for item in word.split(","):
        found, text = _item(kind, item, place)
        values.update(found)
        texts.append(text)
        place += len(item) + 1
    return _Field(tuple(sorted(values)), word.startswith("*"), ",".join(texts))


_ITEM = re.compile(
    r"(?P<first>\*|[0-9A-Za-z]*)(?P<dash>-(?P<last>[0-9A-Za-z]*))?(?P<slash>/(?P<step>[0-9A-Za-z]*))?"
)


def _item(kind: _Kind, item: str, at: int) -> tuple[Iterable[int], str]:
    """Read one item of a list: `*`, a value or a range, with or without a step."""
    match = _ITEM.match(item)
    assert match is not None, "every part of the pattern is optional"
    if match.end() < len(item):
        _refuse_char(kind, item[match.end()], at + match.end())
    if not match["first"]:
        _refuse("syntax", f"A value for the {kind.name} is missing here: write a number or *.", at)
    if match["first"] == "*" and match["dash"]:
        _refuse(
            "syntax", "A range begins with a number: write * alone, or both ends.", at + match.start("dash")
        )
    step = _step(kind, match, at)
    if match["first"] == "*":
        return range(kind.low, kind.high + 1, step), "*" if step == 1 else f"*/{step}"
    first = _value(kind, match["first"], at)
    if match["dash"] is None:
        return [first], str(first)
    last = _value(kind, match["last"], at + match.start("last"))
    text = f"{first}-{last}" + (f"/{step}" if step > 1 else "")
    return _span(kind, first, last, step, at), text


def _refuse_char(kind: _Kind, char: str, at: int) -> NoReturn:
    if char in _INSTEAD:
        _refuse("unsupported", f"{_INSTEAD[char]}.", at)
    _refuse("syntax", f"{char} cannot stand here in the {kind.name}: use numbers and * , - / only.", at)


def _step(kind: _Kind, match: re.Match[str], at: int) -> int:
    if match["slash"] is None:
        return 1
    place = at + match.start("step")
    if not match["step"].isdigit() or int(match["step"]) == 0:
        _refuse("step", "A step is a number from 1 on, for example */15.", place)
    if match["first"] != "*" and match["dash"] is None:
        # Debian's parser refuses this form too; other engines disagree on its meaning (5, or 5 to the end).
        first, step = match["first"], match["step"]
        message = (
            f"A step needs a range: write {first}-{kind.high}/{step} to go on from {first}, or {first} alone."
        )
        _refuse("step", message, at + match.start("slash"))
    return int(match["step"])


def _value(kind: _Kind, word: str, at: int) -> int:
    """Read a number or name of a field."""
    if not word:
        _refuse("syntax", f"The end of the {kind.name} range is missing: write both ends.", at)
    if word.isdigit():
        value = int(word)
        if not kind.low <= value <= kind.high:
            _refuse("out_of_range", f"The {kind.name} goes from {kind.low} to {kind.high}.", at)
        return value
    name = word.lower()
    if name not in kind.names:
        _refuse_word(kind, name, at)
    return kind.names.index(name) + kind.low


def _refuse_word(kind: _Kind, name: str, at: int) -> NoReturn:
    special = re.fullmatch(r"\d*([lwhr])w?\d*", name)
    if special:
        _refuse("unsupported", f"{_INSTEAD[special.group(1)]}.", at + special.start(1))
    if name[:3] in kind.names:
        _refuse("unknown_name", f"Names have three letters: write {name[:3]}.", at)
    if kind.names:
        _refuse("unknown_name", f"Not a {kind.name}: write a number or one of {', '.join(kind.names)}.", at)
    _refuse("unknown_name", f"The {kind.name} takes no names: write a number.", at)


def _span(kind: _Kind, first: int, last: int, step: int, at: int) -> Iterable[int]:
    if first <= last:
        return range(first, last + 1, step)
    if kind.names is WEEKDAYS:
        first = first % 7
        return [day % 7 for day in range(first, last + 1 if first <= last else last + 8, step)]
    message = f"{first}-{last} runs backwards: write two ranges, {first}-{kind.high},{kind.low}-{last}."
    _refuse("backwards_range", message, at)


def _check_possible(expression: Expression, at: int) -> None:
    if expression.either_day:
        return
    if all(min(expression.days) > MONTH_DAYS[month - 1] for month in expression.months):
        _refuse("never_runs", "This never runs: no such day exists in these months. Write another day.", at)


def _short_months(expression: Expression) -> list[str]:
    first = min(expression.days)
    if expression.months == (2,) and first == 29:
        return ["29 February exists in leap years only."]
    if any(first > MONTH_DAYS[month - 1] for month in expression.months) or (
        first == 29 and 2 in expression.months
    ):
        return [f"Months without day {first} are left out."]
    return []
