"""One colour, one icon and one word per task state, on every screen and in every chart.

Colours are names of the theme (`.streamlit/config.toml`), so they follow light and dark; the hex value is for
charts, chosen to be readable on both. Never colour alone: the icon and the word go with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from engine.words import Outcome, TaskState

Color = Literal["red", "orange", "yellow", "blue", "green", "violet", "gray", "primary"]


@dataclass(frozen=True)
class Look:
    """How a state is shown."""

    word: str
    icon: str
    color: Color
    hex: str

    @property
    def badge(self) -> str:
        """Return Markdown for a badge."""
        return f":{self.color}-badge[{self.icon} {self.word}]"

    @property
    def mark(self) -> str:
        """Return Markdown for the coloured icon alone, to stand before its word."""
        return f":{self.color}[{self.icon}]"


LOOKS: Mapping[TaskState, Look] = {
    TaskState.RUNNING: Look("Running", ":material/play_circle:", "blue", "#3F82EE"),
    TaskState.QUEUED: Look("Queued", ":material/hourglass_top:", "primary", "#1593AB"),
    TaskState.SCHEDULED: Look("Scheduled", ":material/event:", "violet", "#8E6CEB"),
    TaskState.RETRYING: Look("Retrying", ":material/autorenew:", "orange", "#E57F24"),
    TaskState.SUCCEEDED: Look("Succeeded", ":material/check_circle:", "green", "#2FA866"),
    TaskState.FAILED: Look("Failed", ":material/error:", "red", "#E0525B"),
    TaskState.CANCELLED: Look("Cancelled", ":material/cancel:", "gray", "#8594A3"),
    TaskState.EXPIRED: Look("Expired", ":material/timer_off:", "yellow", "#C9992A"),
}
"""In the order people look for them: what happens now first."""

OUTCOMES: Mapping[Outcome, Look] = {
    Outcome.SUCCEEDED: LOOKS[TaskState.SUCCEEDED],
    Outcome.FAILED: LOOKS[TaskState.FAILED],
    Outcome.TIMED_OUT: Look("Timed out", ":material/timer_off:", "red", "#E0525B"),
    Outcome.CANCELLED: LOOKS[TaskState.CANCELLED],
    Outcome.INTERRUPTED: Look("Interrupted", ":material/pause_circle:", "orange", "#E57F24"),
    Outcome.DIED: Look("Worker died", ":material/dangerous:", "red", "#E0525B"),
    Outcome.DEFERRED: Look("Deferred", ":material/schedule:", "violet", "#8E6CEB"),
}


def look(state: TaskState | str) -> Look:
    """Return how a task state is shown."""
    return LOOKS[TaskState(state)]


def outcome_look(outcome: str | None) -> Look:
    """Return how the outcome of an attempt is shown; None means that it goes on."""
    return OUTCOMES[Outcome(outcome)] if outcome else LOOKS[TaskState.RUNNING]
