"""The preview of a rule: how its heat map is laid out, as Vega itself draws it."""

import re
from itertools import pairwise

import pytest
import vl_convert

from engine.ui.schedules import rule

DAYS = ("Thu 26", "Fri 27", "Sat 28", "Sun 29", "Mon 30", "Tue 01", "Wed 02")
TWO_DIGITS_PX = 12
"""About what two digits take at Vega's own 10 px."""


def labels(width):
    """Text, x and y of what is written in the heat map of a chart so wide, hidden labels left out."""
    values = [{"Day": day, "Hour": f"{hour:02}", "Runs": 1} for day in DAYS for hour in range(24)]
    as_streamlit = {"axis": {"labelFlush": True}}
    chart = rule._heat() | {"width": width, "data": {"values": values}, "config": as_streamlit}
    svg = vl_convert.vegalite_to_svg(chart)
    shown = [text for text in re.findall(r"<text[^>]*>[^<]*<", svg) if 'opacity="0"' not in text]
    found = [re.search(r"translate\(([-\d.]+),([-\d.]+)\).*>(.*)<", text) for text in shown]
    return [(m[3], float(m[1]), float(m[2])) for m in found if m]


@pytest.mark.parametrize(("width", "n_labelled"), [(170, 6), (560, 24)])
def test_labels_of_hours_do_not_overlap(width, n_labelled):
    at = [x for text, x, _ in labels(width) if re.fullmatch(r"\d\d", text)]
    assert len(at) == n_labelled
    assert min(right - left for left, right in pairwise(at)) >= TWO_DIGITS_PX


def test_each_day_is_written_at_the_middle_of_its_row():
    at = [y for text, _, y in labels(560) if text in DAYS]
    assert len(at) == 7
    assert [right - left for left, right in pairwise(at)] == pytest.approx([200 / 7] * 6)
