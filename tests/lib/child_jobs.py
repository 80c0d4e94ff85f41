"""Functions that test_child runs inside children."""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine import errors, log


def echo(argument, channel):
    return argument


def facts(argument, channel):
    """What the child sees of itself."""
    limits = {
        name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))
        for name in ("CORE", "CPU", "FSIZE", "AS")
    }
    umask = os.umask(0)
    os.umask(umask)
    return {
        "limits": limits,
        "data": resource.getrlimit(resource.RLIMIT_DATA)[0],
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "umask": umask,
        "pid": os.getpid(),
        "server": os.getppid(),
        "group": os.getpgid(0),
        "descriptors": sorted(os.listdir("/proc/self/fd")),
        "correlation_id": log.correlation_id(),
        "log_level": log.level(),
    }


def talk(argument, channel):
    for percent, note in argument["progress"]:
        channel.progress(percent, note)
        time.sleep(0.11)
    for line in argument.get("log", []):
        channel.log(line)
    print("from print", flush=True)
    os.write(2, b"from a C library\n")


def chatter(argument, channel):
    for percent in range(100):
        channel.progress(percent, f"step {percent}")


def raise_error(argument, channel):
    raise getattr(errors, argument["type"])("told so", code=argument.get("code"))


def raise_invalid(argument, channel):
    raise errors.InvalidInput("wrong", fields={"params.title": "too long"})


class Fatal(BaseException):
    """Like WeasyPrint's FatalURLFetchingError."""


def raise_foreign(argument, channel):
    raise {"ValueError": ValueError, "Fatal": Fatal, "SystemExit": SystemExit}[argument]("oh no")


def burn(argument, channel):
    while True:
        pass


def stop_dead(argument, channel):
    """A process that even SIGTERM does not move."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    channel.log("ready")
    while True:
        time.sleep(60)


def die(argument, channel):
    os.write(2, argument.get("words", "").encode())
    os.kill(os.getpid(), argument["signal"])


def leave(argument, channel):
    os._exit(argument)


def write_file(argument, channel):
    with open(argument["path"], "wb") as file:
        file.write(b"x" * argument["bytes"])


def with_grandchild(argument, channel):
    """Start a process that would live for a minute and holds the output pipe open."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    channel.log(str(process.pid))
    if argument == "stay":
        time.sleep(60)
    return process.pid


def huge_answer(argument, channel):
    return "x" * argument


def litter(argument, channel):
    """Make a temporary folder and leave it; return its file."""
    path = Path(tempfile.mkdtemp()) / "left"
    path.write_text("x")
    return str(path)
