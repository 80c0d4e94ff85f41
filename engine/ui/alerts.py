"""Parts of the page of the alerts."""

from collections.abc import Sequence

import streamlit as st

from engine import clock
from engine.queries.alerts import Standing
from engine.services import alerts
from engine.ui import format


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
