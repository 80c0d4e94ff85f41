import json

import pytest
from click.testing import CliRunner

from engine import settings
from engine.cli import doctor as cli
from engine.services import doctor
from engine.services.doctor import Finding

FINE = Finding("D000", "ok", "database", "sound")
DOUBTFUL = Finding("S004", "warning", "settings", "not set", "Set it.")
BROKEN = Finding("L001", "error", "PDF", "no Pango", "Run: install")


@pytest.fixture
def run(monkeypatch):
    def run(findings, *arguments):
        monkeypatch.setattr(doctor, "examine", lambda options: iter(findings))
        return CliRunner().invoke(cli.command, arguments)

    return run


def test_warnings_do_not_fail(run):
    result = run([FINE, DOUBTFUL])
    assert result.exit_code == 0
    assert "0 errors, 1 warning." in result.output


def test_an_error_fails_and_says_what_to_do(run):
    result = run([FINE, BROKEN])
    assert result.exit_code == 1
    assert "ERROR    L001  PDF       no Pango" in result.output
    assert "Run: install" in result.output


def test_json_is_one_document(run):
    result = run([FINE, BROKEN], "--format", "json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["ok"] is False
    assert document["findings"][1] == {
        "id": "L001",
        "level": "error",
        "subject": "PDF",
        "message": "no Pango",
        "todo": "Run: install",
    }


def test_a_task_module_that_cannot_be_imported_is_a_finding_and_the_checks_go_on(run, data_dir, monkeypatch):
    monkeypatch.setenv("OFFLOAD_TASK_MODULES", "no.such.module")
    settings.get.cache_clear()
    result = run([FINE])
    assert result.exit_code == 1
    assert "ERROR    S006  settings  cannot import no.such.module: No module named 'no'" in result.output
    assert "D000" in result.output
