"""Before and after as data: two distributions compared, with the verdict of the page and of the report."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse

from engine import clock
from engine.errors import InvalidInput
from engine.lib.moment import Moment
from engine.queries import performance
from engine.queries.performance import Chart, Comparison, Selection, Source
from engine.web.routes.performance import Viewer, Window, source_document

router = APIRouter(prefix="/api/performance", tags=["performance"])

Label = Annotated[str, Query(min_length=1, max_length=400, examples=["GET /orders"])]


@router.get("/comparison", summary="Before and after: did it become faster?")
def comparison(
    _viewer: Viewer,
    window: Window,
    route: Label,
    replacement: Annotated[str | None, Query(min_length=1, max_length=400)] = None,
    at: Annotated[Moment | None, Query(description="When it changed.")] = None,
) -> JSONResponse:
    """Compare a route with its replacement, or with itself around a moment; routes as the pages call them.

    Durations in milliseconds. `low` and `high` bound the relative change with 95 % confidence; `direction` is
    fell, rose, same (no change beyond noise) or unknown (too few values).
    """
    first = _narrowed(window, "route", route)
    if (replacement is None) == (at is None):
        raise InvalidInput(
            "Give a replacement or a moment, one of the two.",
            fields={"at": "or a replacement", "replacement": "or a moment"},
        )
    if replacement is not None:
        second = _narrowed(window, "replacement", replacement)
        return JSONResponse(_document(performance.compare(first, second, route, replacement)))
    assert at is not None
    return JSONResponse(_document(performance.around(first, clock.to_ms(at))))


def _narrowed(window: Selection, field: str, label: str) -> Selection:
    found = performance.narrowed(window, label)
    if found is None:
        message = performance.hint(window, label)
        raise InvalidInput(message, fields={field: message})
    return found


def _document(found: Comparison) -> dict[str, Any]:
    before, after = found.sources
    return {
        "verdict": found.verdict,
        "direction": found.direction,
        "changes": [asdict(change) | {"direction": change.direction} for change in found.changes],
        "before": _side(found.label_before, found.errors_before, found.before, before),
        "after": _side(found.label_after, found.errors_after, found.after, after),
    }


def _side(label: str, error_rate: float | None, chart: Chart, source: Source) -> dict[str, Any]:
    return {
        "label": label,
        "error_rate": error_rate,
        "source": source_document(source),
        "distribution": chart.table.to_pylist(),
    }
