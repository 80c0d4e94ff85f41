"""The probe: a task that exercises the real path, for `doctor`, drills and benchmarks."""

import threading

from pydantic import Field

from engine import clock
from engine.errors import TransientFailure
from engine.lib import child
from engine.registry import Body, TaskHandle, task_type
from engine.words import Role

_STEP_S = 0.02
_CHILD_MB = 256
"""What the child needs beside the memory asked for."""


class Probe(Body):
    """What the probe is to do."""

    sleep_ms: int = Field(0, ge=0, le=600_000, description="How long to work, in milliseconds")
    fail_attempts: int = Field(0, ge=0, le=100, description="How many attempts fail before one succeeds")
    in_child: bool = Field(False, description="Work in a child process")
    memory_mb: int = Field(0, ge=0, le=4096, description="Memory to use, in MiB")
    note: str = Field("", max_length=200, description="Given back in the result")


@task_type(
    "probe",
    Probe,
    title="Probe",
    min_role=Role.OPS,
    delays_s=(0.2,),
    timeout_s=700,
    describe=lambda payload: payload.note,
)
def probe(payload: Probe, task: TaskHandle) -> dict[str, object]:
    """Sleep, use memory, fail as asked; give the note back."""
    task.log(f"attempt {task.attempt} of a probe: {payload.note or 'no note'}")
    if payload.in_child:
        _work_in_child(payload, task)
    else:
        held = bytearray(payload.memory_mb * 1024 * 1024)
        _work(payload.sleep_ms / 1000, task)
        del held
    if task.attempt <= payload.fail_attempts:
        raise TransientFailure(f"The probe was asked to fail {payload.fail_attempts} times.", code="probe")
    return {"note": payload.note, "attempt": task.attempt, "memory_mb": payload.memory_mb}


def _work_in_child(payload: Probe, task: TaskHandle) -> None:
    child.run(
        "engine.lib.child.exercise:exercise",
        {"sleep_ms": payload.sleep_ms, "memory_mb": payload.memory_mb},
        timeout_s=task.remaining_s,
        memory_mb=payload.memory_mb + _CHILD_MB,
        cancelled=lambda: task.cancelled,
        on_progress=task.progress,
        on_log=task.log,
        on_usage=lambda used: task.used(cpu_ms=used.cpu_ms, peak_memory_bytes=used.peak_bytes),
        correlation_id=task.correlation_id,
    )


def _work(seconds: float, task: TaskHandle) -> None:
    pause, began = threading.Event(), clock.elapsed()
    while (done := clock.elapsed() - began) < seconds:
        task.progress(int(100 * done / seconds), "working")
        pause.wait(min(_STEP_S, seconds - done))
    task.check()
