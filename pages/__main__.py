"""The script behind every page: the sign-in gate, the menu, and the one call that runs the chosen page.

A new page is a file beside this one and a row in `MENU`. Its path is its file's name.
"""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from engine import ui
from engine.ui import session, widgets
from engine.words import Actor, Role

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Entry:
    """A row of the menu: which file, what it is called, and the least role that sees it."""

    name: str
    title: str
    icon: str
    help: str
    role: Role = Role.VIEWER


MENU: dict[str, tuple[Entry, ...]] = {
    "": (Entry("overview", "Overview", "space_dashboard", "How the installation is doing right now."),),
    "Work": (
        Entry("reports", "Reports", "description", "Order a PDF report and fetch it.", Role.STAFF),
        Entry("api_calls", "API calls", "cloud_sync", "Fetch data from other systems.", Role.STAFF),
        Entry("schedules", "Schedules", "event_repeat", "Let work run by itself.", Role.STAFF),
        Entry("tasks", "Tasks", "checklist", "Every piece of work, how far it is and how it ended."),
    ),
    "Insight": (
        Entry("performance", "Performance", "monitoring", "How fast requests, pages and tasks are."),
        Entry("before_after", "Before and after", "compare_arrows", "Whether a change made it faster."),
        Entry("alerts", "Alerts", "notifications", "What needs attention."),
    ),
    "Operations": (
        Entry("webhooks", "Webhooks", "webhook", "Tell other systems what happened.", Role.STAFF),
        Entry("operations", "Workers and queue", "dns", "Workers, pauses and the queue.", Role.OPS),
        Entry("access", "People and tokens", "group", "Who may do what.", Role.ADMIN),
        Entry("settings", "Settings", "tune", "How this installation is set up.", Role.ADMIN),
    ),
}
DEFAULT = "overview"
SIDEBAR_PX = 240


def menu(actor: Actor) -> dict[str, list[st.Page]]:
    """Return the pages this person may see, by section."""
    found = {
        section: [_page(entry) for entry in entries if _shown(entry, actor)]
        for section, entries in MENU.items()
    }
    return {section: pages for section, pages in found.items() if pages}


def _shown(entry: Entry, actor: Actor) -> bool:
    return actor.role.includes(entry.role) and (HERE / f"{entry.name}.py").exists()


def _page(entry: Entry) -> st.Page:
    return st.Page(
        f"{entry.name}.py",
        title=entry.title,
        icon=f":material/{entry.icon}:",
        url_path=entry.name,
        default=entry.name == DEFAULT,
        help=entry.help,
    )


def main() -> None:
    """Let people in, draw the frame, run the page."""
    logo, mark = str(HERE / "static" / "logo.svg"), str(HERE / "static" / "mark.svg")
    st.set_page_config("Offload", mark, layout="wide", initial_sidebar_state=SIDEBAR_PX)
    st.logo(logo, size="large", icon_image=mark)
    actor = session.current_actor()
    if actor is None:
        st.navigation([st.Page(session.signed_in, title="Sign in")], position="hidden").run()
        return
    pages = menu(actor)
    chosen = st.navigation(pages, expanded=True)
    widgets.remember({page.url_path or DEFAULT: page for section in pages.values() for page in section})
    with st.sidebar:
        widgets.who(actor)
    with ui.page(chosen.url_path or DEFAULT, actor):
        chosen.run()


main()
