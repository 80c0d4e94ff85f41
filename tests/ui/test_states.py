from engine.ui import states
from engine.words import Outcome, TaskState


def test_every_state_has_a_look_of_its_own():
    looks = [states.look(state) for state in TaskState]
    for part in ("word", "icon", "color", "hex"):
        assert len({getattr(look, part) for look in looks}) == len(TaskState), part


def test_every_outcome_has_a_look_and_an_open_attempt_is_running():
    assert {outcome: states.outcome_look(outcome).word for outcome in Outcome}[Outcome.DIED] == "Worker died"
    assert states.outcome_look(None) is states.look(TaskState.RUNNING)


def test_a_badge_has_colour_icon_and_word():
    assert states.look("failed").badge == ":red-badge[:material/error: Failed]"
