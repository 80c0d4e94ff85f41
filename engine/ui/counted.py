"""The counter strips of tasks: how many are in each state, each number a link to exactly these tasks."""

from collections.abc import Mapping, Sequence

from engine import registry
from engine.queries import overview
from engine.queries.overview import Tally
from engine.ui import shared, states
from engine.ui.widgets import Counter
from engine.words import Actor, Role, TaskState

FRESH_S = 2
"""How old a count may be: several pages and people ask for the same."""
SHOWN = tuple(state for state in states.LOOKS if state not in (TaskState.CANCELLED, TaskState.EXPIRED))
OF_ONE_TYPE = (TaskState.RUNNING, TaskState.QUEUED, TaskState.SUCCEEDED, TaskState.FAILED)


def read(actor: Actor, *, type_name: str | None = None, owner: str | None = None) -> Tally:
    """Count the tasks the actor may see, of one type or owner if given; those of everybody are shared."""
    if owner or not actor.role.includes(Role.OPS):
        return overview.tally(actor, type_name=type_name, owner=owner)
    return shared.read(("tally", type_name), FRESH_S, lambda: overview.tally(actor, type_name=type_name))


def of_all(tally: Tally) -> list[Counter]:
    """Return the counters of all tasks that a person may see."""
    return _counters(tally, SHOWN, {})


def of_one_type(tally: Tally, query: Mapping[str, str]) -> list[Counter]:
    """Return the counters of what a filter of the tasks' page leaves."""
    return _counters(tally, OF_ONE_TYPE, query)


def filter_of(actor: Actor, type_name: str, owner: str | None = None) -> dict[str, str]:
    """Return the filter of the tasks' page for one type, and one owner where the actor sees others too."""
    found = {"type": registry.get(type_name).title}
    return found | ({"owner": owner} if owner and actor.role.includes(Role.OPS) else {})


def _counters(tally: Tally, shown: Sequence[TaskState], query: Mapping[str, str]) -> list[Counter]:
    looks = [(state, states.LOOKS[state]) for state in shown]
    return [
        Counter(look.word, tally.n[state], "tasks", {"state": look.word, **query}, look.mark, tally.most)
        for state, look in looks
    ]
