"""Jinja2 for documents: every value is escaped and cleaned, and a misspelled name is an error."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from engine.lib.pdf.text import clean_text, safe_link


def environment(folders: Sequence[Path]) -> Environment:
    """Return an environment over template folders, first match wins."""
    found = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["link"] = safe_link
    return found


def _clean(value: Any) -> Any:
    """Clean what a template prints, unless it is markup of our own; None prints as nothing."""
    if value is None:
        return ""
    return clean_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value
