"""What ends up in a file, and what never does."""

import hashlib
import io
import stat
import time

import pypdf
import pytest
from fontTools.ttLib import TTFont

from engine import errors
from engine.lib import child
from engine.lib.pdf import typeface


@pytest.fixture(autouse=True, scope="module")
def no_server_left():
    yield
    child.forget()


@pytest.fixture
def render(tmp_path):
    out = tmp_path / "out.pdf"

    def run(body, **options):
        html = f"<html lang=en><head><title>Test</title></head><body>{body}</body></html>"
        argument = {"html": html, "out": str(out), **options}
        return child.run("tests.lib.pdf.jobs:render", argument, timeout_s=60).value

    run.out = out
    return run


def text_of(path):
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)


def table(rows):
    cells = "".join(f"<tr><td>row {number}</td><td>{number * 3}</td></tr>" for number in range(rows))
    return f"<table>{cells}</table>"


def test_file_is_whole_private_and_described(render):
    pages, size, sha256 = render("<p>Hello</p><p style='break-before:page'>World</p>")
    content = render.out.read_bytes()
    assert (pages, size, sha256) == (2, len(content), hashlib.sha256(content).hexdigest())
    assert len(pypdf.PdfReader(render.out).pages) == 2
    assert "Hello" in text_of(render.out)
    assert stat.S_IMODE(render.out.stat().st_mode) == 0o600
    assert [path.name for path in render.out.parent.iterdir()] == ["out.pdf"]


def test_same_input_gives_the_same_bytes(render):
    assert render("<p>Hello") == render("<p>Hello")


TEXT = "Grüße Łódź Zażółć Ελλάδα Привет 1 − 2 → 3"


def test_bundled_font_is_embedded_for_each_script(render):
    render(f"<p style='font-family:Inter'>{TEXT}</p>")
    fonts = pypdf.PdfReader(render.out).pages[0]["/Resources"]["/Font"]
    assert {str(font["/BaseFont"]).partition("+")[2] for font in fonts.values()} == {"Inter"}
    assert TEXT in text_of(render.out)


def test_each_letter_is_drawn_with_its_own_glyph(render):
    """Text that reads well can still look wrong: compare the drawn glyphs with the font's own table."""
    render(f"<p style='font-family:Inter'>{TEXT}</p>")
    font = next(iter(pypdf.PdfReader(render.out).pages[0]["/Resources"]["/Font"].values()))
    embedded = font["/DescendantFonts"][0].get_object()["/FontDescriptor"]["/FontFile2"].get_data()
    drawn = TTFont(io.BytesIO(embedded))["glyf"]
    whole = TTFont(io.BytesIO(typeface.ASSETS["inter-400.ttf"]))
    for character in set(TEXT) - {" "}:
        name = whole.getBestCmap()[ord(character)]
        glyph = drawn[drawn.glyphOrder[whole.getGlyphID(name)]]
        outline = whole["glyf"][name].getCoordinates(whole["glyf"])[0]
        assert list(glyph.getCoordinates(drawn)[0]) == list(outline), character


@pytest.mark.parametrize("tagged", [True, False])
def test_structure_for_screen_readers_is_there_when_asked_for(render, tagged):
    render(table(3), tagged=tagged)
    assert ("/StructTreeRoot" in pypdf.PdfReader(render.out).trailer["/Root"]) is tagged


def test_text_without_a_glyph_is_reported(render):
    lines = []
    argument = {"html": "<p>\ue123</p>", "out": str(render.out)}
    child.run("tests.lib.pdf.jobs:render", argument, timeout_s=60, on_log=lines.append)
    assert any("unsupported by fonts" in line for line in lines)


def test_asset_is_reachable(render):
    square = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><rect width='9' height='9'/></svg>"
    render("<p>with<img src='asset:square.svg'>picture</p>", assets={"square.svg": square})
    assert "with" in text_of(render.out)


OUTSIDE = {
    "picture over http": "<img src='http://127.0.0.1:9/x.png'>",
    "picture from disk": "<img src='file:///etc/passwd'>",
    "picture, relative": "<img src='secret.png'>",
    "picture, absolute path": "<img src='/etc/passwd'>",
    "picture as data": "<img src='data:image/svg+xml,<svg/>'>",
    "asset that is not there": "<img src='asset:other'>",
    "asset outside of its folder": "<img src='asset:../rendering.py'>",
    "style sheet": "<link rel=stylesheet href='http://127.0.0.1:9/x.css'>",
    "import": "<style>@import url(file:///etc/passwd)</style>",
    "background": "<p style='background:url(http://127.0.0.1:9/x)'>x",
    "font": "<style>@font-face{font-family:x;src:url(file:///etc/passwd)}</style><p style='font-family:x'>x",
    "attachment": "<link rel=attachment href='file:///etc/passwd'>",
    "linked attachment": "<a rel=attachment href='file:///etc/passwd'>x</a>",
    "embedded object": "<object data='file:///etc/passwd'></object>",
    "embed": "<embed src='http://127.0.0.1:9/x'>",
    "base address": "<base href='http://127.0.0.1:9/'><img src='x.png'>",
    "picture in SVG": "<svg width=9 height=9><image href='file:///etc/passwd' width=9 height=9 /></svg>",
}


@pytest.mark.parametrize("body", OUTSIDE.values(), ids=OUTSIDE)
def test_nothing_outside_is_read(render, body):
    with pytest.raises(errors.PermanentFailure, match="outside of it") as caught:
        render(body)
    assert caught.value.code == "blocked_url"
    assert not list(render.out.parent.iterdir())


def test_dangerous_links_are_dropped_and_good_ones_stay(render):
    links = (
        "https://example.com/a",
        "mailto:a@example.com",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "x:y",
    )
    render("".join(f"<a href='{link}'>link</a> " for link in links) + "<a href='#end'>down</a><p id=end>")
    annotations = pypdf.PdfReader(render.out).pages[0]["/Annots"]
    addresses = [a.get_object()["/A"]["/URI"] for a in annotations if "/URI" in a.get_object().get("/A", {})]
    assert addresses == list(links[:2])


def test_too_many_pages_stop_early_and_leave_nothing(render):
    with pytest.raises(errors.PermanentFailure, match="more than 3 pages") as caught:
        render(table(1000), limits={"max_pages": 3})
    assert caught.value.code == "too_many_pages"
    assert not list(render.out.parent.iterdir())


def test_deep_nesting_is_a_permanent_failure(render):
    with pytest.raises(errors.PermanentFailure, match="nested"):
        render("<div>" * 2000)


def test_progress_goes_forward_through_the_real_steps(tmp_path):
    argument = {"html": table(300), "out": str(tmp_path / "x.pdf"), "about_pages": 6}
    steps = child.run("tests.lib.pdf.jobs:every_step", argument, timeout_s=60).value
    percents = [percent for percent, _ in steps]
    notes = [note for _, note in steps]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (6, 100)
    pages = len(pypdf.PdfReader(tmp_path / "x.pdf").pages)
    assert f"drawing page {pages} of {pages}" in notes
    assert any(note.startswith("page 2 of about") for note in notes)
    assert {"applying styles", "building the page content", "drawing", "finishing the file"} <= set(notes)


def test_leftover_of_a_killed_attempt_is_replaced(render):
    render.out.with_name("out.pdf.part").write_bytes(b"half")
    render("<p>Hello")
    assert [path.name for path in render.out.parent.iterdir()] == ["out.pdf"]


def test_cancelled_render_stops_at_once_and_leaves_no_file(render):
    argument = {"html": table(5000), "out": str(render.out)}
    begun = []
    with pytest.raises(errors.TaskCancelled):
        child.run(
            "tests.lib.pdf.jobs:render",
            argument,
            timeout_s=60,
            cancelled=lambda: bool(begun),
            on_progress=lambda *_: begun.append(time.perf_counter()),
        )
    assert not render.out.exists()


def test_render_that_needs_too_much_memory_is_refused(render):
    argument = {"html": table(20_000), "out": str(render.out)}
    with pytest.raises(child.ChildOutOfMemory):
        child.run("tests.lib.pdf.jobs:render", argument, timeout_s=60, memory_mb=64)
