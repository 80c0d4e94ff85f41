"""Numbers as people write them: whether a column holds them, and their exact value."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Style:
    """One way to write numbers. A leading zero means an identifier (a postcode), not a number."""

    pattern: re.Pattern[str]
    group: str
    point: str

    def parse(self, text: str) -> Decimal:
        """Return the exact value of a text that the pattern matches."""
        return Decimal(text.strip().replace(self.group, "").replace(self.point, ".").replace("−", "-"))

    def write(self, value: Decimal) -> str:
        """Write a value in this style, always with groups of three digits."""
        return f"{value:,f}".translate({ord(","): self.group, ord("."): self.point})


PLAIN = Style(re.compile(r"[-−+]?(0|[1-9]\d*)(\.\d+)?|[-−+]?(0|[1-9]\d*)(\.\d+)?[eE][-+]?\d{1,2}"), ",", ".")
GROUPED = Style(re.compile(r"[-−+]?(0|[1-9]\d*|[1-9]\d{0,2}(,\d{3})+)(\.\d+)?"), ",", ".")
CONTINENTAL = Style(re.compile(r"[-−+]?(0|[1-9]\d*|[1-9]\d{0,2}(\.\d{3})+)(,\d+)?"), ".", ",")
STYLES = (PLAIN, GROUPED, CONTINENTAL)


def style_of(cells: Iterable[str]) -> Style | None:
    """Return the style in which all cells that are not empty are numbers, or None."""
    filled: Sequence[str] = [cell.strip() for cell in cells if cell.strip()]
    if not filled:
        return None
    return next((style for style in STYLES if all(map(style.pattern.fullmatch, filled))), None)
