import pytest

from engine.errors import Conflict, Forbidden, InvalidInput, NotFound
from engine.lifecycle import hooks
from engine.records import db
from engine.records import webhooks as rows
from engine.services import webhooks
from engine.services.webhooks.endpoints import document
from tests.engine_kit import ANN, BOB, EVE, OPS

URL = "https://hooks.example.com/in?token=mine"


@pytest.fixture(autouse=True)
def folder(data_dir):
    pass


def make(**fields):
    return webhooks.create(ANN, {"url": URL, **fields})


def stored(made):
    return rows.endpoint(db.main(), made.endpoint.id)


def test_the_secret_is_shown_once_and_stored_sealed():
    made = make()
    assert made.document()["secret"].startswith("whsec_")
    assert "secret" not in document(stored(made), "ann")
    assert made.secret not in stored(made).secret
    assert hooks.sealer().open(stored(made).secret, made.endpoint.id) == made.secret


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"url": "http://127.0.0.1/"}, "url"),
        ({"url": "https://hooks.internal/"}, "url"),
        ({"events": ["task.exploded"]}, "events"),
        ({"events": []}, "events"),
        ({"description": "x" * 301}, "description"),
        ({"owner": "bob"}, "owner"),
    ],
)
def test_says_which_field_is_wrong(fields, path):
    with pytest.raises(InvalidInput) as caught:
        make(**fields)
    assert list(caught.value.fields) == [path]


def test_a_chosen_secret_must_be_a_good_one():
    with pytest.raises(InvalidInput):
        webhooks.create(ANN, {"url": URL}, secret="whsec_c2hvcnQ=")
    good = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert webhooks.create(ANN, {"url": URL}, secret=good).secret == good


def test_viewers_have_none():
    with pytest.raises(Forbidden):
        webhooks.create(EVE, {"url": URL})


def test_others_do_not_see_it_and_ops_see_its_url_masked():
    made = make()
    with pytest.raises(NotFound):
        webhooks.change(BOB, made.endpoint.id, {"active": False})
    assert document(stored(made), OPS.name)["url"] == "https://hooks.example.com/in?token=***"
    assert document(stored(made), "ann")["url"] == URL


@pytest.mark.parametrize(
    ("patterns", "event", "heard"),
    [
        (["*"], "alert.opened", True),
        (["task.*"], "task.failed", True),
        (["task.*"], "alert.opened", False),
        (["task.failed"], "task.failed", True),
        (["task.failed"], "task.succeeded", False),
        (["alert.*", "task.failed"], "task.failed", True),
    ],
)
def test_hears_what_its_patterns_name(patterns, event, heard):
    assert stored(make(events=patterns)).hears(event) is heard


def test_switching_on_again_forgets_why_it_was_off():
    made = make()
    with db.main().write() as tx:
        rows.note_exhausted(tx, made.endpoint.id)
        rows.disable(tx, made.endpoint.id, "it answered 410 Gone", 5)
    found = document(stored(made), "ann")
    assert (found["active"], found["disabled_reason"]) == (False, "it answered 410 Gone")
    found = document(webhooks.change(ANN, made.endpoint.id, {"active": True}), "ann")
    assert (found["active"], found["disabled_reason"], found["failed_in_a_row"]) == (True, "", 0)


def test_a_removed_endpoint_is_gone_and_its_name_is_not_needed():
    made = make()
    webhooks.remove(ANN, made.endpoint.id)
    assert stored(made) is None
    with pytest.raises(NotFound):
        webhooks.remove(ANN, made.endpoint.id)


def test_rotation_keeps_the_old_secret_for_a_day(wall):
    made = make()
    rotated = webhooks.rotate(ANN, made.endpoint.id)
    assert rotated.secret != made.secret
    assert rotated.document()["previous_secret_until"] == "2025-12-02T12:00:00.000Z"
    with pytest.raises(Conflict):
        webhooks.rotate(ANN, made.endpoint.id)
    assert webhooks.rotate(ANN, made.endpoint.id, force=True).secret != rotated.secret
    wall.advance(86_401)
    assert document(stored(made), "ann")["previous_secret_until"] is None
    webhooks.rotate(ANN, made.endpoint.id)


def test_a_leaked_secret_ends_at_once():
    made = make()
    webhooks.rotate(ANN, made.endpoint.id)
    webhooks.rotate(ANN, made.endpoint.id, leaked=True)
    assert (stored(made).previous_secret, stored(made).previous_until_ms) == (None, None)


def test_there_is_an_end_to_how_many():
    for _ in range(50):
        make()
    with pytest.raises(Conflict):
        make()
