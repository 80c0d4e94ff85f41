"""A sentence for an expression: cron-descriptor's where it is right, ours elsewhere.

Apart from `facts`, because only this needs cron-descriptor, which takes a while to import.
"""

import re

from cron_descriptor import CasingTypeEnum, ExpressionDescriptor, Options

from engine.lib.cron import facts
from engine.lib.cron.grammar import Expression


def describe(expression: Expression) -> str:
    """Describe a valid expression in English with a 24 h clock."""
    if _misread(expression):
        return facts.plainly(expression)
    options = Options()
    options.use_24hour_time_format = True
    options.casing_type = CasingTypeEnum.Sentence
    options.locale_code = "en_US"
    try:
        return str(ExpressionDescriptor(expression.text, options))
    except Exception:  # noqa: BLE001 - it raises many kinds on lists with steps; a description is never worth an error
        return facts.plainly(expression)


def _misread(expression: Expression) -> bool:
    """Whether cron-descriptor 2.2 words it wrongly.

    Too wide steps, AND of days, wraps (it takes 0-7 for Sunday), steps and stars in lists, and many minutes
    of single hours, of which it names only the first.
    """
    minute, hour, day, month, weekday = expression.text.split()
    if day != "*" and weekday != "*" and not expression.either_day:
        return True
    wide = ((minute, 59), (hour, 23), (day, 30), (month, 11), (weekday, 6))
    if any(int(step) > span for field, span in wide for step in re.findall(r"/(\d+)", field)):
        return True
    if "/" in weekday or any("," in field and re.search(r"[/*]", field) for field, _ in wide):
        return True
    if "," in hour and not minute.isdigit():
        return True
    ends = re.findall(r"(\d+)-(\d+)", weekday)
    return any(int(first) > int(last) or int(last) - int(first) == 7 for first, last in ends)
