"""The schedules subcommand, from adding to removing."""

import json

import pytest
from click.testing import CliRunner

from engine.cli.schedules import command
from engine.errors import InvalidInput, NotFound


@pytest.fixture(autouse=True)
def house(data_dir):
    pass


def run(*words, given=None):
    done = CliRunner().invoke(command, [*words, "--format", "json"], input=given, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def add(*more):
    return run("add", "--name", "night", "--cron", "0 2 * * *", "--type", "probe", *more)


def test_a_schedule_from_adding_to_removing():
    added = add("--tz", "Europe/Berlin", "--payload", '{"note": "hi"}', "--overlap", "skip")
    assert added["payload"]["note"] == "hi"
    name = added["schedule_id"]
    assert run("pause", name)["enabled"] is False
    assert run("resume", name)["next_run"] == added["next_run"]
    assert run("change", name, "--set", "cron=@hourly", "--set", "jitter_s=5")["jitter_s"] == 5
    assert run("run-now", name)["type"] == "probe"
    shown = run("show", name)
    assert [h["action"] for h in shown["history"]] == ["run now", "changed", "resumed", "paused", "created"]
    assert [item["name"] for item in run("list")["items"]] == ["night"]
    assert run("stats")["items"][0]["n_manual"] == 1
    assert run("forecast")["total"] == 7 * 24
    assert run("remove", name, "--cancel-waiting") == {"n_cancelled": 1, "n_kept": 0}
    assert run("list")["items"] == []


def test_text_output_for_people():
    add()
    runner = CliRunner()
    assert "night" in runner.invoke(command, ["list"]).output
    assert "7 tasks of 1 schedules" in runner.invoke(command, ["forecast"]).output
    assert "EXPECTED" in runner.invoke(command, ["stats"]).output


def test_batch_from_a_file_and_standard_input(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("name,cron,type\na,@daily,probe\nb,@hourly,probe\n")
    assert len(run("add", "--batch", str(path))["items"]) == 2
    rows = [{"name": "c", "cron": "@daily", "type": "probe"}]
    assert len(run("add", "--batch", "-", given=json.dumps(rows))["items"]) == 1
    with pytest.raises(InvalidInput) as caught:
        run("add", "--batch", "-", given="name,cron,type\nd,61 * * * *,probe\n")
    assert set(caught.value.fields) == {"schedules.0.cron"}
    assert len(run("list")["items"]) == 3


def test_wrong_input_is_refused():
    for words in (["pause", "x"], ["show", "x"]):
        with pytest.raises(NotFound):
            run(*words)
    for words in (["add"], ["add", "--payload", "{x"], ["add", "--batch", "/nowhere"]):
        with pytest.raises(InvalidInput):
            run(*words)
    with pytest.raises(InvalidInput):
        run("change", add()["schedule_id"], "--set", "cron")
