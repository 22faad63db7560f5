"""Each wrong input has its message, in the dialog (validateInputs), in the script's exception, or in both."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mantid.api import AlgorithmManager


def messages(name: str = "DeconvolveMD", **properties: Any) -> Any:
    """What the dialog shows."""
    algorithm = AlgorithmManager.create(name)
    for key, value in {"OutputWorkspace": "o", "Model": "volumes", **properties}.items():
        algorithm.setProperty(key, value)
    return algorithm.validateInputs()


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("DeconvolveMD", []),
        ("ConvolveMD", []),
        ("ClassifySpinWavesMD", []),
        ("CheckModelDomainMD", []),
        ("SimulateSpinWavesMD", ["IncidentEnergy"]),
        ("FitSpinWavesMD", ["SpinWaveModel"]),
    ],
)
def test_nothing_set_at_all(api: Any, name: str, missing: list[str]) -> None:
    """validateInputs is called with unset properties, whose value is None; Mantid asks for these."""
    assert list(AlgorithmManager.create(name).validateInputs()) == missing


def test_a_matrix_workspace_a_table_and_events_are_refused_by_their_type(api: Any) -> None:
    matrix = api.CreateSampleWorkspace(OutputWorkspace="matrix")
    table = api.CreateEmptyTableWorkspace(OutputWorkspace="table")
    events = api.CreateMDWorkspace(
        Dimensions=2, Extents="-1,1,-1,1", Names="A,B", Units="U,U", OutputWorkspace="events"
    )
    for workspace in (matrix, table, events):
        with pytest.raises((ValueError, RuntimeError), match="not of the correct type"):
            api.DeconvolveMD(InputWorkspace=workspace, OutputWorkspace="o", Model="volumes")


@pytest.mark.parametrize(
    ("order", "options", "message"),
    [
        ("hk", {}, r"no axis for energy transfer"),
        ("e", {}, r"no axis for \[H,0,0\]"),
        ("hke", {"units": {"DeltaE": "K"}}, r"has the unit 'K'"),
        ("hke", {"limits": {"h": (-3.0, 3.0)}}, r"bins 0\.5 r\.l\.u\. wide.*trained on"),
        ("hke", {"energy": 90.0}, r"90 meV is not one that the model"),
        ("hke", {"logged": False}, r"no sample log Ei\. Set IncidentEnergy"),
    ],
)
def test_wrong_axes_units_bins_and_energies(
    api: Any, make: Any, order: str, options: dict[str, Any], message: str
) -> None:
    make(order, **options)
    shown = messages(InputWorkspace="ws")
    assert len(shown) == 1
    assert re.search(message, " ".join(shown.values())), shown
    with pytest.raises(RuntimeError, match="invalid Properties"):
        api.DeconvolveMD(InputWorkspace="ws", OutputWorkspace="o", Model="volumes")
    assert list(api.mtd.getObjectNames()) == ["ws"]


def test_the_right_property_is_blamed(api: Any, make: Any) -> None:
    make("hke", logged=False)
    assert list(messages(InputWorkspace="ws")) == ["IncidentEnergy"]
    assert messages(InputWorkspace="ws", IncidentEnergy=50.0) == {}
    make("hk", name="flat")
    assert list(messages(InputWorkspace="flat")) == ["InputWorkspace"]


def test_all_nan(api: Any, make: Any) -> None:
    workspace = make("hke")
    workspace.setSignalArray(np.full((12, 9, 7), np.nan))
    assert "Every bin is masked or NaN" in messages(InputWorkspace="ws")["InputWorkspace"]


def test_runs_of_different_incident_energies(api: Any, make: Any, add_energy: Any) -> None:
    add_energy(make("hke"), 70.0)
    assert "different incident energies (50, 70 meV)" in messages(InputWorkspace="ws")["InputWorkspace"]
    assert messages(InputWorkspace="ws", IncidentEnergy=50.0) == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_pass_mantid_but_not_us(api: Any, make: Any, value: Any) -> None:
    make("hke")
    assert "ScaleFactor" in messages(InputWorkspace="ws", ScaleFactor=value)
    assert "IncidentEnergy" in messages(InputWorkspace="ws", IncidentEnergy=value)
    assert "ScaleFactor" in messages(InputWorkspace="ws", ScaleFactor=0.0)


def test_a_model_for_another_dimension(api: Any, make: Any) -> None:
    make("he")
    assert "no axis for [0,K,0]" in messages(InputWorkspace="ws", Model="volumes")["InputWorkspace"]
    assert messages(InputWorkspace="ws", Model="slices") == {}


def test_a_model_that_is_not_installed(api: Any, make: Any) -> None:
    make("hke")
    with pytest.raises((ValueError, RuntimeError), match="not in the list of allowed values"):
        api.DeconvolveMD(InputWorkspace="ws", OutputWorkspace="o", Model="nonsense")


def test_no_model_is_installed(api: Any, make: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make("hke")
    monkeypatch.setattr("mantid_exp2sim.model.registry.list_models", dict)
    algorithm = AlgorithmManager.create("DeconvolveMD")
    algorithm.setProperty("InputWorkspace", "ws")
    assert "No model is installed" in algorithm.validateInputs()["Model"]


def test_a_model_file_that_is_missing(api: Any, make: Any, tmp_path: Path) -> None:
    make("hke")
    shown = messages(InputWorkspace="ws", ModelFile=str(tmp_path / "none" / "card.json"))
    assert "There is no model" in shown["ModelFile"]


def test_a_folder_that_is_no_model(api: Any, make: Any, tmp_path: Path) -> None:
    make("hke")
    assert "holds no model" in messages(InputWorkspace="ws", ModelFile=str(tmp_path))["ModelFile"]


def test_a_card_that_is_damaged(api: Any, make: Any, tmp_path: Path) -> None:
    make("hke")
    (tmp_path / "card.json").write_text('{"name": "x"')
    assert "no valid model card" in messages(InputWorkspace="ws", ModelFile=str(tmp_path))["ModelFile"]


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_weights_that_are_damaged(
    api: Any, make: Any, state: Any, models_folder: Path, tmp_path: Path, damage: str
) -> None:
    before = state(make("hke"))
    folder = shutil.copytree(models_folder / "volumes", tmp_path / "model")
    weights = folder / "deconvolve.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data if damage == "flipped" else data[:-5])
    if damage == "gone":
        weights.unlink()
    expected = "has no file" if damage == "gone" else "is not the file that the model's card describes"
    with pytest.raises(RuntimeError, match=expected):
        api.DeconvolveMD(InputWorkspace="ws", OutputWorkspace="ws", ModelFile=str(folder))
    assert state(api.mtd["ws"]) == before


def test_torch_is_not_installed(api: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make("hke")
    monkeypatch.setitem(sys.modules, "torch", None)
    shown = messages(InputWorkspace="ws")
    assert "PyTorch is not installed" in shown["Model"]
    assert "conda install" in shown["Model"]


def test_an_output_without_a_name(api: Any, make: Any) -> None:
    make("hke")
    with pytest.raises(RuntimeError, match="invalid Properties"):
        api.DeconvolveMD(InputWorkspace="ws", Model="volumes")


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        ({"Seed": -1}, ValueError),
        ({"Replicas": 1}, ValueError),
        ({"TileSize": 2.0}, TypeError),
        ({"ScaleFactor": np.float32(2)}, TypeError),
        ({"PropagateErrors": "False"}, ValueError),
    ],
)
def test_values_of_the_wrong_kind_are_refused_by_mantid(
    api: Any, make: Any, properties: dict[str, Any], error: Any
) -> None:
    make("hke")
    with pytest.raises((error, RuntimeError)):
        api.DeconvolveMD(InputWorkspace="ws", OutputWorkspace="o", Model="volumes", **properties)


@pytest.mark.parametrize("name", ["DeconvolveMD", "ConvolveMD", "ClassifySpinWavesMD"])
def test_small_tiles_are_refused_with_a_way_out(api: Any, make: Any, name: str) -> None:
    make("hke")
    model = "whole" if name == "ClassifySpinWavesMD" else "volumes"
    for size in (1, 7, 15):
        text = messages(name, InputWorkspace="ws", Model=model, TileSize=size)["TileSize"]
        assert f"The tile size {size} is below 16 bins." in text
        assert "Set TileSize to 0" in text
    for size in (0, 16):
        assert "TileSize" not in messages(name, InputWorkspace="ws", Model=model, TileSize=size)


def test_the_axes_are_told_in_mantid_s_words(api: Any) -> None:
    api.CreateMDHistoWorkspace(
        SignalInput=np.ones(8), ErrorInput=np.ones(8), Dimensionality=2, Extents=[0, 1, 0, 1],
        NumberOfBins=[4, 2], Names=["x", "y"], Units=["m", "m"], Frames=["General Frame"] * 2,
        OutputWorkspace="other",
    )  # fmt: skip
    text = messages(InputWorkspace="other")["InputWorkspace"]
    assert "'x' (4 bins" in text
    assert "CutMD, IntegrateMD or BinMD" in text
    assert "picture" not in text
    assert "240" not in text


@pytest.mark.parametrize(
    ("axis", "frame", "unit", "right"),
    [
        (0, "General Frame", "r.l.u", "HKL"),
        (1, "General Frame", "in 1.162 A^-1", "HKL"),
        (0, "General Frame", "r.l.u.", "Unknown frame"),
    ],
)
def test_a_frame_that_is_refused_is_mended_by_the_call_that_is_named(
    api: Any, make: Any, axis: int, frame: str, unit: str, right: str
) -> None:
    make("hke", units=dict.fromkeys(("[H,0,0]", "[0,K,0]"), unit))
    api.SetMDFrame(InputWorkspace="ws", MDFrame=frame, Axes=[axis])
    text = messages(InputWorkspace="ws")["InputWorkspace"]
    call = re.search(r'SetMDFrame\(InputWorkspace="(.+?)", MDFrame="(.+?)", Axes=\[(\d)\]\)', text)
    assert call, text
    assert call.groups() == ("ws", right, str(axis))
    api.SetMDFrame(InputWorkspace=call[1], MDFrame=call[2], Axes=[int(call[3])])
    assert messages(InputWorkspace="ws") == {}


def test_a_simulation_does_not_replace_its_template(api: Any, make: Any, state: Any) -> None:
    before = state(make("hke"))
    algorithm = AlgorithmManager.create("SimulateSpinWavesMD")
    for output in ("ws", "Ws"):
        for key, value in {"TemplateWorkspace": "ws", "OutputWorkspace": output}.items():
            algorithm.setProperty(key, value)
        assert "would replace the input" in algorithm.validateInputs()["OutputWorkspace"]
    with pytest.raises(RuntimeError, match="invalid Properties"):
        api.SimulateSpinWavesMD(TemplateWorkspace="ws", OutputWorkspace="ws")
    assert state(api.mtd["ws"]) == before
