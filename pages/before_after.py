"""Before and after: did it become faster? One route around a moment, or two routes beside each other."""

from datetime import datetime, timedelta

import streamlit as st

from engine import clock
from engine.queries import performance
from engine.ui import comparison, narrowing, ordered, session, suggestions, viewer, widgets

MODES = ("Around a moment", "Two routes")
ORDERED = "before-after-pdf"

actor = session.signed_in()
widgets.head(
    "Before and after",
    actor,
    live=False,
    note="Compares two distributions and says whether the difference is more than noise.",
)


def narrowed(selection: performance.Selection, label: str) -> performance.Selection:
    """Return the selection of one route; its label comes from the list of those that were recorded."""
    return performance.narrowed(selection, label) or selection.only(label)


def window(chosen: dict) -> performance.Selection:
    return narrowing.selection(chosen["period"], kind=chosen["kind"], service=chosen["service"])


def moment(selection: performance.Selection) -> int:
    """Draw the choice of a moment: a deploy mark, or a time of one's own; return it in ms."""
    zone = viewer.zone()
    marks = performance.deploys(selection).to_pylist()[::-1]
    words = {suggestions.deploy(m["service"], m["version"], m["at"], zone): m["at"] for m in marks}
    chosen = st.selectbox("Moment", [*words, "Another moment"], key="moment", width=420)
    if chosen in words:
        return clock.to_ms(words[chosen])
    middle = clock.from_ms((selection.start_ms + selection.end_ms) // 2).astimezone(zone)
    with st.container(horizontal=True):
        day = st.date_input("Day", middle.date(), key="day", width=200)
        time = st.time_input("Time", middle.time(), key="time", step=timedelta(minutes=1), width=200)
    return clock.to_ms(datetime.combine(day, time, tzinfo=zone))


def pdf_button(selection: performance.Selection, **what: str | None) -> None:
    """Draw the button that orders exactly what is shown as a report."""
    window = {"start": clock.iso(selection.start_ms), "end": clock.iso(selection.end_ms)}
    scope = {"kind": selection.kind, "service": selection.service or "", "zone": viewer.zone().key}
    ordered.button(actor, "before_after", {**scope, **window, **what}, key=ORDERED)


def around(chosen: dict, labels: list[str]) -> None:
    route = st.selectbox("Route", labels, key="around", bind="query-params", width=420)
    selection = narrowed(window(chosen), route)
    at_ms = moment(selection)
    found = performance.around(selection, at_ms)
    comparison.draw(found, lambda: pdf_button(selection, route=route, moment=clock.iso(at_ms)))


def two(chosen: dict, labels: list[str]) -> None:
    left, right = st.columns(2)
    first = left.selectbox("Before: the route as it was", labels, key="first", bind="query-params")
    second = right.selectbox(
        "After: its replacement", labels, index=min(1, len(labels) - 1), key="second", bind="query-params"
    )
    selection = window(chosen)
    found = performance.compare(narrowed(selection, first), narrowed(selection, second), first, second)
    comparison.draw(found, lambda: pdf_button(selection, route=first, replacement=second))


chosen = narrowing.filters(routes=False)
labels = suggestions.routes(chosen["period"], chosen["kind"], chosen["service"])
if not labels:
    widgets.nothing_yet(
        "Nothing was recorded for this choice",
        "Choose another service or kind, or run `./offload demo` to see two routes compared.",
        icon=":material/compare_arrows:",
    )
else:
    mode = st.segmented_control(
        "Compare", MODES, default=MODES[0], required=True, key="mode", bind="query-params"
    )
    (two if mode == MODES[1] else around)(chosen, labels)
    ordered.follow(actor, key=ORDERED)
