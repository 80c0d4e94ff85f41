"""Forms are made of pydantic models: one field each, with its title, bounds, choices and default."""

import pytest
from streamlit.testing.v1 import AppTest

from engine import clock
from engine.services import monitor
from engine.ui import shared


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


def page_with_suggestions():
    from typing import Literal

    import streamlit as st
    from pydantic import BaseModel, Field

    from engine.ui import forms

    class Form(BaseModel):
        route: str = Field(json_schema_extra={"widget": "route"})
        deploy: str = Field("", json_schema_extra={"widget": "deploy"})
        kind: Literal["http", "run"] = Field(
            "http", json_schema_extra={"above": True, "labels": {"run": "Page runs"}}
        )
        service: str = Field("", json_schema_extra={"above": True, "widget": "service"})

    st.session_state["sent"] = forms.ask(Form, key="f", button="Send").values


@pytest.fixture
def recorded(data_dir):
    shared.forget()
    for kind, name, service, ms in (
        (monitor.HTTP, "/quick", "shop", 1),
        (monitor.HTTP, "/slow", "bank", 900),
        (monitor.RUN, "/page", "shop", 5),
    ):
        unit = monitor.Unit(service, kind, name)
        unit.at_ms, unit.duration_us, unit.method = clock.now_ms() - 60_000, ms * 1000, "GET"
        monitor.record(unit)
    monitor.flush()
    monitor.mark_deploy("2.0", service="shop", at_ms=clock.now_ms() - 60_000)
    yield
    shared.forget()


def test_recorded_names_are_suggested_and_follow_the_fields_above(recorded):
    at = AppTest.from_function(page_with_suggestions, default_timeout=30).run()
    assert not at.exception
    assert [box.label for box in at.selectbox] == ["Kind", "Service (optional)", "Route", "Deploy (optional)"]
    kind, service, route, deploy = at.selectbox
    assert (kind.options, service.options) == (["Http", "Page runs"], ["bank", "shop"])
    assert route.options == ["GET /slow", "GET /quick"], "what took most time comes first"
    assert deploy.options[0].startswith("shop 2.0, ")
    service.set_value("shop").run()
    assert at.selectbox[2].options == ["GET /quick"]
    at.selectbox[0].set_value("run").run()
    assert at.selectbox[2].options == ["GET /page"]
    at.selectbox[2].set_value("GET /page")
    at.button[0].click().run()
    assert at.session_state["sent"] == {"kind": "run", "service": "shop", "route": "GET /page"}
