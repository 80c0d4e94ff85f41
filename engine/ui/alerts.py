"""Parts of the page of the alerts: the rules, and how each stands."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from engine import clock
from engine.queries.alerts import Standing
from engine.services import alerts
from engine.ui import format, viewer, widgets

MARKS: Mapping[str, str] = {
    "Alert": ":red[:material/error:]",
    "Muted": ":gray[:material/notifications_off:]",
    "Good": ":green[:material/check_circle:]",
    "Off": ":gray[:material/block:]",
}
"""How a rule stands, each rule in one of these; a muted one whose alert is open is an alert."""


def state_of(standing: Standing) -> str:
    """Say how a rule stands: a key of `MARKS`."""
    if not standing.rule.enabled:
        return "Off"
    return "Alert" if standing.open else "Muted" if is_muted(standing) else "Good"


def counters(standings: Sequence[Standing]) -> None:
    """Draw how many rules stand how, each number a link to these rules."""
    n = Counter(state_of(standing) for standing in standings)
    widgets.count_line(
        [widgets.Counter(state, n[state], "alerts", {"state": state}, mark) for state, mark in MARKS.items()]
    )


def say_if_late(standings: Sequence[Standing]) -> None:
    """Say that rules wait for their evaluation for longer than they should."""
    now_ms = clock.now_ms()
    late_ms = [ms for standing in standings if (ms := standing.late_ms(now_ms)) > alerts.LATE_MS]
    if late_ms:
        st.warning(
            f"{format.plural(len(late_ms), 'rule')} evaluated late, overdue by up to "
            f"{format.duration(max(late_ms))}: no worker runs, or there are more rules with wide windows "
            "than there is time for.",
            icon=":material/hourglass_bottom:",
        )


def is_muted(standing: Standing) -> bool:
    """Tell whether nobody hears of the rule's alerts now."""
    return (standing.muted_until_ms or 0) > clock.now_ms()


def rule_card(standing: Standing, buttons: Callable[[Standing], None] | None) -> None:
    """Draw a rule with where it stands, and what may be done with it."""
    rule = standing.rule
    mark = MARKS[state_of(standing)]
    alarm = format.plain(f"alarm {alerts.alarm_of(rule)}")
    unheard = " · off" if not rule.enabled else " · muted" if is_muted(standing) else ""
    with st.expander(f"{mark} {format.plain(rule.title)} · {alarm}{unheard}", key=f"rule-{rule.id}"):
        value = format.DASH
        if standing.value is not None:
            value = alerts.in_unit(rule, alerts.figure(standing.value))
        st.caption(
            f"{format.plain(alerts.in_words(rule))}; now {value}, "
            f"n = {format.count(standing.n)}, {viewer.when(standing.evaluated_at_ms)}"
        )
        if buttons:
            buttons(standing)
