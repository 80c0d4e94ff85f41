"""Many schedules at once: paste or upload, look at every row, then store all or none."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import streamlit as st

from engine import settings
from engine.errors import OffloadError
from engine.services import schedules
from engine.services.schedules.drafts import Checked
from engine.ui import format, forms, viewer, widgets
from engine.words import Actor

EXAMPLE = """name,cron,zone,type,payload.report,overlap
Morning report,0 7 * * mon-fri,Europe/Berlin,report,performance_summary,skip
Weekly report,0 6 * * mon,Europe/Berlin,report,performance_summary,allow
"""


def draw(actor: Actor) -> None:
    """Draw the batch form with a preview of every row."""
    st.caption(
        f"Up to {settings.get().schedule_batch_rows} rows as CSV with a heading, or a JSON array. "
        "All rows are checked first; they are stored together, or not at all."
    )
    file = st.file_uploader("File", type=["csv", "json", "txt"], key="batch-file")
    text = st.text_area("Or paste rows", key="batch-text", height=160, placeholder=EXAMPLE)
    data = file.getvalue() if file is not None else text
    if not data.strip():
        st.download_button("Example", EXAMPLE, "schedules.csv", "text/csv", icon=":material/download:")
        return
    try:
        rows = schedules.read_rows(data)
        checked = schedules.check_many(actor, rows)
    except OffloadError as error:
        st.error(format.plain(error.message), icon=":material/error:")
        return
    n_wrong = sum(bool(found.faults) for found in checked)
    _summary(len(rows), n_wrong)
    _table(rows, checked)
    st.button(
        f"Create {format.plural(len(rows), 'schedule')}",
        type="primary",
        disabled=n_wrong > 0,
        icon=":material/playlist_add:",
        on_click=widgets.act,
        args=(lambda: _store(actor, rows),),
    )


def _summary(n_rows: int, n_wrong: int) -> None:
    if n_wrong:
        st.error(
            f"{n_wrong} of {format.plural(n_rows, 'row')} must be mended first; nothing is stored.",
            icon=":material/error:",
        )
    else:
        widgets.good_news(f"{format.plural(n_rows, 'row')} can be stored")


def _table(rows: Sequence[dict[str, Any]], checked: Sequence[Checked]) -> None:
    where = viewer.zone()
    st.dataframe(
        pa.table(
            {
                "row": list(range(1, len(rows) + 1)),
                "problem": [
                    " ".join(f"{n}: {forms.sentence(t)}" for n, t in c.faults.items()) for c in checked
                ],
                "name": [str(r.get("name", "")) for r in rows],
                "cron": [str(r.get("cron", "")) for r in rows],
                "zone": [str(r.get("zone", "UTC")) for r in rows],
                "type": [str(r.get("type", "")) for r in rows],
                "next": [format.moment(c.values.get("next_at_ms"), where) for c in checked],
            }
        ),
        key="batch-rows",
        hide_index=True,
        column_config={
            "row": "Row",
            "problem": st.column_config.TextColumn("What is wrong", width="large"),
            "name": "Name",
            "cron": "Rule",
            "zone": "Zone",
            "type": "Type",
            "next": f"First run ({where.key})",
        },
    )


def _store(actor: Actor, rows: Sequence[dict[str, Any]]) -> str:
    added = schedules.create_many(actor, rows)
    st.session_state["batch-text"] = ""
    return f"{format.plural(len(added), 'schedule')} created."
