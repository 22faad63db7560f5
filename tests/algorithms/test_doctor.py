"""exp2sim workbench doctor: what it sees of the user's file, and what Mantid itself answers."""

import json
import sys

import pytest

from mantid_exp2sim import cli
from mantid_exp2sim.mantid import doctor
from mantid_exp2sim.mantid import install as workbench

KEY = workbench.KEY
OURS = workbench.algorithms_folder().as_posix()
USERS_OWN = "default.facility = ISIS\ndatasearch.directories = /data\n"
OLD_FILE = (
    "# The algorithms of mantid_exp2sim; `exp2sim workbench uninstall` takes them out.\n"
    f"{KEY} = {OURS}\n{USERS_OWN}"
)
"""What an earlier version made of the user's own settings."""
FOREIGN = "# see `help`\n"


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.fixture
def file(tmp_path):
    return tmp_path / "mantid" / "Mantid.user.properties"


@pytest.fixture
def checks(file):
    def look():
        found = {}
        for check in workbench.doctor(file).checks:
            found.setdefault(check.name, []).append(check)
        return found

    return look


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of its own, with the user properties that Mantid reads there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    file = write(tmp_path / ".mantid" / "Mantid.user.properties", USERS_OWN)
    if doctor.ask_mantid().properties != str(file):
        pytest.skip("this Mantid does not look for its user properties in $HOME")
    return file


def test_the_doctor_finds_mantid_torch_models_and_the_algorithms(home):
    workbench.install()
    report = workbench.doctor()
    found = {name: [check for check in report.checks if check.name == name] for name in CHECKED}
    assert {name: {check.status for check in checks} for name, checks in found.items()} == {
        name: {"ok"} for name in CHECKED
    }
    assert "Mantid " in found["mantid"][0].found
    assert {check.found.split()[0] for check in found["models"]} >= {"volumes", "slices"}
    assert [check.found for check in found["workbench"]] == [
        f"{home} names {workbench.algorithms_folder()}",
        f"Mantid has read {workbench.algorithms_folder()}",
    ]
    assert {check.found for check in found["algorithms"]} == {
        f"{file.stem} is registered" for file in workbench.algorithm_files()
    }


CHECKED = ("python", "mantid", "torch", "models", "workbench", "algorithms")


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        (OLD_FILE, "An earlier version of mantid_exp2sim wrote it: run `exp2sim workbench install`"),
        (f"{FOREIGN}{KEY} = {OURS}\n", "Take the backtick out of that line"),
    ],
    ids=["ours", "of somebody else"],
)
def test_the_doctor_tells_of_a_backtick_in_front_of_the_algorithms(home, text, fix):
    write(home, text)
    report = workbench.doctor()
    assert not report.ok
    backtick, named, read = [check for check in report.checks if check.name == "workbench"]
    assert {check.status for check in (backtick, named, read)} == {"problem"}
    assert backtick.found == f"line 1 of {home} holds a backtick: Mantid reads nothing behind it"
    assert backtick.fix.startswith(fix)
    assert f"Mantid has read 'nothing' for {KEY}" in read.found
    algorithms = [check for check in report.checks if check.name == "algorithms"]
    assert {check.status for check in algorithms} == {"problem"}
    assert all("does not register it" in check.found for check in algorithms)
    assert home.read_text() == text


def test_the_doctor_tells_of_a_backtick_behind_the_algorithms(file, checks):
    workbench.install(write(file, f"{FOREIGN}{USERS_OWN}"))
    told = checks()["workbench"][0]
    assert (told.status, told.found) == (
        "warning",
        f"line 3 of {file} holds a backtick: Mantid reads nothing behind it",
    )


def test_the_doctor_says_where_mantid_reads_another_file(home, file, checks):
    workbench.install(file)
    found = checks()
    assert f"Mantid reads {home}, not {file}" in found["workbench"][-1].found
    assert {check.status for check in found["algorithms"]} == {"warning"}


def test_the_doctor_says_the_way_out_of_each_trouble(file, checks, models_folder, monkeypatch, tmp_path):
    broken = tmp_path / "models" / "broken"
    broken.mkdir(parents=True)
    (broken / "card.json").write_text("{}")
    monkeypatch.setenv("EXP2SIM_MODELS", str(broken.parent))
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "mantid", None)
    write(file, f"{KEY}={tmp_path / 'gone'}\n")
    found = checks()
    for name in ("mantid", "torch", "models", "workbench", "algorithms"):
        trouble = [check for check in found[name] if check.status != "ok"]
        assert trouble, name
        assert all(check.fix.endswith(".") for check in trouble)
    assert "does not exist" in found["workbench"][1].found
    assert found["mantid"][0].found == "this Python has no Mantid"
    assert "conda env create" in found["mantid"][0].fix


@pytest.mark.parametrize(
    ("code", "found", "fix"),
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
def test_a_mantid_that_does_not_start_is_told(tmp_path, monkeypatch, code, found, fix):
    package = tmp_path / "broken" / "mantid"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(code)
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setattr(doctor, "TIMEOUT", 2 if "sleep" in code else 60)
    report = doctor.examine(tmp_path / "Mantid.user.properties")
    mantid = next(check for check in report.checks if check.name == "mantid")
    assert mantid.status == "problem"
    assert found in mantid.found
    assert fix in mantid.fix


def test_the_child_of_the_doctor_takes_nothing_that_workbench_set(home, monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(9)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    monkeypatch.setenv("LD_PRELOAD", str(tmp_path / "none.so"))
    assert doctor.ask_mantid().version is not None


def test_the_doctor_tells_of_an_algorithm_that_does_not_load(file, checks, monkeypatch):
    answer = doctor.MantidAnswer(version="6", properties=str(file), failures={"ConvolveMD": "No module"})
    monkeypatch.setattr(doctor, "ask_mantid", lambda: answer)
    found = {check.found: check.status for check in checks()["algorithms"]}
    assert found["ConvolveMD does not load: No module"] == "problem"


@pytest.mark.parametrize(
    ("version", "message"), [("1.0", "numpy 1.0 is older than 1.24"), (None, "numpy is not installed")]
)
def test_the_doctor_compares_versions(monkeypatch, version, message):
    monkeypatch.setattr(doctor, "_version", lambda name: version)
    assert doctor._too_old("numpy>=1.24") == message


def test_the_doctor_sees_a_library_that_is_there_twice(monkeypatch):
    monkeypatch.setattr(doctor, "_installed_twice", lambda: ["numpy"])
    trouble = [check for check in doctor._versions() if check.status == "warning"]
    assert "installed twice: numpy" in trouble[0].found
    assert "pip uninstall" in trouble[0].fix


def test_the_doctor_as_a_command(file, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "mantid", None)
    status = cli.main(["workbench", "doctor", "--properties", str(file), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert status == 1
    assert not report["ok"]
    cli.main(["workbench", "doctor", "--properties", str(file)])
    out = capsys.readouterr().out
    assert "-> " in out
    assert "PROBLEM" in out
