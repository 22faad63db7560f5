"""What the shipped model says of data in other units, under other masks, and with what is no spin wave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mantid_exp2sim
from mantid_exp2sim.application.model import Model
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.model.bundle import open_bundle
from mantid_exp2sim.simulation.noise import NOISELESS, TYPICAL_NOISE
from mantid_exp2sim.training.evaluation.shifts import ShiftSettings, Source

SEED = 31_000
"""Of spectra that no table and no calibration has."""


@pytest.fixture(scope="module")
def model() -> Model:
    return mantid_exp2sim.load_model("pcsmo-maps")


@pytest.fixture(scope="module")
def source() -> Source:
    return Source.of(open_bundle("pcsmo-maps"), SEED)


def measured(source: Source, index: int = 1, **changes: Any) -> Histogram:
    """A mosaic under conditions of measurement."""
    settings = ShiftSettings(seed=SEED, noise=TYPICAL_NOISE)
    spectrum = source.measure(index, changes, settings, None)
    return source.histogram(spectrum.values[0], spectrum.variance[0], spectrum.mask[0], index)


def test_no_unit_changes_verdict_class_or_error(model: Model, source: Source) -> None:
    data = measured(source)
    reports = [model.check_domain(data, scale=scale) for scale in (1.0, 0.1, 10.0)]
    weak = data.replace(intensity=0.05 * data.intensity, variance=0.05**2 * data.variance)
    reports.append(model.check_domain(weak))
    assert {report.verdict for report in reports} == {"trustworthy"}
    assert len({report.p_value for report in reports}) == 1
    assert [report.expected_error for report in reports] == pytest.approx(
        [reports[0].expected_error] * 4, rel=1e-3
    )
    plain, dim = (model.deconvolve(h, uncertainty=False).intensity for h in (data, weak))
    assert np.allclose(0.05 * plain, dim, rtol=1e-3, atol=1e-3 * float(np.nanmax(dim)), equal_nan=True)
    classes = [model.classify(h, data_kind="convolved").correlations for h in (data, weak)]
    assert dict(classes[0]) == pytest.approx(dict(classes[1]), abs=1e-3)


@pytest.mark.parametrize("kind", ["shifted", "tubes", "layout"])
def test_a_mask_makes_no_verdict(model: Model, source: Source, kind: str) -> None:
    data = [measured(source, index, noise=NOISELESS, masks=(kind,)) for index in range(3)]
    verdicts = [model.check_domain(h).verdict for h in data]
    assert verdicts.count("trustworthy") >= 2
    assert "untrustworthy" not in verdicts


def test_what_is_no_spin_wave_is_told(model: Model, source: Source) -> None:
    usual = model.check_domain(measured(source)).expected_error
    phonons = model.check_domain(measured(source, phonons=(1, 1)))
    alone = model.check_domain(measured(source, background=(1, 1), empty=1))
    assert phonons.verdict != "trustworthy"
    assert usual is not None
    assert phonons.expected_error is not None
    assert phonons.expected_error > 2 * usual
    assert "expected error" in phonons.reasons[0]
    assert alone.verdict == "untrustworthy"
    assert alone.reasons
    assert "clipped" in model.check_domain(measured(source, clip=(0.98, 0.98))).reasons[0]


def test_both_classifiers_are_asked_about_their_own_data(model: Model, source: Source) -> None:
    answer = model.classify(measured(source))
    assert answer.data_kind == "convolved"
    assert answer.second_opinion is not None
    assert answer.second_opinion["data_kind"] == "integrated"
    assert answer.prediction == answer.second_opinion["prediction"] == source.label(1)
    assert answer.warnings == ()
