import pytest

from engine import lifecycle
from engine.web import app, documents
from engine.words import Actor, Role

OLGA = Actor("olga", Role.OPS)


@pytest.fixture(scope="module")
def document():
    return app.api.openapi()


def test_described_task_is_the_task_that_is_answered(people):
    client = people.by_token("olga", Role.OPS)
    task_id = lifecycle.submit(OLGA, "probe", {}).task.id
    for answered in (
        client.get(f"/async-monitoring/tasks/{task_id}/status/").json(),
        client.get("/api/tasks").json()["items"][0],
        client.post("/api/tasks", json={"type": "probe"}).json(),
    ):
        shown = documents.Task.model_validate(answered)
        assert set(answered) == set(documents.Task.model_fields)
        assert shown.state == "queued"


def test_described_failure_is_the_failure_that_is_answered(people):
    answered = people.by_token("olga", Role.OPS).post("/api/tasks", json={"type": 1}).json()
    failure = documents.Failure.model_validate(answered)
    assert set(failure.error.fields) == {"type"}


def test_document_says_how_to_authenticate_and_how_failures_look(document):
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert "422" not in operation["responses"], path
            assert "default" in operation["responses"], path
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_reference_leads_somewhere(document):
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    def references(node):
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            node = list(node.values())
        if isinstance(node, list):
            for child in node:
                yield from references(child)

    assert set(references(document)) <= known


def test_every_operation_is_named_and_explained(document):
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["summary"], path
            assert operation.get("description"), path
