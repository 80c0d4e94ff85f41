"""docs/tasks.md says what is true: its example runs, its table of moves is the code's."""

import re
from pathlib import Path

import pytest

from engine import lifecycle, registry
from engine.lifecycle import moves
from engine.queue import OffloadHuey
from engine.registry import TaskType
from engine.words import Outcome, TaskState
from tests.engine_kit import ANN, row

PAGE = (Path(__file__).parents[1] / "docs" / "tasks.md").read_text()


def table(heading):
    """The rows of the table under a heading row that begins so, as lists of cells."""
    lines = PAGE[PAGE.index(f"| {heading} |") :].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def words(cell):
    return re.findall(r"`([\w]+)`", cell)


def test_example_is_a_task_type_in_ten_lines(data_dir, no_types):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    exec(compile(example, "engine/tasks/word_count.py", "exec"), {})
    task = lifecycle.submit(ANN, "word_count", {"text": "to be or not to be"}).task
    huey = OffloadHuey()
    huey.adopt(registry.all_types())
    huey.execute(huey.dequeue())
    assert row(task).document()["result"] == {"words": 6}


def test_table_of_moves_is_the_codes():
    written = {}
    for before, after in table("From | To"):
        for name in words(before) or [None]:
            written[TaskState(name) if name else None] = frozenset(
                TaskState(w) for w in words(after.partition(" (")[0])
            )
    assert written == moves.LEGAL


def test_every_state_and_outcome_is_explained():
    states = [name for cells in table("State | Meaning") for name in words(cells[0])]
    assert sorted(states) == sorted(TaskState)
    outcomes = {
        name
        for cells in table("What the function does | Outcome of the attempt | Then")
        for name in words(cells[1])
    }
    assert outcomes == set(Outcome)


@pytest.mark.parametrize("cells", table("Per type | Default"), ids=lambda cells: cells[0])
def test_limit_is_a_field_with_the_default_written(cells):
    (name,) = words(cells[0])
    default = TaskType.__dataclass_fields__[name].default
    if name == "delays_s":
        assert (default.base_s, default.factor, default.cap_s) == (10, 2, 600)
    else:
        assert cells[1] == ("none" if default is None else "no" if default is False else str(default))
