import pytest

from engine import lifecycle
from engine.errors import InvalidInput
from engine.queries import tasks as reads
from engine.words import TaskState
from tests.engine_kit import (
    ANN,
    BOB,
    DONE,
    EVE,
    FAIL,
    NOON_MS,
    OPS,
    add_type,
    claim,
    submit,
    submit_and_claim,
)


@pytest.fixture(autouse=True)
def house(data_dir, no_types, wall):
    add_type()


def ids(page):
    return [task.id for task in page.items]


def test_newest_first_and_page_after_page():
    made = [submit().id for _ in range(7)]
    seen, cursor = [], None
    while True:
        page = reads.page(ANN, limit=3, cursor=cursor)
        seen += ids(page)
        cursor = page.next
        if cursor is None:
            break
        submit()  # what comes in meanwhile shifts nothing
    assert seen == made[::-1]


def test_a_full_last_page_has_no_next():
    for _ in range(3):
        submit()
    assert reads.page(ANN, limit=3).next is None


def test_staff_see_their_own_ops_see_all():
    own, others = submit(actor=ANN).id, submit(actor=BOB).id
    assert ids(reads.page(ANN)) == [own]
    assert ids(reads.page(ANN, owner="bob")) == []
    assert ids(reads.page(EVE)) == []
    assert ids(reads.page(OPS)) == [others, own]
    assert ids(reads.page(OPS, owner="bob")) == [others]


def test_one_task_is_visible_to_its_owner_and_ops():
    task = submit()
    assert reads.visible(ANN, task.id).id == reads.visible(OPS, task.id).id == task.id
    assert reads.visible(BOB, task.id) is None
    assert reads.visible(ANN, "nonsense") is None


def test_several_are_found_in_one_query_without_those_of_others():
    own, others = submit().id, submit(actor=BOB).id
    assert set(reads.several(ANN, [own, others, "nonsense"])) == {own}
    assert reads.several(ANN, []) == {}


def test_filters_by_type_and_state_as_states_are_shown(wall):
    add_type("other")
    succeeded = submit_and_claim()
    lifecycle.settle(succeeded, DONE)
    retrying = submit_and_claim()
    lifecycle.settle(retrying, FAIL)
    scheduled = submit(run_at_ms=NOON_MS + 60_000)
    queued = submit("other")

    def found(*states, **more):
        return ids(reads.page(ANN, states=[TaskState(s) for s in states], **more))

    assert found("succeeded") == [succeeded.id]
    assert found("retrying") == [retrying.id]
    assert found("queued") == [queued.id]
    assert found("queued", "scheduled") == [queued.id, scheduled.id]
    assert found("queued", type_name="job") == []
    wall.advance(10)  # the retry is due, and so it is shown as queued
    assert found("retrying") == []
    assert found("queued") == [queued.id, retrying.id]
    assert {t.document()["state"] for t in reads.page(ANN, states=[TaskState.QUEUED]).items} == {"queued"}
    wall.advance(60)
    assert found("scheduled") == []
    assert found("queued") == [queued.id, scheduled.id, retrying.id]


@pytest.mark.parametrize("cursor", ["", "!", "YWJj", "ü", "x" * 500])
def test_cursor_that_is_not_ours_is_refused(cursor):
    with pytest.raises(InvalidInput) as caught:
        reads.page(ANN, cursor=cursor)
    assert "cursor" in caught.value.fields


def test_cursor_beyond_any_number_is_harmless():
    submit()
    huge = reads._encode(10**40)
    assert len(reads.page(ANN, cursor=huge).items) == 1


@pytest.mark.parametrize(("asked", "given"), [(0, 1), (-5, 1), (501, 500), (10**9, 500)])
def test_page_size_is_bounded(asked, given):
    lifecycle.submit_many(ANN, "job", [{}] * 501)
    assert len(reads.page(ANN, limit=asked).items) == given


def test_in_order_follows_the_ids_given():
    made = lifecycle.submit_many(ANN, "job", [{}] * 600)
    wanted = [made[3], made[599], made[0]]
    assert [t.id for t in reads.in_order(wanted)] == wanted
    assert [t.id for t in reads.in_order(made)] == made


def test_waiting_is_counted_by_type_without_the_excepted():
    add_type("other")
    submit()
    submit("other", run_at_ms=NOON_MS + 1_000)
    lifecycle.settle(submit_and_claim(), DONE)
    assert (reads.n_waiting(), reads.n_waiting("job"), reads.n_waiting("other")) == (2, 1, 1)
    assert reads.n_waiting(None, ["other"]) == 1


def test_timeline_of_a_retried_task_over_time(wall):
    task = submit_and_claim("w1")
    wall.advance(1)
    lifecycle.settle(task, FAIL)
    wall.advance(10)
    lifecycle.settle(claim("w2"), DONE)
    story = [((m.at_ms - NOON_MS) // 1000, m.what, m.who) for m in reads.timeline(task.id)]
    assert story == [
        (0, "queued", "ann"),
        (0, "attempt 1 began", "w1"),
        (1, "attempt 1 failed", "w1"),
        (1, "retrying", "worker"),
        (11, "queued", "clock"),
        (11, "attempt 2 began", "w2"),
        (11, "attempt 2 succeeded", "w2"),
    ]


def test_counts_name_every_state():
    submit()
    submit_and_claim()
    found = reads.counts()
    assert list(found) == list(TaskState)
    assert (found[TaskState.QUEUED], found[TaskState.RUNNING], found[TaskState.FAILED]) == (1, 1, 0)
