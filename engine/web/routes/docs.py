"""The interface described for people, made from its OpenAPI document; no script, nothing from elsewhere."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from engine.web import html

router = APIRouter(include_in_schema=False)

_OTHER = "other"


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    group: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[dict[str, Any]]
    body: str
    answers: list[tuple[str, str]]


@router.get("/api/docs")
async def docs(request: Request) -> Response:
    """Show every operation with its parameters, body and answers."""
    document = request.app.openapi()
    found = sorted(operations(document), key=lambda o: (o.group, o.path, o.method))
    groups = [(name, list(members)) for name, members in groupby(found, key=lambda o: o.group)]
    return html.page("docs.html", title="HTTP interface", version=document["info"]["version"], groups=groups)


def operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    """Read the operations out of an OpenAPI document."""
    for path, methods in document["paths"].items():
        for method, spec in methods.items():
            content = spec.get("requestBody", {}).get("content", {})
            body = next((kind["schema"] for kind in content.values()), None)
            yield Operation(
                group=next(iter(spec.get("tags", [])), _OTHER),
                method=method.upper(),
                path=path,
                summary=spec.get("summary", ""),
                description=spec.get("description", ""),
                parameters=[_parameter(p) for p in spec.get("parameters", [])],
                body=json.dumps(resolve(body, document), indent=2) if body else "",
                answers=[(status, answer["description"]) for status, answer in spec["responses"].items()],
            )


def resolve(schema: Any, document: Mapping[str, Any], seen: tuple[str, ...] = ()) -> Any:
    """Put the schemas a schema refers to in its place; one that refers to itself stays a name."""
    if isinstance(schema, list):
        return [resolve(item, document, seen) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name and name in seen:
        return name
    if name:
        return resolve(document["components"]["schemas"][name], document, (*seen, name))
    return {key: resolve(value, document, seen) for key, value in schema.items() if key != "title"}


def _parameter(spec: Mapping[str, Any]) -> dict[str, Any]:
    schema = spec.get("schema", {})
    kinds = [schema, *schema.get("anyOf", [])]
    return {
        "name": spec["name"],
        "place": spec["in"],
        "kind": " or ".join(str(k["type"]) for k in kinds if k.get("type", "null") != "null") or "value",
        "required": spec.get("required", False),
        "about": spec.get("description", ""),
    }
