"""The report task: checked at submit, run by the queue's own path."""

import io

import pytest

from engine import clock, lifecycle, registry, tasks
from engine.errors import Forbidden, InvalidInput
from engine.lib import child
from engine.queries import files
from engine.records import db
from engine.services import uploads
from engine.tasks.report import Report
from engine.words import Actor, Role
from tests.services.reports.test_delivery import FakeTask

ANNA, BOB, EVE = Actor("anna", Role.STAFF), Actor("bob", Role.STAFF), Actor("eve", Role.VIEWER)
NOON_MS = 1_795_435_200_000  # 2026-11-23T12:00:00Z


@pytest.fixture(autouse=True, scope="module")
def no_server_left():
    yield
    child.forget()


@pytest.fixture(autouse=True)
def house(data_dir, monkeypatch):
    monkeypatch.setattr(clock, "_wall", lambda: NOON_MS / 1000)
    if registry.find("report") is None:
        tasks.load()


def submit(payload, actor=ANNA, **options):
    return lifecycle.submit(actor, "report", payload, **options).task


def refused(payload, actor=ANNA):
    with pytest.raises(InvalidInput) as caught:
        submit(payload, actor)
    assert db.main().value("select count(*) from tasks") == 0
    return caught.value.fields


def run(task):
    handle = FakeTask()
    handle.id, handle.owner = task.id, task.owner
    report = registry.get("report")
    return report.run(report.parse(task.payload), handle)


def test_type_is_limited_as_designed():
    report = registry.get("report")
    assert (report.max_attempts, report.timeout_s, report.max_running) == (3, 180, 2)
    assert report.describe(Report(report="performance_summary")) == "Performance summary"


def test_default_period_is_stored_with_the_task():
    payload = Report.model_validate_json(submit({"report": "performance_summary"}).payload)
    assert payload.params["start"] == "2026-11-22T12:00:00Z"
    assert payload.params["end"] == "2026-11-23T12:00:00Z"


def test_wrong_values_are_refused_at_their_field_and_nothing_is_enqueued():
    assert set(refused({"report": "no such"})) == {"report"}
    assert set(refused({})) == {"report"}
    backwards = {"start": "2026-11-20T00:00Z", "end": "2026-11-19T00:00Z"}
    assert set(refused({"report": "performance_summary", "params": backwards})) == {"params.end"}
    assert set(refused({"report": "performance_summary", "params": [1]})) == {"params"}


def test_upload_of_another_person_is_refused():
    upload = uploads.store(ANNA, "a.csv", io.BytesIO(b"a\n1\n"))
    payload = {"report": "table_from_file", "params": {"upload_id": upload.id, "title": "T"}}
    assert set(refused(payload, BOB)) == {"params.upload_id"}
    assert submit(payload).owner == "anna"


def test_viewer_may_not_submit():
    with pytest.raises(Forbidden):
        submit({"report": "performance_summary"}, EVE)


def test_idempotent_submit_ignores_that_time_went_on(monkeypatch):
    first = submit({"report": "performance_summary"}, idempotency_key="k")
    monkeypatch.setattr(clock, "_wall", lambda: NOON_MS / 1000 + 60)
    assert submit({"report": "performance_summary"}, idempotency_key="k").id == first.id


def test_uploaded_table_becomes_a_file():
    upload = uploads.store(ANNA, "a.csv", io.BytesIO(b"a,b\n1,x\n2,y\n"))
    params = {"upload_id": upload.id, "title": "My table", "totals": ["a"]}
    task = submit({"report": "table_from_file", "params": params})
    result = run(task)
    artifact = files.artifact_of(task.id, "pdf")
    assert (artifact.owner, artifact.id, artifact.filename) == (
        "anna",
        result["artifact_id"],
        "my-table-2026-11-23.pdf",
    )
