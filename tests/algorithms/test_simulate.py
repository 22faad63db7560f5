"""SimulateSpinWavesMD: a Hamiltonian on given bins or on a template's axes; the numbers of the simulator."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mantid.api import AlgorithmManager

from mantid_exp2sim.mantid import simulate as mdsimulate
from mantid_exp2sim.mantid import workspace as mdworkspace
from mantid_exp2sim.simulation import manganite, measurement
from mantid_exp2sim.simulation.binning import KINDS, Binning

SMALL = {"HBins": "-0.5,0.5,10", "KBins": "-0.4,0.6,8", "EnergyBins": "5,30,5"}


def expected(
    workspace: Any,
    energy: float = 50.0,
    model: str = "Goodenough",
    parameters: Any = None,
    kind: Any = "convolved",
    order: Sequence[int] = (0, 1, 2),
    **more: Any,
) -> Any:
    first, second, third = (mdworkspace.axes(workspace)[i].edges for i in order)
    binning = Binning(first, second, third, energy)
    return measurement.simulate(model, parameters, binning=binning, kind=kind, **more)


def arrays(workspace: Any) -> Any:
    return np.array(workspace.getSignalArray()), np.array(workspace.getErrorSquaredArray())


def test_names_and_kinds_are_those_of_the_simulator() -> None:
    assert dict(mdsimulate.MODELS) == dict(manganite.PARAMETERS)
    assert set(mdsimulate.KINDS) == set(KINDS)


@pytest.mark.parametrize("model", ["Dimer", "Goodenough"])
@pytest.mark.parametrize("kind", ["convolved", "integrated"])
def test_the_numbers_are_those_of_the_simulator(api: Any, model: str, kind: str) -> None:
    api.SimulateSpinWavesMD(SpinWaveModel=model, Kind=kind, IncidentEnergy=50.0, OutputWorkspace="s", **SMALL)
    workspace = api.mtd["s"]
    result = expected(workspace, model=model, kind=kind)
    signal, errors = arrays(workspace)
    assert signal.shape == (10, 8, 5)
    np.testing.assert_allclose(signal, result.intensity, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(np.isnan(errors), result.mask)
    assert [workspace.getDimension(i).name for i in range(3)] == ["[H,0,0]", "[0,K,0]", "DeltaE"]
    assert workspace.getExperimentInfo(0).run().getProperty("Ei").value == 50.0


def test_instrument_package_frequency_and_scale(api: Any) -> None:
    setting: dict[str, Any] = {"instrument": "MERLIN", "package": "S", "frequency": 200.0, "width_scale": 1.5}
    names = {"instrument": "Instrument", "package": "Package", "frequency": "Frequency"}
    names["width_scale"] = "WidthScale"
    properties = {names[name]: value for name, value in setting.items()}
    api.SimulateSpinWavesMD(IncidentEnergy=50.0, OutputWorkspace="s", **properties, **SMALL)
    result = expected(api.mtd["s"], **setting)
    usual = expected(api.mtd["s"])
    signal, _ = arrays(api.mtd["s"])
    np.testing.assert_allclose(signal, result.intensity, rtol=1e-5, atol=1e-6)
    assert np.nanmax(np.abs(result.intensity - usual.intensity)) > 0.05 * np.nanmax(usual.intensity)


@pytest.mark.parametrize(
    ("setting", "option", "why"),
    [
        ({"Package": "Z"}, "Package", "no package 'Z'"),
        ({"Frequency": 700.0}, "Frequency", "50 to 600 Hz"),
        ({"WidthScale": 0.0}, "WidthScale", "width scale is 0"),
        ({"Instrument": "ARCS", "IncidentEnergy": 10.0}, "IncidentEnergy", "is shut"),
    ],
)
def test_settings_that_the_instrument_has_not(
    api: Any, setting: dict[str, Any], option: str, why: str
) -> None:
    algorithm = AlgorithmManager.create("SimulateSpinWavesMD")
    algorithm.initialize()
    small = {**SMALL, "EnergyBins": "1,6,5"}
    for name, value in {"IncidentEnergy": 50.0, "OutputWorkspace": "s", **small, **setting}.items():
        algorithm.setProperty(name, value)
    messages = algorithm.validateInputs()
    assert list(messages) == [option]
    assert why in messages[option]


def test_other_planes_are_those_of_the_description(api: Any) -> None:
    bins = {"HBins": "-0.5,0.5,6", "KBins": "-0.3,0.5,6", "EnergyBins": "5,30,5"}
    api.SimulateSpinWavesMD(
        Projection="0,1,0,-1,0,0",
        Kind="integrated",
        Gaps="None",
        IncidentEnergy=50.0,
        OutputWorkspace="s",
        **bins,
    )
    workspace = api.mtd["s"]
    assert [workspace.getDimension(i).name for i in range(3)] == ["[0,K,0]", "[-H,0,0]", "DeltaE"]
    first, second, third = (axis.edges for axis in mdworkspace.axes(workspace))
    binning = Binning(first, second, third, 50.0)
    axes = ("[0,K,0]", "[-H,0,0]")
    result = measurement.simulate(
        "pcsmo-goodenough", binning=binning, kind="integrated", mask=None, axes=axes
    )
    np.testing.assert_allclose(arrays(workspace)[0], result.intensity, rtol=1e-5, atol=1e-6)
    api.SimulateSpinWavesMD(
        TemplateWorkspace="s", Kind="integrated", Gaps="None", IncidentEnergy=50.0, OutputWorkspace="t"
    )
    np.testing.assert_allclose(arrays(api.mtd["t"])[0], arrays(workspace)[0], rtol=1e-4, atol=1e-6)


def test_noise_comes_from_the_seed(api: Any) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        api.SimulateSpinWavesMD(
            IncidentEnergy=50.0, NoiseLevel=0.7, Seed=seed, Gaps="None", OutputWorkspace=name, **SMALL
        )
    a, b, c = (arrays(api.mtd[name])[0] for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
    assert (arrays(api.mtd["a"])[1] > 0).any()
    assert not np.isnan(a).any()


@pytest.mark.parametrize("order", ["hke", "ekh", "lekh"])
def test_the_axes_of_a_template(api: Any, make: Any, order: str, state: Any) -> None:
    template = make(order)
    signal = np.array(template.getSignalArray())
    signal.ravel()[::7] = np.nan
    template.setSignalArray(signal)
    before = state(template)
    api.SimulateSpinWavesMD(TemplateWorkspace="ws", Gaps="Template", Kind="integrated", OutputWorkspace="s")
    workspace = api.mtd["s"]
    assert [workspace.getDimension(i).name for i in range(len(order))] == [
        template.getDimension(i).name for i in range(len(order))
    ]
    values, _ = arrays(workspace)
    np.testing.assert_array_equal(np.isnan(values), np.isnan(signal))
    positions = [order.index(letter) for letter in "hke"]
    result = expected(workspace, kind="integrated", order=positions, mask=None)
    turned = values.transpose([*positions, *(i for i in range(len(order)) if i not in positions)])
    there = np.isfinite(turned).reshape(result.shape)
    np.testing.assert_allclose(
        turned.reshape(result.shape)[there], result.intensity[there], rtol=1e-5, atol=1e-6
    )
    assert state(api.mtd["ws"]) == before
    assert workspace.getExperimentInfo(0).run().getProperty("Ei").value == 50.0


def test_the_log_is_the_energy_it_was_made_for(api: Any, make: Any, state: Any) -> None:
    template = make("hke")
    template.getExperimentInfo(0).run().addProperty("Ei", 70.0, "meV", True)
    before = state(template)
    api.SimulateSpinWavesMD(TemplateWorkspace="ws", IncidentEnergy=50.0, OutputWorkspace="s")
    assert api.mtd["s"].getExperimentInfo(0).run().getProperty("Ei").value == 50.0
    assert state(api.mtd["ws"]) == before


def test_what_comes_out_goes_into_the_models(api: Any) -> None:
    api.SimulateSpinWavesMD(IncidentEnergy=50.0, NoiseLevel=0.7, OutputWorkspace="s")
    api.DeconvolveMD(InputWorkspace="s", OutputWorkspace="s", Model="volumes", Replicas=2)
    names = [h.name() for h in api.mtd["s"].getHistory().getAlgorithmHistories()]
    assert names == ["SimulateSpinWavesMD", "DeconvolveMD"]
    assert list(api.mtd.getObjectNames()) == ["s"]


def test_bins_without_events_of_a_template_are_gaps(api: Any, binned: Any) -> None:
    template = binned(flag=0)
    empty = np.array(template.getNumEventsArray()) == 0
    api.SimulateSpinWavesMD(
        TemplateWorkspace="events", IncidentEnergy=50.0, Gaps="Template", Kind="centre", OutputWorkspace="s"
    )
    np.testing.assert_array_equal(np.isnan(arrays(api.mtd["s"])[0]), empty)


def test_the_run_is_a_copy_that_mantid_owns(api: Any) -> None:
    """Older versions die when a workspace goes whose run belongs to Python; the stand-in refuses it."""
    for _ in range(2):
        api.SimulateSpinWavesMD(IncidentEnergy=50.0, OutputWorkspace="s", **SMALL)
    api.CloneMDWorkspace(InputWorkspace="s", OutputWorkspace="clone")
    api.DeleteWorkspace("s")
    assert api.mtd["clone"].getExperimentInfo(0).run().getProperty("Ei").value == 50.0


UGLY = {
    "HBins": "-0.512345678901,0.498765432109,10",
    "KBins": f"{-1 / 3!r},{2 / 3!r},8",
    "EnergyBins": "5.123456789,30.987654321,5",
}


@pytest.mark.parametrize("parameters", ["", "-11.3912345678,1.512345678,1.3512345,1.51,0.881234567,0.073"])
def test_a_generated_script_repeats_every_bit(api: Any, tmp_path: Path, parameters: str) -> None:
    api.SimulateSpinWavesMD(
        IncidentEnergy=50.123456789,
        Parameters=parameters,
        NoiseLevel=1 / 3,
        Seed=3,
        OutputWorkspace="s",
        **UGLY,
    )
    edges: list[Any] = [axis.edges for axis in mdworkspace.axes(api.mtd["s"])]
    numbers = arrays(api.mtd["s"])
    used = parameters or ",".join(map(repr, manganite.BEST_FIT["Goodenough"]))
    histories = api.mtd["s"].getHistory().getAlgorithmHistories()
    assert histories[-1].getPropertyValue("Parameters") == used
    api.GeneratePythonScript(InputWorkspace="s", Filename=str(tmp_path / "again.py"))
    api.mtd.clear()
    exec((tmp_path / "again.py").read_text(encoding="utf-8"), dict(vars(api)))
    for again, axis in zip(mdworkspace.axes(api.mtd["s"]), edges, strict=True):
        np.testing.assert_array_equal(again.edges, axis)
    for again, array in zip(arrays(api.mtd["s"]), numbers, strict=True):
        np.testing.assert_array_equal(again, array)


def messages(**properties: Any) -> Any:
    algorithm = AlgorithmManager.create("SimulateSpinWavesMD")
    for key, value in {"OutputWorkspace": "s", "IncidentEnergy": 50.0, **properties}.items():
        algorithm.setProperty(key, value)
    return algorithm.validateInputs()


@pytest.mark.parametrize(
    ("properties", "name", "message"),
    [
        ({"IncidentEnergy": 0.0}, "IncidentEnergy", "Set IncidentEnergy"),
        ({"IncidentEnergy": float("nan")}, "IncidentEnergy", "positive number"),
        ({"Parameters": "1,2"}, "Parameters", "six finite numbers"),
        ({"Parameters": "1,2,3,4,5,x"}, "Parameters", "not all numbers"),
        ({"HBins": "0,1,x"}, "HBins", "not all numbers"),
        ({"HBins": "0,1"}, "HBins", "minimum, maximum and number"),
        ({"KBins": "1,0,5"}, "KBins", "minimum, maximum and number"),
        ({"KBins": "0,1,2.5"}, "KBins", "minimum, maximum and number"),
        ({"EnergyBins": "5,60,5"}, "EnergyBins", "below the incident energy"),
        ({"HBins": "0,1,9999", "KBins": "0,1,9999"}, "EnergyBins", "At most"),
        ({"Gaps": "Template"}, "Gaps", "no template"),
        ({"Projection": "1,0,0"}, "Projection", "six numbers"),
        ({"Projection": "1,0,0,2,0,0"}, "Projection", "lie in one plane"),
    ],
)
def test_wrong_inputs(api: Any, properties: dict[str, Any], name: str, message: str) -> None:
    assert message in messages(**properties)[name]


def test_wrong_templates(api: Any, make: Any) -> None:
    make("hk", name="flat")
    assert "needed once" in messages(TemplateWorkspace="flat")["TemplateWorkspace"]
    make("hke", name="bare", logged=False)
    assert "no sample log Ei" in messages(TemplateWorkspace="bare", IncidentEnergy=0.0)["IncidentEnergy"]
    assert messages(TemplateWorkspace="bare") == {}


def test_an_unstable_structure_is_an_error_and_leaves_nothing(api: Any) -> None:
    with pytest.raises(RuntimeError, match="not stable with these exchange constants"):
        api.SimulateSpinWavesMD(IncidentEnergy=50.0, Parameters="20,-3,3,3,0,0", OutputWorkspace="s", **SMALL)
    assert list(api.mtd.getObjectNames()) == []


def test_cancel_within_a_second(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(measurement, "solve", lambda *arguments: go_on.wait(10))
    algorithm = AlgorithmManager.create("SimulateSpinWavesMD")
    algorithm.setProperty("IncidentEnergy", 50.0)
    algorithm.setProperty("OutputWorkspace", "s")
    threading.Timer(0.3, algorithm.cancel).start()
    start = time.perf_counter()
    try:
        with pytest.raises((KeyboardInterrupt, RuntimeError)):
            algorithm.execute()
        assert time.perf_counter() - start < 1.3
    finally:
        go_on.set()
    assert list(api.mtd.getObjectNames()) == []
