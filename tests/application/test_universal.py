"""The shipped network for any material."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mantid_exp2sim
from mantid_exp2sim.application.deconvolve import separate
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.simulation.binning import Binning, Kind
from mantid_exp2sim.simulation.measurement import simulate

BINNING = Binning.regular(50.0, bins=(26, 26, 14))


def square(kind: Kind, noise: float = 0.0) -> Histogram:
    return simulate(
        "rb2mnf4", {"J1": 2.0}, binning=BINNING, kind=kind, instrument="ARCS", grid=30, noise=noise
    )


@pytest.fixture(scope="module")
def measured() -> Histogram:
    return square("convolved", 0.1)


@pytest.fixture(scope="module")
def truth() -> Histogram:
    return square("integrated")


def deconvolved(data: Histogram, method: Any = "chopper-any", **options: Any) -> Histogram:
    return mantid_exp2sim.deconvolve(data, method=method, **{"uncertainty": False, **options})


def error(sharp: Histogram, truth: Histogram) -> float:
    inside = ~sharp.mask
    return float(
        np.linalg.norm((sharp.intensity - truth.intensity)[inside]) / np.linalg.norm(truth.intensity[inside])
    )


def test_it_is_nearer_to_the_truth_than_richardson_lucy(measured: Histogram, truth: Histogram) -> None:
    """The antiferromagnet on the square lattice is of no material that was trained on."""
    sharp = deconvolved(measured)
    assert sharp.metadata["history"][-1]["options"]["method"] == "chopper-any"
    assert error(sharp, truth) < error(deconvolved(measured, "richardson-lucy"), truth)
    assert np.nansum(sharp.intensity) == pytest.approx(np.nansum(truth.intensity), rel=0.06)


def test_another_unit_of_intensity_changes_the_unit_alone(measured: Histogram) -> None:
    sharp = deconvolved(measured)
    for factor in (1e-4, 3e5):
        other = measured.replace(
            intensity=factor * measured.intensity, variance=factor**2 * measured.variance
        )
        np.testing.assert_allclose(
            deconvolved(other).intensity / factor,
            sharp.intensity,
            rtol=1e-3,
            atol=1e-4 * np.nanmax(sharp.intensity),
        )


def test_axes_in_another_order_give_the_same(measured: Histogram) -> None:
    turned = measured.transpose("energy", "h", "k")
    result = deconvolved(turned).transpose("h", "k", "energy")
    largest = np.nanmax(
        result.intensity
    )  # the weights of correlated axes are those of the first given the next
    np.testing.assert_allclose(result.intensity, deconvolved(measured).intensity, atol=0.05 * largest)


def test_gaps_stay_gaps_and_errors_come_from_the_noise(measured: Histogram) -> None:
    sharp = deconvolved(measured, uncertainty=True)
    np.testing.assert_array_equal(np.isnan(sharp.intensity), measured.mask)
    assert (sharp.variance[~measured.mask] > 0).all()
    weaker = measured.replace(variance=measured.variance / 100)
    assert np.nansum(deconvolved(weaker, uncertainty=True).variance) < 0.2 * np.nansum(sharp.variance)


def test_parts_add_up_to_the_data(measured: Histogram) -> None:
    parts = separate(measured, method="chopper-any", uncertainty=False)
    assert parts.removed is not None
    assert parts.residual is not None
    seen = mantid_exp2sim.convolve(parts.histogram, method="resolution")
    total = seen.intensity + parts.removed.intensity + parts.residual.intensity
    np.testing.assert_allclose(
        total, measured.intensity, rtol=1e-3, atol=1e-3 * np.nanmax(measured.intensity)
    )


def test_a_background_is_taken_out(measured: Histogram, truth: Histogram) -> None:
    lifted = measured.replace(intensity=measured.intensity + 0.2 * np.nanmean(measured.intensity))
    assert error(deconvolved(lifted), truth) < error(deconvolved(lifted, "richardson-lucy"), truth)


def test_a_model_of_that_name_is_that_method(measured: Histogram) -> None:
    named = mantid_exp2sim.deconvolve(measured, method="network", model="chopper-any", uncertainty=False)
    np.testing.assert_array_equal(named.intensity, deconvolved(measured).intensity)


def test_it_steps_aside_with_a_word() -> None:
    """Bins that change their sign from one to the next are no spectrum; four axes are too many."""
    axes = [
        Axis(name, np.linspace(-1, 1, 6), unit="r.l.u.", frame="HKL")
        for name in ("[H,0,0]", "[0,K,0]", "[0,0,L]")
    ]
    axes.append(Axis("DeltaE", np.linspace(2, 20, 7), unit="meV"))
    values = np.random.default_rng(0).random((5, 5, 5, 6))
    data = Histogram.from_arrays(values, axes, 0.01 * values, metadata={"incident_energy": 40.0})
    options = deconvolved(data, instrument="MERLIN", lattice=(4, 4, 6)).metadata["history"][-1]["options"]
    assert options["method"] == "richardson-lucy"
    assert any("not the network" in text for text in options["warnings"])


def test_an_instrument_that_is_not_known_is_asked_for(measured: Histogram) -> None:
    unknown = measured.replace(metadata={"incident_energy": 50.0})
    with pytest.raises(Exp2SimError, match="--instrument"):
        deconvolved(unknown)
