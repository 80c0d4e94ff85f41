"""The cron subcommand as people and scripts see it."""

import json

from click.testing import CliRunner

from engine.cli.cron import command

BERLIN = ["--tz", "Europe/Berlin", "--start", "2026-03-28T00:00:00+01:00"]


def run(*words, given=None):
    return CliRunner().invoke(command, list(words), input=given)


def test_next_prints_one_document():
    done = run("next", "30 2 * * *", *BERLIN, "--count", "2", "--format", "json")
    assert done.exit_code == 0
    document = json.loads(done.output)
    assert document["runs"] == ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00"]
    assert document["truncated"] is None


def test_next_prints_one_run_a_line():
    done = run("next", "30 2 * * *", *BERLIN, "--count", "2")
    assert done.output == "2026-03-28T02:30:00+01:00\n2026-03-29T03:00:00+02:00\n"
    assert run("next", "0 0 29 2 *", *BERLIN).output == "None within 365 days.\n"


def test_invalid_expression_ends_with_status_2_and_a_caret():
    done = run("validate", "0 0 * * mon#2")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.splitlines()[-2:] == ["  0 0 * * mon#2", "             ^"]


def test_invalid_expression_as_json():
    done = run("next", "0 0 30 2 *", "--format", "json")
    assert done.exit_code == 2
    document = json.loads(done.output)
    assert document["error"]["code"] == "never_runs"
    assert document["truncated"] == "never"


def test_expression_may_begin_with_a_dash():
    done = run("next", "-5 * * * *", "--format", "json")
    assert json.loads(done.output)["error"]["position"] == 0


def test_batch_answers_each_line_in_order():
    long = json.dumps({"expression": "*" * 100_000})
    lines = [
        '{"expression": "@hourly", "start": "2026-01-01T00:00:00Z", "count": 1}',
        "not json",
        "",
        "[" * 60_000,
        long,
        '{"expression": "0 0 31 2 *"}',
        b'{"expression": "\xff"}',
        '{"expression": "0 12 * * *", "zone": "Asia/Tokyo", "start": "2026-01-01T00:00:00Z", "count": 1}',
    ]
    given = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    done = run("next", "--batch", "-", given=given)
    assert done.exit_code == 0
    answers = [json.loads(line) for line in done.output.splitlines()]
    assert [a.get("error", {}).get("code") for a in answers] == [
        None,
        "invalid_json",
        "invalid_json",
        "invalid_json",
        "too_long",
        "never_runs",
        "invalid_json",
        None,
    ]
    assert answers[0]["runs"] == ["2026-01-01T01:00:00+00:00"]
    assert answers[-1]["runs"] == ["2026-01-01T12:00:00+09:00"]


def test_batch_takes_options_as_defaults():
    done = run("next", "--batch", "-", *BERLIN, "--count", "1", given='{"expression": "@daily"}\n')
    assert json.loads(done.output)["runs"] == ["2026-03-29T00:00:00+01:00"]


def test_expression_or_batch():
    assert run("next").exit_code == 2
    assert run("next", "* * * * *", "--batch", "-", given="").exit_code == 2


def test_other_verbs_in_words():
    assert run("validate", "@daily").output.startswith("Valid: 0 0 * * *\n")
    assert run("describe", "@daily").output.startswith("At 00:00\n")
    counted = run("frequency", "0 9,12 * * 1-5", "--start", "2026-01-01").output
    assert "Per year:     522 on 261 days from 2026-01-01" in counted
    assert "Longest gap:  2 d 21 h" in counted
    assert "Busiest hour: 09:00, 12:00" in counted


def test_other_verbs_in_batches():
    for verb in ("validate", "describe", "frequency"):
        done = run(verb, "--batch", "-", given='{"expression": "@daily"}\n{"expression": "x"}\n')
        good, bad = map(json.loads, done.output.splitlines())
        assert good["expression"] == "@daily"
        assert "error" in bad
