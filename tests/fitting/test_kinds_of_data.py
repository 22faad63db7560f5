"""Counts, data that were cut at 0 or clipped, cuts and several measurements at once."""

from __future__ import annotations

import numpy as np
import pytest

from mantid_exp2sim import Binning, Exp2SimError, Fit, FitOptions, Histogram, Measurement, fit, simulate
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.excitation_model import FunctionModel
from mantid_exp2sim.simulation.material import Lattice, Parameter

OPTIONS = FitOptions(starts=2, samples=0, grid=6, width_scale=False)
CUBE = Lattice(a=4, b=4, c=4)


def wave(q: Floats, top: float) -> tuple[Floats, Floats]:
    energy = top * (0.6 + 0.4 * np.cos(2 * np.pi * q[:, :1]) * np.cos(2 * np.pi * q[:, 1:2]))
    return energy, np.full_like(energy, 20.0)


MODEL = FunctionModel("wave", wave, {"top": Parameter(value=20.0, range=(12.0, 30.0))}, CUBE)


def expected(ei: float = 50.0, instrument: str = "MERLIN") -> Histogram:
    binning = Binning.regular(ei, bins=(12, 12, 6), energy=(0.1 * ei, 0.6 * ei))
    return simulate(MODEL, {"top": 21.0}, binning=binning, instrument=instrument, grid=6, mask=None)


def noisy(ideal: Histogram, *, seed: int = 0, sd: float = 0.4) -> Histogram:
    noise = sd * np.random.default_rng(seed).standard_normal(ideal.shape)
    return ideal.replace(intensity=ideal.intensity + 0.3 + noise, variance=np.full(ideal.shape, sd**2))


def assert_right(result: Fit, *, sd: float) -> None:
    model = result.models["wave"]
    assert abs(model.mean["top"] - 21.0) < 3.5 * model.sd["top"]
    assert model.sd["top"] < sd


def test_the_spectrometer_is_that_of_the_data() -> None:
    binning = Binning.regular(50.0, bins=(4, 4, 3), energy=(5.0, 30.0))
    data = simulate(
        MODEL, binning=binning, instrument="MERLIN", frequency=250.0, width_scale=1.2, grid=6, mask=None
    )
    told = Measurement(data).spectrometer()
    # the width is what a fit looks for: 1 is what is computed for the setting
    assert (told.name, told.frequency(50.0), told.width_scale) == ("MERLIN", 250.0, 1.0)
    other = Measurement(data, "MARI", frequency=300.0).spectrometer()
    assert (other.name, other.frequency(50.0)) == ("MARI", 300.0)
    with pytest.raises(Exp2SimError, match="The instrument of the data is not known"):
        Measurement(data.replace(metadata={})).spectrometer()


def test_counts() -> None:
    mean = 3 * expected().intensity + 0.5
    counts = expected().replace(intensity=np.random.default_rng(0).poisson(mean).astype(float))
    options = FitOptions(starts=2, samples=0, grid=6, width_scale=False, errors="poisson")
    result = fit(Measurement(counts, "MERLIN"), MODEL, options=options)
    assert_right(result, sd=0.2)
    assert 0.8 < result.models["wave"].chi2_reduced < 1.2
    with pytest.raises(Exp2SimError, match="Counts cannot be negative"):
        fit(Measurement(counts - 1.0, "MERLIN"), MODEL, options=options)


def test_bins_cut_at_zero_are_no_measured_zeros() -> None:
    data = noisy(expected())
    cut = data.replace(intensity=np.maximum(data.intensity, 0.0))
    result = fit(Measurement(cut, "MERLIN"), MODEL, options=OPTIONS)
    assert_right(result, sd=0.2)
    assert any("at exactly 0 count as cut" in note for note in result.notes)
    background = [term.mean for term in result.models["wave"].terms if term.name != "scale"]
    assert np.mean(background) == pytest.approx(0.3, abs=0.05)
    assert 0.8 < result.models["wave"].chi2_reduced < 1.2


def test_clipped_bins_are_at_least_as_high() -> None:
    data = noisy(expected())
    top = float(np.quantile(data.intensity, 0.97))
    result = fit(
        Measurement(data.replace(intensity=np.minimum(data.intensity, top)), "MERLIN"), MODEL, options=OPTIONS
    )
    assert_right(result, sd=0.2)
    scale = next(term for term in result.models["wave"].terms if term.name == "scale")
    assert abs(scale.mean - 1) < 4 * scale.sd
    assert any("count as clipped" in note for note in result.notes)


def test_a_cut_is_fitted_as_what_it_is() -> None:
    data = noisy(expected(), sd=0.2)
    line = data.cut({"[0,K,0]": (-0.3, 0.3)}).transpose()
    assert line.ndim == 2
    result = fit(Measurement(line, "MERLIN"), MODEL, options=OPTIONS)
    assert_right(result, sd=0.3)
    assert result.models["wave"].fitted[0].shape == line.shape


def test_two_instruments_say_more_than_one() -> None:
    low, high = Measurement(noisy(expected()), "MERLIN"), Measurement(noisy(expected(60.0, "MARI")), "MARI")
    alone, both = (fit(data, MODEL, options=OPTIONS) for data in (low, [low, high]))
    assert_right(both, sd=0.2)
    assert both.models["wave"].sd["top"] < alone.models["wave"].sd["top"]
    assert [histogram.metadata["incident_energy"] for histogram in both.models["wave"].fitted] == [50.0, 60.0]


def test_data_without_errors_or_symmetry_are_refused() -> None:
    data = expected()
    upper = data.cut({"[H,0,0]": (0.0, 1.0)}, keep=True)
    with pytest.raises(Exp2SimError, match="have no errors"):
        fit(Measurement(upper, "MERLIN"), MODEL, options=OPTIONS)
    nowhere = data.replace(metadata={})
    with pytest.raises(Exp2SimError, match="incident energy"):
        fit(Measurement(nowhere, "MERLIN"), MODEL, options=OPTIONS)
