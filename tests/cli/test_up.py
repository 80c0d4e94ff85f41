import json
import os
import socket

import pytest

from engine import settings
from engine.cli import up
from engine.errors import InvalidInput, Unavailable
from engine.lib import ports
from engine.records import db, workers
from engine.services import access, signin
from engine.words import SYSTEM, Role


def test_a_taken_port_names_itself_its_holder_and_the_option():
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        with pytest.raises(Unavailable) as raised:
            up.check_ports("127.0.0.1", {"--port": ports.free(), "--api-port": taken})
    assert f"Port {taken} is in use by process {os.getpid()}" in raised.value.message
    assert "choose another with --api-port, for example --api-port " in raised.value.message


def test_the_two_ports_must_differ():
    with pytest.raises(InvalidInput) as raised:
        up.check_ports("127.0.0.1", {"--port": 8501, "--api-port": 8501})
    assert set(raised.value.fields) == {"--port", "--api-port"}


def test_a_task_module_that_cannot_be_imported_is_an_error_before_anything_starts(data_dir, monkeypatch):
    up.check_task_modules()
    monkeypatch.setenv("OFFLOAD_TASK_MODULES", "no.such.module")
    settings.get.cache_clear()
    with pytest.raises(InvalidInput, match=r"cannot import no\.such\.module: No module named 'no'"):
        up.check_task_modules()


def test_the_processes_find_modules_where_up_does(data_dir, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{up.ROOT}:/srv/shop")
    programs = up.programs("127.0.0.1", 1, 2, n_threads=None, reload=False)
    assert {p.environment["PYTHONPATH"] for p in programs} == {f"{up.ROOT}:/srv/shop"}
    monkeypatch.delenv("PYTHONPATH")
    programs = up.programs("127.0.0.1", 1, 2, n_threads=None, reload=False)
    assert {p.environment["PYTHONPATH"] for p in programs} == {str(up.ROOT)}


def test_a_data_folder_that_cannot_be_made_is_an_error_before_anything_starts(data_dir):
    data_dir.write_text("a file stands in its place")
    with pytest.raises(Unavailable, match="Choose another with OFFLOAD_DATA_DIR"):
        up.check_data()


def test_a_damaged_database_points_to_doctor(data_dir):
    data_dir.mkdir()
    (data_dir / "offload.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(Unavailable, match=r"Run \./offload doctor"):
        up.check_data()


def test_the_processes_get_the_chosen_ports_and_threads(data_dir):
    pages, api, worker = up.programs("127.0.0.1", 9001, 9002, n_threads=7, reload=False)
    assert "--server.port=9001" in pages.argv
    assert "--port=9002" in api.argv
    assert worker.environment["OFFLOAD_WORKERS"] == "7"
    assert {p.environment["OFFLOAD_DATA_DIR"] for p in (pages, api, worker)} == {str(data_dir)}
    assert "--server.fileWatcherType=auto" not in pages.argv


def test_reload_turns_the_file_watcher_on(data_dir):
    pages, _, _ = up.programs("127.0.0.1", 9001, 9002, n_threads=None, reload=True)
    assert "--server.fileWatcherType=auto" in pages.argv


def test_every_process_may_end_within_twenty_seconds(data_dir):
    assert all(p.grace_s < 20 for p in up.programs("127.0.0.1", 1, 2, n_threads=None, reload=False))


def test_a_worker_answers_once_it_is_registered(data_dir):
    row = {"id": "w", "host": "h", "host_key": "k", "pid": 42, "start_ticks": 0, "threads": 1}
    row |= {"version": "1", "types": "[]", "started_at_ms": 0}
    assert not up.worker_answers(42)
    with db.main().write() as tx:
        workers.register(tx, row)
    assert up.worker_answers(42)
    assert not up.worker_answers(43)


def test_the_sign_in_link_is_shown_until_an_administrator_has_signed_in(data_dir, capsys):
    up.announce("0.0.0.0", 8501, 8502)
    shown = capsys.readouterr().out
    assert "http://127.0.0.1:8501/auth/login?token=" in shown
    token = shown.split("token=")[1].split()[0]
    signin.by_link(token, signin.Visit("127.0.0.1", "test"))
    up.announce("127.0.0.1", 8501, 8502)
    assert "token=" not in capsys.readouterr().out
    access.add_user(SYSTEM, "second", Role.ADMIN)
    up.announce("127.0.0.1", 8501, 8502)
    assert "token=" not in capsys.readouterr().out


def test_public_url_is_what_people_are_told(data_dir, capsys, monkeypatch):
    monkeypatch.setenv("OFFLOAD_PUBLIC_URL", "https://offload.example/")
    db.reset()
    up.announce("127.0.0.1", 8501, 8502)
    assert "Sign in  https://offload.example/auth/login?token=" in capsys.readouterr().out


LINE = {
    "event": "task done",
    "timestamp": "2026-11-24T10:20:30Z",
    "level": "info",
    "service": "w",
    "task": "t1",
}


def test_json_is_laid_out_for_a_person_only_at_a_terminal():
    lines = []
    up.show_line(lines.append, "api", json.dumps(LINE), readable=True)
    up.show_line(lines.append, "worker", json.dumps(LINE), readable=False)
    assert lines == ["api    | 10:20:30 info    task done  task=t1", f"worker | {json.dumps(LINE)}"]


@pytest.mark.parametrize("line", ["plain text", "[1]", "{}", '"text"', "12", '{"event'])
def test_other_lines_stay_as_they_are(line):
    assert up.lay_out(line) == line


def test_a_traceback_follows_its_line():
    assert up.lay_out('{"event": "x", "level": "error", "exception": "Traceback"}').endswith("x\nTraceback")


def test_source_watch_notices_a_change_once(tmp_path):
    (tmp_path / "a.py").write_text("1")
    changed = up.source_watch(tmp_path)
    assert not changed()
    (tmp_path / "b.py").write_text("2")
    assert changed()
    assert not changed()
