"""What is read, what is refused, and where the message points."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidInput
from engine.lib.cron import grammar
from tests.lib import cron_oracle


def refused(text):
    with pytest.raises(InvalidInput) as caught:
        grammar.parse(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "code", "position"),
    [
        ("", "empty", 0),
        (" \t ", "empty", 0),
        ("* * * *", "field_count", 7),
        ("*", "field_count", 1),
        ("0 0 0 * * *", "field_count", 10),
        ("0 0 12 * * ? 2027", "field_count", 11),
        ("@daily now", "field_count", 7),
        ("@reboot", "unknown_alias", 0),
        ("@every 5m", "unknown_alias", 0),
        ("61 * * * *", "out_of_range", 0),
        ("  61 * * * *", "out_of_range", 2),
        ("* 24 * * *", "out_of_range", 2),
        ("* * 0 * *", "out_of_range", 4),
        ("* * 32 * *", "out_of_range", 4),
        ("* * * 13 *", "out_of_range", 6),
        ("* * * * 8", "out_of_range", 8),
        ("* 1,2,99 * * *", "out_of_range", 6),
        ("1-70/30 * * * *", "out_of_range", 2),
        ("1,,2 * * * *", "syntax", 2),
        ("1, * * * *", "syntax", 2),
        ("-5 * * * *", "syntax", 0),
        ("5- * * * *", "syntax", 2),
        ("*-5 * * * *", "syntax", 1),
        ("** * * * *", "syntax", 1),
        ("5*3 * * * *", "syntax", 1),
        ("+5 * * * *", "syntax", 0),
        ("1.5 * * * *", "syntax", 1),
        ("1-2-3 * * * *", "syntax", 3),
        ("5/2 * * * *", "step", 1),  # Debian's crontab says "bad minute"
        ("* * * * mon/2", "step", 11),
        ("*/0 * * * *", "step", 2),
        ("*/ * * * *", "step", 2),
        ("*/x * * * *", "step", 2),
        ("22-2 * * * *", "backwards_range", 0),
        ("0 22-2 * * *", "backwards_range", 2),
        ("0 0 * nov-feb *", "backwards_range", 6),
        ("0 0 L * *", "unsupported", 4),
        ("0 0 15W * *", "unsupported", 6),
        ("0 0 LW * *", "unsupported", 4),
        ("0 0 * * 5L", "unsupported", 9),
        ("0 0 * * mon#2", "unsupported", 11),
        ("0 0 ? * *", "unsupported", 4),
        ("H * * * *", "unsupported", 0),
        ("H(0-5) * * * *", "syntax", 1),
        ("R * * * *", "unsupported", 0),
        ("0~30 * * * *", "unsupported", 1),
        ("0 0 * * monday", "unknown_name", 8),
        ("0 0 * smarch *", "unknown_name", 6),
        ("0 0 * wed *", "unknown_name", 6),
        ("0 mon * * *", "unknown_name", 2),
        ("0 0 30 2 *", "never_runs", 4),
        ("0 0 31 feb,apr,jun,sep,nov *", "never_runs", 4),
        ("0 0 31 2 */2", "never_runs", 4),
        ("0 0 * *\n*", "line_break", 7),
        ("0 0 * * *\n", "line_break", 9),
        ("0 0 * *\u00a0*", "not_ascii", 7),
        ("０ 0 * * *", "not_ascii", 0),
        ("0 0 * * *\x00", "not_ascii", 9),
        ("*" * 257, "too_long", 256),
        ("1," * 100_000, "too_long", 256),
    ],
)
def test_wrong_text_is_refused_at_its_character(text, code, position):
    error = refused(text)
    assert (error.code, error.position) == (code, position)
    assert error.message.endswith(".")
    assert len(error.message) < 250


def test_messages_say_what_to_write_instead():
    assert "5-59/2" in refused("5/2 * * * *").message
    assert "22-23,0-2" in refused("0 22-2 * * *").message
    assert "write *" in refused("0 0 ? * *").message
    assert "write mon" in refused("0 0 * * monday").message
    assert "seconds" in refused("0 0 0 * * *").message
    assert "never runs" in refused("0 0 30 2 *").message
    assert "day of month, month, weekday" in refused("5 4").message


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("\t 05  4 *\t* * ", "5 4 * * *"),
        ("*/1 * * * *", "* * * * *"),
        ("0 0 * JAN,dec Mon-fRI", "0 0 * 1,12 1-5"),
        ("@Hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ],
)
def test_equal_expressions_normalise_alike(text, normalised):
    assert grammar.parse(text).text == normalised
    assert grammar.parse(normalised) == grammar.parse(text)


def test_256_characters_are_allowed():
    text = "1," * 124 + "1 * * * *"
    assert len(text) == 257
    assert refused(text).code == "too_long"
    assert grammar.parse(text.removeprefix("1,") + " ").minutes == (1,)


@pytest.mark.parametrize(
    ("field", "weekdays"),
    [
        ("7", {0}),
        ("0-7", {0, 1, 2, 3, 4, 5, 6}),
        ("5-7", {5, 6, 0}),
        ("fri-mon", {5, 6, 0, 1}),
        ("fri-mon/2", {5, 0}),
        ("sat-sun", {6, 0}),
        ("6-0", {6, 0}),
        ("7-2", {0, 1, 2}),
        ("7-0", {0}),
        ("sun-tue", {0, 1, 2}),
        ("1-7/2", {1, 3, 5, 0}),
        ("*/7", {0}),
        ("*/5", {0, 5}),
    ],
)
def test_weekdays(field, weekdays):
    assert set(grammar.parse(f"0 0 * * {field}").weekdays) == weekdays


def test_stars_decide_clock_and_days():
    assert grammar.parse("*/5 3 * * *").follows_clock
    assert grammar.parse("0 */6 * * *").follows_clock
    assert not grammar.parse("0 0-23 * * *").follows_clock
    assert not grammar.parse("5,*/10 3 * * *").follows_clock
    assert grammar.parse("0 0 1 * 1").either_day
    assert not grammar.parse("0 0 */2 * 1").either_day
    assert not grammar.parse("0 0 1 * */2").either_day


def test_impossible_day_beside_a_weekday_runs_on_the_weekday():
    assert grammar.parse("0 0 30 2 1").either_day


def test_remarks_name_surprises():
    def said(text):
        return " ".join(grammar.remarks(grammar.parse(text)))

    assert "day of month or the weekday" in said("0 0 13 * 5")
    assert "both" in said("0 0 */2 * 5")
    assert "wider" in said("*/90 * * * *")
    assert "starts again" in said("*/7 * * * *")
    assert "leap years" in said("0 0 29 2 *")
    assert "Months without day 31" in said("0 0 31 * *")
    assert said("*/5 * * * *") == ""


@given(st.randoms(use_true_random=False))
def test_values_are_those_of_a_second_reader(rng):
    text = cron_oracle.random_expression(rng)
    bits = cron_oracle.Job(text).bits
    try:
        read = grammar.parse(text)
    except InvalidInput as error:
        assert error.code == "never_runs"
        return
    assert [set(read.minutes), set(read.hours), set(read.days), set(read.months)] == bits[:4]
    assert set(read.weekdays) == bits[4] - {7}
    assert grammar.parse(read.text) == read


@given(st.text(st.sampled_from("0123456789*,-/ \tLW#?HR~abcMONfri@\n é"), max_size=40))
def test_any_text_is_read_or_refused_within_itself(text):
    try:
        read = grammar.parse(text)
    except InvalidInput as error:
        assert error.position is not None
        assert 0 <= error.position <= len(text)
        assert re.fullmatch("[a-z_]+", error.code)
    else:
        assert read.minutes and read.hours and read.days and read.months and read.weekdays
