"""Which Python is Workbench's, and what pip has put into its way."""

from __future__ import annotations

import json
import site
import sys
from pathlib import Path
from typing import Any

import pytest

from mantid_exp2sim import cli
from mantid_exp2sim.mantid import pythons
from mantid_exp2sim.mantid.doctor import examine


def environment(prefix: Path, *, mantid: bool) -> Path:
    """Make the files of a conda environment; return its Python."""
    packages = prefix / "lib" / "python3.11" / "site-packages" / ("mantid" if mantid else "numpy")
    packages.mkdir(parents=True)
    (packages / "__init__.py").touch()
    (prefix / "bin").mkdir()
    python = prefix / "bin" / "python"
    python.touch()
    return python


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without Mantid, and no program of Mantid on the path."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv("CONDA_EXE", raising=False)
    monkeypatch.setattr(pythons, "_INSTALLED", ((str(tmp_path / "opt"), "mantidworkbench*"),))
    monkeypatch.setitem(sys.modules, "mantid", None)
    return tmp_path


def test_install_refuses_from_another_python_and_names_the_right_one(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment(home / "miniforge3" / "envs" / "analysis", mantid=False)
    right = environment(home / "miniforge3" / "envs" / "workbench", mantid=True)
    file = home / "Mantid.user.properties"
    assert cli.main(["workbench", "install", "--properties", str(file), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)
    assert f"{sys.executable} is not the Python of a Workbench" in error["error"]
    assert f"With {right}: `-m pip install mantid_exp2sim`" in error["fix"]
    assert not file.exists()


def test_places_of_mantid_in_their_order(home: Path) -> None:
    shared = environment(home / "opt" / "mantidworkbench6.14", mantid=True)  # as on IDAaaS
    older = environment(home / "opt" / "mantidworkbench6.12", mantid=True)
    elsewhere = environment(home / "data" / "env", mantid=True)
    (home / ".conda").mkdir()
    (home / ".conda" / "environments.txt").write_text(f"{home / 'gone'}\n{home / 'data' / 'env'}\n")
    assert pythons.find_workbench_pythons() == [shared, older, elsewhere]


def test_without_any_mantid_the_error_says_how_to_get_it(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["workbench", "install", "--properties", str(home / "a")]) == 2
    assert "conda env create -f environment.yml" in capsys.readouterr().err


def test_the_doctor_says_where_workbench_is_and_what_comes_next(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = environment(home / "mambaforge", mantid=True)
    assert cli.main(["workbench", "doctor", "--properties", str(home / "a")]) == 1
    out = capsys.readouterr().out
    assert f"Workbench's Python is {right}" in out
    assert out.splitlines()[-1].startswith("Next: ")


def test_the_doctor_names_packages_of_pip_user(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user: Any = home / ".local" / "site-packages"
    for name, folder in (("numpy", user), ("own-tool", user), ("numpy", home / "env")):
        about = folder / f"{name}-1.0.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    monkeypatch.setattr(site, "getusersitepackages", lambda: str(user))
    monkeypatch.setattr(site, "ENABLE_USER_SITE", True)
    monkeypatch.setattr(sys, "path", [str(user), str(home / "env"), *sys.path])
    assert pythons.list_user_packages() == ["numpy"]
    trouble = next(check for check in examine(home / "a").checks if "pip --user" in check.message)
    assert trouble.status == "problem"
    assert "PYTHONNOUSERSITE=1" in trouble.fix
