"""The sentences people read when a page fails."""

from streamlit.testing.v1 import AppTest


def _shown(error_line):
    return AppTest.from_string(
        f"from engine.ui import edge\nwith edge.caught('somewhere'):\n    raise {error_line}"
    ).run()


def test_a_page_newer_than_its_process_asks_for_a_restart():
    at = _shown("ImportError('cannot import name x from engine.ui')")
    assert not at.exception
    assert at.error[0].value.startswith("Offload was updated while it ran: start it again.")


def test_another_failure_names_the_id_and_nothing_of_the_inside():
    at = _shown("RuntimeError('secret detail')")
    assert not at.exception
    assert "updated" not in at.error[0].value
    assert "secret" not in at.error[0].value
    assert "the id `" in at.error[0].value
