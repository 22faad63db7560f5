"""Start Mantid in a Python of its own, and ask what it has read and which algorithms it has."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from mantid_exp2sim.mantid.user_properties import algorithm_files, algorithms_folder, default_properties

TIMEOUT = 120
"""Seconds after which a start of Mantid is given up."""

# Mantid starts as in Workbench: importing simpleapi loads the user's plugins.
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
    "make the environment again from environment.yml, or remove the plugin that the output names."
)
_SLOW_MANTID = (
    "Start `python -c 'import mantid.simpleapi'` to see where it waits (a plugin, or a directory "
    "on a network drive that does not answer), then ask again."
)


@dataclass(frozen=True, slots=True)
class MantidAnswer:
    """Mantid's answers.

    Parameters
    ----------
    version
        None where Mantid did not answer; ``trouble`` and ``fix`` say why.
    properties, directories
        The file of user properties that Mantid reads, and the plugin directories that it read there.
    registered, failures
        The algorithms that Mantid has at its start, and the messages of those that do not load.
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
        return self.version is not None and is_same(self.properties, properties)


def is_same(entry: str, path: Path) -> bool:
    """Say whether two spellings name the same file or folder."""
    return Path(entry).expanduser().resolve() == path.expanduser().resolve()


def clean_environment() -> dict[str, str]:
    """Return the environment for a child process, without what Workbench sets for itself alone."""
    return {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "PYTHONPATH", "PYTHONHOME")}


def ask_mantid() -> MantidAnswer:
    """Start Mantid and ask it.

    Mantid makes the folder of its user properties where there is none: it then gets a home that goes again.
    """
    if importlib.util.find_spec("mantid") is None:
        return MantidAnswer(trouble="this Python has no Mantid", fix=_NO_MANTID)
    properties = default_properties()
    if properties.parent.exists():
        return _ask(clean_environment())
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        answer = _ask({**clean_environment(), "HOME": home, "APPDATA": home})
    if not Path(answer.properties).is_relative_to(home):
        return answer
    return replace(answer, properties=str(properties))


def _ask(environment: dict[str, str]) -> MantidAnswer:
    names = [file.stem for file in algorithm_files()]
    try:
        child = subprocess.run(
            [sys.executable, "-c", _PROBE, json.dumps(sys.path), str(algorithms_folder()), *names],
            env=environment,
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
        return MantidAnswer(trouble=_describe_end(child), fix=_BROKEN_MANTID)
    answer = json.loads(results[-1])
    fix = _BROKEN_MANTID if answer["trouble"] else ""
    return MantidAnswer(**{**answer, "registered": tuple(answer["registered"]), "fix": fix})


def _describe_end(child: subprocess.CompletedProcess[str]) -> str:
    number = -child.returncode
    names = [item.name for item in signal.Signals if item == number]
    end = f"crashed ({names[0]})" if names else f"ended with exit code {child.returncode}"
    last = child.stderr.strip().splitlines()[-1:]
    return f"Mantid {end} while it started" + (f": {last[0]}" if last else "")
