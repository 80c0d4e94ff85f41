"""What the Overview counts."""

from engine import clock, lifecycle, tasks
from engine.queries import overview
from engine.queries import tasks as lists
from engine.words import Actor, Role, TaskState

ADA, BOB, OPS = Actor("ada", Role.OPS), Actor("bob", Role.OPS), Actor("grace", Role.OPS)
HOUR_MS = 3_600_000


def submit(actor, **options):
    tasks.load()
    return lifecycle.submit(actor, "probe", {}, **options).task


def test_counts_equal_the_rows_their_link_lists(data_dir, wall):
    for _ in range(3):
        submit(ADA)
    submit(ADA, run_at_ms=clock.now_ms() + HOUR_MS)
    lifecycle.cancel(ADA, submit(BOB).id)
    tally = overview.tally(OPS)
    listed = {state: len(lists.page(OPS, states=[state]).items) for state in TaskState}
    assert tally.n == listed
    assert (tally.n[TaskState.QUEUED], tally.n[TaskState.SCHEDULED], tally.n[TaskState.CANCELLED]) == (
        3,
        1,
        1,
    )
    assert tally.total == 5
    assert not tally.capped


def test_what_has_become_due_counts_as_queued(data_dir, wall):
    submit(ADA, run_at_ms=clock.now_ms() + HOUR_MS)
    wall.advance(2 * HOUR_MS / 1000)
    for who in (OPS, Actor("ada", Role.STAFF)):
        assert overview.tally(who).n[TaskState.QUEUED] == 1
        assert overview.tally(who).n[TaskState.SCHEDULED] == 0


def test_staff_count_their_own_work_only(data_dir):
    submit(ADA)
    submit(BOB)
    assert overview.tally(Actor("ada", Role.STAFF)).total == 1
    assert overview.tally(OPS).total == 2


def test_a_count_stops_at_the_bound_and_says_so(data_dir, monkeypatch):
    monkeypatch.setattr(overview, "COUNTED", 2)
    for _ in range(3):
        submit(ADA)
    assert overview.tally(OPS).n[TaskState.QUEUED] == 2
    assert overview.tally(OPS).capped


def test_ended_tasks_are_counted_by_hour_with_a_row_for_each_quiet_hour(data_dir, wall):
    start = clock.now_ms() - clock.now_ms() % HOUR_MS
    lifecycle.cancel(ADA, submit(ADA).id)
    wall.advance(2 * HOUR_MS / 1000)
    lifecycle.cancel(ADA, submit(ADA).id)
    lifecycle.cancel(ADA, submit(ADA).id)
    rows = overview.ended(since_ms=start, bucket_ms=HOUR_MS)
    assert rows.column("cancelled").to_pylist() == [1, 0, 2]
    assert rows.column("succeeded").to_pylist() == [0, 0, 0]
    assert [at.timestamp() * 1000 for at in rows.column("at").to_pylist()] == [
        start,
        start + HOUR_MS,
        start + 2 * HOUR_MS,
    ]


def test_nothing_ended_is_no_rows(data_dir):
    submit(ADA)
    assert overview.ended(since_ms=0, bucket_ms=HOUR_MS).num_rows == 0


def test_tasks_of_one_type_or_owner_are_counted_alone(data_dir):
    submit(ADA)
    submit(BOB)
    lifecycle.submit(ADA, "report", {"report": "performance_summary", "params": {}})

    def queued(actor, **narrowed):
        return overview.tally(actor, **narrowed).n[TaskState.QUEUED]

    staff = Actor("ada", Role.STAFF)
    assert [queued(OPS, type_name="probe"), queued(OPS, owner="ada"), queued(OPS)] == [2, 2, 3]
    assert queued(OPS, type_name="probe", owner="ada") == 1
    assert [queued(staff, type_name="probe"), queued(staff, owner="bob")] == [1, 2]  # never those of others


def test_beyond_the_newest_every_count_is_a_lower_bound(data_dir, monkeypatch):
    monkeypatch.setattr(overview, "NEWEST", 2)
    for _ in range(3):
        submit(ADA)
    tally = overview.tally(OPS, type_name="probe")
    assert (tally.n[TaskState.QUEUED], tally.most) == (2, 0)
    assert overview.tally(OPS, type_name="report").most == 2
