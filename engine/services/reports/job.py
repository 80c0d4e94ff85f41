"""The part of a report that runs in the child process: compose the page, render it."""

from importlib import import_module
from pathlib import Path
from typing import Any

from engine.lib import pdf
from engine.lib.child import Channel

_COMPOSED = 10
"""Share of the progress for gathering and composing; the rest is the renderer's."""


def render(argument: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Render the report named in `argument` from its `data` to its `path`; return pages, bytes and hash."""
    channel.progress(2, "composing the pages")
    module = import_module(f"{__package__}.{argument['report']}.page")
    page = module.compose(argument["data"])
    channel.progress(_COMPOSED, "composing the pages")
    rendered = pdf.render(
        page.html,
        page.assets,
        Path(argument["path"]),
        lambda percent, note: channel.progress(_COMPOSED + percent * (99 - _COMPOSED) / 100, note),
        limits=pdf.Limits(max_pages=argument["max_pages"]),
        about_pages=page.about_pages,
        tagged=page.tagged,
        on_warning=channel.log,
    )
    return {"pages": rendered.pages, "bytes": rendered.bytes, "sha256": rendered.sha256}
