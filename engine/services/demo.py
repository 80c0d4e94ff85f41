"""The demonstration shop: who it hands work over as, and how all of it is taken out again."""

from dataclasses import dataclass

from engine import clock, settings
from engine.errors import Conflict, Unavailable
from engine.lib import processes
from engine.queries import access as people
from engine.queries import performance
from engine.queries.performance import Comparison, Selection
from engine.records import db, recorders, removal, tokens, users, workers
from engine.words import Role

SERVICE = "shop"
OFFLOAD_SERVICE = "offload-demo"
"""Under this name the demo's own api and worker record, so that removing it touches nobody's numbers."""
OWNER = "shop-demo"
TASK_TYPE = "shop_supplier"
"""Only the demo's own worker has it loaded."""
PAIRS: tuple[tuple[str, tuple[str, str], tuple[str, str]], ...] = (
    ("Invoice as PDF", ("/invoices/{number}/pdf", "GET"), ("/invoices/{number}/order", "POST")),
    ("Supplier's feed", ("/orders/feed", "GET"), ("/orders/feed/order", "POST")),
    ("Next deliveries", ("/deliveries/next", "GET"), ("/deliveries/next/bounded", "GET")),
)
"""Title, the route that does its work inside the request, and its handed-over twin (name, method)."""


@dataclass(frozen=True)
class Removed:
    """What was taken out."""

    n_series: int
    n_tasks: int
    n_files: int


def join() -> None:
    """Make the person the shop acts as, if there is none."""
    if people.user(OWNER) is None:
        with db.main().write() as tx:
            users.add(tx, OWNER, Role.STAFF)


def pairs(start_ms: int) -> list[tuple[str, Comparison]]:
    """Compare each route with its twin since a moment."""
    window = Selection(start_ms, clock.now_ms() + 1, "http", SERVICE)
    return [(title, performance.two_routes(window, slow, fast)) for title, slow, fast in PAIRS]


def release(start_ms: int) -> Comparison | None:
    """Compare the checkout before and after its second release; None without a release in between."""
    window = Selection(start_ms, clock.now_ms() + 1, "http", SERVICE, "/checkout")
    marks = performance.deploys(window).column("at").to_pylist()
    return performance.around(window, clock.to_ms(marks[-1])) if marks else None


def remove() -> Removed:
    """Take out all that the demo recorded, handed over and made; raise Conflict while it still works.

    What only waits is taken out too: after a killed demo nobody may be left who could do it. The caller has
    closed recorders that died.
    """
    with db.main().write() as tx:  # nobody claims a task meanwhile
        if n := _n_at_work(tx):
            raise Conflict(f"{n} tasks of the demo have not ended; cancel them, or try again in a moment.")
        paths = [settings.get().data_dir / name for name in removal.files_of(tx, OWNER)]
        for path in paths:
            path.unlink(missing_ok=True)
        tokens.remove_all(tx, OWNER)
        n_tasks = removal.remove_owner(tx, OWNER)
        for worker in removal.workers_knowing(tx, TASK_TYPE):
            if worker["stopped_at_ms"] is not None or not _is_alive(worker):
                removal.remove_worker(tx, worker["id"])
    with db.metrics().write() as tx:
        n_series = sum(removal.remove_service(tx, service) for service in (SERVICE, OFFLOAD_SERVICE))
    with db.cache().write() as tx:
        removal.remove_kept_answers(tx, OWNER)
    return Removed(n_series, n_tasks, len(paths))


def check_room() -> None:
    """Raise Unavailable when another demo runs on this data folder."""
    if recorders.n_live(db.metrics(), SERVICE, clock.now_ms() - 5_000):
        raise Unavailable("A demo is running on this data folder; wait for it to end.")


def _n_at_work(reader: db.Reader) -> int:
    """Count the tasks that a worker runs which, as far as anybody can tell, is alive."""
    alive = {row["id"] for row in workers.live(reader) if _is_alive(row)}
    return sum(worker_id in alive for worker_id in removal.workers_of(reader, OWNER))


def _is_alive(worker: db.Row) -> bool:
    """Tell whether a worker that has not stopped lives, as far as this host can see."""
    here = worker["host_key"] == processes.host_key()
    return not here or processes.is_alive(worker["pid"], worker["start_ticks"])
