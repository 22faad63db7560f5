"""Deconvolve and convolve histograms of any axes with the known resolution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mantid_exp2sim
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.simulation.binning import Binning, Kind
from mantid_exp2sim.simulation.measurement import simulate

CLASSICAL: dict[str, Any] = {"method": "richardson-lucy", "instrument": "MERLIN", "lattice": (4.0, 4.0, 6.0)}


@pytest.fixture(scope="module")
def pair() -> tuple[Histogram, Histogram]:
    """A noisy measurement of a square-lattice antiferromagnet on ARCS, and its truth."""
    binning = Binning.regular(50.0, bins=(30, 30, 16))
    kinds: tuple[tuple[Kind, float], ...] = (("convolved", 0.1), ("integrated", 0.0))
    both = [
        simulate("rb2mnf4", {"J1": 2.0}, binning=binning, kind=kind, instrument="ARCS", grid=30, noise=noise)
        for kind, noise in kinds
    ]
    return both[0], both[1]


def histogram(*axes: Axis, mask: Any = None, energy: float | None = 30.0) -> Histogram:
    values = 5 + np.random.default_rng(0).random([axis.size for axis in axes])
    metadata = {} if energy is None else {"incident_energy": energy}
    return Histogram.from_arrays(values, axes, 0.1 * values, mask, metadata=metadata)


def rlu(name: str, bins: int = 12) -> Axis:
    return Axis(name, np.linspace(-1.1, 1, bins + 1), unit="r.l.u.", frame="HKL")


ENERGY = Axis("DeltaE", np.linspace(2, 20, 16), unit="meV")
AXES = {
    "volume": (rlu("[H,0,0]"), rlu("[0,K,0]"), ENERGY),
    "another order": (ENERGY, rlu("[0,K,0]"), rlu("[H,0,0]")),
    "another projection": (rlu("[H,H,0]"), rlu("[-K,K,0]"), ENERGY),
    "cut": (rlu("[H,H,0]", 30), ENERGY),
    "energy": (ENERGY,),
    "powder": (Axis("|Q|", np.linspace(0.8, 3, 21), unit="A^-1"), ENERGY),
    "four axes": (rlu("[H,0,0]", 6), rlu("[0,K,0]", 6), rlu("[0,0,L]", 6), ENERGY),
}


def test_a_measurement_comes_nearer_to_its_truth(pair: tuple[Histogram, Histogram]) -> None:
    measured, truth = pair
    sharp = mantid_exp2sim.deconvolve(measured, method="richardson-lucy")
    inside = ~measured.mask
    before, after = (np.linalg.norm((h.intensity - truth.intensity)[inside]) for h in (measured, sharp))
    assert after < 0.85 * before
    assert np.nansum(sharp.intensity) == pytest.approx(np.nansum(measured.intensity), rel=0.02)
    step = sharp.metadata["history"][-1]
    told = step["options"]
    assert (told["instrument"], told["sources"]["instrument"]) == ("ARCS", "from the file")
    assert told["lattice"] == pytest.approx([4.215, 4.215, 13.77, 90, 90, 90])
    assert told["volumes"][0]["noise"] == "errors of the data"
    assert told["seed"] == 0


def test_convolved_again_it_is_the_measurement(pair: tuple[Histogram, Histogram]) -> None:
    _, truth = pair
    clean = mantid_exp2sim.convolve(truth, method="resolution")
    sharp = mantid_exp2sim.deconvolve(clean, method="richardson-lucy")
    again = mantid_exp2sim.convolve(sharp, method="resolution")
    inside = ~truth.mask
    error = np.linalg.norm((again.intensity - clean.intensity)[inside])
    assert error < 0.05 * np.linalg.norm(clean.intensity[inside])
    assert sharp.metadata["history"][-1]["options"]["warnings"] == []


@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
def test_any_axes(axes: tuple[Axis, ...]) -> None:
    data = histogram(*axes)
    sharp = mantid_exp2sim.deconvolve(data, replicas=4, **CLASSICAL)
    assert [axis.name for axis in sharp.axes] == [axis.name for axis in data.axes]
    for after, before in zip(sharp.axes, data.axes, strict=True):
        np.testing.assert_array_equal(after.edges, before.edges)
    assert np.nansum(sharp.intensity) == pytest.approx(np.nansum(data.intensity), rel=0.02)
    assert (sharp.variance > 0).all()


@settings(max_examples=10)
@given(seed=st.integers(0, 99), share=st.sampled_from([0.0, 0.3, 0.95]))
def test_nan_in_is_nan_out_and_nowhere_else(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((12, 12, 15)) < share
    mask[0, 0, 0] = False
    data = histogram(*AXES["volume"], mask=mask)
    options = {key: value for key, value in CLASSICAL.items() if key != "method"}
    for result in (
        mantid_exp2sim.deconvolve(data, replicas=2, **CLASSICAL),
        mantid_exp2sim.convolve(data, method="resolution", **options),
    ):
        np.testing.assert_array_equal(np.isnan(result.intensity), mask)
        np.testing.assert_array_equal(np.isnan(result.variance), mask)


def test_order_of_axes_does_not_matter() -> None:
    data = histogram(*AXES["volume"])
    turned = data.transpose("energy", "k", "h")
    one, other = (mantid_exp2sim.deconvolve(h, uncertainty=False, **CLASSICAL) for h in (data, turned))
    # the second axis of Q in the data is the vertical one
    np.testing.assert_allclose(other.intensity.transpose(), one.intensity, rtol=0.02)


def test_a_constant_background_is_removed_and_told(pair: tuple[Histogram, Histogram]) -> None:
    measured, _ = pair
    lifted = measured.replace(intensity=measured.intensity + 50.0)
    for background in ("constant", "smooth"):
        sharp = mantid_exp2sim.deconvolve(lifted, method="richardson-lucy", background=background)
        told = sharp.metadata["history"][-1]["options"]["volumes"][0]
        assert told["background_mean"] == pytest.approx(50, rel=0.15)
        removed = np.nansum(lifted.intensity) - told["background_total"]
        assert np.nansum(sharp.intensity) == pytest.approx(removed, rel=0.03)


def test_a_wrong_instrument_is_warned_of() -> None:
    """A line in one bin of 1.2 meV cannot have been seen with a resolution of more than 4 meV."""
    line = histogram(ENERGY).replace(intensity=np.eye(15)[7] + 0.01, variance=np.full(15, 1e-4))
    sharp = mantid_exp2sim.deconvolve(line, width_scale=4.0, **CLASSICAL)
    assert "are not explained" in sharp.metadata["history"][-1]["options"]["warnings"][0]


@pytest.mark.parametrize(("model", "method"), [(None, "chopper-any"), ("pcsmo-maps", "richardson-lucy")])
def test_auto_takes_the_known_resolution_where_the_model_does_not_take_the_data(
    pair: tuple[Histogram, Histogram], model: str | None, method: str
) -> None:
    measured, _ = pair
    sharp = mantid_exp2sim.deconvolve(measured, method="auto", model=model, uncertainty=False)
    step = sharp.metadata["history"][-1]
    assert step["options"]["method"] == method
    assert step["not_the_network"]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (histogram(*AXES["cut"]), {"lattice": (4, 4, 6)}, "--instrument"),
        (histogram(*AXES["cut"]), {"instrument": "MERLIN"}, "--lattice"),
        (histogram(*AXES["cut"], energy=None), {"instrument": "MERLIN"}, "--incident-energy"),
        (histogram(*AXES["energy"]), {"instrument": "HUBBLE"}, "no instrument 'HUBBLE'"),
        (histogram(*AXES["energy"]), {"instrument": "MERLIN", "frequency": -3.0}, "turns at 50 to 600 Hz"),
        (histogram(*AXES["energy"]), {"instrument": "MERLIN", "lattice": (1, 2)}, "Give a, b and c"),
        (histogram(*AXES["energy"]), {"instrument": "MERLIN", "background": "rough"}, "Choose none"),
        (histogram(*AXES["energy"]), {"instrument": "MERLIN", "replicas": 1}, "whole number from 2"),
        (histogram(*AXES["energy"]), {"instrument": "MERLIN", "sharpness": 2}, "no option 'sharpness'"),
        (histogram(*AXES["energy"], mask=np.ones(15, bool)), {"instrument": "MERLIN"}, "No bin"),
    ],
)
def test_what_is_not_known_or_wrong_is_asked_for(
    data: Histogram, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(Exp2SimError, match=message):
        mantid_exp2sim.deconvolve(data, method="richardson-lucy", **options)


def test_lattice_constants_of_a_file_may_stand_in_any_order() -> None:
    data = histogram(*AXES["volume"])
    cell = {"a": 4.0, "alpha": 90.0, "b": 4.0, "beta": 90.0, "c": 6.0, "gamma": 90.0}
    told = data.replace(metadata={**data.metadata, "lattice": cell})
    options: dict[str, Any] = {"method": "resolution", "instrument": "MERLIN"}
    seen = mantid_exp2sim.convolve(told, **options)
    given_ones = mantid_exp2sim.convolve(data, lattice=(4.0, 4.0, 6.0), **options)
    np.testing.assert_array_equal(seen.intensity, given_ones.intensity)


def test_each_direction_has_its_method() -> None:
    with pytest.raises(Exp2SimError, match="Choose one of network, resolution, auto"):
        mantid_exp2sim.convolve(histogram(ENERGY), method="richardson-lucy")
