import shutil
import sys
from collections import namedtuple

import psutil
import pytest

import engine
from engine import clock, lifecycle, settings, tasks
from engine.lib import native, ports
from engine.records import db, workers
from engine.services import doctor
from engine.words import SYSTEM

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def examine(data_dir, monkeypatch):
    monkeypatch.setattr(native, "check", lambda: native.NativeState("ok", "rendered"))
    monkeypatch.setattr(doctor, "_CLOCK_SAMPLE_S", 0.001)
    tasks.load()
    options = {"port": ports.free(), "api_port": ports.free(), "probe": False}

    def run(**changes):
        return {f.id: f for f in doctor.examine(doctor.Options(**{**options, **changes}))}

    return run


LISTEN = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
time.sleep(60)
"""


def add_worker(version=engine.__version__):
    row = {"id": "w", "host": "h", "host_key": "k", "pid": 42, "start_ticks": 0, "threads": 3}
    row |= {"version": version, "types": "probe", "started_at_ms": clock.now_ms()}
    with db.main().write() as tx:
        workers.register(tx, row)


def test_a_fresh_installation_has_no_errors(examine):
    found = examine()
    assert {f.level for f in found.values()} == {"ok", "warning"}
    assert {id_ for id_, f in found.items() if f.level == "warning"} == {"S004", "W001"}


def test_whatever_is_wrong_says_what_to_do(examine):
    assert all(f.todo for f in examine().values() if f.level != "ok")


def test_an_address_opened_in_vain_is_a_warning(examine, monkeypatch):
    monkeypatch.setenv("OFFLOAD_ALLOWED_PRIVATE_HOSTS", "169.254.169.254:80")
    settings.get.cache_clear()
    found = examine()["S005"]
    assert (found.level, "169.254.169.254:80" in found.message) == ("warning", True)


def test_a_misspelt_setting_is_an_error(examine, monkeypatch):
    monkeypatch.setenv("OFFLOAD_WORKRES", "3")
    found = examine()["S001"]
    assert (found.level, "OFFLOAD_WORKRES" in found.message) == ("error", True)


def test_missing_libraries_come_with_the_command_to_run(examine, monkeypatch):
    monkeypatch.setattr(native, "check", lambda: native.NativeState("error", "no Pango", native.PACKAGES))
    found = examine()["L001"]
    assert found.level == "error"
    assert found.todo.endswith("libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core")


@pytest.mark.parametrize(
    ("free_mib", "id_", "level"), [(100, "K001", "error"), (1024, "K002", "warning"), (4096, "K000", "ok")]
)
def test_disk_space_is_judged(examine, monkeypatch, free_mib, id_, level):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, free_mib * 2**20))
    assert examine()[id_].level == level


def test_an_open_data_folder_is_noticed(examine, data_dir):
    db.main().read("select 1")
    data_dir.chmod(0o755)
    assert examine()["K003"].todo == f"Run: chmod 700 {data_dir}"


def test_a_database_of_a_newer_version_is_an_error(examine):
    with db.main().write() as tx:
        tx.run("insert into _sqlite_migrations values (9999, 'tasks', 'from_the_future', '2030-01-01')")
    assert "tasks.from_the_future" in examine()["D004"].message


def test_a_file_that_is_no_database_is_a_finding_and_not_a_traceback(examine, data_dir):
    db.main().read("select 1")
    db.reset()
    (data_dir / "offload.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    found = examine()
    assert found["D001"].level == "error"
    assert "not a database" in found["D001"].message
    assert found["P002"].level == "ok"  # the checks after it still run


def test_a_damaged_page_is_found(examine, data_dir):
    lifecycle.submit(SYSTEM, "probe", {})
    db.main().read("pragma wal_checkpoint(truncate)")
    page_bytes = db.main().value("pragma page_size")
    root_page = db.main().value("select rootpage from sqlite_master where name = 'task_events'")
    db.main().close()
    with (data_dir / "offload.db").open("r+b") as file:
        file.seek((root_page - 1) * page_bytes)
        file.write(b"\xff" * page_bytes)
    found = examine()["D001"]
    assert found.message == "offload.db is damaged: database disk image is malformed"
    assert ".recover" in found.todo


def test_a_damaged_key_is_found_before_a_secret_is_needed(examine, data_dir):
    assert examine()["E000"].level == "ok"
    (data_dir / "secret.key").write_bytes(b"half a k")
    found = examine()["E001"]
    assert (found.level, found.message) == (
        "error",
        f"{data_dir}/secret.key does not hold a key; restore it from a backup.",
    )


def test_a_task_from_the_future_means_the_clock_was_set_back(examine, monkeypatch):
    now_s = clock.now_ms() / 1000
    monkeypatch.setattr(clock, "_wall", lambda: now_s + 3600)
    lifecycle.submit(SYSTEM, "probe", {})
    monkeypatch.setattr(clock, "_wall", lambda: now_s)
    assert examine()["C002"].level == "warning"


def test_a_port_held_by_a_stranger_is_a_warning(examine):
    port = ports.free()
    stranger = psutil.Popen([sys.executable, "-c", LISTEN, str(port)], stdout=-1)
    with stranger:
        stranger.stdout.readline()
        found = examine(port=port)["P001"]
        stranger.kill()
    assert f"pages cannot start: port {port} is in use" in found.message
    assert "--port" in found.todo


def test_tasks_that_wait_for_a_minute_without_a_worker_are_an_error(examine, monkeypatch):
    now_s = clock.now_ms() / 1000
    monkeypatch.setattr(clock, "_wall", lambda: now_s - 61)
    lifecycle.submit(SYSTEM, "probe", {})
    monkeypatch.setattr(clock, "_wall", lambda: now_s)
    assert examine()["W002"].level == "error"


def test_a_live_worker_is_counted_with_its_threads(examine):
    add_worker()
    assert examine()["W000"].message == "1 alive with 3 threads"


def test_a_worker_of_another_version_is_noticed(examine):
    add_worker(version="0.0.1")
    assert "0.0.1" in examine()["W004"].message


def test_a_pause_is_shown_with_who_and_how_to_end_it(examine):
    lifecycle.pause(SYSTEM, "*")
    found = examine()["W005"]
    assert "the queue is paused by system" in found.message


def test_a_probe_nobody_runs_is_an_error(examine, monkeypatch):
    monkeypatch.setattr(doctor, "_PROBE_TIMEOUT_S", 0.05)
    add_worker()
    assert examine(probe=True)["W003"].level == "error"


def test_a_probe_that_ends_is_timed(examine, monkeypatch):
    add_worker()
    original = lifecycle.submit

    def submit_and_cancel(*args, **options):
        done = original(*args, **options)
        lifecycle.cancel(SYSTEM, done.task.id)
        return done

    monkeypatch.setattr(lifecycle, "submit", submit_and_cancel)
    assert examine(probe=True)["W003"].message == "a probe ended cancelled"
