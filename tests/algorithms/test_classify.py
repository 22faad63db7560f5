"""ClassifySpinWavesMD: a row per workspace, or one for a whole measurement."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from mantid.api import AlgorithmManager

from mantid_exp2sim import load_model, mosaic
from mantid_exp2sim.inference import axis_order
from mantid_exp2sim.mantid import workspace as mdworkspace

ENERGIES = mosaic.INCIDENT_ENERGIES


@pytest.fixture
def measurement(make: Any, add_energy: Any) -> Any:
    """Six workspaces of a measurement, one for each incident energy, with the axes in the order given."""

    def build(order: str = "hke", shift: float = 0.0, *, logged: bool = True) -> Any:
        size = {"h": 40, "k": 40, "e": 10}
        names = []
        for number, energy in enumerate(ENERGIES):
            limits = {"h": (-40 / 39, 40 / 39), "k": (-40 / 39, 40 / 39), "e": (5.0, 35.0)}
            name = f"ei{energy:g}"
            workspace = make(
                order, name=name, seed=number, energy=energy, sizes=size, limits=limits, logged=False
            )
            if logged:
                add_energy(workspace, energy + shift)
            names.append(name)
        return names

    return build


def expected(api: Any, names: Any, data_kind: str = "auto", deconvolve: bool = False) -> Any:
    volumes = [mdworkspace.read(api.mtd[name]).histogram for name in names]
    model = load_model("whole")
    if data_kind == "convolved":
        return [model.classify(volume, data_kind=data_kind) for volume in volumes]
    return [model.classify(mosaic.join(volumes), data_kind=data_kind, deconvolve=deconvolve)]


def test_a_row_for_each_workspace(api: Any, measurement: Any, capfd: pytest.CaptureFixture[str]) -> None:
    names = measurement()
    api.ClassifySpinWavesMD(
        InputWorkspace=names[:2], OutputWorkspace="t", Model="whole", DataKind="convolved"
    )
    table = api.mtd["t"]
    assert list(table.getColumnNames()) == ["Workspace", "Prediction", "Certainty", "Dimer", "Goodenough"]
    for row, result in zip(table, expected(api, names[:2], "convolved"), strict=True):
        assert row["Prediction"] == result.prediction
        assert row["Certainty"] == pytest.approx(result.certainty, abs=1e-12)
        assert {n: row[n] for n in result.correlations} == pytest.approx(dict(result.correlations), abs=1e-12)
    assert list(table.column("Workspace")) == names[:2]
    log = "".join(capfd.readouterr())
    assert "ei25: " in log
    assert "correlations: " in log


@pytest.mark.parametrize("order", ["hke", "ekh"])
@pytest.mark.parametrize("deconvolve", [False, True])
def test_a_whole_measurement_is_one_row(api: Any, measurement: Any, order: str, deconvolve: bool) -> None:
    names = measurement(order)
    api.ClassifySpinWavesMD(
        InputWorkspace=",".join(reversed(names)),
        OutputWorkspace="t",
        Model="whole",
        AsOneMeasurement=True,
        Deconvolve=deconvolve,
    )
    row = next(iter(api.mtd["t"]))
    turned = []
    for name in names:
        api.TransposeMD(
            InputWorkspace=name, OutputWorkspace="x_" + name, Axes=[order.index(a) for a in "hke"]
        )
        turned.append("x_" + name)
    volumes = [
        mdworkspace.read(api.mtd[name], incident_energy=energy).histogram
        for name, energy in zip(turned, ENERGIES, strict=True)
    ]
    result = load_model("whole").classify(mosaic.join(volumes), deconvolve=deconvolve)
    assert row["Certainty"] == pytest.approx(result.certainty, abs=1e-9)
    assert row["Prediction"] == result.prediction
    assert api.mtd["t"].rowCount() == 1


def test_a_group_is_its_members(api: Any, measurement: Any) -> None:
    names = measurement()
    api.GroupWorkspaces(InputWorkspaces=names, OutputWorkspace="all")
    for group in ("all", api.mtd["all"]):
        api.ClassifySpinWavesMD(
            InputWorkspace=group, OutputWorkspace="t", Model="whole", AsOneMeasurement=True
        )
        assert api.mtd["t"].rowCount() == 1
    api.ClassifySpinWavesMD(InputWorkspace="all", OutputWorkspace="t", Model="whole", DataKind="convolved")
    assert api.mtd["t"].rowCount() == 6


def test_logged_energies_need_not_be_exact(api: Any, measurement: Any) -> None:
    names = measurement(shift=0.01)
    api.ClassifySpinWavesMD(InputWorkspace=names, OutputWorkspace="t", Model="whole", AsOneMeasurement=True)
    assert api.mtd["t"].rowCount() == 1


@pytest.mark.parametrize("order", ["hke", "ekh"])
def test_maps_of_what_it_looked_at(api: Any, measurement: Any, order: str) -> None:
    names = measurement(order)
    api.ClassifySpinWavesMD(
        InputWorkspace=names, OutputWorkspace="t", Model="whole", AsOneMeasurement=True, MapWorkspace="maps"
    )
    assert list(api.mtd["maps"].getNames()) == [f"maps_{name}" for name in names]
    in_order = [axis_order.in_order(mdworkspace.read(api.mtd[name]).histogram) for name in names]
    attribution = load_model("whole").explain(mosaic.join(in_order)).map
    for name, volume, values in zip(names, in_order, mosaic.split(attribution), strict=True):
        drawn = axis_order.in_order(mdworkspace.read(api.mtd[f"maps_{name}"]).histogram)
        np.testing.assert_array_equal(drawn.mask, volume.mask)
        np.testing.assert_allclose(drawn.intensity, values.intensity, atol=1e-12)
        assert np.nanmin(drawn.intensity) < 0 < np.nanmax(drawn.intensity)


def test_maps_where_the_logs_do_not_tell_the_energies(api: Any, measurement: Any) -> None:
    names = measurement(shift=7.0)
    energies = ",".join(repr(energy * 1.00001234567) for energy in ENERGIES)
    api.ClassifySpinWavesMD(
        InputWorkspace=names,
        OutputWorkspace="t",
        Model="whole",
        AsOneMeasurement=True,
        IncidentEnergies=energies,
        MapWorkspace="maps",
    )
    histories = api.mtd["t"].getHistory().getAlgorithmHistories()
    assert histories[-1].getPropertyValue("IncidentEnergies") == energies
    assert list(api.mtd["maps"].getNames()) == [f"maps_{name}" for name in names]


def test_one_map_of_one_workspace(api: Any, measurement: Any) -> None:
    name = measurement()[0]
    api.ClassifySpinWavesMD(
        InputWorkspace=name, OutputWorkspace="t", Model="whole", DataKind="convolved", MapWorkspace="map"
    )
    histogram = mdworkspace.read(api.mtd[name]).histogram
    attribution = load_model("whole").explain(histogram, data_kind="convolved").map
    np.testing.assert_allclose(
        mdworkspace.read(api.mtd["map"]).histogram.intensity, attribution.intensity, atol=1e-12
    )


def messages(**properties: Any) -> Any:
    algorithm = AlgorithmManager.create("ClassifySpinWavesMD")
    for key, value in {"OutputWorkspace": "t", "Model": "whole", **properties}.items():
        algorithm.setProperty(key, value)
    return algorithm.validateInputs()


def test_wrong_inputs(api: Any, make: Any, measurement: Any) -> None:
    names = measurement()
    api.CreateSampleWorkspace(OutputWorkspace="matrix")
    make("hke", name="small")
    assert "MDHistoWorkspaces" in messages(InputWorkspace="matrix")["InputWorkspace"]
    assert "small: The axis" in messages(InputWorkspace="small")["InputWorkspace"]
    assert "no classifier" in messages(InputWorkspace=names[0], Model="volumes")["Model"]
    text = messages(InputWorkspace=names, IncidentEnergies="25,35")["IncidentEnergies"]
    assert "2 incident energies are set for 6 workspaces" in text
    assert "not all numbers" in messages(InputWorkspace=names, IncidentEnergies="25,x")["IncidentEnergies"]
    assert messages(InputWorkspace=names) == {}
    with pytest.raises((ValueError, RuntimeError)):
        api.ClassifySpinWavesMD(InputWorkspace="nonsense", OutputWorkspace="t", Model="whole")


def test_a_missing_incident_energy_names_the_property_of_this_algorithm(api: Any, measurement: Any) -> None:
    name = measurement(logged=False)[0]
    shown = messages(InputWorkspace=name)
    assert list(shown) == ["IncidentEnergies"]
    assert shown["IncidentEnergies"].startswith(f"{name}: The incident energy")
    assert "Set IncidentEnergies in meV" in shown["IncidentEnergies"]


def test_workspaces_that_are_no_whole_measurement(api: Any, measurement: Any, make: Any) -> None:
    names = measurement()
    text = messages(InputWorkspace=names[:5], AsOneMeasurement=True)["InputWorkspace"]
    assert "one volume at each of 25, 35, 50, 70, 100, 140 meV" in text
    limits = {"h": (-38 / 39, 38 / 39), "k": (-38 / 39, 38 / 39), "e": (5.0, 35.0)}
    make("hke", name="ei25", energy=25.0, sizes={"h": 38, "k": 38, "e": 10}, limits=limits)
    bins = messages(InputWorkspace=names, AsOneMeasurement=True)["InputWorkspace"]
    assert "or BinMD in Mantid" in bins
    assert "mosaic" not in (text + bins).lower()


def test_a_classifier_of_whole_measurements_says_what_it_needs(api: Any, measurement: Any) -> None:
    names = measurement()
    with pytest.raises(RuntimeError, match="set AsOneMeasurement"):
        api.ClassifySpinWavesMD(InputWorkspace=names[0], OutputWorkspace="t", Model="whole")
    assert "t" not in api.mtd


def test_the_inputs_stay_as_they_were(api: Any, measurement: Any, state: Any) -> None:
    names = measurement()
    before = [state(api.mtd[name]) for name in names]
    api.ClassifySpinWavesMD(InputWorkspace=names, OutputWorkspace="t", Model="whole", DataKind="convolved")
    assert [state(api.mtd[name]) for name in names] == before
    assert sorted(api.mtd.getObjectNames()) == sorted([*names, "t"])


def test_a_cell_that_is_not_measured_counts_as_such(api: Any, measurement: Any) -> None:
    names = measurement()
    workspace = api.mtd[names[0]]
    signal = np.array(workspace.getSignalArray())
    signal[:20] = np.nan
    workspace.setSignalArray(signal)
    api.ClassifySpinWavesMD(InputWorkspace=names[0], OutputWorkspace="t", Model="whole", DataKind="convolved")
    result = expected(api, names[:1], "convolved")[0]
    assert api.mtd["t"].cell("Certainty", 0) == pytest.approx(result.certainty, abs=1e-12)


@pytest.mark.parametrize(
    ("outputs", "blamed"),
    [
        ({"OutputWorkspace": "ei25"}, "OutputWorkspace"),
        ({"OutputWorkspace": "EI35"}, "OutputWorkspace"),
        ({"OutputWorkspace": "all"}, "OutputWorkspace"),
        ({"MapWorkspace": "ei50"}, "MapWorkspace"),
        ({"MapWorkspace": "All"}, "MapWorkspace"),
        ({"MapWorkspace": "t"}, "MapWorkspace"),
        ({"OutputWorkspace": "maps_EI25", "MapWorkspace": "maps"}, "MapWorkspace"),
        ({"MapWorkspace": "ei25"}, "MapWorkspace"),
    ],
)
def test_no_output_takes_the_place_of_an_input_or_of_another(
    api: Any, measurement: Any, state: Any, outputs: dict[str, str], blamed: str
) -> None:
    names = measurement()
    api.GroupWorkspaces(InputWorkspaces=names, OutputWorkspace="all")
    before = [state(api.mtd[name]) for name in names]
    shown = messages(InputWorkspace="all", AsOneMeasurement=True, **outputs)
    assert list(shown) == [blamed]
    assert f"Give {blamed} another name" in shown[blamed]
    with pytest.raises(RuntimeError, match="invalid Properties"):
        api.ClassifySpinWavesMD(
            **{"InputWorkspace": "all", "OutputWorkspace": "t", "Model": "whole", **outputs},
            AsOneMeasurement=True,
        )
    assert [state(api.mtd[name]) for name in names] == before
    assert sorted(api.mtd.getObjectNames()) == sorted([*names, "all"])


def test_a_derived_name_of_a_map_is_no_input(api: Any, measurement: Any) -> None:
    names = measurement()
    api.RenameWorkspace(InputWorkspace=names[1], OutputWorkspace="m_ei25")
    shown = messages(InputWorkspace=["ei25", "m_ei25"], DataKind="convolved", MapWorkspace="m")
    assert list(shown) == ["MapWorkspace"]
    assert "'m_ei25' would replace the input" in shown["MapWorkspace"]


@pytest.mark.parametrize("count", [1, 2])
def test_maps_say_where_they_come_from(api: Any, measurement: Any, count: int) -> None:
    names = measurement()[:count]
    outputs = api.ClassifySpinWavesMD(
        InputWorkspace=names, OutputWorkspace="t", Model="whole", DataKind="convolved", MapWorkspace="map"
    )
    assert outputs.MapWorkspace.name() == "map"
    for name in ["map"] if count == 1 else [f"map_{name}" for name in names]:
        last = api.mtd[name].getHistory().getAlgorithmHistories()[-1]
        assert last.name() == "ClassifySpinWavesMD"
        assert last.getPropertyValue("InputWorkspace") == ",".join(names)
        assert last.getPropertyValue("MapWorkspace") == "map"
        assert len(last.getPropertyValue("ModelChecksum")) == 64


def test_the_fix_is_one_of_mantid(api: Any, measurement: Any) -> None:
    names = measurement()
    with pytest.raises(RuntimeError, match="set AsOneMeasurement"):
        api.ClassifySpinWavesMD(InputWorkspace=names[0], OutputWorkspace="t", Model="whole")


def test_a_run_with_maps_reads_and_translates_once(
    api: Any, measurement: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each workspace is read to validate it and to classify it; table and maps share one translation."""
    names = measurement()
    calls: dict[str, list[Any]] = {"read": [], "translate": []}

    def count(module: Any, function: Any) -> None:
        original = getattr(module, function)

        def counting(*arguments: Any, **options: Any) -> Any:
            calls[function].append(arguments[0])
            return original(*arguments, **options)

        monkeypatch.setattr(module, function, counting)

    count(mdworkspace, "read")
    count(importlib.import_module("mantid_exp2sim.inference.classify"), "translate")
    api.ClassifySpinWavesMD(
        InputWorkspace=names,
        OutputWorkspace="t",
        Model="whole",
        AsOneMeasurement=True,
        Deconvolve=True,
        MapWorkspace="maps",
    )
    assert sorted(workspace.name() for workspace in calls["read"]) == sorted([*names, *names])
    assert len(calls["translate"]) == 1


def test_a_fit_is_a_second_opinion(
    api: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    held = {"JA": 1.5, "JF2": -1.35, "JF3": 1.5, "JA1": 1.5, "JA2": 1.5, "JFS": -14.2, "Jperp": 0.88}
    quick = {"starts": 1, "samples": 0, "grid": 12, "fixed": {**held, "D": 0.074, "width_scale": 1.0}}
    monkeypatch.setattr("mantid_exp2sim.application.likelihood.QUICK", quick)
    api.SimulateSpinWavesMD(IncidentEnergy=50.0, NoiseLevel=0.7, Seed=1, OutputWorkspace="measured")
    api.ClassifySpinWavesMD(
        InputWorkspace="measured", OutputWorkspace="t", Model="whole", DataKind="convolved", Fit=True
    )
    row = api.mtd["t"].row(0)
    assert row["Likelihood"] == "Goodenough"
    assert row["Goodenough delta chi2"] == 0
    assert row["Dimer delta chi2"] > 300
    assert row["Goodenough log evidence"] > row["Dimer log evidence"] + 50
    assert row["Dimer p"] < 1e-6
    assert "measured: Goodenough explains" in "".join(capfd.readouterr())
