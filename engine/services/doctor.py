"""Doctor: look at everything this installation needs, and say what to do about what is wrong.

Each check yields findings with a stable id, because people search for it. A check never raises: what it could
not find out is a finding as well.
"""

import platform
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import engine
from engine import clock, lifecycle, settings
from engine.errors import OffloadError, Unavailable
from engine.lib import addresses, native, ports
from engine.lib.keyfile import KEY_FILE, load_key
from engine.lib.supervise import HEALTH, answers_http
from engine.queries import installation, tasks, workers
from engine.records import db, schema
from engine.words import SYSTEM, Actor, TaskState

Level = Literal["ok", "warning", "error"]

_GIB = 2**30
_DISK_ERROR_BYTES, _DISK_WARNING_BYTES = _GIB // 4, 2 * _GIB
_PROBE_TIMEOUT_S = 15
_STUCK_S = 60
_CLOCK_SAMPLE_S, _CLOCK_SLACK_S = 0.2, 0.05
_FUTURE_SLACK_MS = 5_000
_FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts")


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    id: str
    level: Level
    subject: str
    message: str
    todo: str = ""
    """What to do, where something is to be done."""


@dataclass(frozen=True)
class Options:
    """What doctor cannot know by itself."""

    host: str = "127.0.0.1"
    port: int = 8501
    api_port: int = 8502
    probe: bool = True


def examine(options: Options) -> Iterator[Finding]:
    """Yield the findings as they are made, in the order in which things depend on each other."""
    checks: list[tuple[str, str, Callable[[], Iterator[Finding]]]] = [
        ("S000", "settings", _settings),
        ("L000", "PDF", _native),
        ("F000", "fonts", _fonts),
        ("K000", "disk", _disk),
        ("D000", "database", _databases),
        ("E000", "key", _key),
        ("C000", "clock", _clock),
        ("P000", "ports", lambda: _ports(options)),
        ("W000", "worker", lambda: _workers(options)),
    ]
    for id_, subject, check in checks:
        try:
            yield from check()
        except Exception as error:  # noqa: BLE001 - an edge: what a check trips over is its finding
            todo = "See the message; when it does not help, report it with the output of this command."
            yield Finding(id_, "error", subject, f"{type(error).__name__}: {error}", todo)


def _settings() -> Iterator[Finding]:
    found = settings.check()
    found += [settings.Finding("S005", "warning", message) for message in addresses.never_opened()]
    for f in found:
        yield Finding(f.id, f.level, "settings", f.message, "Change the environment of the processes.")
    if not found:
        yield Finding("S000", "ok", "settings", "valid")


def _native() -> Iterator[Finding]:
    state = native.check()
    ids: dict[Level, str] = {"ok": "L000", "warning": "L002", "error": "L001"}
    install = f"sudo apt-get install -y --no-install-recommends {' '.join(state.packages)}"
    todo = f"Run: {install}" if state.packages else "Start ./offload up again: it repairs the environment."
    yield Finding(ids[state.level], state.level, "PDF", state.message, "" if state.level == "ok" else todo)


def _fonts() -> Iterator[Finding]:
    folders = [Path(name).expanduser() for name in _FONT_FOLDERS]
    n_fonts = sum(
        path.suffix.lower() in (".ttf", ".otf") for f in folders if f.is_dir() for path in f.rglob("*")
    )
    if n_fonts:
        yield Finding("F000", "ok", "fonts", f"{n_fonts} system fonts")
    else:
        todo = "Run: sudo apt-get install -y fonts-dejavu-core"
        yield Finding(
            "F001", "warning", "fonts", "no system font: text outside the bundled one is lost", todo
        )


def _disk() -> Iterator[Finding]:
    data_dir = settings.get().data_dir
    existing = next(folder for folder in (data_dir, *data_dir.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    text = f"{free / _GIB:.1f} GiB free for {data_dir}"
    todo = "Make room, or point OFFLOAD_DATA_DIR to another disk."
    if free < _DISK_ERROR_BYTES:
        yield Finding("K001", "error", "disk", text, todo)
    elif free < _DISK_WARNING_BYTES:
        yield Finding("K002", "warning", "disk", text, todo)
    else:
        yield Finding("K000", "ok", "disk", text)
    if data_dir.exists() and stat.S_IMODE(data_dir.stat().st_mode) & 0o077:
        yield Finding(
            "K003", "warning", "disk", "the data folder is open to others", f"Run: chmod 700 {data_dir}"
        )


def _databases() -> Iterator[Finding]:
    for name, open_database in (("offload.db", db.main), ("metrics.db", db.metrics), ("cache.db", db.cache)):
        try:
            state = installation.database_state(open_database(), schema.FILES[name])
        except db.LockedOrFull:
            raise
        except db.Damaged as error:
            yield Finding("D001", "error", "database", f"{name} is damaged: {error}", _restore(name))
        else:
            yield from _database(name, state)


def _restore(name: str) -> str:
    return f"Stop Offload, keep a copy of {name}, restore a backup or run: sqlite3 {name} .recover"


def _database(name: str, state: installation.DatabaseState) -> Iterator[Finding]:
    fine = True
    for id_, wrong, text, todo in (
        (
            "D001",
            state.faults,
            f"{name} is damaged: {'; '.join(state.faults)}",
            _restore(name),
        ),
        (
            "D002",
            state.journal_mode != "wal",
            f"{name} is in journal mode {state.journal_mode}, not wal",
            "Keep the data folder on a local disk: a network file system cannot hold a database in WAL mode.",
        ),
        (
            "D003",
            state.pending,
            f"{name} lacks {', '.join(state.pending)}",
            "Stop all processes and start again.",
        ),
        (
            "D004",
            state.unknown,
            f"{name} was used by a newer version ({', '.join(state.unknown)})",
            "Run the newer version, or restore the backup made before it.",
        ),
    ):
        if wrong:
            fine = False
            yield Finding(id_, "error", "database", text, todo)
    if fine:
        yield Finding("D000", "ok", "database", f"{name} is sound (SQLite {state.sqlite_version}, WAL)")


def _key() -> Iterator[Finding]:
    try:
        load_key(settings.get().data_dir / KEY_FILE)
    except Unavailable as error:
        todo = "Secrets of webhooks and calls need it. No backup: remove it, and enter the secrets anew."
        yield Finding("E001", "error", "key", error.message, todo)
    else:
        yield Finding("E000", "ok", "key", f"{KEY_FILE} holds a key")


def _clock() -> Iterator[Finding]:
    wall, steady = clock.now_ms(), clock.elapsed()
    threading.Event().wait(_CLOCK_SAMPLE_S)
    drift_s = (clock.now_ms() - wall) / 1000 - (clock.elapsed() - steady)
    todo = "Let the machine keep its time (systemd-timesyncd, chrony)."
    if abs(drift_s) > _CLOCK_SLACK_S:
        yield Finding(
            "C001", "warning", "clock", f"the clock jumped by {drift_s:.2f} s while being watched", todo
        )
    if installation.latest_written_ms() > clock.now_ms() + _FUTURE_SLACK_MS:
        latest = clock.iso(installation.latest_written_ms())
        yield Finding("C002", "warning", "clock", f"the youngest task is from the future ({latest})", todo)
    try:
        ZoneInfo("Europe/Berlin")
    except ZoneInfoNotFoundError:
        todo = "Run ./offload up again (tzdata is missing)."
        yield Finding("C003", "error", "clock", "time zones are not known", todo)
    zone = datetime.fromtimestamp(clock.now_ms() / 1000).astimezone().tzname()
    yield Finding(
        "C000", "ok", "clock", f"{clock.iso(clock.now_ms())}, local zone {zone}; everything stored is UTC"
    )


def _ports(options: Options) -> Iterator[Finding]:
    for name, option, port in (("pages", "--port", options.port), ("api", "--api-port", options.api_port)):
        if answers_http(ports.reach(options.host), port, HEALTH):
            yield Finding("P000", "ok", "ports", f"{name} answers on port {port}")
        elif why := ports.why_not(options.host, port):
            todo = f"Start with another one: ./offload up {option} {ports.free()}"
            yield Finding("P001", "warning", "ports", f"{name} cannot start: {why}", todo)
        else:
            yield Finding("P002", "ok", "ports", f"{name} is not running; port {port} is free")


def _workers(options: Options) -> Iterator[Finding]:
    yield from _pauses()
    alive = [worker for worker in workers.listing() if worker.alive]
    if not alive:
        yield _nobody_at_work()
        return
    threads = sum(worker.threads for worker in alive)
    yield Finding("W000", "ok", "worker", f"{len(alive)} alive with {threads} threads")
    old = sorted({worker.version for worker in alive} - {engine.__version__})
    if old:
        text = f"a worker runs version {', '.join(old)}; this is {engine.__version__}"
        yield Finding("W004", "warning", "worker", text, "Restart the workers.")
    if options.probe:
        yield _probe()


def _pauses() -> Iterator[Finding]:
    for pause in workers.pauses():
        what = "the queue" if pause["scope"] == "*" else f"task type {pause['scope']}"
        since = clock.iso(pause["paused_at_ms"])
        text = f"{what} is paused by {pause['paused_by']} since {since}"
        yield Finding("W005", "warning", "worker", text, "When it is over: ./offload queue resume")


def _nobody_at_work() -> Finding:
    todo = "Start one: ./offload up, or huey_consumer engine.worker.huey"
    since = installation.oldest_due_ms(clock.now_ms())
    if since is not None and clock.now_ms() - since > _STUCK_S * 1000:
        return Finding(
            "W002", "error", "worker", f"no worker is alive, and tasks wait since {clock.iso(since)}", todo
        )
    return Finding("W001", "warning", "worker", "no worker is alive: tasks will wait", todo)


def _probe() -> Finding:
    """Send a task through the real path and time it."""
    actor = Actor(SYSTEM.name, SYSTEM.role, "cli")
    begun = clock.elapsed()
    try:
        task = lifecycle.submit(actor, "probe", {"note": "doctor"}, priority=100).task
    except OffloadError as error:
        return Finding("W003", "error", "worker", f"a probe was refused: {error.message}", "See the message.")
    while clock.elapsed() - begun < _PROBE_TIMEOUT_S:
        seen = tasks.visible(actor, task.id)
        if seen is not None and seen.state.ended:
            return _probed(seen.state, clock.elapsed() - begun)
        threading.Event().wait(0.01)
    text = f"a probe did not end within {_PROBE_TIMEOUT_S} s"
    todo = f"Look at ./offload tasks show {task.id} and ./offload workers list: all threads may be busy."
    return Finding("W003", "error", "worker", text, todo)


def _probed(state: TaskState, took_s: float) -> Finding:
    if state is TaskState.SUCCEEDED:
        return Finding("W006", "ok", "worker", f"a probe went through in {took_s * 1000:.0f} ms")
    return Finding(
        "W003", "error", "worker", f"a probe ended {state}", "See ./offload tasks list --type probe"
    )


def about() -> str:
    """Return the versions a report of a problem should name."""
    return (
        f"Offload {engine.__version__}, Python {platform.python_version()}, {platform.platform(terse=True)}"
    )
