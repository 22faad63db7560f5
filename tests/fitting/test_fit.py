"""Constants that were put into simulated data come back, with errors that hold."""

from __future__ import annotations

import numpy as np
import pytest

from mantid_exp2sim import Cancelled, Exp2SimError, FitOptions, Measurement, fit
from mantid_exp2sim.fitting.data import REASONS, prepare_data
from mantid_exp2sim.simulation.material import Parameter, find_description, read_description
from tests.fitting.conftest import Measure

QUICK = FitOptions(starts=4, samples=30, grid=10)


def test_constants_come_back(measure: Measure) -> None:
    data = measure()
    result = fit(data, "rb2mnf4", options=QUICK)
    model = result.models["Rb2MnF4"]
    for name, truth in {"J1": 0.6, "J2": 0.05, "width_scale": 1.0}.items():
        assert abs(model.mean[name] - truth) < 3.5 * model.sd[name]
    assert model.sd["J1"] < 0.01
    assert 0.8 < model.chi2_reduced < 1.2
    assert model.p_value > 1e-3
    assert result.best == "Rb2MnF4"
    assert not result.neither
    scale = next(term for term in model.terms if term.name == "scale")
    assert abs(scale.mean - 0.4) < 4 * scale.sd
    assert "Rb2MnF4 explains the data to their noise" in result.sentence
    np.testing.assert_array_equal(model.fitted[0].mask, data.mask)
    counts = result.to_dict()["bins"]
    assert sum(counts.values()) == data.intensity.size
    assert counts[REASONS[1]] == data.mask.sum()


def test_errors_come_from_pairs_where_there_are_none(measure: Measure) -> None:
    result = fit(measure(errors=False), "rb2mnf4", options=QUICK)
    model = result.models["Rb2MnF4"]
    assert abs(model.mean["J1"] - 0.6) < 4 * model.sd["J1"]
    assert 0.7 < model.chi2_reduced < 1.3
    assert any("inversion pairs" in note for note in result.notes)


def test_a_stripe_pattern_is_explained_by_neither(measure: Measure) -> None:
    data = measure()
    h = np.arange(data.shape[0])[:, None, None]
    stripes = np.where(data.mask, np.nan, data.intensity + 8 * np.sin(2.4 * h))
    result = fit(data.replace(intensity=stripes), "rb2mnf4", options=FitOptions(starts=4, samples=0, grid=8))
    assert result.best is None
    assert result.neither
    assert result.models["Rb2MnF4"].widening > 2
    assert result.sentence.startswith("No model explains the data")


@pytest.mark.parametrize("samples", [0, 20])
def test_the_closer_model_leads_also_where_neither_explains_the_data(measure: Measure, samples: int) -> None:
    """Errors that are widened by what a model leaves are no evidence for it."""
    data = measure()
    right = read_description(find_description("rb2mnf4"))
    soft = {**right.parameters, "J1": Parameter(value=0.5, range=(0.45, 0.55))}
    wrong = right.model_copy(update={"name": "Soft", "parameters": soft})
    options = FitOptions(starts=1, samples=samples, grid=8)
    result = fit(data.replace(variance=0.3 * data.variance), [right, wrong], options=options)
    closer, other = result.models["Rb2MnF4"], result.models["Soft"]
    assert 1.5 < closer.widening < other.widening
    assert result.leading is closer
    assert closer.posterior.log_evidence - other.posterior.log_evidence > 5


def test_constants_are_fixed_bounded_and_tied(measure: Measure) -> None:
    options = FitOptions(
        starts=2,
        samples=0,
        grid=8,
        fixed={"J2": 0.05},
        bounds={"J1": (0.61, 0.7)},
        width_scale=False,
    )
    model = fit(measure(), "rb2mnf4", options=options).models["Rb2MnF4"]
    assert model.names == ("J1",)
    assert model.mean["J1"] == pytest.approx(0.61, abs=0.005)
    tied = FitOptions(starts=2, samples=0, grid=8, tied={"J2": "J1"}, bounds={"J1": (0.0, 0.2)})
    with pytest.raises(Exp2SimError, match="stable"):
        fit(measure(), "rb2mnf4", options=tied)


def test_a_spike_is_set_aside_and_shown(measure: Measure) -> None:
    data = measure()
    values = data.intensity.copy()
    used = prepare_data([Measurement(data)])[0].parts[0].used
    place = tuple(np.argwhere(used)[100])
    values[place] = 500.0
    result = fit(data.replace(intensity=values), "rb2mnf4", options=FitOptions(starts=2, samples=0, grid=8))
    assert REASONS[int(result.bad_bins[0].intensity[place])] == "spike"
    model = result.models["Rb2MnF4"]
    assert abs(model.mean["J1"] - 0.6) < 0.02


def test_an_error_of_zero_weighs_as_the_typical_one(measure: Measure) -> None:
    data = measure()
    variance = data.variance.copy()
    variance[::2] = 0  # not known in half of the bins
    sigma = prepare_data([Measurement(data.replace(variance=variance))])[0].parts[0].sigma
    for e in range(sigma.shape[2]):
        errors = np.sqrt(data.variance[:, :, e])
        assert np.ptp(sigma[::2, :, e]) == 0
        assert np.nanmin(errors) <= sigma[0, 0, e] <= np.nanmax(errors)


def test_a_fit_is_told_and_cancelled(measure: Measure) -> None:
    texts: list[str] = []
    with pytest.raises(Cancelled):
        fit(
            measure(),
            "rb2mnf4",
            options=QUICK,
            progress=lambda done, total, text: texts.append(text),
            cancel=lambda: len(texts) >= 3,
        )
    assert len(texts) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (FitOptions(fixed={"J7": 1.0}), "No model has a parameter 'J7'"),
        (FitOptions(fixed={"J1": 0.6, "J2": 0.0, "width_scale": 1.0}), "No constant of Rb2MnF4 is free"),
        (FitOptions(tied={"J1": "J9"}), "J1 is tied to 'J9'"),
    ],
)
def test_wrong_options_are_named(measure: Measure, options: FitOptions, message: str) -> None:
    with pytest.raises(Exp2SimError, match=message):
        fit(measure(), "rb2mnf4", options=options)
