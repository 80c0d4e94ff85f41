"""Preview cron expressions: next runs, validity, description, frequency."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse

from engine.errors import InvalidInput
from engine.services import cron
from engine.web import actors, errors

router = APIRouter(prefix="/api/cron", tags=["cron"], dependencies=[Depends(actors.signed_in)])

Expression = Annotated[str | None, Query(description="Five fields, or @daily and the like.")]
Zone = Annotated[str | None, Query(description="Zone of the tz database; UTC if left out.")]
Start = Annotated[str | None, Query(description="ISO 8601; now if left out. Write + as %2B.")]
Count = Annotated[str | None, Query(description="How many runs; 10 if left out.")]


@router.get("/next", summary="Next runs of an expression")
def next_runs(
    request: Request,
    expression: Expression = None,
    zone: Zone = None,
    tz: Zone = None,
    start: Start = None,
    count: Count = None,
) -> JSONResponse:
    """Return the runs strictly after the start, within 365 days; `truncated` says why there are fewer."""
    return _answer(request, cron.next_runs, expression=expression, zone=zone, tz=tz, start=start, count=count)


@router.get("/validate", summary="Is an expression valid?")
def validate(
    request: Request, expression: Expression = None, zone: Zone = None, tz: Zone = None
) -> JSONResponse:
    """Return how it is read; or 422 with the `position` of the wrong character, counted from 0."""
    return _answer(request, cron.validate, expression=expression, zone=zone, tz=tz)


@router.get("/describe", summary="An expression in English")
def describe(request: Request, expression: Expression = None) -> JSONResponse:
    """Return a sentence, and what may surprise about the expression."""
    return _answer(request, cron.describe, expression=expression)


@router.get("/frequency", summary="How often an expression is due")
def frequency(
    request: Request,
    expression: Expression = None,
    zone: Zone = None,
    tz: Zone = None,
    start: Start = None,
) -> JSONResponse:
    """Return runs per hour, day and year, and the gaps between them in seconds."""
    return _answer(request, cron.frequency, expression=expression, zone=zone, tz=tz, start=start)


def _answer(
    request: Request, make: Callable[[cron.Request], dict[str, Any]], **given: str | None
) -> JSONResponse:
    asked = {name: value for name, value in given.items() if value is not None}
    try:
        return JSONResponse(make(asked))
    except InvalidInput as error:
        return errors.answer(error, request.scope, beside=cron.never(error, asked))
