"""Classification: which classifier, thresholds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim import mosaic
from mantid_exp2sim.application.model import Model
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Histogram


def test_a_mosaic(model: Model, picture: Histogram) -> None:
    found = model.classify(picture)
    assert set(found.correlations) == {"Dimer", "Goodenough"}
    assert all(0 <= value <= 1 for value in found.correlations.values())
    assert found.data_kind == "integrated"
    assert found.certainty == max(found.correlations.values())
    assert found.correlations[found.prediction] == found.certainty
    assert json.loads(json.dumps(found.to_dict()))["prediction"] == found.prediction


def test_far_from_every_class(model: Model, picture: Histogram) -> None:
    found = model.classify(picture, data_kind="convolved")
    assert (found.data_kind, found.prediction, found.threshold) == ("convolved", "none", 1.0)


def test_deconvolved_first(model: Model, picture: Histogram) -> None:
    direct = model.classify(model.deconvolve(picture, uncertainty=False))
    found = model.classify(picture, deconvolve=True)
    assert found.deconvolved
    assert found.correlations == pytest.approx(direct.correlations, rel=1e-5)
    assert found.correlations != model.classify(picture).correlations
    assert [entry["command"] for entry in found.history] == ["deconvolve", "classify"]
    assert found.history[0]["checksum"] == model.checksum
    with pytest.raises(Exp2SimError, match="not measurement-like"):
        model.classify(picture, deconvolve=True, data_kind="convolved")


def test_auto_scale_is_chosen_once(model: Model, picture: Histogram) -> None:
    found = model.classify(picture, deconvolve=True, scale="auto")
    assert found.history[0]["options"]["factor"] == found.history[1]["options"]["factor"]
    many = picture.replace(intensity=picture.intensity * 1e4)
    again = model.classify(many, deconvolve=True, scale="auto")
    assert again.correlations == pytest.approx(found.correlations, rel=1e-4)


def test_masked_values_have_no_influence(model: Model, picture: Histogram) -> None:
    wild = mosaic.mosaic_histogram(np.where(picture.mask, 1e9, picture.intensity), mask=picture.mask)
    assert model.classify(wild).correlations == model.classify(picture).correlations


def test_single_volumes(model: Model, picture: Histogram, volume: Histogram) -> None:
    with pytest.raises(Exp2SimError, match="hold 1 of the incident energies"):
        model.classify(volume)
    found = model.classify(volume, data_kind="convolved")
    turned = volume.transpose("energy", "h", "k")
    assert model.classify(turned, data_kind="convolved").correlations == found.correlations
    parts = [model.classify(part, data_kind="convolved") for part in mosaic.split(picture)]
    whole = model.classify(picture, data_kind="convolved")
    mean = np.mean([part.correlations["Dimer"] for part in parts])
    assert whole.correlations["Dimer"] == pytest.approx(mean, rel=1e-5)


def test_models_without_the_classifier(
    make_model: Callable[..., Model], model: Model, picture: Histogram
) -> None:
    with pytest.raises(Exp2SimError, match="no classifier"):
        make_model("tiny-paper").classify(picture)
    with pytest.raises(Exp2SimError, match="It has integrated, convolved"):
        model.classify(picture, data_kind="centre")


def test_nothing_measured(model: Model, picture: Histogram) -> None:
    with pytest.raises(Exp2SimError, match="Every bin"):
        model.classify(picture.replace(mask=np.ones(picture.shape, bool)))


def test_cancel(model: Model, picture: Histogram) -> None:
    def stop(done: Any, total: Any, message: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.classify(picture, progress=stop)
