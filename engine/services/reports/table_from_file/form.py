"""What is asked for a report of an uploaded table."""

from collections.abc import Iterable

from pydantic import Field, field_validator
from pydantic.config import JsonDict

from engine import clock
from engine.records import uploads
from engine.records.db import Transaction
from engine.services.reports.catalog import refuse
from engine.services.reports.forms import Line, ReportForm, Zone
from engine.words import Actor

TITLE = "Table from a file"
DESCRIPTION = "A CSV or Excel file as a printed table: chosen columns, sorted, with totals."
_COLUMNS: JsonDict = {"widget": "columns", "of": "upload_id"}


class Form(ReportForm):
    """Which upload, and how to show it."""

    upload_id: str = Field(
        title="File",
        description="CSV or XLSX; the id that POST /api/uploads returned",
        pattern="^[0-9a-f]{32}$",
        json_schema_extra={"widget": "upload"},
    )
    title: Line = Field(
        title="Title",
        description="Printed on the first page",
        min_length=1,
        max_length=120,
        examples=["Sales"],
    )
    introduction: str = Field(
        "", title="Introduction", description="Printed before the table", max_length=2000
    )
    columns: tuple[str, ...] = Field(
        (),
        title="Columns",
        description="Columns to show, in this order; none: all",
        max_length=200,
        json_schema_extra=_COLUMNS,
    )
    sort_by: str | None = Field(
        None, title="Sort by", description="Column; empty: the order of the file", json_schema_extra=_COLUMNS
    )
    descending: bool = Field(False, title="Largest first", description="Sort downwards")
    totals: tuple[str, ...] = Field(
        (),
        title="Totals",
        description="Columns of numbers to add up",
        max_length=200,
        json_schema_extra={**_COLUMNS, "numeric": True},
    )
    zone: Zone = "UTC"

    @field_validator("title")
    @classmethod
    def _says_something(cls, title: str) -> str:
        if not title:
            raise ValueError("must not be empty")
        return title

    @field_validator("columns", "totals")
    @classmethod
    def _once_each(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("names a column twice")
        return names


def admit(tx: Transaction, actor: Actor, form: Form) -> Form:
    """Check against the upload: it is the actor's, it still exists, and it has the columns."""
    upload = uploads.get(tx, form.upload_id)
    if upload is None or upload.owner != actor.name or upload.expires_at_ms <= clock.now_ms():
        raise refuse({"upload_id": "There is no such file of yours; files are kept for a limited time."})
    known, numeric = upload.facts["columns"], upload.facts["numeric"]
    wrong = {
        "columns": _missing(form.columns, known, "is not a column of the file"),
        "sort_by": _missing([form.sort_by] if form.sort_by else [], known, "is not a column of the file"),
        "totals": _missing(form.totals, numeric, "is not a column of numbers"),
    }
    if fields := {name: text for name, text in wrong.items() if text}:
        raise refuse(fields)
    return form


def _missing(names: Iterable[str], known: Iterable[str], what: str) -> str:
    lacking = [name for name in names if name not in set(known)]
    return f"“{lacking[0][:80]}” {what}" if lacking else ""
