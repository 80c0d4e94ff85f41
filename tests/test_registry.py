import pytest

from engine import registry, tasks
from engine.errors import InvalidInput, NotFound
from engine.registry import Body
from engine.words import Role
from tests.engine_kit import Box, add_type


class Free(Body):
    """A payload that takes anything, as the body of an outbound call does."""

    body: object = None


def test_every_file_in_the_folder_registers_its_type():
    tasks.load()
    tasks.load()  # a second call registers nothing twice
    names = [t.name for t in registry.all_types()]
    assert names == sorted(set(names))
    assert "probe" in names


def test_probe_is_for_ops_and_takes_the_documented_payload():
    tasks.load()
    probe = registry.get("probe")
    assert (probe.min_role, probe.system) == (Role.OPS, False)
    assert probe.parse({}).model_dump() == {
        "sleep_ms": 0,
        "fail_attempts": 0,
        "in_child": False,
        "memory_mb": 0,
        "note": "",
    }


def test_name_is_taken_once(no_types):
    add_type("job")
    with pytest.raises(ValueError, match="'job' is registered twice"):
        add_type("job")


def test_unknown_type_lists_those_that_may_be_submitted(no_types):
    add_type("job")
    add_type("cleanup", system=True)
    with pytest.raises(NotFound) as caught:
        registry.get("jop")
    assert caught.value.message == "There is no task type 'jop'. There are: job."
    assert registry.find("jop") is None


def test_wrong_payload_has_a_sentence_per_field(no_types):
    with pytest.raises(InvalidInput) as caught:
        add_type().parse({"size": 101, "colour": "red"})
    assert caught.value.fields == {
        "size": "Input should be less than or equal to 100",
        "colour": "Extra inputs are not permitted",
    }


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"size": "x"}'])
def test_stored_text_that_is_no_payload_is_refused(no_types, text):
    with pytest.raises(InvalidInput):
        add_type().parse(text)


def test_equal_payloads_have_equal_text():
    assert registry.canonical(Free(body={"b": 1, "a": "ü"})) == '{"body":{"a":"ü","b":1}}'
    assert registry.canonical(Free(body={"a": "ü", "b": 1})) == registry.canonical(
        Free(body={"b": 1, "a": "ü"})
    )


@pytest.mark.parametrize("body", ["half a pair \ud83d", {"\udce9": 1}, [float("nan")], float("-inf")])
def test_payload_that_has_no_json_text_is_refused(body):
    with pytest.raises(InvalidInput, match="not valid"):
        registry.canonical(Free(body=body))


def test_canonical_text_is_read_back_as_the_same_payload(no_types):
    made = add_type()
    assert made.parse(registry.canonical(Box(size=42))) == Box(size=42)


def test_without_a_schedule_retries_follow_at_once(no_types):
    assert add_type(delays_s=()).delay_s(1) == 0.0
