from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine import tasks
from engine.ui import session, shared, viewer
from engine.words import Actor, Role

ENTRY = Path(__file__).parents[2] / "pages" / "__main__.py"


@pytest.fixture
def browse(data_dir, monkeypatch):
    """Open a page as somebody: `browse(Role.OPS, "tasks", id="...")`; None is nobody."""
    tasks.load()
    viewer.forget()
    shared.forget()

    def open_page(role, page="overview", /, **query):
        actor = role and Actor(NAMES[role], role)
        monkeypatch.setattr(session, "current_actor", lambda: actor)
        at = AppTest.from_file(ENTRY, default_timeout=30)
        for name, value in query.items():
            at.query_params[name] = value
        at.run()
        if page != "overview" and role:
            at.switch_page(f"{page}.py")
            for name, value in query.items():
                at.query_params[name] = value
            at.run()
        return at

    return open_page


def counters(at):
    """The counter strip over a list: number and word with the filter each links to."""
    links = [link.proto for link in at.get("page_link") if "state=" in link.proto.query_string]
    return {link.label.partition("] ")[2]: link.query_string for link in links}


NAMES = {Role.VIEWER: "vera", Role.STAFF: "ada", Role.OPS: "grace", Role.ADMIN: "root"}


def texts(at):
    """Everything a page says, in one string."""
    kinds = (at.title, at.subheader, at.markdown, at.caption, at.error, at.warning, at.info, at.text)
    return "\n".join(str(element.value) for kind in kinds for element in kind)
