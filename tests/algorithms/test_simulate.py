"""SimulateSpinWavesMD: a Hamiltonian on given bins or on a template's axes; the numbers of the simulator."""

import threading
import time

import numpy as np
import pytest
from mantid.api import AlgorithmManager
from mantid_exp2sim.training.simulation import manganite, spectrum
from mantid_exp2sim.training.simulation import mosaic as simulated

from mantid_exp2sim import mdsimulate, mdworkspace

SMALL = {"HBins": [-0.5, 0.5, 10], "KBins": [-0.4, 0.6, 8], "EnergyBins": [5.0, 30.0, 5]}


def expected(
    workspace, energy=50.0, model="Goodenough", parameters=None, kind="convolved", order=(0, 1, 2), **more
):
    waves = spectrum.spin_waves(model, parameters or manganite.BEST_FIT[model])
    edges = [mdworkspace.axes(workspace)[i].edges for i in order]
    return simulated.simulate_volume(waves, spectrum.Binning(*edges, energy), kind=kind, **more)


def arrays(workspace):
    return np.array(workspace.getSignalArray()), np.array(workspace.getErrorSquaredArray())


def test_names_and_kinds_are_those_of_the_simulator():
    assert dict(mdsimulate.MODELS) == dict(manganite.PARAMETERS)
    assert set(mdsimulate.KINDS) == set(spectrum.KINDS)


@pytest.mark.parametrize("model", ["Dimer", "Goodenough"])
@pytest.mark.parametrize("kind", ["convolved", "integrated"])
def test_the_numbers_are_those_of_the_simulator(api, model, kind):
    api.SimulateSpinWavesMD(SpinWaveModel=model, Kind=kind, IncidentEnergy=50.0, OutputWorkspace="s", **SMALL)
    workspace = api.mtd["s"]
    result = expected(workspace, model=model, kind=kind)
    signal, errors = arrays(workspace)
    assert signal.shape == (10, 8, 5)
    np.testing.assert_allclose(signal, result.intensity, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(np.isnan(errors), result.mask)
    assert [workspace.getDimension(i).name for i in range(3)] == ["[H,0,0]", "[0,K,0]", "DeltaE"]
    assert workspace.getExperimentInfo(0).run().getProperty("Ei").value == 50.0


def test_noise_comes_from_the_seed(api):
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
def test_the_axes_of_a_template(api, make, order, state):
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


def test_the_log_is_the_energy_it_was_made_for(api, make, state):
    template = make("hke")
    template.getExperimentInfo(0).run().addProperty("Ei", 70.0, "meV", True)
    before = state(template)
    api.SimulateSpinWavesMD(TemplateWorkspace="ws", IncidentEnergy=50.0, OutputWorkspace="s")
    assert api.mtd["s"].getExperimentInfo(0).run().getProperty("Ei").value == 50.0
    assert state(api.mtd["ws"]) == before


def test_what_comes_out_goes_into_the_models(api):
    api.SimulateSpinWavesMD(IncidentEnergy=50.0, NoiseLevel=0.7, OutputWorkspace="s")
    api.DeconvolveMD(InputWorkspace="s", OutputWorkspace="s", Model="volumes", Replicas=2)
    names = [h.name() for h in api.mtd["s"].getHistory().getAlgorithmHistories()]
    assert names == ["SimulateSpinWavesMD", "DeconvolveMD"]
    assert list(api.mtd.getObjectNames()) == ["s"]


def test_the_history_is_enough_to_repeat_it(api):
    api.SimulateSpinWavesMD(IncidentEnergy=50.0, NoiseLevel=0.5, Seed=3, OutputWorkspace="s", **SMALL)
    history = api.mtd["s"].getHistory().lastAlgorithm()
    found = {p.name(): p.value() for p in history.getProperties()}
    assert [float(part) for part in found["Parameters"].split(",")] == list(manganite.BEST_FIT["Goodenough"])
    again = AlgorithmManager.create("SimulateSpinWavesMD")
    for key, value in found.items():
        if value:
            again.setPropertyValue(key, "again" if key == "OutputWorkspace" else value)
    again.execute()
    np.testing.assert_array_equal(arrays(api.mtd["again"])[0], arrays(api.mtd["s"])[0])


def messages(**properties):
    algorithm = AlgorithmManager.create("SimulateSpinWavesMD")
    for key, value in {"OutputWorkspace": "s", "IncidentEnergy": 50.0, **properties}.items():
        algorithm.setProperty(key, value)
    return algorithm.validateInputs()


@pytest.mark.parametrize(
    ("properties", "name", "message"),
    [
        ({"IncidentEnergy": 0.0}, "IncidentEnergy", "Set IncidentEnergy"),
        ({"IncidentEnergy": float("nan")}, "IncidentEnergy", "positive number"),
        ({"Parameters": [1.0, 2.0]}, "Parameters", "six finite numbers"),
        ({"HBins": [0.0, 1.0]}, "HBins", "minimum, maximum and number"),
        ({"KBins": [1.0, 0.0, 5]}, "KBins", "minimum, maximum and number"),
        ({"KBins": [0.0, 1.0, 2.5]}, "KBins", "minimum, maximum and number"),
        ({"EnergyBins": [5.0, 60.0, 5]}, "EnergyBins", "below the incident energy"),
        ({"HBins": [0.0, 1.0, 9999], "KBins": [0.0, 1.0, 9999]}, "EnergyBins", "At most"),
        ({"Gaps": "Template"}, "Gaps", "no template"),
    ],
)
def test_wrong_inputs(api, properties, name, message):
    assert message in messages(**properties)[name]


def test_wrong_templates(api, make):
    make("hk", name="flat")
    assert "once each" in messages(TemplateWorkspace="flat")["TemplateWorkspace"]
    make("hke", name="bare", logged=False)
    assert "no sample log Ei" in messages(TemplateWorkspace="bare", IncidentEnergy=0.0)["IncidentEnergy"]
    assert messages(TemplateWorkspace="bare") == {}


def test_an_unstable_structure_is_an_error_and_leaves_nothing(api):
    with pytest.raises(RuntimeError, match="not stable with these exchange constants"):
        api.SimulateSpinWavesMD(
            IncidentEnergy=50.0, Parameters=[20.0, -3.0, 3.0, 3.0, 0.0, 0.0], OutputWorkspace="s", **SMALL
        )
    assert list(api.mtd.getObjectNames()) == []


def test_cancel_within_a_second(api, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(spectrum, "spin_waves", lambda *arguments: go_on.wait(10))
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
