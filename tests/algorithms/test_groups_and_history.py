"""A group loads the model once; a history is enough to repeat a result."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mantid.api import AlgorithmManager

from mantid_exp2sim.model import bundle, weights
from mantid_exp2sim.model.card import Card


@pytest.fixture
def loads(models_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often weights of a new model are read to be checked, and networks are built."""
    shutil.copytree(models_folder / "volumes", tmp_path / "models" / "volumes")
    monkeypatch.setenv("EXP2SIM_MODELS", str(tmp_path / "models"))
    seen = {"verify": 0, "network": 0}

    def counted_read(folder: Path, card: Card, key: str) -> bytes:
        seen["verify"] += key == "deconvolve"
        return weights.read_weights(folder, card, key)

    def counted_build(folder: Path, card: Card, key: str) -> Any:
        seen["network"] += 1
        return weights.load_network(folder, card, key)

    monkeypatch.setattr(bundle, "read_weights", counted_read)
    monkeypatch.setattr(bundle, "load_network", counted_build)
    return seen


@pytest.mark.parametrize("output", ["group", "results"])
def test_a_group_of_ten_loads_the_model_once(api: Any, make: Any, loads: Any, output: str) -> None:
    names = [f"run{number}" for number in range(10)]
    for number, name in enumerate(names):
        make("hke", name=name, seed=number)
    api.GroupWorkspaces(InputWorkspaces=names, OutputWorkspace="group")
    before = np.array(api.mtd["run3"].getSignalArray())
    api.DeconvolveMD(InputWorkspace="group", OutputWorkspace=output, Model="volumes", PropagateErrors=False)
    assert loads == {"verify": 1, "network": 1}
    results = [api.mtd[name] for name in api.mtd[output].getNames()]
    assert len(results) == 10
    assert all(w.getHistory().getAlgorithmHistories()[-1].name() == "DeconvolveMD" for w in results)
    changed = not np.array_equal(np.array(api.mtd["run3"].getSignalArray()), before)
    assert changed == (output == "group")


def _properties(workspace: Any) -> Any:
    """The last record of the history: `lastAlgorithm` gives an algorithm instead, whose properties dangle."""
    histories = workspace.getHistory().getAlgorithmHistories()
    return {p.name(): p.value() for p in histories[-1].getProperties()}


def test_the_history_says_all_that_a_repetition_needs(api: Any, make: Any) -> None:
    make("hke")
    api.DeconvolveMD(
        InputWorkspace="ws",
        OutputWorkspace="out",
        Model="volumes",
        Seed=11,
        Replicas=3,
        TileSize=16,
        ScaleFactor=1.5,
    )
    found = _properties(api.mtd["out"])
    assert found["Model"] == "volumes"
    assert found["ModelChecksum"] == bundle.open_bundle("volumes").checksum
    assert float(found["IncidentEnergy"]) == 50.0
    assert {k: float(found[k]) for k in ("Seed", "Replicas", "TileSize", "ScaleFactor")} == {
        "Seed": 11,
        "Replicas": 3,
        "TileSize": 16,
        "ScaleFactor": 1.5,
    }
    assert found["PropagateErrors"] == "1"


def test_a_run_from_the_history_gives_the_same_bytes(api: Any, make: Any) -> None:
    make("hke")
    api.DeconvolveMD(InputWorkspace="ws", OutputWorkspace="out", Model="volumes", Seed=11, Replicas=3)
    again = AlgorithmManager.create("DeconvolveMD")
    for key, value in _properties(api.mtd["out"]).items():
        again.setPropertyValue(key, value if key != "OutputWorkspace" else "again")
    again.execute()
    for get in ("getSignalArray", "getErrorSquaredArray"):
        first, second = (np.array(getattr(api.mtd[name], get)()) for name in ("out", "again"))
        np.testing.assert_array_equal(first, second)


def test_a_history_of_another_model_is_refused(api: Any, make: Any) -> None:
    make("hke")
    wrong = AlgorithmManager.create("DeconvolveMD")
    values = {"InputWorkspace": "ws", "OutputWorkspace": "o", "Model": "volumes", "ModelChecksum": "0" * 64}
    for key, value in values.items():
        wrong.setProperty(key, value)
    assert "another model, or another version" in wrong.validateInputs()["Model"]
    with pytest.raises(RuntimeError, match="invalid Properties"):
        wrong.execute()


def test_the_history_goes_on(api: Any, make: Any) -> None:
    make("hke")
    api.DeconvolveMD(InputWorkspace="ws", OutputWorkspace="ws", Model="volumes", PropagateErrors=False)
    api.ConvolveMD(InputWorkspace="ws", OutputWorkspace="ws", Model="volumes", PropagateErrors=False)
    names = [h.name() for h in api.mtd["ws"].getHistory().getAlgorithmHistories()]
    assert names[-2:] == ["DeconvolveMD", "ConvolveMD"]


@pytest.mark.parametrize("output", ["group", "results"])
@pytest.mark.parametrize("fault", ["bins", "values"])
def test_what_a_member_that_fails_leaves_behind(
    api: Any, make: Any, state: Any, output: str, fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    names = ["run0", "run1", "run2"]
    for number, name in enumerate(names):
        make(
            "hke", name=name, seed=number, limits={"h": (-3.0, 3.0)} if (number, fault) == (1, "bins") else {}
        )
    if fault == "values":
        api.mtd["run1"].setSignalArray(np.full((12, 9, 7), 1e300))
    api.GroupWorkspaces(InputWorkspaces=names, OutputWorkspace="group")
    before = [state(api.mtd[name]) for name in names]
    capfd.readouterr()
    with pytest.raises(RuntimeError, match="group entry 2 failed"):
        api.DeconvolveMD(
            InputWorkspace="group", OutputWorkspace=output, Model="volumes", PropagateErrors=False, Force=True
        )
    log = "".join(capfd.readouterr())
    assert "the members before run1 are done and in the output group; run1 and those after it" in log
    done = "run0" if output == "group" else "run0_results"
    assert list(api.mtd[output].getNames()) == [done]
    assert api.mtd[done].getHistory().getAlgorithmHistories()[-1].name() == "DeconvolveMD"
    assert [state(api.mtd[name]) for name in names][1:] == before[1:]
