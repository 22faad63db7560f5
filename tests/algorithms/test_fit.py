"""FitSpinWavesMD: the constants that the data were simulated with, tables, maps, history, and messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mantid.api import AlgorithmManager

import mantid_exp2sim
from mantid_exp2sim import Binning, FitOptions, Measurement, simulate
from mantid_exp2sim.inference import axis_order
from mantid_exp2sim.mantid import workspace as mdworkspace
from tests.helpers.stuck import Stuck, assert_cancel_ends

ENERGY = 14.0
QUICK: dict[str, Any] = {"SpinWaveModel": "rb2mnf4", "Instrument": "MERLIN", "Starts": 1, "Grid": 8}
TRUTH = {"J1": 0.65, "J2": 0.0}
"""The values of the shipped description."""


@pytest.fixture
def measured(api: Any, make: Any) -> Any:
    """measured("a", seed=1): a simulated magnet on MERLIN with noise of one known error."""

    def build(name: str = "ws", *, seed: int = 1, order: str = "hke", **more: Any) -> Any:
        workspace = make(
            order,
            name=name,
            energy=ENERGY,
            sizes={"h": 12, "k": 12, "e": 5},
            limits={"h": (-1.0, 1.0), "k": (-1.0, 1.0), "e": (5.0, 35.0), "l": (-1.0, 1.0)},
            **more,
        )
        axes = mdworkspace.axes(workspace)
        positions = [order.index(letter) for letter in "hke"]
        edges = [axes[i].edges for i in positions]
        binning = Binning(edges[0], edges[1], edges[2], ENERGY)
        ideal = simulate("rb2mnf4", TRUTH, binning=binning, instrument="MERLIN", grid=8)
        expected = np.nan_to_num(ideal.intensity) + 1.0
        variance = np.full(expected.shape, 0.02 * expected.mean())
        noise = np.random.default_rng(seed).standard_normal(expected.shape)
        signal = np.where(ideal.mask, np.nan, expected + np.sqrt(variance) * noise)
        for array, put in (
            (signal, workspace.setSignalArray),
            (variance, workspace.setErrorSquaredArray),
        ):
            put(axis_order.from_volume(array, axes))
        return workspace

    return build


def test_constants_come_back_with_their_errors(api: Any, measured: Any, state: Any) -> None:
    untouched = state(measured())
    table = api.FitSpinWavesMD(InputWorkspace="ws", OutputWorkspace="fit", Samples=20, Fix="J2=0", **QUICK)
    assert state(api.mtd["ws"]) == untouched
    assert table.getColumnNames() == [
        "Model", "Name", "Value", "Error", "Low68", "High68", "Low95", "High95",
    ]  # fmt: skip
    rows = {row["Name"]: row for row in (table.row(i) for i in range(table.rowCount()))}
    assert set(rows) == {"J1", "width_scale"}
    row = rows["J1"]
    assert abs(row["Value"] - TRUTH["J1"]) < 4 * row["Error"] < 0.05
    assert row["Low95"] < row["Low68"] < row["Value"] < row["High68"] < row["High95"]


def test_the_numbers_are_those_of_python(api: Any, measured: Any) -> None:
    names = ["a", "b"]
    data = [mdworkspace.read(measured(name, seed=number)) for number, name in enumerate(names)]
    result = mantid_exp2sim.fit(
        [Measurement(item.histogram, "MERLIN") for item in data],
        "rb2mnf4",
        options=FitOptions(starts=1, grid=8, samples=0, fixed={"J2": 0.0}, bounds={"J1": (0.5, 0.8)}),
    )
    api.GroupWorkspaces(InputWorkspaces=names, OutputWorkspace="group")
    outputs = {"ComparisonWorkspace": "models", "CovarianceWorkspace": "errors"}
    maps = {"FittedWorkspace": "fitted", "BackgroundWorkspace": "low", "ResidualWorkspace": "left"}
    api.FitSpinWavesMD(
        InputWorkspace="group", OutputWorkspace="fit", Samples=0, Fix="J2=0", Bounds="J1=0.5,0.8",
        BinsWorkspace="bins", **QUICK, **outputs, **maps,
    )  # fmt: skip
    model = result.leading
    assert api.mtd["fit"].column("Value") == list(model.mean.values())
    assert api.mtd["fit"].column("Error") == list(model.sd.values())
    comparison = api.mtd["models"].row(0)
    assert comparison["Model"] == "Rb2MnF4"
    assert comparison["LogEvidence"] == model.posterior.log_evidence
    assert (comparison["PValue"], comparison["Best"]) == (model.p_value, True)
    np.testing.assert_array_equal(
        np.reshape(api.mtd["errors"].column("Covariance"), model.covariance.shape), model.covariance
    )
    for key, histograms in (("fitted", model.fitted), ("low", model.background), ("left", model.residual)):
        assert list(api.mtd[key].getNames()) == [f"{key}_a", f"{key}_b"]
        for name, histogram in zip(names, histograms, strict=True):
            signal = np.array(api.mtd[f"{key}_{name}"].getSignalArray())
            np.testing.assert_array_equal(np.isnan(signal), histogram.mask)
            np.testing.assert_array_equal(signal[~histogram.mask], histogram.intensity[~histogram.mask])
    bins = np.array(api.mtd["bins_a"].getSignalArray())
    assert set(np.unique(bins[np.isfinite(bins)])) <= {0.0, 2.0, 4.0}


@pytest.mark.parametrize("order", ["ekh", "lhke"])
def test_maps_have_the_axes_of_the_input(api: Any, measured: Any, order: str) -> None:
    workspace = measured(order=order)
    api.FitSpinWavesMD(
        InputWorkspace="ws", OutputWorkspace="fit", Samples=0, Fix="J2=0; width_scale=1",
        FittedWorkspace="fitted", ResidualWorkspace="left", **QUICK,
    )  # fmt: skip
    signal, fitted = (np.array(api.mtd[name].getSignalArray()) for name in ("ws", "fitted"))
    left = np.array(api.mtd["left"].getSignalArray())
    assert fitted.shape == signal.shape
    error = np.sqrt(np.array(workspace.getErrorSquaredArray()))
    there = np.isfinite(signal)
    assert there.sum() > 300
    np.testing.assert_allclose(left[there], ((signal - fitted) / error)[there], rtol=1e-6, atol=1e-6)
    assert abs(np.mean(left[there] ** 2) - 1) < 0.2


def test_the_history_repeats_the_fit(api: Any, measured: Any) -> None:
    measured()
    api.FitSpinWavesMD(
        InputWorkspace="ws", OutputWorkspace="fit", FittedWorkspace="fitted", Samples=20, Fix="J2=0", **QUICK
    )
    histories = api.mtd["fitted"].getHistory().getAlgorithmHistories()
    again = AlgorithmManager.create("FitSpinWavesMD")
    for record in histories[-1].getProperties():
        again.setPropertyValue(
            record.name(), record.value() if record.name() != "OutputWorkspace" else "again"
        )
    assert again.getPropertyValue("IncidentEnergies") == "14.0"
    assert float(again.getPropertyValue("ChopperFrequencies")) > 0
    again.execute()
    assert api.mtd["again"].toDict() == api.mtd["fit"].toDict()


def messages(**properties: Any) -> Any:
    algorithm = AlgorithmManager.create("FitSpinWavesMD")
    for key, value in {"OutputWorkspace": "fit", **QUICK, **properties}.items():
        algorithm.setProperty(key, value)
    return algorithm.validateInputs()


@pytest.mark.parametrize(
    ("properties", "key", "message"),
    [
        ({"SpinWaveModel": ""}, "SpinWaveModel", "no model to fit"),
        ({"SpinWaveModel": "unobtainium"}, "SpinWaveModel", "unobtainium"),
        ({"Fix": "J2"}, "Fix", "NAME=VALUE"),
        ({"Bounds": "J1=0.4"}, "Bounds", "LOW,HIGH"),
        ({"Tie": "J9=J1"}, "SpinWaveModel", "No model has a parameter 'J9'"),
        ({"Fix": "J1=0.6; J2=0; width_scale=1"}, "SpinWaveModel", "No constant of Rb2MnF4 is free"),
        ({"Instrument": ""}, "Instrument", "ws: The instrument of the data is not known."),
        ({"Instrument": "MERLIN,LET"}, "Instrument", "2 entries for 1 workspaces"),
        ({"ChopperFrequencies": "9000"}, "ChopperFrequencies", "Hz"),
        ({"IncidentEnergies": "14,15"}, "IncidentEnergies", "2 incident energies are set for 1"),
        ({"OutputWorkspace": "WS"}, "OutputWorkspace", "would replace the input"),
        ({"FittedWorkspace": "fit"}, "FittedWorkspace", "would replace the result"),
    ],
)
def test_what_is_wrong_is_told_at_its_property(
    api: Any, measured: Any, properties: dict[str, Any], key: str, message: str
) -> None:
    measured()
    assert message in messages(InputWorkspace="ws", **properties)[key]


@pytest.mark.parametrize(
    ("build", "key", "message"),
    [
        ({"order": "hk"}, "InputWorkspace", "each is needed once"),
        ({"order": "hke", "logged": False}, "IncidentEnergies", "Set IncidentEnergies"),
    ],
)
def test_data_that_cannot_be_fitted(
    api: Any, make: Any, build: dict[str, Any], key: str, message: str
) -> None:
    make(**build)
    assert message in messages(InputWorkspace="ws")[key]


def test_a_cancel_ends_the_fit_and_leaves_nothing(
    api: Any, measured: Any, state: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(measured())
    stuck = Stuck()
    monkeypatch.setattr("mantid_exp2sim.fitting.model.solve", stuck)
    algorithm = AlgorithmManager.create("FitSpinWavesMD")
    algorithm.setRethrows(True)
    for key, value in {"InputWorkspace": "ws", "OutputWorkspace": "fit", **QUICK}.items():
        algorithm.setProperty(key, value)
    assert_cancel_ends(algorithm, stuck)
    assert state(api.mtd["ws"]) == before
    assert list(api.mtd.getObjectNames()) == ["ws"]


def test_the_fit_is_on_the_page_of_each_workspace(api: Any, measured: Any, tmp_path: Path) -> None:
    measured("low")
    measured("high", seed=2)
    api.FitSpinWavesMD(
        InputWorkspace="low,high", OutputWorkspace="fit", Samples=0, Fix="J2=0", Posterior="none",
        ReportFile=str(tmp_path / "page.html"), **QUICK,
    )  # fmt: skip
    value = dict(zip(api.mtd["fit"].column("Name"), api.mtd["fit"].column("Value"), strict=True))["J1"]
    for name in ("low", "high"):
        text = (tmp_path / f"page-{name}.html").read_text(encoding="utf-8")
        assert f"<td>J1</td><td>{value:.5g}</td>" in text
        assert "Posterior of" in text


def test_a_posterior_is_auto_none_or_a_folder(api: Any, measured: Any) -> None:
    measured()
    algorithm = AlgorithmManager.create("FitSpinWavesMD")
    values = {"InputWorkspace": "ws", "OutputWorkspace": "fit", "Posterior": "nowhere", **QUICK}
    for key, value in values.items():
        algorithm.setProperty(key, value)
    assert algorithm.validateInputs() == {
        "Posterior": "There is no folder nowhere. Give auto, none, or the folder of a trained posterior."
    }
