"""A composed report, ready for the renderer; what the folders' `page.py` share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.lib import pdf
from engine.services.reports import wording

_SHARED = Path(__file__).parent / "shared"


@dataclass(frozen=True)
class Page:
    """A document before it is rendered. `about_pages` is a guess, for the progress."""

    html: str
    about_pages: int = 1
    tagged: bool = True
    """Whether to add the structure that screen readers use."""
    assets: Mapping[str, bytes] = field(default_factory=dict)


def draw(folder: Path, values: Mapping[str, Any], *, about_pages: int = 1, tagged: bool = True) -> Page:
    """Fill `page.html` of a report's folder; templates extend `base.html`."""
    found = pdf.environment([folder, _SHARED])
    found.filters.update(wording.FILTERS)
    return Page(found.get_template("page.html").render(**values), about_pages, tagged)
