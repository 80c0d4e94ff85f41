"""Forms are made of pydantic models: one field each, with its title, bounds, choices and default."""

from streamlit.testing.v1 import AppTest


def page_with_a_form():
    from datetime import date, datetime
    from enum import Enum
    from typing import Literal

    import streamlit as st
    from pydantic import BaseModel, Field

    from engine.errors import InvalidInput
    from engine.ui import forms

    class Paper(Enum):
        A4 = "a4"
        LETTER = "us_letter"

    class Form(BaseModel):
        name: str = Field(title="Name", max_length=20)
        note: str = Field("", max_length=2000)
        copies: int = Field(2, ge=1, le=9)
        share: float | None = None
        draft: bool = False
        paper: Paper = Paper.LETTER
        size: Literal["small", "large"] = "large"
        day: date | None = None
        at: datetime | None = Field(None, title="From")

    asked = forms.ask(Form, key="f", button="Send")
    st.session_state["sent"] = asked.values
    if asked.values is not None:
        fields = {"params.copies": "is too many", "params.elsewhere": "lost"}
        asked.blame(InvalidInput("No.", fields=fields))
        asked.blame(InvalidInput("All of it is wrong."))


def run():
    at = AppTest.from_function(page_with_a_form, default_timeout=30).run()
    assert not at.exception
    return at


def test_fields_come_from_the_model():
    at = run()
    assert [i.label for i in at.text_input] == ["Name"]
    assert at.text_input[0].proto.max_chars == 20
    assert [i.label for i in at.text_area] == ["Note (optional)"], "a long text has several lines"
    copies = at.number_input[0]
    assert (copies.value, copies.min, copies.max) == (2, 1, 9)
    assert at.selectbox[0].options == ["A4", "Us letter"]
    assert at.selectbox[1].value == "large"
    assert at.datetime_input[0].label == "From (optional)"
    assert at.session_state["sent"] is None


def test_sending_returns_plain_values_and_leaves_out_what_is_not_given():
    at = run()
    at.text_input[0].set_value("Ada")
    at.button[0].click().run()
    assert at.session_state["sent"] == {
        "name": "Ada",
        "note": "",
        "copies": 2,
        "draft": False,
        "paper": "us_letter",
        "size": "large",
    }


def test_a_message_stands_at_its_field_and_what_has_no_field_below_the_form():
    at = run()
    at.button[0].click().run()
    assert [m.value for m in at.markdown] == [":red[:material/error: Is too many\\.]"]
    assert [e.value for e in at.error] == ["All of it is wrong\\."]
