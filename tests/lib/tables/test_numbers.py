"""What counts as a column of numbers, and what their sum is."""

from decimal import Decimal

import pytest

from engine.lib.tables.numbers import CONTINENTAL, GROUPED, PLAIN, style_of


@pytest.mark.parametrize(
    ("cells", "style"),
    [
        (["1", "-2.5", "", " 30 "], PLAIN),
        (["1e3", "2.5E-2"], PLAIN),
        (["1,234", "1,234,567.89", "12"], GROUPED),
        (["1.234,50", "12", "3,5"], CONTINENTAL),
        (["−5", "3"], PLAIN),
        (["00123", "4"], None),
        (["1", "n/a"], None),
        (["1,23", "1.5"], None),
        (["", " "], None),
        (["=1+1"], None),
        (["+49 30 1234"], None),
        (["2026-11-24"], None),
    ],
)
def test_style_is_found_from_all_cells(cells, style):
    assert style_of(cells) is style


def test_values_are_exact_and_written_in_their_own_style():
    assert PLAIN.parse("0.1") + PLAIN.parse("0.2") == Decimal("0.3")
    assert CONTINENTAL.write(CONTINENTAL.parse("1.234,50") + CONTINENTAL.parse("-0,5")) == "1.234,00"
    assert GROUPED.write(GROUPED.parse("1,234,567.89")) == "1,234,567.89"
    assert PLAIN.write(PLAIN.parse("−12345")) == "-12,345"
