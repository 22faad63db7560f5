"""What packages say of the project: its parts, its version and its lower bounds, everywhere alike."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import mantid_exp2sim

ROOT = Path(__file__).resolve().parents[2]
OF_CONDA = {"torch": ("pytorch", "pytorch-cpu"), "matplotlib": ("matplotlib-base",)}
"""Names that conda-forge has for what PyPI calls otherwise."""


@pytest.fixture(scope="module")
def setup() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def packages_in(folder: Path, name: str) -> set[str]:
    found = {name} if (folder / "__init__.py").exists() else set()
    for child in folder.iterdir():
        if child.is_dir() and (child / "__init__.py").exists():
            found |= packages_in(child, f"{name}.{child.name}")
    return found


def bounds_in(text: str) -> dict[str, str]:
    """Lower bounds by the name of a package, as requirements, constraints, conda and pixi write them.

    >>> bounds_in("  - numpy >=1.24\\nscipy = '>=1.10'\\nrich==13.0.0")
    {'numpy': '1.24', 'scipy': '1.10', 'rich': '13'}
    """
    lines = re.findall(r"^[ -]*([\w-]+)[ =\"']*[>=]=([\d.]+)[\"']?$", text, re.MULTILINE)
    return {name.lower(): re.sub(r"(\.0)+$", "", bound) for name, bound in lines}


def test_all_packages_are_listed(setup: dict[str, Any]) -> None:
    listed = set(setup["tool"]["setuptools"]["packages"])
    there = packages_in(ROOT / "mantid_exp2sim", "mantid_exp2sim")
    there |= packages_in(ROOT / "training", "mantid_exp2sim.training")
    assert listed == there | {"mantid_exp2sim._algorithms"}


def test_the_plugin_directory_is_no_package() -> None:
    assert not list((ROOT / "algorithms").rglob("__init__.py"))


def test_one_version_everywhere() -> None:
    version = re.escape(mantid_exp2sim.__version__)
    for name, line in (
        ("CITATION.cff", rf"^version: {version}$"),
        ("conda-recipe/recipe.yaml", rf'^  version: "{version}"$'),
        ("CHANGELOG.md", rf"^## {version}\b"),
    ):
        assert re.search(line, (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE), name


@pytest.mark.parametrize(
    "name", ["constraints-min.txt", "environment.yml", "pixi.toml", "conda-recipe/recipe.yaml"]
)
def test_lower_bounds_are_those_of_pyproject(setup: dict[str, Any], name: str) -> None:
    needed = bounds_in("\n".join(setup["project"]["dependencies"]))
    listed = bounds_in((ROOT / name).read_text(encoding="utf-8"))
    for package, bound in needed.items():
        names = (package, *OF_CONDA.get(package, ()))
        assert [listed[other] for other in names if other in listed] == [bound], package


def test_the_recipe_says_what_the_package_says(setup: dict[str, Any]) -> None:
    """Summary, licence, Python and the command are those of pyproject.toml."""
    recipe, project = (ROOT / "conda-recipe" / "recipe.yaml").read_text(encoding="utf-8"), setup["project"]
    command, place = next(iter(project["scripts"].items()))
    for line in (
        f"  summary: {project['description']}",
        f"  license: {project['license']}",
        f'  python_min: "{project["requires-python"].removeprefix(">=")}"',
        f"      - {command} = {place}",
        f"  homepage: {project['urls']['Article']}",
        f"    - {setup['build-system']['requires'][0].replace('>=', ' >=')}",
    ):
        assert line in recipe.splitlines(), line
