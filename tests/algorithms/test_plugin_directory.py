"""The plugin directory, loaded the way Mantid loads it."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from typing import Any

import pytest
from mantid.api import AlgorithmManager

from mantid_exp2sim.mantid import user_properties
from mantid_exp2sim.mantid.install import register_algorithms
from mantid_exp2sim.mantid.probe import clean_environment
from tests.helpers.scripts import load_script

FILES = user_properties.algorithm_files()
FOLDER = user_properties.algorithms_folder()
HEAVY = ("torch", "ot", "matplotlib", "scipy", "h5py", "qtpy")

LOAD = """
import json, sys, time
sys.path[:] = json.loads(sys.argv[1])
import numpy
from mantid.kernel import config, plugins
config["user.python.plugins.directories"] = ""  # nothing of what this machine has installed
import mantid.simpleapi
from mantid.api import AlgorithmFactory, AlgorithmManager

before = set(sys.modules)
known = set(AlgorithmFactory.getRegisteredAlgorithms(True))
start = time.perf_counter()
plugins.load(sys.argv[2])
made = sorted(set(AlgorithmFactory.getRegisteredAlgorithms(True)) - known)
for name in made:
    AlgorithmManager.createUnmanaged(name).initialize()
print("RESULT", json.dumps({"new": sorted(set(sys.modules) - before), "algorithms": made,
                            "seconds": time.perf_counter() - start}))
"""


@pytest.fixture(scope="module")
def loaded() -> Any:
    command = [sys.executable, "-c", LOAD, json.dumps(sys.path), str(FOLDER)]
    run = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "Failed to load" not in run.stderr
    return json.loads(run.stdout.split("RESULT ")[1])


def test_every_file_is_an_algorithm_of_its_name(loaded: Any) -> None:
    assert loaded["algorithms"] == sorted(file.stem for file in FILES)


def test_loading_them_brings_in_nothing_heavy(loaded: Any) -> None:
    assert not [name for name in loaded["new"] if name.split(".")[0] in HEAVY]


def test_no_file_becomes_a_module_that_hides_another(loaded: Any) -> None:
    assert not {file.stem for file in FILES} & (
        set(sys.stdlib_module_names) | set(HEAVY) | {"setup", "numpy"}
    )


def test_there_is_nothing_else_in_the_directory() -> None:
    allowed = {file.name for file in FILES} | {"README.md", "__pycache__", "menu"}
    assert {path.name for path in FOLDER.iterdir()} == allowed & {path.name for path in FOLDER.iterdir()}
    assert [path.name for path in FOLDER.rglob("*/*.py")] == ["exp2sim_menu.py"]
    assert len(FILES) >= 3


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_is_thin(file: Any) -> None:
    text = file.read_text()
    assert len(text.splitlines()) <= 150
    assert len(file.stem) <= 20
    assert file.stem.isalnum()
    assert file.stem.endswith("MD")
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert str(node.module).split(".")[0] in ("mantid", "mantid_exp2sim")
        assert not isinstance(node, ast.Import)
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    assert classes == [file.stem]
    assert not [node for node in tree.body if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("name", [file.stem for file in FILES])
def test_what_workbench_shows(api: Any, name: Any) -> None:
    algorithm = AlgorithmManager.create(name)
    assert algorithm.category() == "MDAlgorithms\\Transforms" or algorithm.category().startswith(
        "MDAlgorithms"
    )
    assert algorithm.summary().count(".") == 1
    assert algorithm.summary().endswith(".")
    assert name not in list(algorithm.seeAlso())
    assert len(list(algorithm.seeAlso())) >= 2
    assert f"{name}.md" in algorithm.helpURL()
    for prop in algorithm.getProperties():
        tip = prop.documentation.split(".")[0]
        assert 5 < len(tip) < 140, prop.name
        assert not re.search(r"\.\S", prop.documentation), f"the tooltip of {prop.name} ends too early"
    names = [prop.name for prop in algorithm.getProperties()]
    groups = [prop.getGroup for prop in algorithm.getProperties()]
    groups = [group() if callable(group) else group for group in groups]
    titles = [group for group in dict.fromkeys(groups) if group]
    for title in titles:
        places = [i for i, group in enumerate(groups) if group == title]
        assert places == list(range(places[0], places[-1] + 1)), f"{title} is torn apart: {names}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_mantid_finds_every_method_in_the_class_itself(api: Any, file: Any) -> None:
    """Mantid looks into the dictionary of the class: what a base class has does not count."""
    module = load_script(file)
    methods = {"category", "summary", "seeAlso", "helpURL", "PyInit", "validateInputs", "PyExec"}
    assert methods <= set(vars(getattr(module, file.stem)))


@pytest.mark.parametrize("name", ["DeconvolveMD", "ConvolveMD", "ClassifySpinWavesMD"])
def test_the_models_are_a_drop_down(api: Any, name: str) -> None:
    prop = AlgorithmManager.create(name).getProperty("Model")
    assert {"volumes", "slices", "whole"} <= set(prop.allowedValues)
    assert prop.value in prop.allowedValues


def test_registering_twice_is_harmless(api: Any) -> None:
    assert register_algorithms() == tuple(file.stem for file in FILES)
    assert callable(api.DeconvolveMD)
