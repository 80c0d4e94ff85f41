"""From a request to a PDF, through the real processes, and what a killed worker changes: nothing."""

import io
import re
import signal

import psutil
import pypdf
import pytest

ROWS = 1500


@pytest.fixture
def staff(house):
    return house.client("staff")


def csv(rows, columns=6):
    head = ",".join(f"column {at}" for at in range(columns))
    lines = (
        ",".join(f"cell {row} {at}" for at in range(columns - 1)) + f",{row}" for row in range(1, rows + 1)
    )
    return "\n".join([head, *lines]).encode()


def order_table(client, rows=30, **params):
    upload = client.post("/api/uploads", files={"file": ("sales.csv", csv(rows))})
    assert upload.status_code == 201, upload.text
    values = {"upload_id": upload.json()["upload_id"], "title": "Sales", "totals": ["column 5"], **params}
    answer = client.post("/api/reports", json={"report": "table_from_file", "params": values})
    assert answer.status_code == 202, answer.text
    return answer.json()["task_id"]


def pdf(client, task_id):
    answer = client.get(f"/api/reports/{task_id}/pdf")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pdf"
    return pypdf.PdfReader(io.BytesIO(answer.content))


def test_summary_of_recorded_requests_becomes_a_pdf(house, staff):
    for _ in range(5):
        assert staff.get("/api/tasks").status_code == 200

    def summary():
        task_id = staff.post("/api/reports", json={"report": "performance_summary"}).json()["task_id"]
        document = house.ended(staff, task_id)
        assert document["state"] == "succeeded", document
        assert document["result"]["filename"].startswith("performance-summary-")
        return "\n".join(page.extract_text() for page in pdf(staff, task_id).pages)

    house.wait(lambda: "/api/tasks" in summary(), "the recorder to write", within_s=15)


def test_two_recorded_routes_become_a_comparison(house, staff):
    for _ in range(40):
        assert staff.get("/api/tasks").status_code == 200
        assert staff.get("/api/cron/validate?expression=*+*+*+*+*").status_code == 200
    ours = {"route": "GET /api/tasks", "replacement": "GET /api/cron/validate"}
    body = {"report": "before_after", "params": ours}
    house.wait(
        lambda: staff.post("/api/reports", json=body).status_code == 202, "the recorder to write", within_s=15
    )

    def comparison():
        document = house.ended(staff, staff.post("/api/reports", json=body).json()["task_id"])
        assert document["state"] == "succeeded", document
        assert document["result"]["filename"].startswith("before-and-after-get-api-tasks-against-get-api")
        return " ".join(" ".join(p.extract_text() for p in pdf(staff, document["task_id"]).pages).split())

    def enough():
        text = comparison()
        return (
            text if all(int(n) >= 40 for n in re.findall(r"(?:Before|After).*?: n = (\d+)", text)) else None
        )

    text = house.wait(enough, "all requests to be written", within_s=30)
    assert "GET /api/tasks and its replacement GET /api/cron/validate" in text
    assert re.search(r"(The median|p95) (rose|fell|did not change)", text)
    assert re.search(r"Made .+ by test-staff\.", text)


def test_unknown_route_is_answered_with_those_that_were_recorded(house, staff):
    assert staff.get("/api/tasks").status_code == 200
    body = {"report": "before_after", "params": {"route": "GET /api/task"}}
    answer = house.wait(
        lambda: (a := staff.post("/api/reports", json=body)) and "GET /api/tasks" in a.text and a,
        "the recorder to write",
        within_s=15,
    )
    assert answer.status_code == 422
    assert "GET /api/tasks" in answer.json()["error"]["fields"]["params.route"]


def test_table_of_an_upload_is_for_its_owner_and_ops(house, staff):
    task_id = order_table(staff)
    assert house.ended(staff, task_id)["result"]["pages"] == len(pdf(staff, task_id).pages)
    assert pdf(house.client("ops"), task_id)
    stranger = house.visitor(headers={"Authorization": f"Bearer {house.token('other', 'staff')}"})
    assert stranger.get(f"/api/reports/{task_id}/pdf").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"report": "no such"}, "report"),
        (
            {
                "report": "performance_summary",
                "params": {"start": "2026-02-02T00:00Z", "end": "2026-01-01T00:00Z"},
            },
            "params.end",
        ),
        ({"report": "table_from_file", "params": {"upload_id": "a" * 32, "title": "x"}}, "params.upload_id"),
        ({"report": "table_from_file", "params": {"title": "x"}}, "params.upload_id"),
    ],
)
def test_wrong_value_is_answered_at_its_field_and_nothing_is_enqueued(staff, body, field):
    def newest():
        return staff.get("/api/tasks?limit=1").json()["items"]

    before = newest()
    answer = staff.post("/api/reports", json=body)
    assert answer.status_code == 422
    assert field in answer.json()["error"]["fields"]
    assert newest() == before


def test_killed_worker_leaves_no_child_and_the_report_is_made_once(new_house):
    house = new_house(HEARTBEAT_S="1").start()
    client = house.client("staff")
    task_id = order_table(client, ROWS)
    house.wait(lambda: house.task(client, task_id)["progress"] > 20, "progress")
    below = psutil.Process(house.pid("worker")).children(recursive=True)
    assert len(below) >= 2  # the fork server and the render
    house.kill("worker", signal.SIGKILL)
    psutil.wait_procs(below, 5)
    assert not [process for process in below if process.is_running()]
    document = house.ended(client, task_id)
    assert (document["state"], document["attempt"], document["progress"]) == ("succeeded", 2, 100)
    assert len(pdf(client, task_id).pages) == document["result"]["pages"] > 20
    assert [path.suffix for path in (house.data_dir / "artifacts").iterdir()].count(".pdf") == 1


def test_cancelled_render_is_gone_and_leaves_no_file(house, staff):
    task_id = order_table(staff, ROWS)
    house.wait(lambda: house.task(staff, task_id)["progress"] > 20, "progress")
    before = set((house.data_dir / "artifacts").iterdir())
    assert staff.post(f"/async-monitoring/tasks/{task_id}/cancel/").status_code == 202
    assert house.ended(staff, task_id, within_s=5)["state"] == "cancelled"
    after = set((house.data_dir / "artifacts").iterdir())
    assert {path for path in after - before if path.suffix == ".pdf"} == set()
    assert staff.get(f"/api/reports/{task_id}/pdf").status_code == 409
