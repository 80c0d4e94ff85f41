"""The task types: what each takes, who may submit it, how it is retried and limited.

Filled by `engine/tasks/`, one file a type.
"""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.errors import InvalidInput, NotFound
from engine.records.db import Transaction
from engine.records.tasks import Task
from engine.words import Actor, Role

Payload = TypeVar("Payload", bound=BaseModel)
Result = Mapping[str, Any] | None


class TaskHandle(Protocol):
    """What a running task may ask and tell."""

    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def attempt(self) -> int:
        """Number of this execution, from 1."""

    @property
    def owner(self) -> str: ...
    @property
    def correlation_id(self) -> str: ...
    @property
    def cancelled(self) -> bool:
        """Whether to stop: cancelled, lease lost or worker shutting down. Cheap, poll it often."""

    @property
    def remaining_s(self) -> float:
        """Seconds left of the wall-clock limit."""

    def progress(self, percent: int, note: str = "") -> None:
        """Tell how far the work is, 0 to 99; it never goes back, and 100 is written on success."""

    def log(self, text: str) -> None:
        """Keep a line with this attempt; the last 200 are kept."""

    def check(self) -> None:
        """Raise TaskCancelled if the task should stop."""

    def mark_sent(self) -> None:
        """Record that an outside effect that must not be repeated blindly is about to happen."""

    def used(self, *, cpu_ms: int, peak_memory_bytes: int) -> None:
        """Record what the attempt's child process used."""


class Body(BaseModel):
    """The base of payload models: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


@dataclass(frozen=True)
class Backoff:
    """Exponential waits with equal jitter ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015)."""

    base_s: float = 10
    factor: float = 2
    cap_s: float = 600

    def delay_s(self, failures: int) -> float:
        """Return a random wait before the next attempt; `failures` counts from 1."""
        ceiling = min(self.cap_s, self.base_s * self.factor ** (failures - 1))
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - spreads load, guards nothing


@dataclass(frozen=True)
class TaskType:
    """One registered function. Times are in seconds; `None` means no limit."""

    name: str
    payload: type[BaseModel]
    run: Callable[[Any, TaskHandle], Result]
    title: str
    min_role: Role = Role.STAFF
    system: bool = False
    """Not submitted from outside, exempt from pause, emits no events."""
    max_attempts: int = 3
    delays_s: tuple[float, ...] | Backoff = Backoff()
    """Waits before the second, third ... attempt; the last is repeated."""
    timeout_s: float = 600
    max_running: int | None = None
    expires_s: float | None = None
    priority: int = 0
    on_submit: Callable[[Transaction, Actor, Any], BaseModel] | None = None
    """Checks and may change the payload inside the submit's transaction; raises to refuse."""
    on_stored: Callable[[Transaction, Task, Any], None] | None = None
    """Writes the type's own rows beside a new task, inside the same transaction."""
    on_again: Callable[[Transaction, Task], None] | None = None
    """Called when an ended task is run again by hand, inside the transaction; raises to refuse."""
    protect: Callable[[str, Any], BaseModel] | None = None
    """Seals, for an owner, the secrets of a payload that is stored elsewhere (a schedule); twice is once."""
    on_rescue: Callable[[Task], tuple[str, str] | None] | None = None
    """After a worker's death or shutdown: None to run again, or code and message the task fails with."""
    describe: Callable[[Any], str] | None = None
    """One short line about a payload, for lists."""

    def parse(self, payload: Mapping[str, Any] | str) -> BaseModel:
        """Validate a payload; raise InvalidInput with a message per field."""
        try:
            if isinstance(payload, str):
                return self.payload.model_validate_json(payload)
            return self.payload.model_validate(payload)
        except ValidationError as error:
            raise InvalidInput(
                f"The payload of {self.name} is not valid.", fields=field_messages(error)
            ) from error

    def delay_s(self, failures: int) -> float:
        """Return how long to wait after the given number of failures, counted from 1."""
        if isinstance(self.delays_s, Backoff):
            return self.delays_s.delay_s(failures)
        return self.delays_s[min(failures, len(self.delays_s)) - 1] if self.delays_s else 0.0


_types: dict[str, TaskType] = {}


def task_type(
    name: str, payload: type[Payload], *, title: str, **options: Any
) -> Callable[[Callable[[Payload, TaskHandle], Result]], Callable[[Payload, TaskHandle], Result]]:
    """Register the decorated function as a task type; see `TaskType` for the options.

    Raises ValueError when the name is taken: a name is stored data and means one thing for ever.
    """

    def register(run: Callable[[Payload, TaskHandle], Result]) -> Callable[[Payload, TaskHandle], Result]:
        if name in _types:
            raise ValueError(f"task type {name!r} is registered twice")
        _types[name] = TaskType(name, payload, run, title, **options)
        return run

    return register


def get(name: str) -> TaskType:
    """Return a task type; raise NotFound naming those that exist."""
    try:
        return _types[name]
    except KeyError:
        known = ", ".join(sorted(n for n, t in _types.items() if not t.system))
        raise NotFound(f"There is no task type {name!r}. There are: {known}.", code="unknown_type") from None


def find(name: str) -> TaskType | None:
    """Return a task type, or None where this process does not have its code."""
    return _types.get(name)


def all_types() -> tuple[TaskType, ...]:
    """Return the registered types by name."""
    return tuple(_types[name] for name in sorted(_types))


def field_messages(error: ValidationError) -> dict[str, str]:
    """Turn pydantic's errors into one sentence per dotted field path."""
    messages: dict[str, str] = {}
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        path = ".".join(str(part) for part in item["loc"]) or "payload"
        messages.setdefault(path, item["msg"].removeprefix("Value error, "))
    return messages


def canonical(model: BaseModel) -> str:
    """Return the payload as JSON that is equal for equal payloads.

    Raises InvalidInput for what JSON has no form for: half a surrogate pair, infinity, NaN.
    """
    try:
        text = json.dumps(
            model.model_dump(mode="json"),
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
            allow_nan=False,
        )
        text.encode()
    except ValueError as error:
        raise InvalidInput(
            "The payload is not valid.", fields={"payload": f"no JSON text: {error}"}
        ) from error
    return text
