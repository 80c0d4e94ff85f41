import pytest

from engine import clock, registry, settings
from engine.records import artifacts, db
from engine.records.artifacts import Artifact
from engine.words import Role

PDF = b"%PDF-1.7 not really"


@pytest.fixture
def finished(data_dir):
    """A report of sam that has succeeded, and a function that gives it a file."""
    task_id = "r" * 32
    with db.main().write() as tx:
        tx.run(
            """insert into tasks (id, type, state, payload, payload_hash, owner, correlation_id,
                   created_at_ms, max_attempts)
               values (:id, 'report', 'succeeded', '{}', '', 'sam', 'c', :now, 3)""",
            id=task_id,
            now=clock.now_ms(),
        )

    def put(filename="performance_summary.pdf", expires_in_ms=60_000, file=True):
        now = clock.now_ms()
        artifact = Artifact(
            "a" * 32,
            task_id,
            "pdf",
            "sam",
            filename,
            "application/pdf",
            len(PDF),
            "",
            {},
            now,
            now + expires_in_ms,
        )
        with db.main().write() as tx:
            artifacts.put(tx, artifact)
        path = settings.get().data_dir / "artifacts" / f"{artifact.id}.pdf"
        path.write_bytes(PDF) if file else path.unlink(missing_ok=True)
        return f"/api/reports/{task_id}/pdf"

    put.path = f"/api/reports/{task_id}/pdf"
    return put


def test_pdf_goes_to_its_owner_and_to_ops_only(people, finished):
    path = finished()
    answer = people.by_cookie("sam").get(path)
    assert (answer.status_code, answer.content) == (200, PDF)
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["cache-control"] == "private, no-store"
    assert people.by_token("olga", Role.OPS).get(path).status_code == 200
    for name, role in (("eve", Role.STAFF), ("vera", Role.VIEWER)):
        assert people.by_token(name, role).get(path).status_code == 404
    assert people.client().get(path).status_code == 401


@pytest.mark.parametrize(
    ("filename", "header"),
    [
        ("report.pdf", 'attachment; filename="report.pdf"'),
        ("Übersicht.pdf", "attachment; filename*=utf-8''%C3%9Cbersicht.pdf"),
        ('a"; filename="evil.exe', "attachment; filename*=utf-8''a%22%3B%20filename%3D%22evil.exe"),
        ("a\r\nSet-Cookie: x=1.pdf", "attachment; filename*=utf-8''a%0D%0ASet-Cookie%3A%20x%3D1.pdf"),
    ],
)
def test_file_name_cannot_break_out_of_its_header(people, finished, filename, header):
    answer = people.by_token("sam").get(finished(filename))
    assert answer.headers["content-disposition"] == header
    assert "set-cookie" not in answer.headers


def test_expired_and_lost_files_are_410(people, finished):
    client = people.by_token("sam")
    for path in (finished.path, finished(expires_in_ms=-1), finished(file=False)):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (410, "expired")


@pytest.mark.parametrize("state", ["scheduled", "queued", "running", "failed", "cancelled"])
def test_pdf_before_success_is_409(people, finished, state):
    with db.main().write() as tx:
        tx.run("update tasks set state = :state, due_at_ms = 9999999999999", state=state)
    answer = people.by_token("sam").get(finished.path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_ready")


@pytest.mark.parametrize("task_id", ["..%2f..%2foffload.db", "%2e%2e", "a" * 32, "x%00.pdf"])
def test_no_path_from_outside_reaches_a_file(people, finished, task_id):
    finished()
    assert people.by_token("sam", Role.ADMIN).get(f"/api/reports/{task_id}/pdf").status_code == 404


def test_tasks_of_other_types_have_no_pdf(people, finished):
    with db.main().write() as tx:
        tx.run("update tasks set type = 'probe'")
    assert people.by_token("sam").get(finished.path).status_code == 404


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"report"}),
        ({"report": 1}, {"report"}),
        ({"report": "nothing", "params": {}}, None),
        ({"report": "performance_summary", "params": []}, {"params"}),
        ({"report": "performance_summary", "extra": 1}, {"extra"}),
    ],
)
def test_wrong_orders_are_told_at_the_field(people, body, fields):
    answer = people.by_token("sam").post("/api/reports", json=body)
    assert answer.status_code == 422
    assert fields is None or set(answer.json()["error"]["fields"]) == fields
    assert db.main().value("select count(*) from tasks") == 0


@pytest.mark.skipif(registry.find("report") is None, reason="this installation has no reports")
def test_order_answers_202_with_a_link_to_the_pdf(people):
    answer = people.by_token("sam").post("/api/reports", json={"report": "performance_summary", "params": {}})
    assert answer.status_code == 202
    assert answer.json()["links"]["pdf"] == f"/api/reports/{answer.json()['task_id']}/pdf"


@pytest.mark.parametrize(
    "header",
    [
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=a-b",
        "bytes=5-3",
        "bytes=0-1,x",
        "bytes = 0-1",
        "bytes=0 - 1",
        "lines=0-1",
    ],
)
def test_a_range_that_is_not_valid_is_ignored(people, finished, header):
    answer = people.by_token("sam").get(finished(), headers={"Range": header})
    assert (answer.status_code, answer.content) == (200, PDF)


@pytest.mark.parametrize("header", ["bytes=19-", "bytes=500-600, 700-", "bytes=-0", f"bytes={'9' * 5000}-"])
def test_a_range_outside_the_file_is_416_in_the_shape_of_every_error(people, finished, header):
    client, path = people.by_token("sam"), finished()
    answer = client.get(path, headers={"Range": header})
    assert (answer.status_code, answer.json()["error"]["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == "bytes */19"
    assert answer.headers["cache-control"] == "no-store"
    assert client.get(path, headers={"Range": header, "If-Range": '"other"'}).content == PDF


@pytest.mark.parametrize(
    ("header", "content", "told"),
    [
        ("bytes=0-3", b"%PDF", "bytes 0-3/19"),
        ("BYTES=5-7", b"1.7", "bytes 5-7/19"),
        ("bytes=-6", b"really", "bytes 13-18/19"),
        ("bytes=-999", PDF, "bytes 0-18/19"),
        ("bytes=13-", b"really", "bytes 13-18/19"),
        ("bytes=13-999", b"really", "bytes 13-18/19"),
        ("bytes=0-3,, 99-", b"%PDF", "bytes 0-3/19"),
        (f"bytes=13-{'9' * 5000}", b"really", "bytes 13-18/19"),
    ],
)
def test_a_part_of_the_file(people, finished, header, content, told):
    answer = people.by_token("sam").get(finished(), headers={"Range": header})
    assert (answer.status_code, answer.content, answer.headers["content-range"]) == (206, content, told)


def test_several_parts_of_the_file(people, finished):
    answer = people.by_token("sam").get(finished(), headers={"Range": "bytes=0-3,-6"})
    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges; boundary=")
    assert b"bytes 0-3/19" in answer.content
    assert b"bytes 13-18/19" in answer.content
