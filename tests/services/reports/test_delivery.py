"""From a task to a file, once."""

import hashlib
import stat

import pypdf
import pytest

from engine import clock, errors
from engine.lib import child
from engine.queries import files
from engine.services.reports import catalog, delivery

NOON_MS = 1_795_435_200_000
PARAMS = {"zone": "UTC", "start": "2026-11-22T12:00:00Z", "end": "2026-11-23T12:00:00Z"}


class FakeTask:
    """What delivery asks of a running task."""

    id, type, attempt, owner, correlation_id = "t" * 32, "report", 1, "anna", "c0ffee"
    cancelled, remaining_s = False, 60.0

    def __init__(self):
        self.percents, self.lines, self.usage = [], [], None

    def progress(self, percent, note=""):
        self.percents.append(percent)

    def log(self, text):
        self.lines.append(text)

    def check(self):
        pass

    def mark_sent(self):
        pass

    def used(self, **usage):
        self.usage = usage


@pytest.fixture(autouse=True, scope="module")
def no_server_left():
    yield
    child.forget()


@pytest.fixture(autouse=True)
def data(data_dir, monkeypatch):
    monkeypatch.setattr(clock, "_wall", lambda: NOON_MS / 1000)
    return data_dir


@pytest.fixture
def task():
    return FakeTask()


def stored(data):
    return sorted(path.name for path in (data / "artifacts").iterdir())


def test_report_becomes_a_private_file_and_a_row(data, task):
    result = delivery.render("performance_summary", PARAMS, task)
    path = data / "artifacts" / f"{result['artifact_id']}.pdf"
    assert stored(data) == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert result["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert result["bytes"] == path.stat().st_size
    assert result["pages"] == len(pypdf.PdfReader(path).pages) == 1
    assert result["filename"] == "performance-summary-2026-11-23.pdf"
    assert result["expires_at"] == "2026-11-30T12:00:00.000Z"
    assert task.percents == sorted(task.percents)
    assert task.usage["cpu_ms"] > 0


def test_second_attempt_takes_the_file_of_the_first(data, task, monkeypatch):
    first = delivery.render("performance_summary", PARAMS, task)
    monkeypatch.setattr(delivery.child, "run", lambda *_, **__: pytest.fail("rendered again"))
    assert delivery.render("performance_summary", PARAMS, task) == first


def test_damaged_or_lost_file_is_rendered_again(data, task):
    first = delivery.render("performance_summary", PARAMS, task)
    (data / "artifacts" / f"{first['artifact_id']}.pdf").write_bytes(b"damaged")
    second = delivery.render("performance_summary", PARAMS, task)
    assert second["sha256"] == first["sha256"]
    assert files.artifact_of(task.id, "pdf").id == second["artifact_id"]


def test_values_that_are_not_valid_any_more_fail_for_good(task):
    with pytest.raises(errors.PermanentFailure, match="not permitted"):
        delivery.render("performance_summary", {**PARAMS, "colour": "red"}, task)
    with pytest.raises(errors.PermanentFailure, match="no such report"):
        delivery.render("gone", {}, task)


def test_file_that_is_gone_fails_for_good(task):
    with pytest.raises(errors.PermanentFailure, match="not kept") as caught:
        delivery.render("table_from_file", {"upload_id": "a" * 32, "title": "x"}, task)
    assert caught.value.code == "upload_gone"


@pytest.mark.parametrize("failure", [errors.TaskCancelled(), child.ChildCrashed(), KeyboardInterrupt()])
def test_stopped_render_leaves_no_file_and_no_row(data, task, monkeypatch, failure):
    def stop(_function, argument, **_options):
        for ending in ("", ".part"):
            open(argument["path"] + ending, "wb").close()
        raise failure

    monkeypatch.setattr(delivery.child, "run", stop)
    with pytest.raises(type(failure)):
        delivery.render("performance_summary", PARAMS, task)
    assert stored(data) == []
    assert files.artifact_of(task.id, "pdf") is None


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Übersicht: Müller & Söhne / 2026", "ubersicht-muller-sohne-2026"),
        ("日本", "table-from-file"),
        ("../../etc/passwd\r\nX: y", "etc-passwd-x-y"),
    ],
)
def test_file_name_is_plain_whatever_the_title(title, name):
    report = catalog.get("table_from_file")
    form = report.parse({"upload_id": "a" * 32, "title": title})
    assert delivery._filename(report, form, NOON_MS) == f"{name}-2026-11-23.pdf"
