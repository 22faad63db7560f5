"""What the recordings only tell in words: dangling arrays, names, progress, groups, imports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mantid
import mantid.simpleapi as simpleapi
import numpy as np
import pytest

if not getattr(mantid, "IS_DOUBLE", False):
    pytest.skip("there is a real Mantid: the stand-in is not used", allow_module_level=True)

from mantid import kernel
from mantid.api import (
    AlgorithmFactory,
    AlgorithmManager,
    AlgorithmObserver,
    MDNormalization,
    Progress,
    PythonAlgorithm,
    mtd,
)

from tests.mantid_double import facts


@pytest.fixture(autouse=True)
def _clean() -> Iterator[Any]:
    facts.subscribe_all()
    algorithm = AlgorithmManager.createUnmanaged("FactsFull")
    algorithm.initialize()
    simpleapi._create_algorithm_function("FactsFull", 1, algorithm)
    yield
    mtd.clear()


def test_a_view_of_a_deleted_workspace_raises_and_its_memory_is_useless() -> None:
    workspace = facts.workspace(simpleapi, "w")
    view, copy = workspace.getSignalArray(), workspace.getSignalArray().copy()
    simpleapi.DeleteWorkspace("w")
    for use in (
        lambda: view[0, 0],
        lambda: view + 1,
        lambda: np.isnan(view),
        lambda: view.copy(),
        lambda: repr(view),
    ):
        with pytest.raises(RuntimeError, match="workspace that has gone"):
            use()
    assert (np.array(view) == 7).all()
    assert copy[2, 3] == 11.0


def test_views_are_fortran_ordered_float64_and_read_only() -> None:
    view = facts.workspace(simpleapi, "w").getSignalArray()
    assert view.flags.f_contiguous
    assert not view.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0] = 1.0
    with pytest.raises(ValueError, match=r"(?i)writ"):
        view.flags.writeable = True


def test_long_names_and_odd_letters_are_refused() -> None:
    for name in ("A" * 21, "Has_underscore"):
        cls = type(name, (PythonAlgorithm,), {"PyInit": lambda self: None, "PyExec": lambda self: None})
        with pytest.raises(ValueError, match="at most 20"):
            AlgorithmFactory.subscribe(cls)


def test_progress_acts_at_most_once_per_percent() -> None:
    class Counts(PythonAlgorithm):
        pass

    algorithm, seen = Counts(), []
    algorithm._notify = lambda kind, done, message: seen.append(done)
    progress = Progress(algorithm, 0.0, 1.0, 1000)
    for _ in range(1000):
        progress.report()
    assert len(seen) == 100


def test_a_group_in_place_keeps_the_names() -> None:
    for name in ("a", "b"):
        facts.workspace(simpleapi, name)
    simpleapi.GroupWorkspaces(InputWorkspaces="a,b", OutputWorkspace="g")
    simpleapi.FactsFull(InputWorkspace="g", OutputWorkspace="g")
    assert mtd.getObjectNames() == ["a", "b", "g"]
    assert mtd["g"].getNames() == ["a", "b"]
    assert mtd["a"].signalAt(11) == 22.0


def test_history_holds_the_values_after_the_run() -> None:
    facts.workspace(simpleapi, "w")
    simpleapi.FactsFull(InputWorkspace="w", OutputWorkspace="o", Radius=2.5)
    last = mtd["o"].getHistory().lastAlgorithm()
    assert (last.name(), last.getPropertyValue("Radius"), last.getPropertyValue("NumberOut")) == (
        "FactsFull",
        "2.5",
        "42.5",
    )


def test_arrays_print_six_digits_and_numbers_all() -> None:
    array, number = kernel.FloatArrayProperty("a", [-1 / 3, 40.0]), kernel.FloatPropertyWithValue("n", 1 / 3)
    assert (array.valueAsStr, float(number.valueAsStr)) == ("-0.333333,40", 1 / 3)
    assert array.value[0] == -1 / 3


@pytest.mark.parametrize("flag", MDNormalization.names)
def test_binning_takes_the_normalisation_of_the_events(flag: Any) -> None:
    simpleapi.CreateMDWorkspace(
        Dimensions=1, Extents=[0, 1], Names=["x"], Units=["u"], OutputWorkspace="events"
    )
    mtd.core("events").normalization = MDNormalization.names[flag]
    simpleapi.BinMD(InputWorkspace="events", OutputWorkspace="bins", AlignedDim0="x,0,1,4")
    assert mtd["bins"].displayNormalization() == MDNormalization.names[flag]


def test_a_run_that_belongs_to_python_is_refused_and_mantids_copy_of_it_is_not() -> None:
    simpleapi.CreateWorkspace(OutputWorkspace="run")
    for name in ("held", "copied"):
        facts.workspace(simpleapi, name)
    mtd["held"].addExperimentInfo(mtd["run"])
    mtd["copied"].copyExperimentInfos(mtd["held"])
    with pytest.raises(RuntimeError, match="older versions die"):
        simpleapi.DeleteWorkspace("held")
    simpleapi.DeleteWorkspace("copied")


def test_the_stand_in_cannot_be_imported_outside_the_tests(tmp_path: Path) -> None:
    code = (
        "import mantid_exp2sim, importlib.util, sys; sys.exit(importlib.util.find_spec('mantid') is not None)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=False).returncode
        == 0
    )


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("a=1\nb : 2\n", {"a": "1", "b": "2"}),
        ("# a `word`\na=1\n", {}),
        ("a=1\n# a `word`\nb=2\n", {"a": "1"}),
        ("a=/one;/t`o\n", {"a": "/one;/t"}),
        ("a=1\n! old\\\na=2\n", {"a": "2"}),
        ("a=/one;\\\r\n/two\r\n", {"a": "/one;/two"}),
        ("a\n = 3\nb=C:\\\\x\n", {"a": "", "b": "C:\\x"}),
    ],
)
def test_user_properties_end_at_the_first_backtick(text: str, settings: dict[str, Any]) -> None:
    assert mantid.kernel.read_properties(text) == settings


def test_user_properties_are_read_at_the_start_and_name_plugins(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "Mine.py").write_text(
        "from mantid.api import AlgorithmFactory, PythonAlgorithm\n"
        "class Mine(PythonAlgorithm):\n"
        "    def category(self): return 'Mine'\n"
        "    def PyInit(self): pass\n"
        "    def PyExec(self): pass\n"
        "AlgorithmFactory.subscribe(Mine)\n"
    )
    file = tmp_path / ".mantid" / "Mantid.user.properties"
    file.parent.mkdir()
    setting = f"user.python.plugins.directories = {tmp_path / 'plugins'}\n"
    code = "from mantid import simpleapi; print(hasattr(simpleapi, 'Mine'))"
    path = os.pathsep.join(sys.path)
    for text, there in ((setting, "True"), (f"# `\n{setting}", "False")):
        file.write_text(text)
        environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": path}
        run = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == there


def test_the_properties_of_the_last_algorithm_dangle_once_it_has_gone() -> None:
    facts.workspace(simpleapi, "w")
    simpleapi.FactsFull(InputWorkspace="w", OutputWorkspace="o", Radius=2.5)
    last = mtd["o"].getHistory().lastAlgorithm()
    assert {p.name: p.valueAsStr for p in last.getProperties()}["Radius"] == "2.5"
    gone = mtd["o"].getHistory().lastAlgorithm().getProperties()
    with pytest.raises(RuntimeError, match="has gone"):
        gone[0].name  # noqa: B018
    record = mtd["o"].getHistory().getAlgorithmHistories()[-1]
    assert {p.name(): p.value() for p in record.getProperties()}["Radius"] == "2.5"


@pytest.mark.parametrize("held", [True, False])
def test_an_observer_is_not_kept_alive(held: bool) -> None:
    ends = []

    class Ends(AlgorithmObserver):
        def finishHandle(self) -> None:
            ends.append(1)

    facts.workspace(simpleapi, "w")
    algorithm = AlgorithmManager.create("FactsFull")
    algorithm.setProperty("InputWorkspace", "w")
    algorithm.setProperty("OutputWorkspace", "o")
    observer = Ends()
    observer.observeFinish(algorithm)
    if not held:
        del observer
    algorithm.execute()
    assert ends == [1] * held


def test_names_are_found_without_regard_to_case() -> None:
    facts.workspace(simpleapi, "w")
    assert "W" in mtd
    simpleapi.FactsFull(InputWorkspace="W", OutputWorkspace="W")
    assert mtd.getObjectNames() == ["w"]
