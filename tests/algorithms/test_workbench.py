"""exp2sim workbench install, uninstall, doctor: the user's file stays the user's."""

import json
import stat
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mantid_exp2sim import Exp2SimError, cli, doctor, workbench

KEY = workbench.KEY
OURS = workbench.algorithms_folder().as_posix()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "mantid" / "Mantid.user.properties"


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())
    return file


def test_a_missing_file_is_made_and_goes_again(file):
    change = workbench.install(file)
    assert change.changed
    assert change.backup is None
    assert workbench.plugin_directories(file) == (OURS,)
    assert workbench.uninstall(file).changed
    assert not file.exists()
    assert not workbench.uninstall(file).changed


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_other_entries_and_comments_stay(file, end):
    lines = ["# mine", "default.facility=ISIS", f"{KEY} = /a/one;/b/two ", "! old", "x : y", ""]
    write(file, end.join(lines))
    workbench.install(file)
    assert workbench.plugin_directories(file) == ("/a/one", "/b/two", OURS)
    expected = end.join([*lines[:2], f"{KEY} = /a/one;/b/two;{OURS}", *lines[3:]])
    assert file.read_bytes().decode() == expected
    workbench.uninstall(file)
    assert workbench.plugin_directories(file) == ("/a/one", "/b/two")
    assert file.read_bytes().decode() == end.join([*lines[:2], f"{KEY} = /a/one;/b/two", *lines[3:]])


def test_a_file_of_other_things_is_refused(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"\x93NUMPY\x01\0")
    with pytest.raises(Exp2SimError, match="no file of properties"):
        workbench.install(file)
    assert file.read_bytes() == b"\x93NUMPY\x01\0"
    assert list(file.parent.iterdir()) == [file]


def test_installing_twice_changes_nothing(file):
    workbench.install(write(file, "a=1\n"))
    before = file.read_bytes()
    change = workbench.install(file)
    assert not change.changed
    assert change.backup is None
    assert file.read_bytes() == before


def test_the_file_as_it_was_is_kept(file):
    change = workbench.install(write(file, "a=1\n"))
    assert change.backup.read_text() == "a=1\n"
    assert sorted(path.name for path in file.parent.iterdir()) == sorted([file.name, change.backup.name])


def test_an_entry_of_another_copy_is_replaced(file, tmp_path):
    other = tmp_path / "old" / "algorithms"
    other.mkdir(parents=True)
    (other / "DeconvolveMD.py").write_text("from mantid_exp2sim import mdalgorithm\n")
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "DeconvolveMD.py").write_text("print('somebody else')\n")
    write(file, f"{KEY}={other};{stranger}\n")
    workbench.install(file)
    assert workbench.plugin_directories(file) == (str(stranger), OURS)


def test_the_last_setting_counts_and_a_comment_does_not(file):
    write(file, f"#{KEY}=/comment\n{KEY}=/first\n{KEY} : /second\n")
    assert workbench.plugin_directories(file) == ("/second",)
    workbench.install(file)
    assert file.read_text() == f"#{KEY}=/comment\n{KEY}=/first\n{KEY} : /second;{OURS}\n"


def test_a_value_over_several_lines(file):
    write(file, f"{KEY} = /one;\\\n  /two\nb=2\n")
    workbench.install(file)
    assert workbench.plugin_directories(file) == ("/one", "/two", OURS)
    assert file.read_text().endswith("\nb=2\n")


def test_a_comment_that_ends_in_a_backslash_hides_nothing(file):
    write(file, f"# C:\\\n{KEY}=/one\n")
    assert workbench.plugin_directories(file) == ("/one",)


def test_bytes_that_are_no_utf8_stay(file):
    file.parent.mkdir()
    file.write_bytes(b"name=\xe9\xff\n")
    workbench.install(file)
    workbench.uninstall(file)
    assert file.read_bytes() == b"name=\xe9\xff\n"


TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"), max_size=40)
LINES = st.lists(TEXT | st.sampled_from([KEY, f"# {KEY}=/x", f"{KEY}=", "a\\", ""]), max_size=6)


@given(LINES, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_install_then_uninstall_gives_the_same_bytes(tmp_path_factory, lines, end, last):
    content = (end.join(lines) + (end if last else "")).encode()
    path = tmp_path_factory.mktemp("p") / "Mantid.user.properties"
    path.write_bytes(content)
    if workbench.plugin_directories(path):
        return  # entries are written without the spaces around them
    workbench.install(path)
    assert OURS in workbench.plugin_directories(path)
    workbench.uninstall(path)
    assert (path.read_bytes() if path.exists() else b"") == content


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_permissions_stay_and_a_link_stays_a_link(file, tmp_path):
    real = write(tmp_path / "real.properties", "a=1\n")
    real.chmod(0o600)
    file.parent.mkdir()
    file.symlink_to(real)
    workbench.install(file)
    assert file.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert OURS in real.read_text()


def test_a_path_that_cannot_be_an_entry(file, monkeypatch, tmp_path):
    monkeypatch.setattr(workbench, "algorithms_folder", lambda: tmp_path / "a;b")
    with pytest.raises(Exp2SimError, match="separated by ';'"):
        workbench.install(file)
    assert not file.exists()


def test_a_folder_in_place_of_the_file(file):
    file.mkdir(parents=True)
    with pytest.raises(Exp2SimError, match="Cannot read"):
        workbench.install(file)


def test_windows_has_another_place(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("APPDATA", "C:/Users/x/AppData/Roaming")
    assert (
        workbench.default_properties()
        .as_posix()
        .endswith("Roaming/mantidproject/mantid/Mantid.user.properties")
    )


def run(capsys, *arguments):
    status = cli.main(["workbench", *map(str, arguments)])
    return status, capsys.readouterr().out


def test_the_commands(file, capsys):
    status, out = run(capsys, "install", "--properties", file, "--json")
    assert (status, json.loads(out)["changed"]) == (0, True)
    status, out = run(capsys, "install", "--properties", file)
    assert status == 0
    assert "already names" in out
    status, out = run(capsys, "uninstall", "--properties", file)
    assert "Start Workbench again" in out


@pytest.fixture
def checks(file):
    def look():
        found = {}
        for check in workbench.doctor(file).checks:
            found.setdefault(check.name, []).append(check)
        return found

    return look


def test_the_doctor_finds_mantid_torch_models_and_the_algorithms(file, checks):
    workbench.install(file)
    found = checks()
    assert found["python"][0].status == "ok"
    assert found["mantid"][0].status == "ok"
    assert "Mantid " in found["mantid"][0].found
    assert found["torch"][0].status == "ok"
    assert {check.found.split()[0] for check in found["models"]} >= {"volumes", "slices"}
    assert [check.status for check in found["workbench"]] == ["ok"]
    assert {check.found for check in found["algorithms"]} == {
        f"{f.stem} loads" for f in workbench.algorithm_files()
    }


def test_the_doctor_says_the_way_out_of_each_trouble(file, checks, models_folder, monkeypatch, tmp_path):
    broken = tmp_path / "models" / "broken"
    broken.mkdir(parents=True)
    (broken / "card.json").write_text("{}")
    monkeypatch.setenv("EXP2SIM_MODELS", str(broken.parent))
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(doctor, "try_mantid", lambda: dict(NO_MANTID, error="no libMantid"))
    write(file, f"{KEY}={tmp_path / 'gone'}\n")
    found = checks()
    assert not workbench.doctor(file).ok
    for name in ("mantid", "torch", "models", "workbench"):
        trouble = [check for check in found[name] if check.status != "ok"]
        assert trouble, name
        assert all(check.way_out.endswith(".") for check in trouble)
    assert "no libMantid" in found["mantid"][0].found
    assert "does not exist" in found["workbench"][1].found
    monkeypatch.setattr(doctor, "try_mantid", lambda: NO_MANTID)
    assert "conda env create" in checks()["mantid"][0].way_out


NO_MANTID = {"mantid": None, "error": "", "algorithms": {}, "seconds": None, "heavy": []}


def test_the_doctor_tells_of_an_algorithm_that_does_not_load(file, checks, monkeypatch):
    outcome = {
        "mantid": "6",
        "error": "",
        "algorithms": {"ConvolveMD": "No module"},
        "seconds": 0.1,
        "heavy": ["torch"],
    }
    monkeypatch.setattr(doctor, "try_mantid", lambda: outcome)
    found = checks()["algorithms"]
    assert [check.status for check in found] == ["problem", "warning"]
    assert "ConvolveMD does not load: No module" in found[0].found


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
    assert "pip uninstall" in trouble[0].way_out


def test_the_doctor_as_a_command(file, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "try_mantid", lambda: NO_MANTID)
    status, out = run(capsys, "doctor", "--properties", file, "--json")
    report = json.loads(out)
    assert status == 1
    assert not report["ok"]
    status, out = run(capsys, "doctor", "--properties", file)
    assert "-> " in out
    assert "PROBLEM" in out


def test_register_without_mantid_says_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "mantid", None)
    with pytest.raises(Exp2SimError, match=r"Mantid comes from conda"):
        workbench.register()
