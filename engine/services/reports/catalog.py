"""The report types: one folder each beside this file, found by listing them.

A folder holds `form.py` (TITLE, DESCRIPTION, Form; `admit` if the database must be asked, `describe` if its
values tell one from another), `data.py` (`gather`: what the report shows, as JSON), `page.py` (`compose`:
from that to HTML; runs in the child process) and its template.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from pydantic import ValidationError

from engine import registry
from engine.errors import InvalidInput
from engine.records.db import Transaction
from engine.services.reports.forms import ReportForm
from engine.words import Actor

PACKAGE = __package__
Admit = Callable[[Transaction, Actor, Any], ReportForm]
Describe = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class ReportType:
    """One kind of report."""

    name: str
    title: str
    description: str
    form: type[ReportForm]
    admit: Admit
    describe: Describe
    """Says in a few words which one it is, from values that may be old or incomplete."""

    @property
    def asks(self) -> bool:
        """Whether its form has a field that must be filled in."""
        return any(field.is_required() for field in self.form.model_fields.values())

    def parse(self, params: Mapping[str, Any]) -> ReportForm:
        """Validate the values of the form; raise InvalidInput with paths below `params`."""
        try:
            return self.form.model_validate(dict(params))
        except ValidationError as error:
            raise refuse(registry.field_messages(error)) from error

    def gather(self, form: ReportForm, owner: str) -> dict[str, Any]:
        """Return what the report shows, as JSON."""
        found: dict[str, Any] = import_module(f"{PACKAGE}.{self.name}.data").gather(form, owner)
        return found


def admit(tx: Transaction, actor: Actor, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Check a report's values at submit; return them with their defaults fixed.

    Raises InvalidInput with `fields` such as `report` or `params.end`.
    """
    report = get(name)
    return report.admit(tx, actor, report.parse(params)).params()


def refuse(fields: Mapping[str, str]) -> InvalidInput:
    """Return the error for wrong values, by field of the form."""
    at = {f"params.{name}": text for name, text in fields.items()}
    return InvalidInput("; ".join(f"{name}: {text}" for name, text in fields.items()), fields=at)


@lru_cache(maxsize=1)
def all_types() -> tuple[ReportType, ...]:
    """Return the report types by title, those first that can be ordered as they are."""
    names = [module.name for module in iter_modules([str(Path(__file__).parent)]) if module.ispkg]
    return tuple(sorted(map(_load, names), key=lambda found: (found.asks, found.title)))


def get(name: str) -> ReportType:
    """Return a report type; raise InvalidInput naming those that exist."""
    for found in all_types():
        if found.name == name:
            return found
    known = ", ".join(sorted(found.name for found in all_types()))
    message = f"There is no such report. There are: {known}."
    raise InvalidInput(message, fields={"report": message}, code="unknown_report")


def _load(name: str) -> ReportType:
    module = import_module(f"{PACKAGE}.{name}.form")
    admit: Admit = getattr(module, "admit", _admit_all)
    describe: Describe = getattr(module, "describe", lambda params: str(params.get("title") or module.TITLE))
    return ReportType(name, module.TITLE, module.DESCRIPTION, module.Form, admit, describe)


def _admit_all(_tx: Transaction, _actor: Actor, form: ReportForm) -> ReportForm:
    return form
