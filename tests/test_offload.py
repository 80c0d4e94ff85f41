"""The launcher, with installers that only write down what they were asked to do."""

import importlib.machinery
import importlib.util
import multiprocessing
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SOURCE = Path(__file__).parents[1] / "offload"


def load():
    loader = importlib.machinery.SourceFileLoader("offload_launcher", str(SOURCE))
    spec = importlib.util.spec_from_loader("offload_launcher", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def launcher(tmp_path, monkeypatch):
    """The launcher in a folder of its own; `.did` lists what was made, removed and installed."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return place(load(), tmp_path)


def place(module, folder):
    module.HERE, module.LOCK = str(folder), str(folder / ".venv.lock")
    module.VENV, module.PYTHON = str(folder / ".venv"), str(folder / ".venv/bin/python")
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "requirements.txt").write_text("one==1\n")
    (folder / "tests/requirements.txt").write_text("two==2\n")
    module.did = []
    removing = module.remove_environment

    def remove():
        if Path(module.VENV).exists():
            module.did.append("remove")
        removing()

    def make(lock):
        module.did.append("make")
        Path(module.PYTHON).parent.mkdir(parents=True)
        Path(module.PYTHON).symlink_to(sys.executable)

    def run(failure, arguments, lock):
        module.did.append(Path(arguments[-1]).relative_to(folder).as_posix())

    module.remove_environment, module.make_environment, module.run = remove, make, run
    module.is_usable = lambda: Path(module.PYTHON).exists()
    return module


def test_the_first_start_makes_and_installs_and_the_second_does_nothing(launcher):
    launcher.prepare("requirements.txt")
    assert launcher.did == ["make", "requirements.txt"]
    launcher.prepare("requirements.txt")
    assert launcher.did == ["make", "requirements.txt"]


def test_the_second_start_does_not_even_take_the_lock(launcher, monkeypatch):
    launcher.prepare("requirements.txt")
    monkeypatch.setattr(launcher, "one_at_a_time", pytest.fail)
    launcher.prepare("requirements.txt")


def test_tests_add_their_own_packages(launcher):
    launcher.prepare("requirements.txt")
    launcher.prepare("requirements.txt", "tests/requirements.txt")
    assert launcher.did == ["make", "requirements.txt", "tests/requirements.txt"]


def test_changed_requirements_are_installed_into_what_is_there(launcher):
    launcher.prepare("requirements.txt")
    Path(launcher.HERE, "requirements.txt").write_text("one==2\n")
    launcher.prepare("requirements.txt")
    assert launcher.did == ["make", "requirements.txt", "requirements.txt"]


def test_an_interrupted_change_does_not_look_finished_when_it_is_taken_back(launcher, monkeypatch):
    def interrupted(failure, arguments, lock):
        raise KeyboardInterrupt

    launcher.prepare("requirements.txt")
    Path(launcher.HERE, "requirements.txt").write_text("one==2\n")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(launcher, "run", interrupted)
        launcher.prepare("requirements.txt")
    Path(launcher.HERE, "requirements.txt").write_text("one==1\n")
    launcher.prepare("requirements.txt")
    assert launcher.did[-3:] == ["remove", "make", "requirements.txt"]


def test_an_interrupted_installation_is_begun_anew(launcher, monkeypatch):
    def interrupted(failure, arguments, lock):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(launcher, "run", interrupted)
        launcher.prepare("requirements.txt")
    launcher.prepare("requirements.txt")
    assert launcher.did == ["make", "remove", "make", "requirements.txt"]


def test_an_environment_that_was_moved_is_made_anew(launcher, tmp_path, monkeypatch):
    launcher.prepare("requirements.txt")
    stamp = Path(launcher.stamp_path("requirements.txt"))
    stamp.write_text(stamp.read_text().replace(str(tmp_path), "/elsewhere"))
    launcher.prepare("requirements.txt")
    assert launcher.did == ["make", "requirements.txt", "remove", "make", "requirements.txt"]


def test_an_environment_behind_a_link_is_never_removed(launcher, tmp_path, capsys):
    elsewhere = tmp_path / "shared"
    elsewhere.mkdir()
    Path(launcher.VENV).symlink_to(elsewhere)
    with pytest.raises(SystemExit):
        launcher.prepare("requirements.txt")
    assert elsewhere.exists()
    assert "remove the link" in capsys.readouterr().err


def test_two_first_starts_at_once_install_once(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, outcomes = context.Barrier(2), context.SimpleQueue()
    starts = [context.Process(target=start, args=(tmp_path, barrier, outcomes)) for _ in range(2)]
    for process in starts:
        process.start()
    for process in starts:
        process.join(30)
    assert sorted(outcomes.get() for _ in starts) == [[], ["make", "requirements.txt"]]


def start(folder, barrier, outcomes):
    launcher = place(load(), folder)
    barrier.wait()
    launcher.prepare("requirements.txt")
    outcomes.put(launcher.did)


def test_who_is_not_root_gets_the_one_line_to_run(launcher, monkeypatch, capsys):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(subprocess, "run", pytest.fail)
    with pytest.raises(SystemExit) as stopped:
        launcher.apt("Pango is missing", "libpangoft2-1.0-0", "fonts-dejavu-core")
    assert stopped.value.code == 1
    install = "sudo apt-get install -y --no-install-recommends libpangoft2-1.0-0 fonts-dejavu-core"
    assert f"\n    sudo apt-get update && {install}\n" in capsys.readouterr().err


def test_root_updates_first_and_is_never_asked_anything(launcher, monkeypatch):
    ran = []
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    done = SimpleNamespace(returncode=0, stdout="")
    monkeypatch.setattr(subprocess, "run", lambda command, **options: ran.append((command, options)) or done)
    launcher.apt("Pango is missing", "libpangoft2-1.0-0")
    assert [command[-1] for command, _ in ran] == ["update", "DPkg::Lock::Timeout=300"]
    assert {options["env"]["DEBIAN_FRONTEND"] for _, options in ran} == {"noninteractive"}
    assert {options["stdin"] for _, options in ran} == {subprocess.DEVNULL}


@pytest.fixture
def trial(launcher, monkeypatch):
    """The file with the trial render, and what it answers, one after the other."""
    launcher.prepare("requirements.txt")
    Path(launcher.HERE, "engine/lib").mkdir(parents=True)
    file = Path(launcher.HERE, launcher.NATIVE)
    file.write_text("one")
    answers = []
    monkeypatch.setattr(launcher, "try_libraries", lambda: answers.pop(0))
    monkeypatch.setattr(launcher, "apt", lambda why, *packages: launcher.did.append(packages))
    monkeypatch.setattr(launcher, "is_root", lambda: False)
    return SimpleNamespace(file=file, answers=answers)


FINE, SLOW, BROKEN = ("ok", [], ""), ("warning", ["subset"], "slow"), ("error", ["pango"], "no Pango")


def test_libraries_are_tried_once_and_again_when_the_trial_changes(launcher, trial):
    trial.answers[:] = [FINE]
    launcher.need_native_libraries()
    launcher.need_native_libraries()
    trial.file.write_text("two")
    trial.answers[:] = [FINE]
    launcher.need_native_libraries()
    assert trial.answers == []


def test_missing_libraries_are_installed_and_tried_again(launcher, trial):
    trial.answers[:] = [BROKEN, FINE]
    launcher.need_native_libraries()
    assert launcher.did[-1] == ("pango",)


def test_libraries_that_stay_missing_stop_the_start(launcher, trial):
    trial.answers[:] = [BROKEN, BROKEN]
    with pytest.raises(SystemExit):
        launcher.need_native_libraries()


def test_who_cannot_install_is_only_told_about_slowness(launcher, trial, capsys):
    trial.answers[:] = [SLOW]
    launcher.need_native_libraries()
    assert launcher.did == ["make", "requirements.txt"]
    assert "slow." in capsys.readouterr().err


def test_a_renderer_broken_otherwise_is_told_at_each_start(launcher, trial, capsys):
    trial.answers[:] = [("error", [], "odd"), ("error", [], "odd")]
    launcher.need_native_libraries()
    launcher.need_native_libraries()
    assert capsys.readouterr().err.count("odd.") == 2


def test_an_old_python_looks_for_a_newer_one(launcher, monkeypatch):
    monkeypatch.setattr(launcher.sys, "version_info", (3, 10, 0, "final", 0))
    monkeypatch.setattr("shutil.which", lambda name: "/opt/python3.12" if name == "python3.12" else None)
    assert launcher.choose_python() == "/opt/python3.12"


@pytest.mark.parametrize("failing", ["ruff", "mypy", "pytest", None])
def test_any_failing_check_fails_the_run_and_pytest_is_last(launcher, monkeypatch, failing):
    ran = []

    def run(command, **options):
        ran.append(command[2:])
        assert not [name for name in options["env"] if name.startswith("OFFLOAD_")]
        return SimpleNamespace(returncode=int(command[2] == failing))

    monkeypatch.setattr(subprocess, "run", run)
    status = launcher.run_tests(["-x", "tests/lib"], {"OFFLOAD_WORKERS": "1", "HOME": ""})
    assert status == (failing is not None)
    assert [command[0] for command in ran] == ["ruff", "ruff", "mypy", "pytest"]
    assert ran[-1] == ["pytest", "-x", "tests/lib"]


@pytest.mark.parametrize("given", [None, "/srv/offload"])
def test_commands_run_from_anywhere_on_the_data_beside_the_launcher(launcher, monkeypatch, given):
    became = []
    monkeypatch.setattr("os.execve", lambda path, command, environment: became.append((command, environment)))
    monkeypatch.delenv("OFFLOAD_DATA_DIR", raising=False)
    if given:
        monkeypatch.setenv("OFFLOAD_DATA_DIR", given)
    launcher.main(["tasks", "list"])
    [(command, environment)] = became
    assert command[1:] == ["-P", "-m", "engine", "tasks", "list"]
    assert environment["PYTHONPATH"].split(":")[0] == launcher.HERE
    assert environment["OFFLOAD_DATA_DIR"] == (given or f"{launcher.HERE}/data")
