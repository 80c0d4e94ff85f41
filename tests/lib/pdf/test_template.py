"""Templates print values as text, and never a name that does not exist."""

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from engine.lib.pdf import environment


@pytest.fixture
def draw(tmp_path):
    def run(template, **values):
        (tmp_path / "t.html").write_text(template)
        return environment([tmp_path]).get_template("t.html").render(**values)

    return run


def test_values_are_escaped_and_cleaned(draw):
    hostile = "<script>alert('x')</script>\ud83d\x00"
    assert draw("{{ a }}", a=hostile) == "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"


def test_own_markup_is_kept(draw):
    assert draw("{{ a }}", a=Markup("<svg></svg>")) == "<svg></svg>"


def test_none_prints_nothing_and_numbers_print_as_they_are(draw):
    assert draw("[{{ a }}|{{ b }}|{{ c }}]", a=None, b=0, c=1.5) == "[|0|1.5]"


def test_unknown_name_is_an_error(draw):
    with pytest.raises(UndefinedError):
        draw("{{ typo }}")


def test_link_filter_lets_only_safe_addresses_through(draw):
    template = "<a href='{{ a | link }}'>"
    assert draw(template, a="javascript:alert(1)") == "<a href=''>"
    assert draw(template, a="https://a/?x=1&y=2") == "<a href='https://a/?x=1&amp;y=2'>"
