"""Children that do what they are told, and children that do not."""

import gc
import logging
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest

from engine import errors
from engine.lib import child
from engine.lib.child.failures import decode, encode
from engine.lib.child.wire import FrameReader

JOBS = "tests.lib.child_jobs"
MIB = 1024 * 1024
TICK_MS = 10
"""Finest unit in which Linux may account CPU time (1 / `getconf CLK_TCK`)."""


@pytest.fixture(autouse=True, scope="module")
def no_server_left():
    yield
    child.forget()
    assert not psutil.Process().children()


def run(name, argument=None, **options):
    return child.run(f"{JOBS}:{name}", argument, **{"timeout_s": 20, **options})


def server_pid():
    return run("facts").value["server"]


def wait_until(condition, timeout_s=5):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("value", [None, 3, "ü😀", "\ud83d", {"a": [1, 2.5, {"b": None}]}, "x" * 1_000_000])
def test_value_goes_there_and_back(value):
    assert run("echo", value).value == value


def test_child_is_limited_and_on_its_own():
    facts = run("facts", cpu_s=7, memory_mb=300, file_mb=3, nice=10, correlation_id="c0ffee").value
    assert facts["limits"]["CORE"] == [0, 0]
    assert facts["limits"]["CPU"][0] == 7
    assert facts["limits"]["FSIZE"] == [3 * MIB, 3 * MIB]
    assert facts["limits"]["AS"] == list(resource.getrlimit(resource.RLIMIT_AS))
    assert 300 * MIB <= facts["data"] < 400 * MIB
    assert facts["nice"] == os.getpriority(os.PRIO_PROCESS, 0) + 10
    assert facts["umask"] == 0o077
    assert facts["group"] == facts["pid"] != os.getpgid(0)
    assert facts["correlation_id"] == "c0ffee"


def test_a_child_logs_as_loud_as_the_process_that_asked():
    root = logging.getLogger()
    before = root.level
    try:
        for level in (logging.ERROR, logging.DEBUG):
            root.setLevel(level)
            assert run("facts").value["log_level"] == logging.getLevelName(level)
    finally:
        root.setLevel(before)


def test_usage_is_told_for_good_and_for_bad_ends():
    usages = []
    result = child.run(
        "engine.lib.child.exercise:exercise", {"memory_mb": 60}, timeout_s=20, on_usage=usages.append
    )
    assert usages == [result.usage]
    assert result.usage.peak_bytes > 60 * MIB
    began = time.monotonic()
    with pytest.raises(child.ChildTimedOut):
        run("burn", timeout_s=0.5, on_usage=usages.append)
    assert 0 <= usages[1].cpu_ms <= (time.monotonic() - began) * 1000 + TICK_MS


def test_progress_log_and_output_arrive_in_order():
    progress, lines = [], []
    run(
        "talk",
        {
            "progress": [(5, "parse"), (40, "layout"), (30, "layout again"), (90, "draw")],
            "log": ["one", "two"],
        },
        on_progress=lambda *step: progress.append(step),
        on_log=lines.append,
    )
    assert progress == [(5, "parse"), (40, "layout"), (40, "layout again"), (90, "draw")]
    assert lines[:2] == ["one", "two"]
    assert set(lines[2:]) == {"from print", "from a C library"}


def test_progress_is_sent_at_most_ten_times_a_second():
    progress = []
    run("chatter", on_progress=lambda *step: progress.append(step))
    assert 1 <= len(progress) <= 10


@pytest.mark.parametrize(
    "name", ["PermanentFailure", "TransientFailure", "NotFound", "Unavailable", "TooLarge"]
)
def test_our_errors_keep_class_and_message(name):
    with pytest.raises(getattr(errors, name), match="told so") as caught:
        run("raise_error", {"type": name})
    assert type(caught.value) is getattr(errors, name)


def test_error_keeps_its_code_and_fields():
    with pytest.raises(errors.PermanentFailure) as caught:
        run("raise_error", {"type": "PermanentFailure", "code": "blocked_url"})
    assert caught.value.code == "blocked_url"
    with pytest.raises(errors.InvalidInput) as caught:
        run("raise_invalid")
    assert caught.value.fields == {"params.title": "too long"}


@pytest.mark.parametrize("name", ["ValueError", "Fatal", "SystemExit"])
def test_foreign_exception_keeps_name_and_message(name):
    with pytest.raises(child.ChildFailed, match=f"^{name}: oh no$") as caught:
        run("raise_foreign", name)
    assert caught.value.type_name == name
    assert isinstance(caught.value, errors.TransientFailure)


def test_child_cannot_choose_a_class_that_is_not_an_error_of_ours():
    for name in ("Mapping", "OffloadError.__init__", "Deferred", "", "__doc__"):
        error = decode({**encode(ValueError("x")), "ours": True, "type": name})
        assert type(error) in (child.ChildFailed, errors.OffloadError)


def test_function_that_does_not_exist_is_an_error():
    with pytest.raises(child.ChildFailed, match="no_such"):
        run("no_such")
    with pytest.raises(child.ChildFailed, match="ModuleNotFoundError"):
        child.run("engine.no_such_module:f", None, timeout_s=20)


def test_too_much_memory_is_permanent_and_named():
    with pytest.raises(child.ChildOutOfMemory, match="64 MiB") as caught:
        child.run("engine.lib.child.exercise:exercise", {"memory_mb": 300}, timeout_s=20, memory_mb=64)
    assert isinstance(caught.value, errors.PermanentFailure)


def test_allocation_failure_in_a_library_counts_as_memory():
    words = "GLib-ERROR: failed to allocate 4096 bytes\n"
    with pytest.raises(child.ChildOutOfMemory):
        run("die", {"signal": int(signal.SIGTRAP), "words": words})


def test_cpu_limit_is_permanent_and_named():
    with pytest.raises(child.ChildCpuLimit, match="1 s of CPU"):
        run("burn", cpu_s=1)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM])
def test_crash_is_transient_and_the_next_job_runs(number):
    with pytest.raises(child.ChildCrashed) as caught:
        run("die", {"signal": int(number), "words": "last words"})
    assert isinstance(caught.value, errors.TransientFailure)
    if number != signal.SIGKILL:
        assert number.name in str(caught.value)
        assert "last words" in str(caught.value)
    assert run("echo", 1).value == 1


def test_exit_without_an_answer_is_a_crash():
    with pytest.raises(child.ChildCrashed, match="exit status 3"):
        run("leave", 3)


def test_file_size_is_limited(tmp_path):
    run("write_file", {"path": str(tmp_path / "small"), "bytes": MIB}, file_mb=1)
    assert stat.S_IMODE((tmp_path / "small").stat().st_mode) == 0o600
    with pytest.raises(child.ChildFailed, match=r"OSError: .*File too large"):
        run("write_file", {"path": str(tmp_path / "large"), "bytes": 2 * MIB}, file_mb=1)


def test_oversized_answer_is_refused():
    with pytest.raises(child.ChildFailed, match="limited"):
        run("huge_answer", 17 * MIB)


def test_timeout_stops_what_ignores_signals():
    with pytest.raises(child.ChildTimedOut, match=r"0\.2 s"):
        run("stop_dead", timeout_s=0.2)


def test_cancel_stops_what_ignores_signals():
    asked = threading.Event()
    with pytest.raises(errors.TaskCancelled):
        run("stop_dead", cancelled=asked.is_set, on_log=lambda line: asked.set())


def test_raising_callback_stops_the_child():
    pids = []

    def lose(line):
        pids.append(int(line))
        raise errors.LeaseLost

    with pytest.raises(errors.LeaseLost):
        run("with_grandchild", "stay", on_log=lose)
    wait_until(lambda: gone(pids[0]))


def test_grandchildren_end_with_the_child():
    pid = run("with_grandchild").value
    wait_until(lambda: gone(pid))


def test_fifty_jobs_leave_nothing_behind():
    server = psutil.Process(server_pid())
    run("echo", 0)
    gc.collect()
    ours, theirs, memory = psutil.Process().num_fds(), server.num_fds(), server.memory_info().rss
    for number in range(50):
        assert run("echo", number).value == number
    wait_until(lambda: server.num_fds() == theirs)
    assert psutil.Process().num_fds() == ours
    assert server.children() == []
    assert server.memory_info().rss - memory < 2 * MIB
    assert server.pid == server_pid()


def test_child_holds_no_descriptor_of_another():
    started, asked = threading.Event(), threading.Event()

    def hold():
        with pytest.raises(errors.TaskCancelled):
            run("stop_dead", cancelled=asked.is_set, on_log=lambda _line: started.set())

    other = threading.Thread(target=hold)
    alone = run("facts").value["descriptors"]
    other.start()
    assert started.wait(5)
    assert run("facts").value["descriptors"] == alone
    asked.set()
    other.join()


def test_threads_run_children_side_by_side():
    results = {}

    def work(number):
        results[number] = [run("echo", [number, turn]).value for turn in range(10)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: [[number, turn] for turn in range(10)] for number in range(8)}


def test_killed_fork_server_is_replaced():
    first = server_pid()
    os.kill(first, signal.SIGKILL)
    assert run("echo", "again").value == "again"
    assert server_pid() != first


def test_job_that_was_not_begun_goes_to_the_next_server(monkeypatch):
    first = server_pid()
    os.kill(first, signal.SIGSTOP)
    threading.Timer(0.2, os.kill, (first, signal.SIGKILL)).start()
    assert run("echo", "begun once").value == "begun once"
    assert server_pid() != first


def test_job_in_flight_fails_as_crashed_when_the_server_is_killed():
    pids = []
    first = server_pid()

    def kill_server(line):
        pids.append(int(line))
        os.kill(first, signal.SIGKILL)

    with pytest.raises(child.ChildCrashed):
        run("with_grandchild", "stay", on_log=kill_server)
    assert run("echo", 1).value == 1


def test_stopped_server_does_not_hang_the_caller(monkeypatch):
    monkeypatch.setattr("engine.lib.child.client._DEATH_S", 0.2)
    os.kill(server_pid(), signal.SIGSTOP)
    with pytest.raises(child.ChildTimedOut):
        run("echo", 1, timeout_s=0.2)
    assert run("echo", 1).value == 1


def test_prepare_imports_before_the_first_job():
    child.forget()
    child.prepare("colorsys")
    assert run("echo", 1).value == 1


def test_fork_of_the_asking_process_starts_its_own_server():
    ours = server_pid()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, str(server_pid()).encode())
        child.forget()
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        theirs = int(file.read())
    os.waitpid(pid, 0)
    assert theirs != ours
    assert server_pid() == ours


ASKING = """
import sys, threading
from engine.lib import child
def ask():
    child.run("tests.lib.child_jobs:with_grandchild", "stay", timeout_s=60,
              on_log=lambda pid: print(pid, flush=True))
threading.Thread(target=ask).start()
"""


def test_kill_9_of_the_asking_process_ends_server_child_and_grandchild():
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", ASKING], cwd=root, stdout=subprocess.PIPE, text=True
    ) as asking:
        grandchild = int(asking.stdout.readline())
        below = psutil.Process(asking.pid).children(recursive=True)
        asking.kill()
    assert grandchild in {process.pid for process in below}
    assert len(below) == 3
    wait_until(lambda: all(gone(process.pid) for process in below))


def test_frames_survive_any_cut():
    text = b"".join(len(part).to_bytes(4, "big") + part for part in (b'{"a": 1}', b'{"b": "\xc3\xbc"}'))
    for cut in range(len(text)):
        reader = FrameReader()
        assert [*reader.feed(text[:cut]), *reader.feed(text[cut:])] == [{"a": 1}, {"b": "ü"}]


def test_what_a_job_leaves_in_its_temporary_folder_goes_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = run("litter").value
    assert tmp_path in Path(left).parents
    assert list(tmp_path.iterdir()) == []
