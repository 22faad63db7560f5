"""Look at what the algorithms need in Workbench, and name the fix of each problem."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.mantid import libraries, pythons
from mantid_exp2sim.mantid.probe import MantidAnswer, ask_mantid, is_same
from mantid_exp2sim.mantid.user_properties import (
    KEY,
    algorithm_files,
    algorithms_folder,
    default_properties,
    entries_that_mantid_reads,
    is_ours,
    line_of_backtick,
    read_properties,
)

Status = Literal["ok", "warning", "problem"]
_INSTALL = "Run `exp2sim workbench install`, then start Workbench again."
_QT = ("PyQt6", "PyQt5", "PySide6", "PySide2")


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, what is there, and the fix where that is a problem."""

    name: str
    status: Status
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All checks."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Say whether there is no problem."""
        return all(check.status != "problem" for check in self.checks)

    @property
    def next_step(self) -> str:
        """Say what to do first: the fix of the first problem, else of the first warning."""
        for status in ("problem", "warning"):
            for check in self.checks:
                if check.status == status and check.fix:
                    return check.fix
        return "Start Workbench, and type DeconvolveMD in the box of algorithms."

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON."""
        checks = [asdict(check) for check in self.checks]
        return {"ok": self.ok, "next": self.next_step, "checks": checks}


def examine(properties: Path | None = None) -> Report:
    """Look at Python, Mantid, torch, versions, models, the file of user properties and the algorithms."""
    file = (properties or default_properties()).expanduser()
    answer = ask_mantid()
    return Report(
        (
            _python(),
            *_user_packages(),
            _mantid(answer),
            _torch(),
            *_versions(),
            *_models(),
            *_properties(file),
            *_directories(answer, file),
            *_algorithms(answer, file),
            _window(),
        )
    )


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    good = sys.version_info >= (3, 11)
    fix = "" if good else "Use Python 3.11 or later: see environment.yml."
    place = f"Python {version} at {sys.executable}, {pythons.describe_environment()}"
    return Check("python", "ok" if good else "problem", place, fix)


def _user_packages() -> list[Check]:
    names = pythons.list_user_packages()
    if not names:
        return []
    message = f"`pip --user` has put other copies before those of this Python: {', '.join(names)}"
    fix = (
        f"`{sys.executable} -m pip uninstall {' '.join(names)}`, or start Workbench with PYTHONNOUSERSITE=1 "
        "set; install into the environment without --user."
    )
    return [Check("python", "problem", message, fix)]


def _mantid(answer: MantidAnswer) -> Check:
    if answer.version is None:
        others = pythons.find_workbench_pythons()
        where = f" Workbench's Python is {others[0]}: use this command there." if others else ""
        return Check("mantid", "problem", answer.trouble, answer.fix + where)
    return Check("mantid", "ok", f"Mantid {answer.version}")


def _torch() -> Check:
    if importlib.util.find_spec("torch") is None:
        fix = "Install it: `conda install -c conda-forge pytorch-cpu` or `pip install torch`."
        return Check("torch", "problem", "PyTorch is not installed, models cannot run", fix)
    return Check("torch", "ok", f"PyTorch {libraries.find_version('torch') or 'of unknown version'}")


def _versions() -> list[Check]:
    checks = []
    if outdated := libraries.list_outdated():
        checks.append(Check("versions", "problem", "; ".join(outdated), "Update them from conda-forge."))
    if duplicates := libraries.list_duplicates():
        fix = "Remove the copy that pip brought (`pip uninstall`), and keep conda's."
        checks.append(Check("versions", "warning", f"installed twice: {', '.join(duplicates)}", fix))
    return checks or [Check("versions", "ok", "all libraries are there and new enough")]


def _models() -> list[Check]:
    from mantid_exp2sim.model.registry import list_models, user_models_folder

    folders = list_models()
    if not folders:
        fix = f"Put the folder of a model into {user_models_folder()}."
        return [Check("models", "problem", "no model is installed", fix)]
    return [_model(name, folder) for name, folder in folders.items()]


def _model(name: str, folder: Path) -> Check:
    from mantid_exp2sim.model.bundle import load_bundle

    try:
        model = load_bundle(folder)
    except Exp2SimError as error:
        return Check("models", "problem", str(error), "Get the model again, or remove its folder.")
    return Check("models", "ok", f"{name} version {model.card.version}, {model.checksum[:12]}, {folder}")


def _properties(properties: Path) -> list[Check]:
    """Look at what the file says, read as Mantid reads it."""
    text = read_properties(properties)
    entries = entries_that_mantid_reads(text)
    folder = algorithms_folder()
    named = any(is_same(entry, folder) for entry in entries)
    checks = [_backtick(properties, text, named=named)] if "`" in text else []
    if named:
        checks.append(Check("workbench", "ok", f"{properties} names {folder}"))
    else:
        place = " in front of its first backtick" if checks else ""
        checks.append(Check("workbench", "problem", f"{properties} does not name {folder}{place}", _INSTALL))
    for entry in entries:
        if not Path(entry).is_dir():
            message = f"the plugin directory {entry} does not exist"
            checks.append(Check("workbench", "warning", message, f"Remove it from {KEY} in {properties}."))
        elif is_ours(entry) and not is_same(entry, folder):
            checks.append(
                Check("workbench", "warning", f"{entry} is another copy of the algorithms", _INSTALL)
            )
    return checks


def _backtick(properties: Path, text: str, *, named: bool) -> Check:
    message = (
        f"line {line_of_backtick(text)} of {properties} holds a backtick: Mantid reads nothing behind it"
    )
    fix = "Take the backtick out of that line, then start Workbench again."
    return Check("workbench", "warning" if named else "problem", message, fix)


def _directories(answer: MantidAnswer, properties: Path) -> list[Check]:
    """Look at which plugin directories Mantid has read."""
    if answer.version is None:
        return []
    if not answer.reads(properties):
        fix = "Leave out --properties to look at the file that Mantid reads."
        return [Check("workbench", "warning", f"Mantid reads {answer.properties}, not {properties}", fix)]
    folder = algorithms_folder()
    if any(is_same(entry.strip(), folder) for entry in answer.directories.split(";") if entry.strip()):
        return [Check("workbench", "ok", f"Mantid has read {folder}")]
    message = f"Mantid has read {answer.directories or 'nothing'!r} for {KEY}: the algorithms are not in it"
    fix = "Run `exp2sim workbench install`, and take out any backtick that it names; then ask again."
    return [Check("workbench", "problem", message, fix)]


def _algorithms(answer: MantidAnswer, properties: Path) -> list[Check]:
    names = [file.stem for file in algorithm_files()]
    if answer.version is None:
        message = f"not tried, for Mantid does not load: {', '.join(names)}"
        return [Check("algorithms", "warning", message, "Mend Mantid first: see above.")]
    return [_algorithm(name, answer, properties) for name in names]


def _algorithm(name: str, answer: MantidAnswer, properties: Path) -> Check:
    if name in answer.failures:
        fix = "Install mantid_exp2sim again, into the Python of Workbench."
        return Check("algorithms", "problem", f"{name} does not load: {answer.failures[name]}", fix)
    if name in answer.registered:
        return Check("algorithms", "ok", f"{name} is registered")
    status: Status = "problem" if answer.reads(properties) else "warning"
    return Check(
        "algorithms", status, f"{name} loads, but Mantid does not register it at its start", _INSTALL
    )


def _window() -> Check:
    """Look for what the window and its entry in the menu of interfaces need."""
    if importlib.util.find_spec("qtpy") is None or not any(map(importlib.util.find_spec, _QT)):
        fix = "`conda install -c conda-forge qtpy pyqt`, or `pip install 'mantid_exp2sim[interface]'`."
        return Check("window", "warning", "there is no Qt: the window does not open", fix)
    if not (algorithms_folder() / "menu" / "exp2sim_menu.py").is_file():
        return Check("window", "warning", "its entry in Workbench's menu is missing", "Install it again.")
    return Check("window", "ok", "Workbench's menu Interfaces, Exp2Sim; else `exp2sim gui`")
