"""The expected error is fitted to spectra under drawn conditions, and told by the domain check."""

from __future__ import annotations

import shutil
from pathlib import Path

from mantid_exp2sim.model.bundle import load_bundle
from mantid_exp2sim.model.registry import shipped_models_folder
from mantid_exp2sim.training.evaluation.foretell import DOUBTFUL, fit_expected_errors


def test_the_fitted_error_is_told_and_the_rest_of_the_model_stays(tmp_path: Path) -> None:
    folder = tmp_path / "pcsmo-maps"
    shutil.copytree(shipped_models_folder() / "pcsmo-maps", folder)
    before = load_bundle(folder)
    card = fit_expected_errors(before, spectra=4, seed=3)
    assert card.weights == before.card.weights
    assert card.domain is not None
    section = card.domain.directions["deconvolve"]
    assert section.figures["spectra that the expected error was fitted to"] == 4
    assert section.doubtful_error == DOUBTFUL
    assert section.usual_error is not None
    assert 0.03 < section.usual_error < 0.5
    after = load_bundle(folder)
    assert after.card == card
