import pytest

from engine.lifecycle import moves
from engine.records import db
from engine.words import ENDED, WAITING, TaskState
from tests.engine_kit import add_type as add
from tests.engine_kit import events, submit

LEGAL = """
-> scheduled queued
scheduled -> queued cancelled expired
queued -> running cancelled expired
running -> succeeded failed cancelled retrying queued
retrying -> queued cancelled expired
failed -> queued
cancelled -> queued
expired -> queued
succeeded ->
"""


def test_table_of_legal_moves_is_the_documented_one():
    documented = {}
    for line in LEGAL.strip().splitlines():
        before, _, after = line.partition("->")
        key = TaskState(before.strip()) if before.strip() else None
        documented[key] = frozenset(TaskState(word) for word in after.split())
    assert documented == moves.LEGAL


def test_waiting_and_ended_states_do_not_overlap_and_only_running_is_neither():
    assert not WAITING & ENDED
    assert set(TaskState) - WAITING - ENDED == {TaskState.RUNNING}


def test_illegal_move_is_refused_and_leaves_no_row(data_dir, no_types):
    add()
    task = submit()
    with pytest.raises(ValueError, match="never goes from succeeded to queued"), db.main().write() as tx:
        moves.note(tx, task.id, TaskState.SUCCEEDED, TaskState.QUEUED, actor="x", now_ms=1)
    assert events(task) == [(None, "queued")]
