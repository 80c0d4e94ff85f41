import pytest

from engine.lib import native

# The outputs below were seen on a bare Debian 12, installing one package at a time.
NO_PANGO = """
-----
WeasyPrint could not import some external libraries.
OSError: cannot load library 'libpango-1.0-0': libpango-1.0-0: cannot open shared object file
"""
NO_SUBSET = "DeprecationWarning: HarfBuzz-Subset will be required by future versions of WeasyPrint\n"


@pytest.mark.parametrize(
    ("returncode", "output", "level", "packages"),
    [
        (0, "", "ok", ()),
        (0, NO_SUBSET, "warning", native.PACKAGES),
        (1, NO_PANGO, "error", native.PACKAGES),
        (-11, "", "error", native.PACKAGES),
        (1, "ModuleNotFoundError: No module named 'weasyprint'\n", "error", ()),
        (1, "", "error", ()),
    ],
)
def test_each_end_of_a_trial_render_has_its_cause(returncode, output, level, packages):
    state = native.judge(returncode, output)
    assert (state.level, state.packages) == (level, packages)


def test_the_missing_library_is_named():
    assert native.judge(1, NO_PANGO).message == "The PDF renderer lacks native libraries (libpango-1.0-0)"


def test_a_crash_is_put_down_to_missing_fonts():
    assert "no font" in native.judge(-11, "").message


def test_the_cause_quotes_the_last_line_of_the_error():
    assert (
        "No module named 'weasyprint'"
        in native.judge(1, "x\nModuleNotFoundError: No module named 'weasyprint'").message
    )


def test_an_interpreter_without_the_renderer_is_an_error(tmp_path):
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho 'ImportError: nothing here' >&2\nexit 1\n")
    fake.chmod(0o700)
    assert native.check(str(fake)).level == "error"


def test_main_prints_what_the_launcher_reads(monkeypatch, capsys):
    monkeypatch.setattr(native, "check", lambda: native.NativeState("error", "why", ("a", "b")))
    native.main()
    assert capsys.readouterr().out == "error\na b\nwhy\n"
