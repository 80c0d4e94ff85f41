"""What pages are made of. Every page uses these, so that the same thing looks and behaves the same.

Head of a page
    `head(title, actor)`            title and refresh choice; returns the seconds for `ui.live(every_s=...)`
    `link(page, label, **query)`    a link to a page of the menu with a filter in its address
    `counters([Counter(...)])`      a strip of numbers, each a link to exactly the rows it counted
    `count_line([Counter(...)])`    the same on one line, over a list
Empty states
    `nothing_yet(what, how)`        nothing exists: what will appear here, and how to make it
    `hidden_by_filter(bound)`       rows exist, the filter hides them; prints the bound of the search
    `good_news(text)`               nothing here is good: said in green
Lists
    `pager(cursors, following)`     the way to the page before and the next one
Acting
    `act(verb)`                     run a verb in a callback: its result, or its refusal, becomes a toast
    `confirm(question, ...)`        ask before what cannot be undone; a typed name for purging
Tasks
    `task_table(tasks, ...)`        many tasks; clicking a row returns its id
    `task_line(task)`               one task on one line, linked to its page
    `task_row(task, actor)`         one task with state, progress, download, cancel, again
    `task_buttons(task, actor)`     the buttons its state and the actor's role allow

Times are the viewer's, UTC on hover. Text from outside goes through `format.plain`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pyarrow as pa
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from engine import clock, lifecycle, registry, settings
from engine.errors import OffloadError
from engine.lib import processes
from engine.records.db import LockedOrFull
from engine.records.tasks import Task, links
from engine.ui import format, session, states, toasts, viewer
from engine.words import Actor, Role, TaskState

TABLE_ROW_PX = 36
_PAGES = "_menu"
_QUIET_LINK = "color: inherit; font-size: 0.875rem"


@dataclass(frozen=True)
class Counter:
    """A number that links to the rows it counted: a page of the menu and the filter in its address."""

    label: str
    n: int
    page: str
    query: Mapping[str, str] = field(default_factory=dict)
    mark: str = ""
    """Markdown of a coloured icon."""
    most: int | None = None
    """Where counting stopped."""
    help: str | None = None

    @property
    def number(self) -> str:
        """Return the number as it is written, with a plus where counting stopped."""
        capped = self.most is not None and self.n >= self.most
        return f"{format.count(self.n)}{'+' if capped else ''}"


def head(title: str, actor: Actor, *, note: str = "", live: bool = True) -> float | None:
    """Draw the title and, on pages with live parts, the refresh choice; return its seconds, None for off."""
    toasts.show()
    st.query_params.update({})  # a link to the page one is on leaves the browser's address as it was: say it
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title(title, anchor=False, width="content")
        every_s = viewer.refresh(actor.name) if live else None
    if note:
        st.caption(note)
    return every_s


def counters(items: Sequence[Counter]) -> None:
    """Draw the counter strip of a page that is for watching: a box for each number."""
    with st.grid("auto", min_column_width=124, gap="small") as grid:
        for item in items:
            with grid.cell(), st.container(border=True, gap=None, horizontal_alignment="center"):
                st.subheader(item.number, anchor=False, text_alignment="center")
                label = f"{item.mark} {item.label}".strip()
                link(item.page, label, help=item.help, **item.query)


def count_line(items: Sequence[Counter]) -> None:
    """Draw the counter strip over a list, on one line: the list is what matters there."""
    with st.container(horizontal=True, gap="small"):
        for item in items:
            label = f"{item.mark} {item.number} {item.label}".strip()
            link(item.page, label, help=item.help, **item.query)


def link(page: str, label: str, *, icon: str = "", help: str | None = None, **query: str) -> None:
    """Link to a page of the menu by its name; plain text for who may not see that page.

    The page object is faster than its path, which Streamlit looks up on the disk each time.
    """
    target = st.session_state.get(_PAGES, {}).get(page.removesuffix(".py"))
    if target is None:
        st.markdown(label)
    else:
        st.page_link(target, label=label, icon=icon, help=help, query_params=query)


def remember(pages: Mapping[str, object]) -> None:
    """Keep the pages of this run's menu by name, for `link`."""
    st.session_state[_PAGES] = dict(pages)


def nothing_yet(what: str, how: str, *, icon: str = ":material/inbox:") -> None:
    """Say that nothing exists yet: what will appear here, and how to make it."""
    with st.container(border=True, horizontal_alignment="center", gap="small"):
        st.space("small")
        st.markdown(f"{icon} **{what}**", width="content", text_alignment="center")
        st.caption(how, text_alignment="center")
        st.space("small")


def hidden_by_filter(bound: str) -> None:
    """Say that the filter hides everything there is, and how far was searched."""
    with st.container(border=True, horizontal_alignment="center", gap="small"):
        st.markdown(":material/filter_alt: **Nothing matches this filter**", width="content")
        st.caption(bound, text_alignment="center")


def pager(cursors: list[str | None], following: str | None, *, back: str, on: str) -> None:
    """Draw the way to the page before and the next one; `cursors` is kept in the session's state."""
    with st.container(horizontal=True, horizontal_alignment="right"):
        if len(cursors) > 1:
            st.button(back, icon=":material/chevron_left:", on_click=cursors.__delitem__, args=(-1,))
        if following:
            icon = ":material/chevron_right:"
            st.button(on, icon=icon, icon_position="right", on_click=cursors.append, args=(following,))


def good_news(text: str) -> None:
    """Say in green that there is nothing to do."""
    st.markdown(f":green[:material/check_circle:] :green[{text}]")


def act(verb: Callable[[], str]) -> None:
    """Run a verb that returns what came of it; a refusal becomes a toast as well."""
    try:
        toasts.tell(verb())
    except OffloadError as error:
        toasts.tell(format.plain(error.message), ":material/error:")
    except LockedOrFull:
        toasts.tell("The database is busy or the disk is full. Nothing was changed.", ":material/error:")


def confirm(question: str, text: str, button: str, verb: Callable[[], str], *, typed: str = "") -> None:
    """Ask in a dialog before something that cannot be undone; `typed` must be typed first, if given."""

    @st.dialog(question)
    def ask() -> None:
        st.write(text)
        given = st.text_input(f"Type **{format.plain(typed)}** to confirm") if typed else ""
        with st.container(horizontal=True, horizontal_alignment="right"):
            if st.button("Keep"):
                st.rerun()
            if st.button(button, type="primary", disabled=bool(typed) and given.strip() != typed):
                act(verb)
                st.rerun()

    ask()


def task_table(tasks: Sequence[Task], *, key: str, owners: bool, height: int | None = None) -> str | None:
    """Draw tasks as a table, newest first; return the id of the row that was clicked."""
    now_ms = clock.now_ms()
    looks = [states.look(task.shown_state(now_ms)) for task in tasks]
    columns: dict[str, pa.Array] = {
        "state": pa.array([[look.word] for look in looks], pa.list_(pa.string())),
        "what": pa.array([describe(task) for task in tasks]),
        "progress": pa.array([task.progress if task.attempt else None for task in tasks], pa.int32()),
        "owner": pa.array([task.owner for task in tasks]),
        "created": _moments([task.created_at_ms for task in tasks]),
        "took": pa.array([_took_s(task, now_ms) for task in tasks], pa.float64()),
        "id": pa.array([format.short_id(task.id) for task in tasks]),
    }
    if not owners:
        del columns["owner"]
    event = st.dataframe(
        pa.table(columns),
        key=key,
        hide_index=True,
        row_height=TABLE_ROW_PX,
        height=height or "content",
        column_config=_TASK_COLUMNS | {"created": moment_column(f"Created ({viewer.zone().key})")},
        on_select="rerun",
        selection_mode="single-cell",
        placeholder="",
        alt="Tasks, newest first; choose one to see all of it",
    )
    cells = event.selection.cells
    return tasks[cells[0][0]].id if cells and cells[0][0] < len(tasks) else None


def task_row(task: Task, actor: Actor, *, key: str, kind: bool = True) -> None:
    """Draw one task as a card: what it is, how far it is, and what can be done with it.

    `kind=False` leaves out the type's title, for lists of one type.
    """
    now_ms = clock.now_ms()
    state = task.shown_state(now_ms)
    with st.container(border=True, gap="small", key=f"{key}-{task.id}"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"**{format.plain(describe(task, kind=kind))}**", width="content")
            st.markdown(states.look(state).badge, width="content", help=_state_help(task))
        if state is TaskState.RUNNING:
            st.progress(
                task.progress / 100, f"{task.progress} % · {format.plain(task.progress_note or 'working')}"
            )
        elif task.error_message and state in (TaskState.FAILED, TaskState.RETRYING, TaskState.EXPIRED):
            st.markdown(f":red[:small[{format.plain(format.sentence(task.error_message))}]]")
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.caption(progress_line(task, now_ms), width="content")
            with st.container(horizontal=True, width="content", gap="small", vertical_alignment="center"):
                task_buttons(task, actor, key=key)


def task_line(task: Task) -> None:
    """Draw one task on one line, linked to its page, with its progress or its error below."""
    now_ms = clock.now_ms()
    state = task.shown_state(now_ms)
    label = f"{states.look(state).mark} {format.plain(describe(task))}"
    with st.container(border=True, gap="xxsmall"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            link("tasks", label, id=task.id)
            st.caption(f"{format.plain(task.owner)} · {progress_line(task, now_ms)}", width="content")
        if state is TaskState.RUNNING:
            st.progress(
                task.progress / 100, f"{task.progress} % · {format.plain(task.progress_note or 'working')}"
            )
        elif task.error_message:
            st.markdown(f":red[:small[{format.plain(format.sentence(task.error_message[:200]))}]]")


def who(actor: Actor) -> None:
    """Draw who is signed in, at which installation, and the way out."""
    name = urlsplit(settings.get().public_url).hostname or processes.host()
    st.space("small")
    st.caption(
        f":material/account_circle: **{format.plain(actor.name)}** · {actor.role}  \n"
        f":material/lan: {format.plain(name)}"
    )
    # A link of Markdown would open a second tab and leave this one behind, signed out.
    st.html(f'<a href="{session.LOGOUT_PATH}" target="_self" style="{_QUIET_LINK}">Sign out</a>')


def task_buttons(task: Task, actor: Actor, *, key: str, details: bool = True) -> None:
    """Draw the buttons that the state of a task and the role of the actor allow."""
    if task.type == "report" and task.state is TaskState.SUCCEEDED:
        _file_buttons(task, actor, key)
    if lifecycle.may_cancel(actor, task):
        asked = task.cancel_requested_at_ms is not None
        st.button(
            "Stopping" if asked else "Cancel",
            key=f"{key}-cancel-{task.id}",
            icon=":material/stop_circle:",
            disabled=asked,
            on_click=act,
            args=(lambda: cancel(actor, task.id),),
        )
    if lifecycle.may_retry(actor, task):
        st.button(
            "Run again",
            key=f"{key}-retry-{task.id}",
            icon=":material/replay:",
            on_click=act,
            args=(lambda: retry(actor, task.id),),
        )
    if details:
        link("tasks", "Details", icon=":material/chevron_right:", id=task.id)


def _file_buttons(task: Task, actor: Actor, key: str) -> None:
    result = json.loads(task.result or "{}")
    kept = (result.get("expires_at") or "") > (clock.iso(clock.now_ms()) or "")
    if actor.role.includes(Role.STAFF) and actor.name == task.owner:
        st.button(
            "Again",
            key=f"{key}-again-{task.id}",
            icon=":material/replay:",
            type="tertiary",
            help="Order the same once more",
            on_click=act,
            args=(lambda: again(actor, task),),
        )
    if kept:
        # The route checks the owner; media of Streamlit's own do not.
        pdf = links(task.id, task.type)["pdf"]
        st.link_button("Download", pdf, icon=":material/download:", type="primary")
    else:
        st.caption("The file is not kept any more.", width="content")


def again(actor: Actor, task: Task) -> str:
    """Submit the same once more, as a new task that names the first."""
    lifecycle.submit(actor, task.type, json.loads(task.payload), parent_id=task.id)
    return "Ordered again."


def cancel(actor: Actor, task_id: str) -> str:
    """Cancel a task and say who won."""
    won = lifecycle.cancel(actor, task_id).outcome
    return {
        "cancelled": "Cancelled before it began.",
        "requested": "Asked to stop; it ends in a moment.",
        "ended": "It had ended already; nothing was changed.",
    }[won]


def retry(actor: Actor, task_id: str) -> str:
    """Put an ended task into the queue again and say so."""
    lifecycle.retry(actor, task_id)
    return "In the queue again, under the same id."


def describe(task: Task, *, kind: bool = True) -> str:
    """Say in a few words what a task is: its type's title, unless `kind` is false, and what it is about."""
    known = registry.find(task.type)
    if known is None:
        return task.type.replace("_", " ").capitalize()
    try:
        about = known.describe(known.parse(task.payload)) if known.describe else ""
    except OffloadError:
        about = ""
    if not about:
        return known.title
    return f"{known.title}: {about}" if kind else about


def progress_line(task: Task, now_ms: int) -> str:
    """Say how long a task has been running, or when it ended and how long it took, or when it was made."""
    took = _took_s(task, now_ms)
    if took is not None and not task.state.ended:
        return f"for {format.duration(took * 1000)}"
    made = format.relative(task.finished_at_ms or task.created_at_ms, now_ms)
    return made if took is None else f"{made} · took {format.duration(took * 1000)}"


def moment_column(label: str) -> ColumnConfig:
    """Return the column setting for points in time: the viewer's zone, to the second."""
    return st.column_config.DatetimeColumn(label, format="D MMM, HH:mm:ss", timezone=viewer.zone().key)


def result_of(task: Task) -> object:
    """Return a task's result as it is shown, or None."""
    return json.loads(task.result) if task.result else None


def _state_help(task: Task) -> str | None:
    return f"Attempt {task.attempt} of {task.max_attempts}" if task.attempt > 1 else None


def _took_s(task: Task, now_ms: int) -> float | None:
    if task.started_at_ms is None:
        return None
    return max(0, (task.finished_at_ms or now_ms) - task.started_at_ms) / 1000


def _moments(values: Sequence[int | None]) -> pa.Array:
    return pa.array(values, pa.int64()).cast(pa.timestamp("ms", "UTC"))


_TASK_COLUMNS: dict[str, ColumnConfig] = {
    "state": st.column_config.MultiselectColumn(
        "State",
        width=104,
        options=[look.word for look in states.LOOKS.values()],
        color=[look.color for look in states.LOOKS.values()],
    ),
    "what": st.column_config.TextColumn("Task", width=250),
    "progress": st.column_config.ProgressColumn(
        "Progress", format="%d %%", min_value=0, max_value=100, width=116
    ),
    "owner": st.column_config.TextColumn("Owner", width=90),
    "took": st.column_config.NumberColumn("Took", format="%.2f s", width=76),
    "id": st.column_config.TextColumn(
        "Id", width=84, help="The end of the id; the task's page shows all of it"
    ),
}
