"""The shipped posterior of both spin models: what it takes, and that it tells models of known constants."""

from __future__ import annotations

import numpy as np
import pytest

from mantid_exp2sim import FitOptions, Histogram, Measurement, simulate
from mantid_exp2sim.fitting.data import Part, prepare_data
from mantid_exp2sim.fitting.model import fit_model
from mantid_exp2sim.fitting.proposal import propose
from mantid_exp2sim.simulation.manganite import BEST_FIT, ModelName

MODELS: tuple[ModelName, ...] = ("Goodenough", "Dimer")


def measured(model: ModelName, frequency: float | None = None) -> tuple[Part, ...]:
    ideal = simulate(model, BEST_FIT[model], grid=12)
    expected = 0.3 * np.nan_to_num(ideal.intensity) + 0.2
    noise = np.sqrt(0.2 * expected) * np.random.default_rng(1).standard_normal(expected.shape)
    data: Histogram = ideal.replace(intensity=expected + noise, variance=0.2 * expected)
    return prepare_data([Measurement(data, "MAPS", frequency)])[0].parts


@pytest.mark.parametrize("model", MODELS)
def test_the_strongest_constant_is_told(model: ModelName) -> None:
    draws = propose(fit_model(model, FitOptions()), measured(model), FitOptions())
    assert draws is not None
    assert len(draws) > 1000
    strongest = draws[:, 0] if model == "Goodenough" else draws[:, [0, 3]].min(axis=1)
    assert strongest.mean() == pytest.approx(min(BEST_FIT[model]), abs=3 * strongest.std())
    assert strongest.std() < 0.5 * 20 / np.sqrt(12)


def test_another_setting_or_range_has_none() -> None:
    model, parts = fit_model("Goodenough", FitOptions()), measured("Goodenough")
    assert propose(model, measured("Goodenough", 200.0), FitOptions()) is None
    assert propose(model, parts[:3], FitOptions()) is None
    assert propose(model, parts, FitOptions(posterior="none")) is None
    wider = FitOptions(bounds={"JF1": (-30.0, 0.0)})
    assert propose(fit_model("Goodenough", wider), parts, wider) is None


def test_draws_lie_in_narrower_bounds() -> None:
    options = FitOptions(bounds={"JF1": (-13.0, -9.0)}, fixed={"D": 0.07})
    model = fit_model("Goodenough", options)
    draws = propose(model, measured("Goodenough"), options)
    assert draws is not None
    assert draws.shape[1] == len(model.names) == 6
    assert -13 <= draws[:, 0].min() < draws[:, 0].max() <= -9
