"""The HTTP interface end to end: order, watch, fetch; uploads; a storm of the same order."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection

import pytest

CSV = b"part,amount\nbolt,3\nnut,4\nwasher,5\n"


@pytest.fixture
def staff(house):
    return house.client("staff")


def watch(client, path):
    """Return the documents a stream tells until it ends."""
    with client.stream("GET", path) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = list(answer.iter_lines())
    assert {line for line in lines if line.startswith("event:")} == {"event: task"}
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def test_pages_stream_too(house):
    client = house.client("ops", pages=True)
    links = client.post("/api/tasks", json={"type": "probe", "payload": {"sleep_ms": 300}}).json()["links"]
    told = watch(client, links["stream"])
    assert told[0]["state"] in ("queued", "running")
    assert told[-1]["state"] == "succeeded"


def test_report_is_ordered_watched_and_fetched(house, staff):
    answer = staff.post("/api/reports", json={"report": "performance_summary", "params": {}})
    assert answer.status_code == 202, answer.text
    links = answer.json()["links"]
    told = watch(staff, links["stream"])
    assert told[-1]["state"] == "succeeded", told[-1]["error"]
    progress = [document["progress"] for document in told]
    assert progress == sorted(progress)
    assert progress[-1] == 100
    assert 100 not in progress[:-1]
    pdf = staff.get(links["pdf"])
    assert pdf.content.startswith(b"%PDF-")
    assert pdf.headers["content-disposition"].startswith("attachment; filename=")
    assert house.visitor(pages=True).get(links["pdf"]).status_code == 401
    assert house.client("viewer").get(links["pdf"]).status_code == 404
    assert house.client("ops", pages=True).get(links["pdf"]).content == pdf.content


def test_file_is_sent_and_becomes_a_report_of_its_sender_only(house, staff):
    sent = staff.post("/api/uploads", files={"file": ("parts.csv", CSV, "text/csv")})
    assert sent.status_code == 201, sent.text
    order = {"report": "table_from_file", "params": {"upload_id": sent.json()["upload_id"], "title": "Parts"}}
    stranger = house.client("admin").post("/api/reports", json=order)
    assert stranger.status_code == 422
    assert list(stranger.json()["error"]["fields"]) == ["params.upload_id"]
    done = house.ended(staff, staff.post("/api/reports", json=order).json()["task_id"])
    assert done["state"] == "succeeded", done["error"]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"start": "2026-11-02T00:00:00Z", "end": "2026-11-01T00:00:00Z"}, "params"),
        ({"start": "yesterday"}, "params.start"),
        ({"nothing": 1}, "params.nothing"),
    ],
)
def test_wrong_values_are_told_at_their_field_and_nothing_is_enqueued(house, staff, params, field):
    before = len(staff.get("/api/tasks", params={"limit": 500}).json()["items"])
    answer = staff.post("/api/reports", json={"report": "performance_summary", "params": params})
    assert answer.status_code == 422
    assert all(path.startswith(field) for path in answer.json()["error"]["fields"]), answer.text
    assert len(staff.get("/api/tasks", params={"limit": 500}).json()["items"]) == before


def test_upload_over_20_mb_is_refused_while_it_comes_in(staff):
    def body():
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
        for _ in range(21):
            yield b"0" * 1024 * 1024
        yield b"\r\n--x--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = staff.post("/api/uploads", content=body(), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize("pages", [False, True])
def test_client_that_reads_only_after_sending_all_gets_its_413(house, staff, pages):
    port = house.port if pages else house.api_port
    headers = {"Authorization": staff.headers["Authorization"], "Content-Type": "application/json"}
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        for path, n_bytes in (("/api/tasks", 1024 * 1024 + 1), ("/api/uploads", 32 * 1024 * 1024)):
            connection.request("POST", path, b"0" * n_bytes, headers)
            answer = connection.getresponse()
            assert (answer.status, json.loads(answer.read())["error"]["code"]) == (413, "too_large")


def test_storm_of_one_order_at_both_doors_is_one_task(house):
    clients = [house.client("ops", pages=pages) for pages in (True, False)]
    order = {"type": "probe", "payload": {"note": "storm"}, "idempotency_key": "storm"}
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: clients[n % 2].post("/api/tasks", json=order), range(40)))
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 39 + [202]
