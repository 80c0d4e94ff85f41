import pytest
from streamlit.testing.v1 import AppTest

from engine.records import db
from engine.services import monitor


def recorded():
    monitor.flush()
    return db.metrics().read(
        """select kind, name, outcome, events.* from events
           join series on series.id = series_id order by events.id"""
    )


def page_of_two_queries():
    import streamlit as st

    from engine import ui
    from engine.records import db
    from engine.words import Actor, Role

    @ui.live(every_s=None)
    def tiles():
        db.main().read("select 1 as one")
        st.button("again")

    with ui.page("tasks", Actor("ann", Role.OPS)):
        db.main().read("select 2 as two")
        tiles()


def test_a_page_run_is_recorded_with_its_queries_and_fragments(data_dir):
    run = AppTest.from_function(page_of_two_queries).run()
    assert not run.exception
    fragment, page = recorded()
    assert [fragment[c] for c in ("kind", "name", "outcome", "n_queries", "role")] == [
        "fragment",
        "/tasks tiles",
        "succeeded",
        1,
        "ops",
    ]
    assert [page[c] for c in ("kind", "name", "outcome", "n_queries", "role")] == [
        "run",
        "/tasks",
        "succeeded",
        2,
        "ops",
    ]
    assert fragment["parent_id"] == page["correlation_id"] != fragment["correlation_id"]


def failing_page():
    from engine import ui

    with ui.page("broken"):
        raise ValueError("no")


def stopped_page():
    import streamlit as st

    from engine import ui

    with ui.page("form"):
        st.stop()


@pytest.mark.parametrize(
    ("script", "outcome", "reason"), [(failing_page, "failed", "failed"), (stopped_page, "stopped", "sample")]
)
def test_an_exception_is_a_failure_and_a_stop_is_not(data_dir, script, outcome, reason):
    AppTest.from_function(script).run()
    (event,) = recorded()
    assert (event["outcome"], event["keep_reason"]) == (outcome, reason)


def submitting_page():
    import streamlit as st

    from engine import log, ui

    with ui.page("reports"):
        st.text(log.correlation_id())


def test_work_of_a_run_carries_its_correlation_id(data_dir):
    run = AppTest.from_function(submitting_page).run()
    assert recorded()[0]["correlation_id"] == run.text[0].value


def page_of_a_button():
    from engine import ui
    from engine.ui import widgets
    from engine.words import Actor, Role

    @ui.live()
    def buttons():
        import streamlit as st

        st.button("do", on_click=widgets.act, args=(lambda: "Done.",))

    with ui.page("tasks", Actor("ann", Role.OPS)):
        buttons()


def test_what_a_button_of_a_fragment_came_to_is_said_by_the_fragment(data_dir):
    run = AppTest.from_function(page_of_a_button).run()
    assert [toast.value for toast in run.button[0].click().run().toast] == ["Done."]
    assert not run.run().toast
