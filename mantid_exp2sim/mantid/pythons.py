"""Which Python is Workbench's, and what ``pip --user`` has put in its way."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import site
import sys
from collections.abc import Iterator
from pathlib import Path

from mantid_exp2sim.errors import Exp2SimError

_PROGRAMS = ("mantidworkbench", "workbench", "mantidpython")
_CONDAS = ("miniforge3", "mambaforge", "miniconda3", "anaconda3", "micromamba", ".pixi", ".conda")
_INSTALLED = (
    ("/opt", "[Mm]antid*"),  # Linux packages, and IDAaaS
    ("/usr/local", "[Mm]antid*"),
    ("/Applications", "Mantid*.app/Contents/Resources"),
    ("C:/", "MantidInstall*"),
)


def has_mantid() -> bool:
    """Say whether this Python finds Mantid."""
    return importlib.util.find_spec("mantid") is not None


def require_workbench_python() -> None:
    """Raise `Exp2SimError` where this Python is not Workbench's; the fix names the one that is."""
    if has_mantid():
        return
    others = find_workbench_pythons()
    where = "" if not others else f"Workbench's is {others[0]}. "
    python = others[0] if others else "the Python of the environment that Workbench is in"
    raise Exp2SimError(
        f"{sys.executable} is not the Python of a Workbench: it has no Mantid.",
        reason=f"{where}Workbench runs the algorithms in its own Python, which has to find this package.",
        fix=f"With {python}: `-m pip install mantid_exp2sim`, then `-m mantid_exp2sim workbench install`. "
        "Without a Workbench: `conda env create -f environment.yml`.",
    )


def find_workbench_pythons() -> list[Path]:
    """List the other Pythons of this machine that have Mantid, the likeliest first."""
    pythons: dict[Path, None] = {}
    for prefix in _prefixes():
        python = _python_of(prefix)
        if python is not None and prefix.resolve() != Path(sys.prefix).resolve() and _holds_mantid(prefix):
            pythons.setdefault(python)
    return list(pythons)


def _prefixes() -> Iterator[Path]:
    """Folders in which a Mantid can be: of programs on the path, of packages, of conda."""
    for program in filter(None, map(shutil.which, _PROGRAMS)):
        yield Path(program).resolve().parents[1]
    for folder, pattern in _INSTALLED:
        yield from sorted(Path(folder).glob(pattern), reverse=True)  # later versions first
    home = Path.home()
    listed = home / ".conda" / "environments.txt"
    if listed.is_file():
        yield from map(Path, listed.read_text("utf-8", "replace").splitlines())
    roots = [home / name for name in _CONDAS]
    if "CONDA_EXE" in os.environ:
        roots.insert(0, Path(os.environ["CONDA_EXE"]).parents[1])
    for root in roots:
        yield root
        yield from sorted(root.glob("envs/*"))


def _python_of(prefix: Path) -> Path | None:
    places = (prefix / "bin" / "python", prefix / "bin" / "python.exe", prefix / "python.exe")
    return next((place for place in places if place.is_file()), None)


def _holds_mantid(prefix: Path) -> bool:
    folders = ("lib/python3*/site-packages", "Lib/site-packages", "bin", "lib", "plugins")
    return any(any(prefix.glob(f"{folder}/mantid/__init__.py")) for folder in folders)


def describe_environment() -> str:
    """Say in words what kind of Python this is.

    >>> describe_environment() != ""
    True
    """
    if (Path(sys.prefix) / "conda-meta").is_dir():
        return f"the conda environment {os.environ.get('CONDA_DEFAULT_ENV') or sys.prefix}"
    if sys.prefix != sys.base_prefix:
        return f"the virtual environment {sys.prefix}"
    return "no environment"


def list_user_packages() -> list[str]:
    """Name what ``pip install --user`` has put in front of the same packages of this Python."""
    user = site.getusersitepackages()
    if not site.ENABLE_USER_SITE or user not in sys.path:
        return []
    others = [folder for folder in sys.path if folder != user]
    return sorted(_names([user]) & _names(others))


def _names(folders: list[str]) -> set[str]:
    packages = importlib.metadata.distributions(path=folders)
    return {
        str(item.metadata["Name"]).lower().replace("_", "-") for item in packages if item.metadata["Name"]
    }
