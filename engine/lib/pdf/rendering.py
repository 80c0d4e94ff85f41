"""Render one document with WeasyPrint: nothing from outside, honest progress, a whole file or none."""

import gc
import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import weasyprint
from weasyprint.text.fonts import FontConfiguration
from weasyprint.urls import FatalURLFetchingError, URLFetcher, URLFetcherResponse

from engine import errors
from engine.lib import trace
from engine.lib.pdf import typeface
from engine.lib.pdf.text import safe_link

OnProgress = Callable[[float, str], None]
ASSET = "asset:"
_BASE = "relative:"
"""A base address that makes every relative reference fail instead of being passed over."""

# Shares of the time of a render, measured over tables of 1,000 to 5,000 rows, garbage collector off; the
# largest error against the elapsed share of the time was 15 points. Layout and drawing tell each page.
_CSS, _BOXES, _LAYOUT, _MARGINS, _DRAW, _FINISH = 6, 20, 34, 70, 78, 96
_PAGE = re.compile(r"Step 5 - Creating layout - Page (\d+)")
_STEPS = {
    "Step 3": (_CSS, "applying styles"),
    "Step 4": (_BOXES, "building the page content"),
    "Step 6": (_DRAW, "drawing"),
    "Step 7": (_FINISH, "finishing the file"),
}
_WARNINGS = 20

logging.getLogger("fontTools").setLevel(logging.WARNING)  # says each font it unpacks


@dataclass(frozen=True)
class Limits:
    """What a document may not exceed."""

    max_pages: int = 200


@dataclass(frozen=True)
class Rendered:
    """A finished file."""

    pages: int
    bytes: int
    sha256: str


def render(
    html: str,
    assets: Mapping[str, bytes],
    out_path: Path,
    on_progress: OnProgress = lambda _percent, _note: None,
    *,
    limits: Limits = Limits(),
    about_pages: int = 1,
    on_warning: Callable[[str], None] = lambda _text: None,
    tagged: bool = False,
) -> Rendered:
    """Render `html` to `out_path`, mode 0600, and return its size and hash.

    Documents reach `asset:NAME` of `assets` and the bundled fonts; any other address fails the job for good.
    `about_pages` is the expected length, for the progress. `tagged` adds the structure that screen readers
    use: a third more time, and up to three times the size for long tables.

    Raises PermanentFailure with code `blocked_url`, `too_many_pages` or `not_renderable`.
    """
    steps = _Steps(on_progress, limits, max(1, about_pages))
    fetcher = _OnlyAssets({**typeface.ASSETS, **assets})
    with trace.operation("render", "PDF"), _no_collection(), _listening(steps, on_warning):
        try:
            document = _lay_out(html, fetcher)
            _drop_unsafe_links(document)
            _tell_drawing(document, steps)
            content = document.write_pdf(pdf_tags=tagged)
            fetcher.check()
        except FatalURLFetchingError:
            fetcher.check()
            raise
        except RecursionError as error:
            raise errors.PermanentFailure(
                "The document is nested too deeply.", code="not_renderable"
            ) from error
    _write(content, out_path)
    on_progress(100, "done")
    return Rendered(len(document.pages), len(content), hashlib.sha256(content).hexdigest())


def _lay_out(html: str, fetcher: "_OnlyAssets") -> Any:
    fonts = FontConfiguration()
    faces = weasyprint.CSS(string=typeface.CSS, font_config=fonts, url_fetcher=fetcher, base_url=_BASE)
    page = weasyprint.HTML(string=html, url_fetcher=fetcher, base_url=_BASE)
    return page.render(font_config=fonts, stylesheets=[faces])


class _OnlyAssets(URLFetcher):  # type: ignore[misc]
    """Serves what it was given, from memory; everything else ends the render."""

    def __init__(self, assets: Mapping[str, bytes]) -> None:
        super().__init__(allowed_protocols=(), allow_redirects=False, fail_on_errors=True)
        self._assets = assets
        self._blocked = ""

    def fetch(self, url: str, headers: Any = None) -> URLFetcherResponse:
        name = url.removeprefix(ASSET)
        if not url.startswith(ASSET) or name not in self._assets:
            self._blocked = self._blocked or url[:200]
            raise ValueError("not an asset")
        return URLFetcherResponse(url, self._assets[name])

    def check(self) -> None:
        """Raise PermanentFailure if anything else was asked for; inside of SVG WeasyPrint passes over it."""
        if self._blocked:
            raise errors.PermanentFailure(
                f"The document refers to something outside of it: {self._blocked}", code="blocked_url"
            )


class _Steps(logging.Handler):
    """Turns WeasyPrint's progress log into percentages."""

    def __init__(self, on_progress: OnProgress, limits: Limits, about_pages: int) -> None:
        super().__init__(logging.INFO)
        self._on_progress = on_progress
        self._limits = limits
        self._about_pages = about_pages
        self._percent = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if page := _PAGE.match(text):
            self._lay_out(int(page[1]))
        elif step := _STEPS.get(text[:6]):
            self._tell(*step)

    def draw(self, page: int, pages: int) -> None:
        """Tell that a page was drawn."""
        self._tell(_DRAW + (_FINISH - _DRAW) * page / pages, f"drawing page {page} of {pages}")

    def _lay_out(self, page: int) -> None:
        if page > self._limits.max_pages:
            raise errors.PermanentFailure(
                f"The document has more than {self._limits.max_pages} pages.", code="too_many_pages"
            )
        about = max(self._about_pages, page)
        self._tell(_LAYOUT + (_MARGINS - _LAYOUT) * page / about, f"page {page} of about {about}")

    def _tell(self, percent: float, note: str) -> None:
        self._percent = max(self._percent, percent)
        self._on_progress(self._percent, note)


def _drop_unsafe_links(document: Any) -> None:
    """Keep `javascript:`, `file:` and the like out of the file, whatever a template let through."""
    for page in document.pages:
        page.links[:] = [
            link for link in page.links if link[0] != "external" or (safe_link(link[1]) and link[1][0] != "#")
        ]


def _tell_drawing(document: Any, steps: _Steps) -> None:
    """Drawing says nothing by itself: let each page tell when it was painted."""
    pages = len(document.pages)
    for number, page in enumerate(document.pages, 1):
        page.paint = _telling(page.paint, steps, number, pages)


def _telling(paint: Callable[..., Any], steps: _Steps, number: int, pages: int) -> Callable[..., Any]:
    def paint_and_tell(*args: Any, **options: Any) -> Any:
        result = paint(*args, **options)
        steps.draw(number, pages)
        return result

    return paint_and_tell


class _Warnings(logging.Handler):
    """Passes on the first warnings of a render: a font that cannot be loaded, a style that is not known."""

    def __init__(self, on_warning: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._on_warning = on_warning
        self._left = _WARNINGS

    def emit(self, record: logging.LogRecord) -> None:
        if self._left > 0:
            self._left -= 1
            self._on_warning(f"{record.levelname.lower()}: {record.getMessage()}")


@contextmanager
def _listening(steps: _Steps, on_warning: Callable[[str], None]) -> Iterator[None]:
    progress, warnings = logging.getLogger("weasyprint.progress"), logging.getLogger("weasyprint")
    handlers: tuple[tuple[logging.Logger, logging.Handler], ...] = (
        (progress, steps),
        (warnings, _Warnings(on_warning)),
    )
    for logger, handler in handlers:
        logger.addHandler(handler)
        logger.setLevel(handler.level)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, handler in handlers:
            logger.removeHandler(handler)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector off: a render is 1.5 to 1.9 times as fast, and linear in its length."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _write(content: bytes, out_path: Path) -> None:
    """Write under another name, then rename: whoever sees the name sees the whole file."""
    part = out_path.with_name(out_path.name + ".part")
    part.unlink(missing_ok=True)  # left by an attempt that was killed
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(out_path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
