import pytest


@pytest.fixture
def anna(people):
    return people.by_token("anna")


def test_next_runs(anna):
    query = {
        "expression": "30 2 * * *",
        "zone": "Europe/Berlin",
        "start": "2026-03-28T12:00:00+01:00",
        "count": "2",
    }
    answer = anna.get("/api/cron/next", params=query)
    assert answer.status_code == 200
    document = answer.json()
    assert document["runs"] == ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
    assert document["truncated"] is None


@pytest.mark.parametrize(
    ("query", "code", "position"),
    [
        ({"expression": "0 0 * * mon#2"}, "unsupported", 11),
        ({"expression": "0 0 30 2 *"}, "never_runs", 4),
        ({}, "invalid_field", None),
        ({"expression": "* * * * *", "zone": "Mars"}, "unknown_zone", None),
        ({"expression": "* * * * *", "start": "soon"}, "invalid_start", None),
        ({"expression": "* * * * *", "count": "-1"}, "invalid_count", None),
    ],
)
def test_what_is_wrong_is_told_with_its_place(anna, query, code, position):
    answer = anna.get("/api/cron/next", params=query)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["code"], error.get("position")) == (code, position)


@pytest.mark.parametrize("verb", ["next", "validate", "describe", "frequency"])
def test_what_never_runs_says_so_both_ways(anna, verb):
    query = {"expression": "0 0 30 2 *", "zone": "Asia/Tokyo"}
    answer = anna.get(f"/api/cron/{verb}", params=query)
    assert answer.status_code == 422
    document = answer.json()
    assert (document["error"]["code"], document["truncated"], document["runs"]) == ("never_runs", "never", [])
    assert document["correlation_id"]


def test_the_zone_may_be_called_tz(anna):
    query = {"expression": "0 12 * * *", "tz": "Asia/Tokyo", "start": "2026-01-01T00:00:00Z", "count": 1}
    assert anna.get("/api/cron/next", params=query).json()["runs"] == ["2026-01-01T12:00:00+09:00"]


@pytest.mark.parametrize("verb", ["next", "validate", "frequency"])
def test_zone_and_tz_that_contradict_each_other_are_refused(anna, verb):
    query = {"expression": "0 12 * * *", "zone": "Europe/Berlin", "tz": "Asia/Tokyo"}
    answer = anna.get(f"/api/cron/{verb}", params=query)
    assert answer.status_code == 422
    assert set(answer.json()["error"]["fields"]) == {"zone", "tz"}
    assert anna.get(f"/api/cron/{verb}", params={**query, "tz": "Europe/Berlin"}).status_code == 200


def test_the_other_questions(anna):
    expression = {"expression": "@daily"}
    assert anna.get("/api/cron/validate", params=expression).json()["normalised"] == "0 0 * * *"
    assert anna.get("/api/cron/describe", params=expression).json()["description"] == "At 00:00"
    assert anna.get("/api/cron/frequency", params=expression).json()["per_year"] == 365
    assert anna.get("/api/cron/validate", params={"expression": "x"}).status_code == 422


def test_only_for_people_signed_in(people):
    assert people.client().get("/api/cron/next", params={"expression": "@daily"}).status_code == 401
