"""DeconvolveMD and ConvolveMD without a model: the numbers of Python, messages at the right property."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mantid_exp2sim
from mantid_exp2sim.mantid import workspace as mdworkspace

SETTING = {"Instrument": "MERLIN", "Lattice": ["4", "4", "6"]}
SAME: dict[str, Any] = {"instrument": "MERLIN", "lattice": (4.0, 4.0, 6.0)}


@pytest.mark.parametrize("order", ["hke", "ekh", "lhke", "eh"])
@pytest.mark.parametrize("method", ["richardson-lucy", "chopper-any"])
def test_any_axes_are_those_of_python(api: Any, make: Any, state: Any, order: str, method: Any) -> None:
    workspace = make(order)
    untouched, snapshot = state(workspace), mdworkspace.read(workspace)
    result = mantid_exp2sim.deconvolve(snapshot.histogram, method=method, replicas=4, seed=3, **SAME)
    api.DeconvolveMD(InputWorkspace="ws", OutputWorkspace="out", Method=method, Replicas=4, Seed=3, **SETTING)
    assert state(api.mtd["ws"]) == untouched
    out = api.mtd["out"]
    np.testing.assert_array_equal(np.array(out.getSignalArray()), result.intensity)
    np.testing.assert_array_equal(np.array(out.getErrorSquaredArray()), result.variance)


def test_convolve_in_place_and_history(api: Any, make: Any) -> None:
    snapshot = mdworkspace.read(make("hke"))
    result = mantid_exp2sim.convolve(snapshot.histogram, method="resolution", **SAME)
    out = api.ConvolveMD(InputWorkspace="ws", OutputWorkspace="ws", Method="resolution", **SETTING)
    np.testing.assert_array_equal(np.array(out.getSignalArray()), result.intensity)
    history = out.getHistory().lastAlgorithm()
    assert history.getPropertyValue("Instrument") == "MERLIN"
    assert float(history.getPropertyValue("IncidentEnergy")) == 50.0
    assert float(history.getPropertyValue("ChopperFrequency")) > 0


@pytest.mark.parametrize(
    ("properties", "key", "message"),
    [
        ({"Lattice": ["4", "4", "6"]}, "Instrument", "Set Instrument"),
        ({"Instrument": "MERLIN"}, "Lattice", "Set Lattice"),
        ({**SETTING, "Instrument": "HUBBLE"}, "InputWorkspace", "no instrument 'HUBBLE'"),
        ({**SETTING, "Lattice": ["4", "4"]}, "Lattice", "The lattice is"),
    ],
)
def test_what_is_not_known_is_asked_for_at_its_property(
    api: Any, make: Any, state: Any, properties: dict[str, Any], key: str, message: str
) -> None:
    from mantid.api import AlgorithmManager

    untouched = state(make("hke"))
    algorithm = AlgorithmManager.create("DeconvolveMD")
    algorithm.initialize()
    values = {"InputWorkspace": "ws", "OutputWorkspace": "ws", "Method": "richardson-lucy", **properties}
    for name, value in values.items():
        algorithm.setProperty(name, value)
    assert message in algorithm.validateInputs()[key]
    with pytest.raises(RuntimeError):
        api.DeconvolveMD(**values)
    assert state(api.mtd["ws"]) == untouched


def test_without_errors_and_with_a_background(api: Any, make: Any) -> None:
    make("hke")
    out = api.DeconvolveMD(
        InputWorkspace="ws", OutputWorkspace="out", Method="richardson-lucy", **SETTING,
        PropagateErrors=False, Background="constant",
    )  # fmt: skip
    assert not np.array(out.getErrorSquaredArray()).any()


def test_what_is_taken_out_is_in_workspaces_of_its_own(api: Any, make: Any) -> None:
    snapshot = mdworkspace.read(make("hke"))
    options: dict[str, Any] = {"method": "richardson-lucy", "background": "constant", "uncertainty": False}
    parts = mantid_exp2sim.separate(snapshot.histogram, **options, **SAME)
    names = {"OutputWorkspace": "out", "RemovedWorkspace": "background", "ResidualWorkspace": "rest"}
    about = {"Method": "richardson-lucy", "Background": "constant", "PropagateErrors": False, **SETTING}
    api.DeconvolveMD(InputWorkspace="ws", **names, **about)
    for name, part in (("out", parts.histogram), ("background", parts.removed), ("rest", parts.residual)):
        assert part is not None
        np.testing.assert_array_equal(np.array(api.mtd[name].getSignalArray()), part.intensity)
    api.DeconvolveMD(InputWorkspace="ws", OutputWorkspace="kept", KeepBackground=True, **about)
    kept = np.array(api.mtd["kept"].getSignalArray())
    assert parts.removed is not None
    np.testing.assert_array_equal(kept, parts.histogram.intensity + parts.removed.intensity)
