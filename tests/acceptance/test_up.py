"""`up` with the real processes: start, busy port, deaths, orderly end, kill -9."""

import os
import signal
import subprocess
import sys
import time

import httpx
import psutil
import pytest

from tests.acceptance.house import END_S, ROOT


def test_everything_answers_when_the_addresses_are_printed(house):
    assert house.visitor(pages=True).get("/_stcore/health").status_code == 200
    assert house.visitor().get("/async-monitoring/health/").status_code == 200
    assert [w["state"] for w in house.cli_json("workers", "list")["items"]] == ["alive"]
    assert "/auth/login?token=" in house.output()


def test_doctor_finds_no_error_in_a_running_house_and_times_a_probe(house):
    found = house.cli_json("doctor", "--port", str(house.port), "--api-port", str(house.api_port))
    messages = {f["id"]: f["message"] for f in found["findings"]}
    assert found["ok"], found
    assert messages["W006"].startswith("a probe went through in ")
    assert messages["P000"] == f"api answers on port {house.api_port}"


def test_a_second_up_on_the_same_ports_says_so_before_it_starts_anything(house):
    done = house.cli("up", "--port", str(house.port), "--api-port", str(house.api_port))
    assert done.returncode == 1
    assert f"Port {house.port} is in use by process {house.pid('pages')}" in done.stderr
    assert "choose another with --port" in done.stderr


def test_a_killed_process_is_started_again_and_the_others_stay(new_house):
    house = new_house().start()
    before = {name: house.pid(name) for name in ("pages", "api", "worker")}
    house.kill("api")
    house.wait(lambda: house.pid("api") not in (None, before["api"]), "another api")
    health = "/async-monitoring/health/"
    house.wait(lambda: answers(house, health), "an answer of the new api")
    assert (house.pid("pages"), house.pid("worker")) == (before["pages"], before["worker"])
    assert house.stop(signal.SIGINT) == 0
    assert house.processes() == []


def answers(house, path):
    try:
        return house.visitor().get(path).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "at work"])
def test_sigterm_ends_everything_in_time(new_house, busy):
    house = new_house(SHUTDOWN_S="1").start()
    if busy:
        house.cli_json(
            "tasks", "submit", "probe", "--payload", "-", input='{"sleep_ms": 60000, "in_child": true}'
        )
        house.wait(lambda: house.cli_json("tasks", "list", "--state", "running")["items"], "a running task")
    begun = time.monotonic()
    assert house.stop() == 0
    assert time.monotonic() - begun < END_S
    assert house.processes() == []
    if busy:  # given back, not lost
        assert house.cli_json("tasks", "list")["items"][0]["state"] in ("queued", "retrying")


def test_kill_9_of_up_leaves_nothing_not_even_a_grandchild(new_house):
    house = new_house().start()
    house.cli_json(
        "tasks", "submit", "probe", "--payload", "-", input='{"sleep_ms": 60000, "in_child": true}'
    )
    worker = psutil.Process(house.pid("worker"))
    house.wait(lambda: len(worker.children(recursive=True)) >= 2, "the child at work and its server")
    house.up.kill()
    house.up.wait(5)
    house.wait(lambda: house.processes() == [], "the end of all processes", 10)


def test_a_process_that_keeps_dying_stops_everything_with_a_failure(new_house):
    house = new_house().start()
    for _ in range(5):
        pid = house.wait(lambda: house.pid("worker") if house.is_up() else None, "a worker to kill")
        os.kill(pid, signal.SIGKILL)
        house.wait(lambda pid=pid: house.pid("worker") != pid, "its end")
    assert house.up.wait(END_S) == 1
    assert "worker was killed (signal 9), 5 times in 60 s: stopping everything" in house.output()
    assert house.processes() == []


def test_the_launcher_passes_everything_on_and_keeps_the_exit_status(tmp_path):
    launcher = [sys.executable, str(ROOT / "offload")]
    environment = {**os.environ, "OFFLOAD_DATA_DIR": str(tmp_path / "data")}
    fine = subprocess.run(
        [*launcher, "--help"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (fine.returncode, "doctor" in fine.stdout) == (0, True)
    wrong = subprocess.run(
        [*launcher, "tasks", "show", "x"], cwd=tmp_path, env=environment, capture_output=True
    )
    assert wrong.returncode == 2
