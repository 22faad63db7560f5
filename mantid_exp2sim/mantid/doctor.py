"""Look at what the algorithms need in Workbench, and say the way out of each trouble."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.mantid.user_properties import (
    KEY,
    algorithm_files,
    algorithms_folder,
    entries_that_mantid_reads,
    holds_old_mark,
    is_ours,
    line_of_backtick,
    read_properties,
)

Status = Literal["ok", "warning", "problem"]
TIMEOUT = 120
"""Seconds after which a start of Mantid is given up."""
_SINGLE = ("numpy", "scipy", "h5py", "torch", "pydantic", "matplotlib")

# Runs in a Python of its own. Mantid starts as in Workbench: importing simpleapi loads the user's plugins.
# Only what it did not register is then loaded from its file, to learn why.
_PROBE = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
answer = {"version": None, "trouble": "", "registered": [], "failures": {}}
try:
    import mantid
    from mantid import simpleapi
    from mantid.api import AlgorithmFactory, AlgorithmManager
    from mantid.kernel import config, plugins
    answer["properties"] = config.getUserFilename()
    answer["directories"] = config["user.python.plugins.directories"]
    names = sys.argv[3:]
    answer["registered"] = [name for name in names if name in AlgorithmFactory.getRegisteredAlgorithms(True)]
    if len(answer["registered"]) < len(names):
        plugins.load(sys.argv[2])
    for name in names:
        try:
            AlgorithmManager.createUnmanaged(name).initialize()
        except Exception as error:
            answer["failures"][name] = str(error)
    answer["version"] = getattr(mantid, "__version__", "unknown")
except BaseException as error:
    answer["trouble"] = "Mantid is there but does not load: " + type(error).__name__ + ": " + str(error)
sys.stdout.write("\\nRESULT " + json.dumps(answer) + "\\n")
sys.stdout.flush()
"""
_NO_MANTID = (
    "Mantid comes from conda, not from PyPI: `conda env create -f environment.yml` or `pixi install`, "
    "then install mantid_exp2sim into that environment. Without Mantid the command line and Python work."
)
_BROKEN_MANTID = (
    "Start `python -c 'import mantid.simpleapi'` to see more; "
    "make the environment again from environment.yml, or take out the plugin that the output names."
)
_SLOW_MANTID = (
    "Start `python -c 'import mantid.simpleapi'` to see where it waits (a plugin, or a directory "
    "on a network drive that does not answer), then ask again."
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what was found, and the way out where that is trouble."""

    name: str
    status: Status
    found: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All that was looked at."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing stands in the way."""
        return all(check.status != "problem" for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"ok": self.ok, "checks": [asdict(check) for check in self.checks]}


@dataclass(frozen=True, slots=True)
class MantidAnswer:
    """What Mantid says when it is asked in a Python of its own; ``version`` is None where it gave no answer.

    ``properties`` is the file of user properties that it reads and ``directories`` what it has read there,
    ``registered`` are the algorithms that it has at its start, ``failures`` those that do not load.
    """

    version: str | None = None
    trouble: str = ""
    fix: str = ""
    properties: str = ""
    directories: str = ""
    registered: tuple[str, ...] = ()
    failures: dict[str, str] = field(default_factory=dict)

    def reads(self, properties: Path) -> bool:
        """Say whether this is the file of user properties that Mantid reads."""
        return self.version is not None and _same(self.properties, properties)


def examine(properties: Path) -> Report:
    """Look at Python, Mantid, torch, versions, models, the properties file and the algorithms."""
    answer = ask_mantid()
    return Report(
        (
            _python(),
            _mantid(answer),
            _torch(),
            *_versions(),
            *_models(),
            *_properties(properties),
            *_what_mantid_has_read(answer, properties),
            *_algorithms(answer, properties),
        )
    )


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    good = sys.version_info >= (3, 11)
    fix = "" if good else "Use Python 3.11 or later: see environment.yml."
    return Check("python", "ok" if good else "problem", f"Python {version} at {sys.executable}", fix)


def clean_environment() -> dict[str, str]:
    """The environment of a child process, without what Workbench sets for itself alone."""
    return {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "PYTHONPATH", "PYTHONHOME")}


def ask_mantid() -> MantidAnswer:
    """Start Mantid in a Python of its own, and ask what it has read and which algorithms it has."""
    if importlib.util.find_spec("mantid") is None:
        return MantidAnswer(trouble="this Python has no Mantid", fix=_NO_MANTID)
    names = [file.stem for file in algorithm_files()]
    try:
        child = subprocess.run(
            [sys.executable, "-c", _PROBE, json.dumps(sys.path), str(algorithms_folder()), *names],
            env=clean_environment(),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return MantidAnswer(trouble=f"Mantid did not start within {TIMEOUT} s", fix=_SLOW_MANTID)
    except OSError as error:
        fix = f"Start {sys.executable} in a terminal to see why."
        return MantidAnswer(trouble=f"a second Python does not start: {error}", fix=fix)
    results = re.findall(r"^RESULT (\{.*\})$", child.stdout, re.MULTILINE)
    if not results:
        return MantidAnswer(trouble=_how_it_ended(child), fix=_BROKEN_MANTID)
    answer = json.loads(results[-1])
    fix = _BROKEN_MANTID if answer["trouble"] else ""
    return MantidAnswer(**{**answer, "registered": tuple(answer["registered"]), "fix": fix})


def _how_it_ended(child: subprocess.CompletedProcess[str]) -> str:
    number = -child.returncode
    names = [item.name for item in signal.Signals if item == number]
    how = f"crashed ({names[0]})" if names else f"ended with exit code {child.returncode}"
    last = child.stderr.strip().splitlines()[-1:]
    return f"Mantid {how} while it started" + (f": {last[0]}" if last else "")


def _mantid(answer: MantidAnswer) -> Check:
    if answer.version is None:
        return Check("mantid", "problem", answer.trouble, answer.fix)
    return Check("mantid", "ok", f"Mantid {answer.version}")


def _torch() -> Check:
    if importlib.util.find_spec("torch") is None:
        fix = "Install it: `conda install -c conda-forge pytorch-cpu` or `pip install torch`."
        return Check("torch", "problem", "PyTorch is not installed, models cannot run", fix)
    return Check("torch", "ok", f"PyTorch {_version('torch') or 'of unknown version'}")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _versions() -> list[Check]:
    """Lower bounds of the package, and libraries that were installed twice."""
    checks = []
    try:
        wanted = importlib.metadata.requires("mantid_exp2sim") or []
    except importlib.metadata.PackageNotFoundError:
        wanted = []
    low = [text for text in (_too_old(line) for line in wanted if "extra ==" not in line) if text]
    twice = _installed_twice()
    if low:
        checks.append(Check("versions", "problem", "; ".join(low), "Update them from conda-forge."))
    if twice:
        fix = "Remove the copy that pip brought (`pip uninstall`), and keep conda's."
        checks.append(Check("versions", "warning", f"installed twice: {', '.join(twice)}", fix))
    return checks or [Check("versions", "ok", "all libraries are there and new enough")]


def _too_old(requirement: str) -> str:
    found = re.match(r"\s*([A-Za-z0-9_.-]+)\s*(?:\(?>=\s*([0-9.]+)\)?)?", requirement)
    if found is None or found.group(1).lower() == "torch":
        return ""
    name, bound = found.groups()
    version = _version(name)
    if version is None:
        return f"{name} is not installed"
    old = bound is not None and _numbers(version) < _numbers(bound)
    return f"{name} {version} is older than {bound}" if old else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _installed_twice() -> list[str]:
    places: dict[str, set[str]] = {}
    for distribution in importlib.metadata.distributions():
        name = (distribution.metadata["Name"] or "").lower()
        if name in _SINGLE:
            places.setdefault(name, set()).add(str(distribution.locate_file("")))
    return sorted(name for name, where in places.items() if len(where) > 1)


def _models() -> list[Check]:
    from mantid_exp2sim.model.bundle import load_bundle
    from mantid_exp2sim.model.registry import list_models, user_models_folder

    found = list_models()
    if not found:
        return [
            Check(
                "models",
                "problem",
                "no model is installed",
                f"Put the folder of a model into {user_models_folder()}.",
            )
        ]
    checks = []
    for name, folder in found.items():
        try:
            model = load_bundle(folder)
            checks.append(
                Check("models", "ok", f"{name} version {model.card.version}, {model.checksum[:12]}, {folder}")
            )
        except Exp2SimError as error:
            checks.append(
                Check("models", "problem", str(error), "Get the model again, or remove its folder.")
            )
    return checks


def _same(entry: str, path: Path) -> bool:
    return Path(entry).expanduser().resolve() == path.expanduser().resolve()


def _properties(properties: Path) -> list[Check]:
    """What the file says, read as Mantid reads it."""
    text = read_properties(properties)
    entries = entries_that_mantid_reads(text)
    folder = algorithms_folder()
    named = any(_same(entry, folder) for entry in entries)
    checks = [_backtick(properties, text, named=named)] if "`" in text else []
    if named:
        checks.append(Check("workbench", "ok", f"{properties} names {folder}"))
    else:
        fix = "Run `exp2sim workbench install`, then start Workbench again."
        found = f"{properties} does not name {folder}" + (" in front of its first backtick" if checks else "")
        checks.append(Check("workbench", "problem", found, fix))
    for entry in entries:
        if not Path(entry).is_dir():
            fix = f"Take it out of {KEY} in {properties}."
            found = f"the plugin directory {entry} does not exist"
            checks.append(Check("workbench", "warning", found, fix))
        elif is_ours(entry) and not _same(entry, folder):
            fix = "Run `exp2sim workbench install` to replace it."
            checks.append(Check("workbench", "warning", f"{entry} is another copy of the algorithms", fix))
    return checks


def _backtick(properties: Path, text: str, *, named: bool) -> Check:
    found = f"line {line_of_backtick(text)} of {properties} holds a backtick: Mantid reads nothing behind it"
    if holds_old_mark(text):
        fix = "An earlier version of mantid_exp2sim wrote it: run `exp2sim workbench install` to replace it."
        return Check("workbench", "problem", found, fix)
    fix = "Take the backtick out of that line, then start Workbench again."
    return Check("workbench", "warning" if named else "problem", found, fix)


def _what_mantid_has_read(answer: MantidAnswer, properties: Path) -> list[Check]:
    if answer.version is None:
        return []
    if not answer.reads(properties):
        fix = "Leave out --properties to look at the file that Mantid reads."
        return [Check("workbench", "warning", f"Mantid reads {answer.properties}, not {properties}", fix)]
    folder = algorithms_folder()
    if any(_same(entry.strip(), folder) for entry in answer.directories.split(";") if entry.strip()):
        return [Check("workbench", "ok", f"Mantid has read {folder}")]
    fix = "Run `exp2sim workbench install`, and take out any backtick that it tells of; then ask again."
    found = f"Mantid has read {answer.directories or 'nothing'!r} for {KEY}: the algorithms are not in it"
    return [Check("workbench", "problem", found, fix)]


def _algorithms(answer: MantidAnswer, properties: Path) -> list[Check]:
    names = [file.stem for file in algorithm_files()]
    if answer.version is None:
        found = f"not tried, for Mantid does not load: {', '.join(names)}"
        return [Check("algorithms", "warning", found, "See what is said of Mantid above.")]
    return [_algorithm(name, answer, properties) for name in names]


def _algorithm(name: str, answer: MantidAnswer, properties: Path) -> Check:
    if name in answer.failures:
        fix = "Install mantid_exp2sim again, into the Python of Workbench."
        return Check("algorithms", "problem", f"{name} does not load: {answer.failures[name]}", fix)
    if name in answer.registered:
        return Check("algorithms", "ok", f"{name} is registered")
    fix = "Run `exp2sim workbench install`, then start Workbench again."
    status: Status = "problem" if answer.reads(properties) else "warning"
    return Check("algorithms", status, f"{name} loads, but Mantid does not register it at its start", fix)
