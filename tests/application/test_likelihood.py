"""A fit as a second opinion on a classification: it names the model that the data were simulated with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mantid_exp2sim import Cancelled, Exp2SimError, Histogram, Measurement, simulate
from mantid_exp2sim.application import likelihood
from mantid_exp2sim.application.model import Model
from mantid_exp2sim.model.bundle import Bundle
from mantid_exp2sim.mosaic import mosaic_histogram
from mantid_exp2sim.simulation.binning import mosaic_binnings
from mantid_exp2sim.simulation.manganite import BEST_FIT, PARAMETERS

FIRST = ("JF1", "JFW")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One start, one free constant: seconds."""
    fixed = {
        name: value
        for model, names in PARAMETERS.items()
        for name, value in zip(names, BEST_FIT[model], strict=True)
        if name not in FIRST
    }
    fixed["width_scale"] = 1.0
    monkeypatch.setattr(likelihood, "QUICK", {"starts": 1, "samples": 0, "grid": 8, "fixed": fixed})


@pytest.fixture(scope="module")
def measured() -> Histogram:
    """One volume of the published bins, for the classifier of single volumes."""
    return simulate("Dimer", binning=mosaic_binnings()[2], noise=0.7, seed=4, grid=8)


def test_the_model_of_the_data_is_named(quick: None, model: Model, measured: Histogram) -> None:
    answer = model.classify(measured, data_kind="convolved", fit=True)
    assert answer.likelihood is not None
    says: dict[str, Any] = answer.to_dict()["likelihood"]
    assert says["prediction"] == "Dimer"
    assert says["delta_chi2"]["Dimer"] == 0
    assert says["delta_chi2"]["Goodenough"] > 1000
    assert says["log_evidence"]["Dimer"] > says["log_evidence"]["Goodenough"] + 100
    assert says["p_values"]["Goodenough"] < 1e-6
    assert says["sentence"].startswith("Dimer explains")
    assert ("the fit disagrees" in " ".join(answer.warnings)) == (answer.prediction != "Dimer")
    assert any("bins are fitted" in note for note in says["notes"])


def test_a_classification_without_a_fit_says_nothing_of_it(model: Model, measured: Histogram) -> None:
    assert "likelihood" not in model.classify(measured, data_kind="convolved").to_dict()


def test_a_mosaic_was_measured_on_maps(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Measurement] = []

    def cancelled(data: Measurement, *arguments: Any, **options: Any) -> None:
        told.append(data)
        raise Cancelled

    monkeypatch.setattr("mantid_exp2sim.fitting.fit.fit", cancelled)
    picture = mosaic_histogram(np.ones((240, 400)))
    with pytest.raises(Cancelled):
        model.classify(picture, fit=True)
    assert told[0].spectrometer().name == "MAPS"
    assert told[0].histogram.shape == (240, 400)


@pytest.mark.parametrize("kind", ["deconvolved", "integrated"])
def test_data_without_resolution_are_refused(model: Model, measured: Histogram, kind: str) -> None:
    if kind == "integrated":
        data = simulate("Dimer", binning=mosaic_binnings()[2], kind="integrated", grid=8)
    else:
        data = model.deconvolve(measured, uncertainty=False, force=True)
    with pytest.raises(Exp2SimError, match="have no resolution in them"):
        model.classify(data, data_kind="convolved", fit=True)


def test_classes_without_a_spin_model_are_refused(model: Model, measured: Histogram) -> None:
    card = model.card.model_copy(update={"classes": ("Dimer", "Skyrmions")})
    other = Model(Bundle(model.folder, card, model.checksum))
    with pytest.raises(Exp2SimError, match="have no spin models"):
        other.classify(measured, fit=True)
