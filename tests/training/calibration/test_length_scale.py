"""The length scale of the classifiers of a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mantid_exp2sim.inference.classify import mean_correlations
from mantid_exp2sim.model.bundle import load_bundle
from mantid_exp2sim.training.calibration.error_model import Conditions
from mantid_exp2sim.training.calibration.length_scale import FACTORS, best_factor, sharpen
from mantid_exp2sim.training.trainers.scores import calibration


def test_members_that_are_unsure_together_become_sharper() -> None:
    """The mean of members that err in different spectra is less sure than right; the factor mends it, but
    not at the price of spectra that are then of no class."""
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, 2000)
    own = np.arange(2) == label[:, None]
    distances = np.where(own, 0.05, 0.25) + 0.12 * rng.standard_normal((3, 2000, 2))
    distances = np.abs(distances)[:, :, None]
    scales = np.full(3, 0.5)
    before = calibration(mean_correlations(distances, scales), label)
    found = {}
    for threshold in (0.0, 0.5):
        factor, figures = best_factor(distances, scales, label, threshold=threshold)
        assert factor < 1
        assert figures["ece"] < before["ece"]
        assert figures["nll"] < before["nll"]
        found[threshold] = factor
    assert found[0.5] > found[0.0] == min(FACTORS)
    above = mean_correlations(distances, scales * found[0.5]).max(axis=1) >= 0.5
    assert above.mean() >= 0.99


def test_the_length_scales_of_a_model_are_chosen(tiny_model: Path, tiny_dataset: Path) -> None:
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
    assert found["factor"] == pytest.approx(float(new["length_scale"] / old["length_scale"]))
    again = sharpen(tiny_model, tiny_dataset, conditions=Conditions())
    assert again.classifiers["integrated"].calibration == pytest.approx(found)
    scale = load_bundle(tiny_model).network("classifier_integrated").state_dict()["length_scale"]
    assert float(scale) == pytest.approx(float(new["length_scale"]))
