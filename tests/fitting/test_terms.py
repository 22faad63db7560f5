"""Terms beside the constants, planes with an L axis, and what the notes tell of errors."""

from __future__ import annotations

import numpy as np
import pytest

from mantid_exp2sim import Binning, Fit, FitOptions, Histogram, Measurement, fit, simulate
from mantid_exp2sim.errors import OptionError
from mantid_exp2sim.fitting.options import Background, Scale
from mantid_exp2sim.fitting.restrictions import read_terms
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.excitation_model import FunctionModel
from mantid_exp2sim.simulation.material import Lattice, Parameter, View
from tests.fitting.conftest import Measure

EI, SD = 50.0, 0.4
BINNING = Binning.regular(EI, bins=(12, 12, 6), energy=(5.0, 35.0))


def model(view: View, axes: tuple[int, int]) -> FunctionModel:
    """A wave along the two axes of view, the same along the beam."""

    def wave(q: Floats, top: float) -> tuple[Floats, Floats]:
        waves = np.cos(2 * np.pi * q[:, axes]).prod(axis=1, keepdims=True)
        energy = top * (0.6 + 0.4 * waves)
        return energy, np.full_like(energy, 20.0)

    constants = {"top": Parameter(value=20.0, range=(12.0, 30.0))}
    return FunctionModel("wave", wave, constants, Lattice(a=4, b=4, c=4), view)


FLAT = model(View(), (0, 1))


def noisy(source: FunctionModel, factor: Floats, background: Floats) -> Histogram:
    ideal = simulate(source, {"top": 21.0}, binning=BINNING, instrument="MERLIN", grid=6, mask=None)
    noise = SD * np.random.default_rng(0).standard_normal(ideal.shape)
    return ideal.replace(
        intensity=ideal.intensity * factor + background + noise, variance=np.full(ideal.shape, SD**2)
    )


def fitted(
    data: Histogram, source: FunctionModel, scale: Scale = "each", background: Background = "flat"
) -> Fit:
    options = FitOptions(starts=2, samples=0, grid=6, width_scale=False, scale=scale, background=background)
    return fit(Measurement(data, "MERLIN"), source, options=options)


def test_kf_over_ki_in_the_data_is_a_sloped_scale() -> None:
    data = noisy(FLAT, np.sqrt(1 - BINNING.centres[2] / EI), np.zeros(6))
    sloped = fitted(data, FLAT, "sloped").models["wave"]
    assert abs(sloped.mean["top"] - 21.0) < 3.5 * sloped.sd["top"]
    assert 0.8 < sloped.chi2_reduced < 1.2
    scale, slope = (next(t for t in sloped.terms if t.name == n) for n in ("scale", "slope of the scale"))
    # kf/ki is 0.775 in the middle of the window, and falls there by 0.645 in units of E/Ei
    assert abs(scale.mean - 0.775) < 4 * scale.sd
    assert abs(slope.mean + 0.645) < 4 * slope.sd
    assert slope.mean < -3 * slope.sd


def test_a_background_that_changes_with_q_is_smooth() -> None:
    h, k, _ = BINNING.centres
    radius = np.hypot(h[:, None], k)[..., None]
    data = noisy(FLAT, np.ones(6), 3.0 * radius)
    flat, smooth = (fitted(data, FLAT, background=name).models["wave"] for name in ("flat", "smooth"))
    assert abs(smooth.mean["top"] - 21.0) < 3.5 * smooth.sd["top"]
    assert smooth.chi2_reduced < 1.2 < flat.chi2_reduced
    # smooth intensity is no structure that a model has to explain
    assert flat.explained > 0.97


def test_a_plane_of_h_and_l_is_fitted() -> None:
    source = model(View(horizontal=(1, 0, 0), vertical=(0, 0, 1)), (0, 2))
    data = noisy(source, np.ones(6), np.zeros(6))
    assert {axis.kind for axis in data.axes} == {"h", "l", "energy"}
    constants = fitted(data, source).models["wave"]
    assert abs(constants.mean["top"] - 21.0) < 3.5 * constants.sd["top"]


def test_errors_that_were_raised_are_told() -> None:
    data = noisy(FLAT, np.ones(6), np.zeros(6))
    variance = data.variance.copy()
    variance[3:5, 4, 2] = 1e-6, 0.0
    result = fitted(data.replace(variance=variance), FLAT)
    assert any(note.startswith("2 bins had no error, or one below") for note in result.notes)
    assert not any("below a fifth" in note for note in fitted(data, FLAT).notes)


@pytest.mark.parametrize("switches", [(True, True, False, False), (False, False, True, True)])
def test_terms_that_exclude_each_other_are_refused(switches: tuple[bool, bool, bool, bool]) -> None:
    absolute, sloped, empty, smooth = switches
    with pytest.raises(OptionError, match="cannot be"):
        read_terms(absolute=absolute, sloped=sloped, empty=empty, smooth=smooth)


def test_what_a_finer_grid_would_move_is_told(measure: Measure) -> None:
    data = measure()
    coarse, fine = (
        fit(data, "rb2mnf4", options=FitOptions(starts=1, samples=0, grid=grid, fixed={"J2": 0.05}))
        for grid in (6, 12)
    )
    before, after = coarse.leading, fine.leading
    told, moved = before.grid_errors["J1"] * before.sd["J1"], after.mean["J1"] - before.mean["J1"]
    assert 0.5 < told / moved < 2.5  # to first order
    assert any("repeat with a grid of 12" in note for note in coarse.notes)
