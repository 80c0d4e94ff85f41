import pytest

from engine import settings, tasks
from engine.errors import InvalidInput
from engine.settings import Settings


def test_workers_beat_at_least_four_times_in_a_lease():
    assert Settings(lease_s=45, heartbeat_s=5).beat_s == 5
    assert Settings(lease_s=3, heartbeat_s=5).beat_s == 0.75
    assert Settings(lease_s=3, heartbeat_s=0.5).beat_s == 0.5


def test_a_heartbeat_too_rare_for_the_lease_is_said():
    found = settings.check(Settings(lease_s=40, heartbeat_s=11, busy_timeout_s=1, public_url="http://x"))
    assert [(f.id, f.level) for f in found] == [("S003", "warning")]
    assert found[0].message.endswith("workers beat every 10 s")


@pytest.fixture
def environment(data_dir, monkeypatch):
    return monkeypatch.setenv


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_secret_file_that_cannot_be_read_names_its_variable(environment, tmp_path, content):
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    environment("OFFLOAD_PUBLIC_URL_FILE", str(path))
    with pytest.raises(InvalidInput) as raised:
        settings.get()
    assert set(raised.value.fields) == {"OFFLOAD_PUBLIC_URL_FILE"}
    assert str(path) in raised.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OFFLOAD_LEASE_S", "inf"),
        ("OFFLOAD_HEARTBEAT_S", "nan"),
        ("OFFLOAD_WEBHOOK_DELAYS_S", "60,nan"),
        ("OFFLOAD_WEBHOOK_DELAYS_S", "inf"),
        ("OFFLOAD_WEBHOOK_DELAYS_S", "-1"),
        ("OFFLOAD_DATA_DIR", ""),
    ],
)
def test_a_value_nobody_can_mean_is_refused(environment, name, value):
    environment(name, value)
    with pytest.raises(InvalidInput) as raised:
        settings.get()
    assert set(raised.value.fields) == {name}


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import no_such_library", "No module named 'no_such_library'"),
        ("def (", "SyntaxError: invalid syntax (broken_tasks.py, line 1)"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
    ],
)
def test_a_task_module_that_fails_is_told_in_one_line(environment, monkeypatch, tmp_path, source, error):
    (tmp_path / "broken_tasks.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    environment("OFFLOAD_TASK_MODULES", "broken_tasks")
    with pytest.raises(InvalidInput) as raised:
        tasks.load()
    assert raised.value.fields == {"OFFLOAD_TASK_MODULES": f"cannot import broken_tasks: {error}"}
    assert "\n" not in raised.value.message


def test_a_task_module_that_is_not_there_names_the_setting(environment):
    environment("OFFLOAD_TASK_MODULES", "no.such.module")
    with pytest.raises(InvalidInput, match=r"OFFLOAD_TASK_MODULES: cannot import no\.such\.module"):
        tasks.load()
