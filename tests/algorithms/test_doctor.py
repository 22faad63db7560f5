"""exp2sim workbench doctor: what it sees of the user's file, and what Mantid itself answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mantid_exp2sim import cli
from mantid_exp2sim.mantid import libraries, probe
from mantid_exp2sim.mantid.doctor import examine
from mantid_exp2sim.mantid.install import install
from mantid_exp2sim.mantid.user_properties import KEY, algorithm_files, algorithms_folder

OURS = algorithms_folder().as_posix()
USERS_OWN = "default.facility = ISIS\ndatasearch.directories = /data\n"
FOREIGN = "# see `help`\n"


def write(file: Any, text: Any) -> Any:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.fixture
def file(tmp_path: Path) -> Any:
    return tmp_path / "mantid" / "Mantid.user.properties"


@pytest.fixture
def checks(file: Any) -> Any:
    def look() -> Any:
        by_name: dict[str, Any] = {}
        for check in examine(file).checks:
            by_name.setdefault(check.name, []).append(check)
        return by_name

    return look


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A home of its own, with the user properties that Mantid reads there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    file = write(tmp_path / ".mantid" / "Mantid.user.properties", USERS_OWN)
    if probe.ask_mantid().properties != str(file):
        pytest.skip("this Mantid does not look for its user properties in $HOME")
    return file


def test_the_doctor_finds_mantid_torch_models_and_the_algorithms(home: Any) -> None:
    install()
    report = examine()
    by_name = {name: [check for check in report.checks if check.name == name] for name in CHECKED}
    assert {name: {check.status for check in checks} for name, checks in by_name.items()} == {
        name: {"ok"} for name in CHECKED
    }
    assert "Mantid " in by_name["mantid"][0].message
    assert {check.message.split()[0] for check in by_name["models"]} >= {"volumes", "slices"}
    assert [check.message for check in by_name["workbench"]] == [
        f"{home} names {algorithms_folder()}",
        f"Mantid has read {algorithms_folder()}",
    ]
    assert {check.message for check in by_name["algorithms"]} == {
        f"{file.stem} is registered" for file in algorithm_files()
    }


CHECKED = ("python", "mantid", "torch", "models", "workbench", "algorithms")


def test_the_doctor_tells_of_a_backtick_in_front_of_the_algorithms(home: Any) -> None:
    text = f"{FOREIGN}{KEY} = {OURS}\n"
    write(home, text)
    report = examine()
    assert not report.ok
    backtick, named, read = [check for check in report.checks if check.name == "workbench"]
    assert {check.status for check in (backtick, named, read)} == {"problem"}
    assert backtick.message == f"line 1 of {home} holds a backtick: Mantid reads nothing behind it"
    assert backtick.fix.startswith("Take the backtick out of that line")
    assert f"Mantid has read 'nothing' for {KEY}" in read.message
    algorithms = [check for check in report.checks if check.name == "algorithms"]
    assert {check.status for check in algorithms} == {"problem"}
    assert all("does not register it" in check.message for check in algorithms)
    assert home.read_text() == text


def test_the_doctor_tells_of_a_backtick_behind_the_algorithms(file: Any, checks: Any) -> None:
    install(write(file, f"{FOREIGN}{USERS_OWN}"))
    told = checks()["workbench"][0]
    assert (told.status, told.message) == (
        "warning",
        f"line 3 of {file} holds a backtick: Mantid reads nothing behind it",
    )


def test_the_doctor_tells_of_the_window(file: Any, checks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (window,) = checks()["window"]
    assert (window.status, window.message.split(",")[0]) == ("ok", "Workbench's menu Interfaces")
    monkeypatch.setitem(sys.modules, "qtpy", None)
    (window,) = checks()["window"]
    assert window.status == "warning"
    assert "conda install" in window.fix


def test_the_doctor_says_where_mantid_reads_another_file(home: Any, file: Any, checks: Any) -> None:
    install(file)
    by_name = checks()
    assert f"Mantid reads {home}, not {file}" in by_name["workbench"][-1].message
    assert {check.status for check in by_name["algorithms"]} == {"warning"}


def test_the_doctor_names_the_fix_of_each_problem(
    file: Any, checks: Any, models_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "models" / "broken"
    broken.mkdir(parents=True)
    (broken / "card.json").write_text("{}")
    monkeypatch.setenv("EXP2SIM_MODELS", str(broken.parent))
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "mantid", None)
    write(file, f"{KEY}={tmp_path / 'gone'}\n")
    by_name = checks()
    for name in ("mantid", "torch", "models", "workbench", "algorithms"):
        trouble = [check for check in by_name[name] if check.status != "ok"]
        assert trouble, name
        assert all(check.fix.endswith(".") for check in trouble)
    assert "does not exist" in by_name["workbench"][1].message
    assert by_name["mantid"][0].message == "this Python has no Mantid"
    assert "conda env create" in by_name["mantid"][0].fix


@pytest.mark.parametrize(
    ("code", "message", "fix"),
    [
        ("raise ImportError('no libMantid')", "does not load: ImportError: no libMantid", "environment.yml"),
        ("import os; os.kill(os.getpid(), 11)", "crashed (SIGSEGV) while it started", "environment.yml"),
        (
            "import os, sys; sys.stderr.write('boost\\n'); sys.stderr.flush(); os._exit(3)",
            "ended with exit code 3 while it started: boost",
            "environment.yml",
        ),
        ("import time; time.sleep(60)", "did not start within 2 s", "to see where it waits"),
    ],
    ids=["import fails", "crash", "exit", "hangs"],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_mantid_that_does_not_start_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, message: str, fix: str
) -> None:
    package = tmp_path / "broken" / "mantid"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(code)
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setattr(probe, "TIMEOUT", 2 if "sleep" in code else 60)
    report = examine(tmp_path / "Mantid.user.properties")
    mantid = next(check for check in report.checks if check.name == "mantid")
    assert mantid.status == "problem"
    assert message in mantid.message
    assert fix in mantid.fix


def test_asking_makes_no_folder_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package" / "mantid"
    package.mkdir(parents=True)
    makes_its_folder = "import pathlib; (pathlib.Path.home() / '.mantid').mkdir(); raise ImportError('made')"
    (package / "__init__.py").write_text(makes_its_folder)
    monkeypatch.syspath_prepend(package.parent)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    assert "ImportError: made" in probe.ask_mantid().trouble
    assert not list(home.iterdir())


def test_a_user_without_properties_reads_the_usual_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    answer = probe.ask_mantid()
    assert not list(tmp_path.iterdir())
    assert answer.reads(tmp_path / ".mantid" / "Mantid.user.properties")


def test_the_child_of_the_doctor_takes_nothing_that_workbench_set(
    home: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(9)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    monkeypatch.setenv("LD_PRELOAD", str(tmp_path / "none.so"))
    assert probe.ask_mantid().version is not None


def test_the_doctor_tells_of_an_algorithm_that_does_not_load(
    file: Any, checks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = probe.MantidAnswer(version="6", properties=str(file), failures={"ConvolveMD": "No module"})
    monkeypatch.setattr("mantid_exp2sim.mantid.doctor.ask_mantid", lambda: answer)
    by_name = {check.message: check.status for check in checks()["algorithms"]}
    assert by_name["ConvolveMD does not load: No module"] == "problem"


@pytest.mark.parametrize(
    ("version", "message"), [("1.0", "numpy 1.0 is older than 1.24"), ("1.24.1", "")], ids=["old", "new"]
)
def test_versions_are_compared_by_their_numbers(
    monkeypatch: pytest.MonkeyPatch, version: str, message: str
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: version)
    assert libraries.compare("numpy>=1.24") == message


def test_a_library_that_is_missing_is_named() -> None:
    assert libraries.compare("no-such-library>=1") == "no-such-library is not installed"


def test_the_doctor_sees_a_library_that_is_there_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, checks: Any
) -> None:
    assert [check.status for check in checks()["versions"]] == ["ok"]
    record = write(tmp_path / "pip" / "numpy-1.0.dist-info" / "METADATA", "Name: numpy\nVersion: 1.0\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(record.parents[1])])
    trouble = [check for check in checks()["versions"] if check.status == "warning"]
    assert trouble[0].message == "installed twice: numpy"
    assert "pip uninstall" in trouble[0].fix


def test_the_doctor_as_a_command(
    file: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mantid", None)
    status = cli.main(["workbench", "doctor", "--properties", str(file), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert status == 1
    assert not report["ok"]
    cli.main(["workbench", "doctor", "--properties", str(file)])
    out = capsys.readouterr().out
    assert "-> " in out
    assert "PROBLEM" in out
