"""The length scale of the classifiers of a model."""

from __future__ import annotations

import numpy as np
import pytest
from mantid_exp2sim.training.errors import Conditions
from mantid_exp2sim.training.evaluation.classifiers import calibration, mean_correlations
from mantid_exp2sim.training.sharpness import FACTORS, best_factor, sharpen

from mantid_exp2sim.bundle import load_bundle


def test_members_that_are_unsure_together_become_sharper():
    """The mean of members that err in different spectra is less sure than right; the factor mends it."""
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, 2000)
    own = np.arange(2) == label[:, None]
    distances = np.where(own, 0.05, 0.25) + 0.12 * rng.standard_normal((3, 2000, 2))
    distances = np.abs(distances)[:, :, None]
    scales = np.full(3, 0.3)
    factor, figures = best_factor(distances, scales, label)
    before = calibration(mean_correlations(distances, scales), label)
    assert factor < 1
    assert figures["ece"] < 0.6 * before["ece"]
    assert figures["nll"] < before["nll"]


def test_the_length_scales_of_a_model_are_chosen(tiny_model, tiny_dataset):
    """They change by one of the factors; every other weight stays, and doing it again changes nothing."""
    before = load_bundle(tiny_model)
    old = before.network("classifier_integrated").state_dict()
    chosen = sharpen(tiny_model, tiny_dataset, conditions=Conditions())
    after = load_bundle(tiny_model)
    new = after.network("classifier_integrated").state_dict()
    assert float(new["length_scale"] / old["length_scale"]) == pytest.approx(
        min(FACTORS, key=lambda f: abs(f - float(new["length_scale"] / old["length_scale"])))
    )
    assert all(bool((new[key] == old[key]).all()) for key in old if key != "length_scale")
    assert {k: w for k, w in after.card.weights.items() if "classifier" not in k} == {
        k: w for k, w in before.card.weights.items() if "classifier" not in k
    }
    found = after.card.classifiers["integrated"].calibration
    assert found is not None
    assert found["spectra"] == 4
    assert found == chosen.classifiers["integrated"].calibration
