"""Alerts: what needs attention now, the rules that watch, and what was."""

from dataclasses import replace

import pyarrow as pa
import streamlit as st

from engine import clock, ui
from engine.queries import alerts as reads
from engine.records.alerts import Rule
from engine.services import alerts
from engine.ui import alerts as parts
from engine.ui import edge, format, session, viewer, widgets
from engine.words import Role

HOUR_MS = 3_600_000
HISTORY = 100

actor = session.signed_in()
every_s = widgets.head("Alerts", actor)


def look_after(alert_id: int) -> str:
    alerts.acknowledge(actor, alert_id)
    return "You look after it."


def mute(rule_id: str, hours: int) -> str:
    alerts.mute(actor, rule_id, clock.now_ms() + hours * HOUR_MS if hours else None)
    return f"Nobody is told for {hours} h." if hours else "People are told again."


def switch(rule: Rule) -> str:
    alerts.save(actor, replace(rule, enabled=not rule.enabled))
    return "The rule is off." if rule.enabled else "The rule is on."


def change(rule: Rule, threshold: float) -> str:
    changed = replace(rule, threshold=threshold)
    alerts.save(actor, changed)
    return f"{rule.title}: alarm {alerts.alarm_of(changed)}."


@ui.live(every_s=every_s)
def now() -> None:
    found = edge.load("alerts", reads.opened)
    if not found:
        widgets.good_news("Nothing needs attention")
    for alert in found:
        with st.container(border=True, gap="xsmall"):
            st.markdown(f":red[:material/notifications_active:] **{format.plain(alert.title)}**")
            st.markdown(format.plain(alert.message))
            by = f" · {format.plain(alert.acknowledged_by)} looks after it" if alert.acknowledged_by else ""
            st.caption(f"since {viewer.when(alert.opened_at_ms)}{by}", help=format.utc(alert.opened_at_ms))
            if actor.role.includes(Role.STAFF) and not alert.acknowledged_by:
                st.button(
                    "I look after it",
                    key=f"ack-{alert.id}",
                    on_click=widgets.act,
                    args=(lambda alert=alert: look_after(alert.id),),
                )


def rules() -> None:
    st.subheader("Rules", anchor=False)
    standings = reads.standings()
    parts.say_if_late(standings)
    state = st.pills("State", list(parts.MARKS), key="state", bind="query-params")
    parts.counters(standings)
    shown = [standing for standing in standings if state in (None, parts.state_of(standing))]
    for standing in shown:
        parts.rule_card(standing, buttons if actor.role.includes(Role.OPS) else None)
    if state and not shown:
        widgets.hidden_by_filter(f"All {format.plural(len(standings), 'rule')} were searched.")


def buttons(standing: reads.Standing) -> None:
    rule, muted = standing.rule, parts.is_muted(standing)
    unit = alerts.measure(rule.measure).unit
    with st.container(horizontal=True, vertical_alignment="bottom"):
        limit = st.number_input(
            f"Alarm {alerts.side(rule)}" + (f" ({unit})" if unit else ""),
            value=float(rule.threshold),
            format="%.12g",
            key=f"at-{rule.id}",
            width=160,
        )
        verbs = {
            "Save": lambda: change(rule, limit),
            "Unmute" if muted else "Mute 8 h": lambda: mute(rule.id, 0 if muted else 8),
            "Switch off" if rule.enabled else "Switch on": lambda: switch(rule),
        }
        for label, verb in verbs.items():
            st.button(label, key=f"{label}-{rule.id}", on_click=widgets.act, args=(verb,))


def history() -> None:
    st.subheader("History", anchor=False)
    past = reads.history(limit=HISTORY)
    if not past:
        st.caption("No alert yet.")
        return
    moments = {"Opened": [a.opened_at_ms for a in past], "Cleared": [a.cleared_at_ms for a in past]}
    columns = {name: pa.array(at, pa.int64()).cast(pa.timestamp("ms", "UTC")) for name, at in moments.items()}
    columns |= {"Alert": [a.title for a in past]}
    columns |= {"Why it cleared": [alerts.WHY.get(a.cleared_reason, format.DASH) for a in past]}
    columns |= {"Looked after by": [a.acknowledged_by or format.DASH for a in past]}
    # The longest stands last: what does not fit is its end, not another column.
    columns |= {"What": [a.message for a in past]}
    config = {name: widgets.moment_column(f"{name} ({viewer.zone().key})") for name in moments}
    st.dataframe(
        pa.table(columns), hide_index=True, column_config=config, key="history", placeholder=format.DASH
    )
    st.caption(f"The last {HISTORY}; kept 13 months.")


now()
rules()
history()
