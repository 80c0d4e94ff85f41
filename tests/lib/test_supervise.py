"""Each test runs small programs under a supervisor in this thread; output steers what happens next."""

import os
import signal
import sys
import textwrap
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import psutil
import pytest

from engine.lib import supervise
from engine.lib.supervise import Program, Supervisor, answers_http

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(supervise, "BACKOFF_S", (0.01, 0.02))


class House:
    """A supervisor whose output can be answered by a reaction, as a person at the terminal would."""

    def __init__(self, tmp_path):
        self.folder, self.lines, self.reactions = tmp_path, [], {}

    def program(self, name, source, **options):
        options.setdefault("answers", lambda pid: True)
        argv = [sys.executable, "-S", "-c", textwrap.dedent(source)]
        return Program(name, argv, dict(os.environ), self.folder, **options)

    def on(self, name, text, act):
        self.reactions[name, text] = act

    def hear(self, name, line):
        self.lines.append((name, line))
        for (who, text), act in list(self.reactions.items()):
            if who == name and text in line:
                del self.reactions[who, text]
                act()

    def run(self, *programs, **options):
        return Supervisor(programs, output=self.hear, **options).run()

    def said(self, name):
        return [line for who, line in self.lines if who == name]


@pytest.fixture
def house(tmp_path):
    before = children()
    yield House(tmp_path)
    assert [child for child in children() if child not in before] == []  # whatever happened


def ask(number=signal.SIGTERM):
    return lambda: signal.raise_signal(number)


def is_gone(pid, within_s=10):
    """Wait for a killed process to vanish; a zombie that init has not collected counts as gone."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def children():
    return psutil.Process().children(recursive=True)


@pytest.fixture
def at_a_terminal():
    """Hear of SIGHUP, even where the tests themselves were started with nohup."""
    old = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, old)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_every_program_and_is_no_failure(house, at_a_terminal, number):
    house.on("b", "up", ask(number))
    assert house.run(house.program("a", SLEEP), house.program("b", SLEEP)) == 0


def test_signal_handlers_are_put_back(house):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    house.on("a", "up", ask())
    house.run(house.program("a", SLEEP))
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_nohup_keeps_the_programs_running_when_the_terminal_closes(house):
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        house.on("a", "up", lambda: (ask(signal.SIGHUP)(), house.hear("a", "still here")))
        house.on("a", "still here", ask())
        assert house.run(house.program("a", SLEEP)) == 0
    finally:
        signal.signal(signal.SIGHUP, old)


def test_lines_carry_the_name_and_the_unfinished_last_one_is_kept(house):
    house.on("a", "no end", ask())
    house.run(
        house.program(
            "a", "import sys, time; print('one', flush=True); sys.stderr.write('no end'); sys.stderr.flush()"
        )
    )
    assert house.said("a") == ["one", "no end"]


def test_a_program_that_never_stops_printing_does_not_keep_the_others_from_being_heard(house):
    house.on("b", "up", ask())
    flood = "import sys\nwhile True: sys.stdout.write('x' * 1000 + chr(10))"
    assert house.run(house.program("a", flood, grace_s=0.1), house.program("b", SLEEP)) == 0


def test_a_program_that_closes_its_output_goes_on(house):
    source = "import os, time; print('up', flush=True); os.close(1); os.close(2); time.sleep(60)"
    looks = iter([False] * 3)
    a = house.program("a", source, answers=lambda pid: next(looks, True))
    assert house.run(a, on_ready=ask()) == 0
    assert house.said("up") == []


def test_a_program_that_does_not_end_is_killed_after_its_grace(house):
    house.on("a", "up", ask())
    assert house.run(house.program("a", STUBBORN, grace_s=0.1)) == 0
    assert "a did not end in time: killed" in house.said("up")


def test_a_second_signal_kills_at_once(house):
    house.on("a", "asked", ask(signal.SIGINT))
    house.on("a", "up", ask(signal.SIGINT))
    source = """
        import signal, time
        signal.signal(15, lambda *a: print('asked', flush=True))
        print('up', flush=True)
        while True: time.sleep(60)
    """
    assert house.run(house.program("a", source, grace_s=3600)) == 0


def test_a_dead_program_is_started_again_and_the_others_stay(house):
    house.on("up", "starting it again", lambda: house.on("a", "pid", ask()))
    source = """
        import os, time
        print('pid', os.getpid(), flush=True)
        os.path.exists('died') and time.sleep(60)
        open('died', 'w')
    """
    assert house.run(house.program("a", source), house.program("b", SLEEP)) == 0
    assert len(set(house.said("a"))) == 2
    assert house.said("b") == ["up"]
    assert house.said("up") == ["a ended (exit status 0); starting it again in 0.01 s"]


def test_five_deaths_within_a_minute_stop_everything_with_a_failure(house):
    assert house.run(house.program("a", "import sys; sys.exit(7)"), house.program("b", SLEEP)) == 1
    assert house.said("up")[-1] == "a ended (exit status 7), 5 times in 60 s: stopping everything"
    assert len(house.said("up")) == 5


def test_deaths_long_ago_do_not_count(house, monkeypatch):
    monkeypatch.setattr(supervise, "DEATHS_WINDOW_S", 0.0)
    source = """
        n = int(open('n').read()) if __import__('os').path.exists('n') else 0
        open('n', 'w').write(str(n + 1)); print('life', n, flush=True)
    """
    house.on("a", "life 6", ask())
    assert house.run(house.program("a", source)) == 0


def test_a_death_takes_the_rest_of_its_process_group_along(house):
    source = """
        import os, subprocess, sys
        other = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])
        print('other', other.pid, flush=True); os.kill(os.getpid(), 9)
    """
    pids = []
    house.on("up", "killed (signal 9)", lambda: pids.append(int(house.said("a")[0].split()[1])))
    house.on("up", "starting it again", ask())
    house.run(house.program("a", source))
    assert is_gone(pids[0])


def test_ready_is_announced_once_when_all_answer(house):
    heard = []
    slow = iter([False, False, True])
    a = house.program("a", SLEEP, answers=lambda pid: next(slow))
    b = house.program("b", SLEEP)
    house.run(a, b, on_ready=lambda: (heard.append("ready"), ask()()))
    assert heard == ["ready"]


def test_a_program_that_never_answers_stops_everything(house):
    assert house.run(house.program("a", SLEEP, answers=lambda pid: False), ready_s=0.2) == 1
    assert house.said("up") == ["a did not answer within 0.2 s: stopping everything"]


def test_a_changed_source_starts_everything_anew_without_counting_a_death(house):
    changes = iter([True])
    house.on("up", "anew", lambda: house.on("a", "up", ask()))
    assert house.run(house.program("a", SLEEP), changed=lambda: next(changes, False)) == 0
    assert house.said("a") == ["up", "up"]
    assert house.said("up") == ["the source has changed: starting everything anew"]


KILLED = """
import os, pathlib, sys
from engine.lib.supervise import Program, Supervisor

def report_and_die(name, line):
    print(supervisor._children[0].process.pid, flush=True)
    os.kill(os.getpid(), 9)

argv = [sys.executable, "-S", "-c", sys.argv[1]]
supervisor = Supervisor([Program("a", argv, os.environ, pathlib.Path("/"), bool)], output=report_and_die)
supervisor.run()
"""


def test_a_killed_supervisor_takes_its_programs_along():
    with psutil.Popen([sys.executable, "-c", KILLED, SLEEP], stdout=-1, text=True) as process:
        pid = int(process.stdout.readline())
        assert process.wait(10) == -signal.SIGKILL
    assert is_gone(pid)


def test_the_guard_refuses_to_start_under_a_stranger():
    argv = [sys.executable, "-I", "-S", "-c", supervise._GUARD, "1", sys.executable, "-c", "print('started')"]
    with psutil.Popen(argv, stdout=-1, stderr=-1, text=True) as process:
        assert process.communicate() == ("", "the supervisor is gone\n")


class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 503)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_server_answers_when_every_path_does():
    server = HTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    port = server.server_port
    assert answers_http("127.0.0.1", port, "/health")
    assert not answers_http("127.0.0.1", port, "/health", "/other")
    server.shutdown()
    server.server_close()
    assert not answers_http("127.0.0.1", port, "/health")
