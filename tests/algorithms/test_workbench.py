"""exp2sim workbench install and uninstall: the user's file stays the user's, and Mantid reads it whole."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mantid_exp2sim import Exp2SimError, cli
from mantid_exp2sim.mantid import install as workbench
from mantid_exp2sim.mantid import user_properties

KEY = user_properties.KEY
OURS = user_properties.algorithms_folder().as_posix()


def entries(file: Any) -> Any:
    """Return the plugin directories that Mantid reads in a file."""
    return user_properties.entries_that_mantid_reads(user_properties.read_properties(file))


@pytest.fixture
def file(tmp_path: Path) -> Any:
    return tmp_path / "mantid" / "Mantid.user.properties"


def write(file: Any, text: Any) -> Any:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())
    return file


def test_a_missing_file_is_made_and_goes_again(file: Any) -> None:
    change = workbench.install(file)
    assert change.changed
    assert change.backup is None
    assert entries(file) == (OURS,)
    assert workbench.uninstall(file).changed
    assert not file.exists()
    assert not workbench.uninstall(file).changed


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_other_entries_and_comments_stay(file: Any, end: str) -> None:
    lines = ["# mine", "default.facility=ISIS", f"{KEY} = /a/one;/b/two ", "! old", "x : y", ""]
    write(file, end.join(lines))
    workbench.install(file)
    assert entries(file) == ("/a/one", "/b/two", OURS)
    expected = end.join([*lines[:2], f"{KEY} = /a/one;/b/two;{OURS}", *lines[3:]])
    assert file.read_bytes().decode() == expected
    workbench.uninstall(file)
    assert entries(file) == ("/a/one", "/b/two")
    assert file.read_bytes().decode() == end.join([*lines[:2], f"{KEY} = /a/one;/b/two", *lines[3:]])


def test_a_file_of_other_things_is_refused(file: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"\x93NUMPY\x01\0")
    with pytest.raises(Exp2SimError, match="no file of properties"):
        workbench.install(file)
    assert file.read_bytes() == b"\x93NUMPY\x01\0"
    assert list(file.parent.iterdir()) == [file]


def test_installing_twice_changes_nothing(file: Any) -> None:
    workbench.install(write(file, "a=1\n"))
    before = file.read_bytes()
    change = workbench.install(file)
    assert not change.changed
    assert change.backup is None
    assert file.read_bytes() == before


def test_the_file_as_it_was_is_kept(file: Any) -> None:
    change = workbench.install(write(file, "a=1\n"))
    assert change.backup is not None
    assert change.backup.read_text() == "a=1\n"
    assert sorted(path.name for path in file.parent.iterdir()) == sorted([file.name, change.backup.name])


def test_an_entry_of_another_copy_is_replaced(file: Any, tmp_path: Path) -> None:
    other = tmp_path / "old" / "algorithms"
    other.mkdir(parents=True)
    (other / "DeconvolveMD.py").write_text("from mantid_exp2sim import mdalgorithm\n")
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "DeconvolveMD.py").write_text("print('somebody else')\n")
    write(file, f"{KEY}={other};{stranger}\n")
    workbench.install(file)
    assert entries(file) == (str(stranger), OURS)


def test_the_last_setting_counts_and_a_comment_does_not(file: Any) -> None:
    write(file, f"#{KEY}=/comment\n{KEY}=/first\n{KEY} : /second\n")
    assert entries(file) == ("/second",)
    workbench.install(file)
    assert file.read_text() == f"#{KEY}=/comment\n{KEY}=/first\n{KEY} : /second;{OURS}\n"


def test_a_value_over_several_lines(file: Any) -> None:
    write(file, f"{KEY} = /one;\\\n  /two\nb=2\n")
    workbench.install(file)
    assert entries(file) == ("/one", "/two", OURS)
    assert file.read_text().endswith("\nb=2\n")


def test_a_comment_that_ends_in_a_backslash_hides_nothing(file: Any) -> None:
    write(file, f"# C:\\\n{KEY}=/one\n")
    assert entries(file) == ("/one",)


def test_a_key_without_a_value_is_a_setting(file: Any) -> None:
    write(file, f"{KEY}=/first\n{KEY}\nb=2\n")
    workbench.install(file)
    assert as_mantid_reads(file) == {KEY: OURS, "b": "2"}
    assert file.read_text() == f"{KEY}=/first\n{KEY} = {OURS}\nb=2\n"


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_characters_that_only_unicode_calls_a_line_end_stay_in_their_entry(file: Any, character: str) -> None:
    write(file, f"{KEY} = /a{character}b\n")
    workbench.install(file)
    assert file.read_bytes().decode() == f"{KEY} = /a{character}b;{OURS}\n"
    workbench.uninstall(file)
    assert file.read_bytes().decode() == f"{KEY} = /a{character}b\n"


def test_bytes_that_are_no_utf8_stay(file: Any) -> None:
    file.parent.mkdir()
    file.write_bytes(b"name=\xe9\xff\n")
    workbench.install(file)
    workbench.uninstall(file)
    assert file.read_bytes() == b"name=\xe9\xff\n"


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
LINES = st.lists(TEXT | st.sampled_from([f"# {KEY}=/x", f"{KEY}=", "a\\", "", "`"]), max_size=6)


@given(LINES, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_install_then_uninstall_gives_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, lines: Any, end: Any, last: Any
) -> None:
    content = (end.join(lines) + (end if last else "")).encode()
    path = tmp_path_factory.mktemp("p") / "Mantid.user.properties"
    path.write_bytes(content)
    if entries(path):
        return  # entries are written without the spaces around them
    change = workbench.install(path)
    hidden = OURS not in entries(path)
    assert hidden == ("the algorithms are among it" in change.warning)
    assert "`" in content.decode() or not hidden
    assert change.warning.count("holds a backtick") == ("`" in content.decode())
    workbench.uninstall(path)
    assert (path.read_bytes() if path.exists() else b"") == content


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_permissions_stay_and_a_link_stays_a_link(file: Any, tmp_path: Path) -> None:
    real = write(tmp_path / "real.properties", "a=1\n")
    real.chmod(0o600)
    file.parent.mkdir()
    file.symlink_to(real)
    workbench.install(file)
    assert file.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert OURS in real.read_text()


@pytest.mark.parametrize("name", ["a;b", "a`b"])
def test_a_path_that_cannot_be_an_entry(
    file: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setattr(workbench, "algorithms_folder", lambda: tmp_path / name)
    with pytest.raises(Exp2SimError, match="no semicolon, backslash or backtick"):
        workbench.install(file)
    assert not file.exists()


def test_a_folder_in_place_of_the_file(file: Any) -> None:
    file.mkdir(parents=True)
    with pytest.raises(Exp2SimError, match="Cannot read"):
        workbench.install(file)


def test_windows_has_another_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("APPDATA", "C:/Users/x/AppData/Roaming")
    assert (
        user_properties.default_properties()
        .as_posix()
        .endswith("Roaming/mantidproject/mantid/Mantid.user.properties")
    )


def run(capsys: Any, *arguments: Any) -> Any:
    status = cli.main(["workbench", *map(str, arguments)])
    return status, capsys.readouterr().out


def test_the_commands(file: Any, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = run(capsys, "install", "--properties", file, "--json")
    assert (status, json.loads(out)["changed"]) == (0, True)
    status, out = run(capsys, "install", "--properties", file)
    assert status == 0
    assert "already names" in out
    status, out = run(capsys, "uninstall", "--properties", file)
    assert "Start Workbench again" in out


MARKED = f"{user_properties.MARK}\n"
USERS_OWN = "default.facility = ISIS\ndatasearch.directories = /data\n"


def as_mantid_reads(file: Path) -> dict[str, str]:
    """Return the settings by the rule of Mantid's reader: nothing behind the first backtick counts."""
    lines = file.read_text().partition("`")[0].splitlines()
    pairs = (line.partition("=") for line in lines if line.strip() and line.lstrip()[0] not in "#!")
    return {key.strip(): value.strip() for key, _, value in pairs}


def test_what_install_writes_leaves_the_users_settings_to_mantid(file: Any) -> None:
    workbench.install(write(file, USERS_OWN))
    assert "`" not in file.read_text()
    assert as_mantid_reads(file) == {KEY: OURS, "default.facility": "ISIS", "datasearch.directories": "/data"}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{MARKED}{KEY} = {OURS}\n{USERS_OWN}", USERS_OWN),
        (f"{USERS_OWN}{MARKED}{KEY} = {OURS}\n", USERS_OWN),
        (f"{MARKED}{KEY} = {OURS};/mine\n{USERS_OWN}", f"{KEY} = /mine\n{USERS_OWN}"),
        (f"{MARKED}{USERS_OWN}", USERS_OWN),
        (f"{MARKED}{USERS_OWN}{KEY} = /mine\n", f"{USERS_OWN}{KEY} = /mine\n"),
    ],
    ids=["first", "last", "with an entry of the user", "left alone", "moved away from its key"],
)
def test_uninstall_removes_the_line_of_install(file: Any, before: Any, after: Any, end: str) -> None:
    write(file, before.replace("\n", end))
    assert workbench.uninstall(file).changed
    assert file.read_bytes().decode() == after.replace("\n", end)


def test_a_file_of_install_alone_goes(file: Any) -> None:
    workbench.uninstall(write(file, f"{MARKED}{KEY} = {OURS}\n"))
    assert not file.exists()


FOREIGN = "# see `help`\n"


def test_install_tells_of_a_backtick_of_somebody_else_and_leaves_it(
    file: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write(file, f"a = 1\n{FOREIGN}{KEY} = /mine\n")
    change = workbench.install(file)
    assert f"Line 2 of {file} holds a backtick" in change.warning
    assert "the algorithms are among it" in change.warning
    assert "Take the backtick out" in change.warning
    assert file.read_text() == f"a = 1\n{FOREIGN}{KEY} = /mine;{OURS}\n"
    assert as_mantid_reads(file) == {"a": "1"}
    assert workbench.install(file).warning == change.warning
    _, out = run(capsys, "install", "--properties", file)
    assert f"Warning: {change.warning}" in out
    _, out = run(capsys, "install", "--properties", file, "--json")
    assert json.loads(out)["warning"] == change.warning
    assert workbench.uninstall(file).warning == ""
    assert file.read_text() == f"a = 1\n{FOREIGN}{KEY} = /mine\n"


def test_install_tells_of_a_backtick_that_hides_the_settings_of_the_user(file: Any) -> None:
    change = workbench.install(write(file, f"{FOREIGN}{USERS_OWN}"))
    assert "other settings of yours" in change.warning
    assert as_mantid_reads(file) == {KEY: OURS}


def test_register_without_mantid_names_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mantid", None)
    with pytest.raises(Exp2SimError, match=r"Mantid comes from conda"):
        workbench.register_algorithms()
