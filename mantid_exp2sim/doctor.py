"""Look at what the algorithms need in Workbench, and say the way out of each trouble."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mantid_exp2sim import workbench
from mantid_exp2sim.errors import Exp2SimError

Status = Literal["ok", "warning", "problem"]
TIMEOUT = 120
"""Seconds after which the trial run of Mantid is given up."""
_SINGLE = ("numpy", "scipy", "h5py", "torch", "pydantic", "matplotlib")

# Runs in a Python of its own: Mantid is loaded as at start-up, with the algorithms executed as plugins.
_PROBE = """
import json, sys, time
sys.path[:] = json.loads(sys.argv[1])
result = {"mantid": None, "error": "", "algorithms": {}, "seconds": None, "heavy": []}
try:
    import mantid
    from mantid import simpleapi
    from mantid.api import AlgorithmFactory, AlgorithmManager
    from mantid.kernel import plugins
    result["mantid"] = getattr(mantid, "__version__", "unknown")
    before = set(sys.modules)
    start = time.perf_counter()
    plugins.load(sys.argv[2])
    result["seconds"] = time.perf_counter() - start
    result["heavy"] = sorted({"torch", "ot", "matplotlib"} & (set(sys.modules) - before))
    for name in sys.argv[3:]:
        try:
            AlgorithmManager.createUnmanaged(name).initialize()
            result["algorithms"][name] = "ok"
        except Exception as error:
            result["algorithms"][name] = str(error)
except BaseException as error:
    result["error"] = type(error).__name__ + ": " + str(error)
sys.stdout.write("\\nRESULT " + json.dumps(result) + "\\n")
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what was found, and the way out where that is trouble."""

    name: str
    status: Status
    found: str
    way_out: str = ""


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


def examine(properties: Path) -> Report:
    """Look at Python, Mantid, torch, versions, models, the properties file and the algorithms."""
    probe = try_mantid()
    return Report(
        (
            _python(),
            _mantid(probe),
            _torch(),
            *_versions(),
            *_models(),
            *_properties(properties),
            *_algorithms(probe),
        )
    )


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    good = sys.version_info >= (3, 11)
    way_out = "" if good else "Use Python 3.11 or later: see environment.yml."
    return Check("python", "ok" if good else "problem", f"Python {version} at {sys.executable}", way_out)


def clean_environment() -> dict[str, str]:
    """The environment of a child process, without what Workbench sets for itself alone."""
    return {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "PYTHONPATH", "PYTHONHOME")}


def try_mantid() -> dict[str, Any]:
    """Load Mantid and the algorithms in a Python of its own; what came of it."""
    if importlib.util.find_spec("mantid") is None:
        return {"mantid": None, "error": "", "algorithms": {}, "seconds": None, "heavy": []}
    files = workbench.algorithm_files()
    arguments = [json.dumps(sys.path), str(workbench.algorithms_folder()), *(file.stem for file in files)]
    try:
        run = subprocess.run(
            [sys.executable, "-c", _PROBE, *arguments],
            env=clean_environment(),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"mantid": None, "error": str(error), "algorithms": {}, "seconds": None, "heavy": []}
    found = re.findall(r"^RESULT (\{.*\})$", run.stdout, re.MULTILINE)
    if not found:
        last = run.stderr.strip().splitlines()[-1:] or [f"exit code {run.returncode}"]
        return {"mantid": None, "error": last[0], "algorithms": {}, "seconds": None, "heavy": []}
    result: dict[str, Any] = json.loads(found[-1])
    return result


def _mantid(probe: dict[str, Any]) -> Check:
    if probe["mantid"] is not None:
        return Check("mantid", "ok", f"Mantid {probe['mantid']}")
    if probe["error"]:
        way_out = (
            "Start `python -c 'import mantid'` to see more; make the environment again from environment.yml."
        )
        return Check("mantid", "problem", f"Mantid is there but does not load: {probe['error']}", way_out)
    way_out = (
        "Mantid comes from conda, not from PyPI: `conda env create -f environment.yml` or `pixi install`, "
        "then install mantid_exp2sim into that environment. Without Mantid the command line and Python work."
    )
    return Check("mantid", "problem", "this Python has no Mantid", way_out)


def _torch() -> Check:
    if importlib.util.find_spec("torch") is None:
        way_out = "Install it: `conda install -c conda-forge pytorch-cpu` or `pip install torch`."
        return Check("torch", "problem", "PyTorch is not installed, models cannot run", way_out)
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
        way_out = "Remove the copy that pip brought (`pip uninstall`), and keep conda's."
        checks.append(Check("versions", "warning", f"installed twice: {', '.join(twice)}", way_out))
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
    from mantid_exp2sim.bundle import load_bundle
    from mantid_exp2sim.installed import list_models, user_models_folder

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


def _properties(properties: Path) -> list[Check]:
    entries = workbench.plugin_directories(properties)
    folder = workbench.algorithms_folder()
    checks = []
    if any(Path(entry).resolve() == folder.resolve() for entry in entries):
        checks.append(Check("workbench", "ok", f"{properties} names {folder}"))
    else:
        way_out = "Run `exp2sim workbench install`, then start Workbench again."
        checks.append(Check("workbench", "problem", f"{properties} does not name {folder}", way_out))
    for entry in entries:
        if not Path(entry).is_dir():
            way_out = f"Take it out of {workbench.KEY} in {properties}."
            checks.append(
                Check("workbench", "warning", f"the plugin directory {entry} does not exist", way_out)
            )
        elif workbench.is_ours(entry) and Path(entry).resolve() != folder.resolve():
            way_out = "Run `exp2sim workbench install` to replace it."
            checks.append(
                Check("workbench", "warning", f"{entry} is another copy of the algorithms", way_out)
            )
    return checks


def _algorithms(probe: dict[str, Any]) -> list[Check]:
    if probe["mantid"] is None:
        names = ", ".join(file.stem for file in workbench.algorithm_files())
        return [Check("algorithms", "warning", f"not tried, for Mantid does not load: {names}")]
    checks = []
    for name, outcome in probe["algorithms"].items():
        if outcome == "ok":
            checks.append(Check("algorithms", "ok", f"{name} loads"))
        else:
            way_out = "Install mantid_exp2sim again, into the Python of Workbench."
            checks.append(Check("algorithms", "problem", f"{name} does not load: {outcome}", way_out))
    if probe["heavy"]:
        found = f"loading them imports {', '.join(probe['heavy'])}"
        checks.append(
            Check("algorithms", "warning", found, "Please report this: it slows down Workbench's start.")
        )
    return checks
