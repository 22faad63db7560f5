"""The list of packages in pyproject.toml is written by hand: it must name what there is."""

from __future__ import annotations

import tomllib
from pathlib import Path

import mantid_exp2sim

ROOT = Path(__file__).resolve().parents[2]


def packages_in(folder: Path, name: str) -> set[str]:
    found = {name} if (folder / "__init__.py").exists() else set()
    for child in folder.iterdir():
        if child.is_dir() and (child / "__init__.py").exists():
            found |= packages_in(child, f"{name}.{child.name}")
    return found


def test_all_packages_are_listed() -> None:
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = set(setup["tool"]["setuptools"]["packages"])
    there = packages_in(ROOT / "mantid_exp2sim", "mantid_exp2sim")
    there |= packages_in(ROOT / "training", "mantid_exp2sim.training")
    assert listed == there | {"mantid_exp2sim._algorithms"}
    assert setup["project"]["version"] == mantid_exp2sim.__version__


def test_the_plugin_directory_is_no_package() -> None:
    assert not list((ROOT / "algorithms").rglob("__init__.py"))
