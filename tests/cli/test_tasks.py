import errno
import io
import json
import sqlite3
import sys
from contextlib import closing

import pytest

from engine import cli, clock, lifecycle, registry, tasks
from engine.queries import tasks as reads
from engine.records import db
from engine.words import SYSTEM
from tests.engine_kit import FATAL, OPS, add_type, claim, register_worker, row, state


@pytest.fixture(autouse=True)
def house(data_dir):
    tasks.load()


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line as a shell would; return exit status, standard output and error."""

    def run(*words, stdin=""):
        monkeypatch.setattr(sys, "argv", ["offload", *words])
        monkeypatch.setattr(sys, "stdin", FakeInput(stdin))
        monkeypatch.setattr("engine.log.configure", lambda _service: None)
        status = 0
        try:
            cli.main()
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return status, out, err

    return run


class FakeInput(io.StringIO):
    terminal = False

    def isatty(self):
        return self.terminal


@pytest.fixture
def run_json(run):
    def run_json(*words, stdin="", status=0):
        found, out, err = run(*words, "--format", "json", stdin=stdin)
        assert found == status, out + err
        return json.loads(out)

    return run_json


def submit(run_json, *options, payload=None):
    return run_json(
        "tasks", "submit", "probe", "--payload", "-", *options, stdin=json.dumps(payload or {"note": "hi"})
    )


def test_submit_prints_the_document(run_json):
    document = submit(run_json, "--priority", "5")
    assert (document["type"], document["state"], document["owner"]) == ("probe", "queued", "system")
    assert document["priority"] == 5
    assert json.loads(row(document["task_id"]).payload)["note"] == "hi"


def test_payload_may_begin_with_a_byte_order_mark(run_json, tmp_path):
    path = tmp_path / "payload.json"
    path.write_text('{"note": "from Windows"}', "utf-8-sig")
    document = run_json("tasks", "submit", "probe", "--payload", str(path))
    assert json.loads(row(document["task_id"]).payload)["note"] == "from Windows"


def test_submit_from_a_file_and_without_a_payload(run_json, tmp_path):
    (tmp_path / "p.json").write_text('{"sleep_ms": 5}')
    document = run_json("tasks", "submit", "probe", "--payload", str(tmp_path / "p.json"))
    assert json.loads(row(document["task_id"]).payload)["sleep_ms"] == 5
    assert run_json("tasks", "submit", "probe")["state"] == "queued"


def test_submit_at_a_time_with_its_offset(run_json):
    run_at = "2026-12-01T09:00:00+01:00"
    found = run_json("tasks", "submit", "probe", "--run-at", run_at)
    assert found["run_at"] in ("2026-12-01T08:00:00.000Z", None)  # None once that day has come


def test_submit_takes_a_time_as_documents_spell_it(run_json):
    run_at = clock.iso(clock.now_ms() + 3_600_250)
    assert submit(run_json, "--run-at", run_at)["run_at"] == run_at


def test_submit_many_prints_items(run_json):
    document = submit(run_json, "--count", "3")
    assert len({item["task_id"] for item in document["items"]}) == 3


def test_submit_with_a_key_gives_the_first_task_again(run_json):
    first = submit(run_json, "--idempotency-key", "k")
    assert submit(run_json, "--idempotency-key", "k")["task_id"] == first["task_id"]
    changed = run_json("tasks", "submit", "probe", "--idempotency-key", "k", status=1)
    assert changed["error"]["code"] == "idempotency_conflict"


@pytest.mark.parametrize(
    ("words", "stdin", "code"),
    [
        (["probe", "--payload", "-"], "{", "invalid_input"),
        (["probe", "--payload", "-"], "[1]", "invalid_input"),
        (["probe", "--payload", "/nowhere/p.json"], "", "invalid_input"),
        (["probe", "--payload", "-"], '{"sleep_ms": -1}', "invalid_input"),
        (["nonsense"], "", "unknown_type"),
        (["probe", "--count", "0"], "", "usage"),
        (["probe", "--count", "2", "--idempotency-key", "k"], "", "invalid_input"),
        (["probe", "--run-at", "tomorrow"], "", "usage"),
        ([], "", "usage"),
    ],
)
def test_wrong_input_exits_2_with_one_document(run_json, words, stdin, code):
    document = run_json("tasks", "submit", *words, stdin=stdin, status=2)
    assert document["error"]["code"] == code
    assert reads.counts()["queued"] == 0


def test_wrong_field_is_named_in_text_too(run):
    status, out, err = run("tasks", "submit", "probe", "--payload", "-", stdin='{"sleep_ms": -1}')
    assert (status, out) == (2, "")
    assert "sleep_ms: Input should be greater than or equal to 0" in err


def test_list_filters_and_goes_on_at_the_cursor(run, run_json):
    submit(run_json, "--count", "3")
    first = run_json("tasks", "list", "--limit", "2")
    assert len(first["items"]) == 2
    rest = run_json("tasks", "list", "--limit", "2", "--cursor", first["next"])
    assert (len(rest["items"]), rest["next"]) == (1, None)
    assert run_json("tasks", "list", "--state", "failed")["items"] == []
    _, out, _ = run("tasks", "list", "--limit", "2")
    assert out.splitlines()[0].split() == ["TASK", "TYPE", "STATE", "%", "ATTEMPT", "OWNER", "CREATED"]
    assert out.splitlines()[-1].startswith("More: --cursor ")


def test_empty_list_says_so(run):
    assert run("tasks", "list") == (0, "No tasks.\n", "")


def test_show_tells_the_timeline_and_the_attempts(run, run_json):
    task_id = submit(run_json)["task_id"]
    register_worker("w1", types="probe")
    lifecycle.settle(claim("w1"), FATAL)
    document = run_json("tasks", "show", task_id)
    assert [m["what"] for m in document["timeline"]] == [
        "queued",
        "attempt 1 began",
        "attempt 1 failed",
        "failed",
    ]
    assert document["attempts"][0]["error_code"] == "broke"
    _, out, _ = run("tasks", "show", task_id)
    assert "attempt 1 failed" in out


def test_a_stalled_task_is_told_in_list_and_show(run, run_json, wall):
    document = submit(run_json)
    claim()
    wall.advance(20)
    assert "running, stalled" in run("tasks", "list")[1]
    assert "Possibly aborted: no heartbeat for 20 s" in run("tasks", "show", document["task_id"])[1]
    assert run_json("tasks", "show", document["task_id"])["stalled"] is True


def test_show_of_no_task_exits_2(run_json):
    assert run_json("tasks", "show", "nonsense", status=2)["error"]["code"] == "not_found"


def test_cancel_waiting_then_ended(run, run_json):
    task_id = submit(run_json)["task_id"]
    assert run_json("tasks", "cancel", task_id)["state"] == "cancelled"
    assert run_json("tasks", "cancel", task_id, status=1)["error"]["code"] == "already_ended"


def test_cancel_running_asks(run, run_json):
    task_id = submit(run_json)["task_id"]
    claim()
    assert run("tasks", "cancel", task_id)[1] == "Asked to stop.\n"
    assert run_json("tasks", "cancel", task_id)["cancel_requested"] is True


def test_retry_under_the_same_id_or_with_an_edited_payload(run_json):
    task_id = submit(run_json)["task_id"]
    run_json("tasks", "cancel", task_id)
    edited = run_json("tasks", "retry", task_id, "--payload", "-", stdin='{"note": "new"}')
    assert (edited["parent_id"], edited["task_id"] != task_id) == (task_id, True)
    assert run_json("tasks", "retry", task_id)["task_id"] == task_id
    assert run_json("tasks", "retry", task_id, status=1)["error"]["code"] == "conflict"


def test_purge_cancels_or_only_counts(run, run_json):
    submit(run_json, "--count", "3")
    assert run_json("tasks", "purge", "--dry-run") == {"n_waiting": 3, "n_cancelled": 0}
    assert run("tasks", "purge", "--dry-run")[1] == "3 waiting tasks would be cancelled.\n"
    assert run_json("tasks", "purge") == {"n_waiting": 3, "n_cancelled": 3}
    assert run("tasks", "purge", "--yes")[1] == "0 waiting tasks cancelled.\n"
    assert reads.counts()["cancelled"] == 3


def test_purge_asks_a_person_at_a_terminal(run, run_json, monkeypatch):
    submit(run_json, "--count", "3")
    monkeypatch.setattr(FakeInput, "terminal", True)
    status, _out, err = run("tasks", "purge", stdin="n\n")
    assert (status, reads.counts()["cancelled"]) == (130, 0)
    assert "Cancel 3 waiting tasks?" in err
    assert run("tasks", "purge", stdin="y\n")[1] == "3 waiting tasks cancelled.\n"


def test_purge_does_not_announce_what_it_spares(run_json, no_types):
    add_type("sweep", system=True)
    lifecycle.submit(SYSTEM, "sweep", {})
    assert run_json("tasks", "purge") == {"n_waiting": 0, "n_cancelled": 0}


def test_pause_and_resume(run, run_json):
    assert run_json("queue", "pause", "--note", "move") == {"paused": ["*"]}
    assert run("queue", "pause")[1] == "It was paused already.\n"
    assert run_json("queue", "resume") == {"paused": []}
    assert run("queue", "resume")[1] == "It was not paused.\n"
    assert run_json("queue", "pause", "--type", "nonsense", status=2)["error"]["code"] == "invalid_input"


def test_workers_are_listed_with_what_they_do(run, run_json):
    assert "No worker has run" in run("workers", "list")[1]
    register_worker("w1", types="probe")
    task = lifecycle.submit(OPS, "probe", {}).task
    lifecycle.claim("w1", registry.all_types())
    (worker,) = run_json("workers", "list")["items"]
    assert (worker["worker_id"], worker["tasks"], worker["types"]) == ("w1", [task.id], ["probe"])
    assert worker["state"].startswith("silent for ")
    assert state(task) == "running"


def test_an_argument_that_is_no_text_is_a_usage_error(run):
    status, out, _err = run("tasks", "show", "x\udcff", "--format", "json")
    assert (status, json.loads(out)["error"]["code"]) == (2, "usage")


def test_json_nested_too_deeply_is_invalid_input(run):
    status, out, _err = run(
        "tasks", "submit", "job", "--payload", "-", "--format", "json", stdin="[" * 100_000
    )
    assert (status, json.loads(out)["error"]["code"]) == (2, "invalid_input")


def test_a_data_folder_that_cannot_be_used_is_one_line(run, data_dir):
    data_dir.write_text("a file stands in its place")
    status, _out, err = run("tasks", "list")
    assert status == 1
    assert err.startswith(f"Error: Cannot use the data folder {data_dir}: ")


def test_a_locked_database_is_one_line(run, monkeypatch, data_dir):
    monkeypatch.setenv("OFFLOAD_BUSY_TIMEOUT_S", "0.1")
    db.reset()
    db.main().version()
    with closing(sqlite3.connect(data_dir / "offload.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        status, out, _err = run("tasks", "submit", "probe", "--format", "json")
    assert (status, json.loads(out)["error"]["code"]) == (1, "database")


@pytest.mark.parametrize("options", [[], ["--format", "json"]])
def test_answer_that_cannot_be_written_is_told_in_one_line(run, monkeypatch, options):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    status, _, err = run("tasks", "list", *options)
    assert (status, err) == (1, "Error: [Errno 28] No space left on device\n")
