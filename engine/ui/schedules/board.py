"""Schedules on the screen: the list with its strips, and one schedule with everything about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import streamlit as st

from engine import clock, registry
from engine.errors import InvalidInput
from engine.lib import cron
from engine.lib.cron.words import describe
from engine.queries.schedules import STATUSES, Listed, Occurrence, Stats, percentile
from engine.records.schedules import Schedule
from engine.services import schedules
from engine.ui import format, viewer, widgets
from engine.words import Actor, Role

PAGE = "schedules.py"


@dataclass(frozen=True)
class Look:
    """How the status of an occurrence is shown: a word, a sign and a colour, never the colour alone."""

    word: str
    sign: str
    color: str

    @property
    def mark(self) -> str:
        return f":{self.color}[{self.sign}]"


LOOKS: Mapping[str, Look] = {
    "on_time": Look("On time", "●", "green"),
    "late": Look("Late", "◐", "orange"),
    "caught_up": Look("Caught up", "◑", "blue"),
    "failed": Look("Failed", "✕", "red"),
    "cancelled": Look("Cancelled", "○", "gray"),
    "skipped": Look("Skipped", "◇", "gray"),
    "overlapped": Look("Overlapped", "≡", "violet"),
    "waiting": Look("Waiting", "◌", "primary"),
}


def counters(counts: Mapping[str, int]) -> None:
    """Draw how many schedules run by themselves and how many are paused, each a link to these."""
    active, paused = ":green[:material/event_repeat:]", ":gray[:material/pause:]"
    widgets.count_line(
        [
            widgets.Counter("Active", counts["enabled"], "schedules", {"state": "Active"}, active),
            widgets.Counter("Paused", counts["paused"], "schedules", {"state": "Paused"}, paused),
        ]
    )


def row(item: Listed, actor: Actor) -> None:
    """Draw one schedule of the list as a card."""
    schedule = item.schedule
    with st.container(border=True, gap="xxsmall", key=f"schedule-{schedule.id}"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.page_link(PAGE, label=f"**{format.plain(schedule.name)}**", query_params={"id": schedule.id})
            with st.container(horizontal=True, width="content", gap="small"):
                buttons(schedule, actor, key="row")
        owner = f" · {format.plain(schedule.owner)}" if actor.role.includes(Role.OPS) else ""
        st.caption(
            f"{format.plain(sentence(schedule))} ({schedule.zone}) · "
            f"{format.plain(title_of(schedule.type))}{owner}"
        )
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(plan(schedule), width="content", help=format.utc(schedule.next_at_ms))
            st.markdown(strip(item.strip), width="content", help=legend(item.strip))


def head(schedule: Schedule, actor: Actor) -> None:
    """Draw what one schedule is, when it runs next, and its buttons."""
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.subheader(format.plain(schedule.name), anchor=False, width="content")
            with st.container(horizontal=True, width="content", gap="small"):
                buttons(schedule, actor, key="one")
        st.markdown(f"{format.plain(sentence(schedule))} · `{schedule.cron}` · {schedule.zone}")
        st.markdown(plan(schedule), help=format.utc(schedule.next_at_ms))
        st.caption(
            f"{format.plain(title_of(schedule.type))} for {format.plain(schedule.owner)}: {stamp(schedule)}"
        )
        if schedule.note:
            st.caption(format.plain(schedule.note))
        if schedule.system:
            st.caption(":material/shield: Belongs to the installation; it cannot be removed.")


def plan(schedule: Schedule) -> str:
    """Say when a schedule runs next, or why it does not."""
    if not schedule.enabled:
        return ":gray-badge[:material/pause: Paused]"
    if schedule.next_at_ms is None:
        return ":gray-badge[:material/event_busy: Over]"
    return f":material/schedule: {viewer.when(schedule.next_at_ms)}"


def strip(occurrences: Sequence[Occurrence]) -> str:
    """Draw the last occurrences as a row of signs, oldest first."""
    if not occurrences:
        return ":gray[has not run yet]"
    return "".join(LOOKS[o.status].mark for o in occurrences)


def legend(occurrences: Sequence[Occurrence]) -> str:
    """Say in words what a strip shows."""
    counted = [(LOOKS[s], sum(o.status == s for o in occurrences)) for s in STATUSES]
    parts = [f"{look.mark} {look.word}: {n}" for look, n in counted if n]
    return f"Last {len(occurrences)} due times, newest on the right. " + ", ".join(parts)


def sentence(schedule: Schedule) -> str:
    """Describe a schedule's rule in words."""
    try:
        return describe(cron.validate(schedule.cron))
    except InvalidInput:
        return schedule.cron


def title_of(type_name: str) -> str:
    kind = registry.find(type_name)
    return kind.title if kind else type_name


def buttons(schedule: Schedule, actor: Actor, *, key: str) -> None:
    """Draw what can be done at once and taken back: pause, resume, run now."""
    if not actor.role.includes(Role.STAFF):
        return
    if schedule.enabled:
        _button("Pause", "pause", schedule, key, lambda: _paused(actor, schedule))
    else:
        _button("Resume", "play_arrow", schedule, key, lambda: _resumed(actor, schedule))
    _button("Run now", "bolt", schedule, key, lambda: _run(actor, schedule))


def remove_button(schedule: Schedule, actor: Actor) -> None:
    """Draw the button that asks before it removes a schedule."""
    if schedule.system or not actor.role.includes(Role.STAFF):
        return
    if st.button("Remove", icon=":material/delete:", key=f"remove-{schedule.id}"):
        _ask_remove(schedule, actor)


def occurrence_table(occurrences: Sequence[Occurrence], key: str) -> None:
    """Draw what came of each due time; choosing a row opens its task."""
    documents = [o.document() for o in occurrences]
    table = pa.table(
        {
            "due": pa.array([o.due_at_ms for o in occurrences], pa.int64()).cast(pa.timestamp("ms", "UTC")),
            "status": [f"{LOOKS[o.status].sign} {LOOKS[o.status].word}" for o in occurrences],
            "late": [format.duration(d["late_ms"]) for d in documents],
            "took": [format.duration(o.duration_ms) for o in occurrences],
            "reason": [o.reason for o in occurrences],
        }
    )
    event = st.dataframe(
        table,
        key=key,
        hide_index=True,
        column_config={
            "due": widgets.moment_column(f"Due ({viewer.zone().key})"),
            "status": "Status",
            "late": "Started after",
            "took": "Took",
            "reason": "Why",
        },
        on_select="rerun",
        selection_mode="single-row",
    )
    chosen = event.selection.rows
    if chosen and chosen[0] < len(occurrences) and (task_id := occurrences[chosen[0]].task_id):
        st.page_link(
            "tasks.py",
            label="Open the task of this run",
            query_params={"id": task_id},
            icon=":material/checklist:",
        )


def figures(found: Stats) -> None:
    """Draw expected against actual of one schedule."""
    counted = [(LOOKS[s], found.by_status.get(s, 0)) for s in STATUSES]
    with st.grid("auto", min_column_width=120, gap="small") as grid:
        for label, text in (
            ("Expected", format.count(found.expected)),
            *((f"{look.mark} {look.word}", format.count(n)) for look, n in counted if n),
            ("Succeeded", format.percent(found.success_rate)),
            ("p50", format.duration(percentile(found.durations, 0.5))),
            ("p95", format.duration(percentile(found.durations, 0.95))),
            ("By hand", format.count(found.n_manual)),
        ):
            with grid.cell():
                st.metric(label, text, border=True)


def history(changes: Sequence[Mapping[str, Any]]) -> None:
    """Draw what was changed, newest first."""
    for change in changes:
        detail = change["detail"]
        fields = ", ".join(
            f"{name}: {before} → {after}"
            for name, pair in detail.items()
            if isinstance(pair, list) and len(pair) == 2
            for before, after in [pair]
        )
        line = f"{change['at'][:19].replace('T', ' ')} UTC · {change['actor']} · {change['action']}"
        st.caption(format.plain(f"{line} · {fields}" if fields else line))


def stamp(schedule: Schedule) -> str:
    """Return the facts of a schedule that its other parts do not show, as one line."""
    rules = {
        "skip": "missed runs are skipped",
        "last": "the last missed run is made up",
        "all": f"up to {schedule.catch_up_max} missed runs are made up",
    }
    overlaps = {
        "allow": "runs may overlap",
        "skip": "skips while the run before goes on",
        "queue": "waits for the run before",
    }
    parts = [rules[schedule.catch_up], overlaps[schedule.overlap]]
    if schedule.jitter_s:
        parts.append(f"starts spread over {format.duration(schedule.jitter_s * 1000)}")
    for word, at_ms in (("from", schedule.starts_at_ms), ("until", schedule.ends_at_ms)):
        if at_ms is not None:
            parts.append(f"{word} {format.moment(at_ms, viewer.zone())}")
    return ", ".join(parts)


def remove(actor: Actor, schedule: Schedule, waiting: Any) -> str:
    """Remove a schedule and say what became of its waiting tasks."""
    done = schedules.remove(actor, schedule.id, waiting=waiting)
    cancelled = f" {format.plural(done.n_cancelled, 'waiting task')} cancelled." if done.n_cancelled else ""
    return f"Removed {format.plain(schedule.name)}.{cancelled}"


def _button(label: str, icon: str, schedule: Schedule, key: str, verb: Any) -> None:
    st.button(
        label,
        key=f"{key}-{icon}-{schedule.id}",
        icon=f":material/{icon}:",
        on_click=widgets.act,
        args=(verb,),
    )


def _paused(actor: Actor, schedule: Schedule) -> str:
    schedules.pause(actor, schedule.id)
    return f"Paused {format.plain(schedule.name)}."


def _resumed(actor: Actor, schedule: Schedule) -> str:
    after = schedules.resume(actor, schedule.id)
    return f"Resumed; next run {format.relative(after.next_at_ms, clock.now_ms())}."


def _run(actor: Actor, schedule: Schedule) -> str:
    task = schedules.run_now(actor, schedule.id)
    return f"Task {format.short_id(task.id)} is in the queue. The plan does not move."


@st.dialog("Remove this schedule?")
def _ask_remove(schedule: Schedule, actor: Actor) -> None:
    st.write(
        f"**{format.plain(schedule.name)}** will not run again. Its history and past runs stay until "
        "the clean-up. This cannot be undone."
    )
    cancel = st.radio(
        "Its tasks that have not begun",
        ["keep", "cancel"],
        format_func={"keep": "run as planned", "cancel": "are cancelled"}.__getitem__,
    )
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Keep"):
            st.rerun()
        if st.button("Remove schedule", type="primary"):
            widgets.act(lambda: remove(actor, schedule, cancel))
            st.query_params.pop("id", None)
            st.rerun()
