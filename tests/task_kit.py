"""Run submitted tasks in this process, as a worker would: claim, call, settle."""

from engine import lifecycle, registry, tasks
from engine.queue import endings
from engine.queue.running import Running
from tests.engine_kit import row


def run_next(*, stop_when=None, worker_id="w1"):
    """Run the next waiting task and return its row afterwards; `stop_when` may ask it to stop.

    `stop_when` is given the running handle, before it begins.
    """
    tasks.load()
    claimed = lifecycle.claim(worker_id, registry.all_types())
    assert claimed is not None, "nothing waits"
    task_type = registry.get(claimed.type)
    running = Running(claimed, task_type.timeout_s)
    if stop_when:
        stop_when(running)
    try:
        ending = endings.succeeded(running, task_type.run(task_type.parse(claimed.payload), running))
    except BaseException as error:
        ending = endings.failed(running, error)
    lifecycle.settle(claimed, ending)
    return row(claimed)
