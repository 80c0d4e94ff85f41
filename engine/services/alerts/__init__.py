"""Alerts: rules that are evaluated on the beat, what they open and clear, and who is told."""

from engine.records.alerts import EVERY_MS
from engine.services.alerts.acts import RuleFields, acknowledge, mute, remove, save
from engine.services.alerts.events import WHY, Happened, tell
from engine.services.alerts.measures import (
    MEASURES,
    alarm_of,
    exact,
    figure,
    in_unit,
    in_words,
    measure,
    side,
)
from engine.services.alerts.watch import BUDGET_S, DEFAULTS, KEEP_MS, LATE_MS, QUIET_MS, beat

__all__ = [
    "BUDGET_S",
    "DEFAULTS",
    "EVERY_MS",
    "KEEP_MS",
    "LATE_MS",
    "MEASURES",
    "QUIET_MS",
    "WHY",
    "Happened",
    "RuleFields",
    "acknowledge",
    "alarm_of",
    "beat",
    "exact",
    "figure",
    "in_unit",
    "in_words",
    "measure",
    "mute",
    "remove",
    "save",
    "side",
    "tell",
]
