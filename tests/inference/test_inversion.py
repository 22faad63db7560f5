"""A symmetry on a model's card is averaged over, where the bins lie so, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim.application.model import Model
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.inference.inversion import mean_with_inversion
from mantid_exp2sim.model.bundle import load_bundle
from mantid_exp2sim.mosaic import volumes_from_picture
from mantid_exp2sim.training.trainers.bundle import change_card


@pytest.fixture
def symmetric(bundle_copy: Path) -> Model:
    change_card(bundle_copy, symmetries=("inversion",))
    return Model(load_bundle(bundle_copy))


def test_a_result_equals_its_inversion(symmetric: Model, picture: Histogram) -> None:
    sharp, plain = (
        symmetric.deconvolve(picture, symmetrise=on, all_bins=True, replicas=2) for on in (True, False)
    )
    assert np.array_equal(sharp.mask, picture.mask)
    mask = volumes_from_picture(picture.mask)
    both = ~(mask | mask[:, ::-1, ::-1])
    for averaged, single in ((sharp.intensity, plain.intensity), (sharp.variance, plain.variance)):
        x, y = volumes_from_picture(averaged), volumes_from_picture(single)
        assert np.allclose(x[both], x[:, ::-1, ::-1][both])
        assert np.allclose(2 * x[both], (y + y[:, ::-1, ::-1])[both])
        alone = ~mask & ~both
        assert np.array_equal(x[alone], y[alone])


def test_bins_that_do_not_lie_about_0_are_left_alone(symmetric: Model, volume: Histogram) -> None:
    h = volume.axes[0]
    axes = (replace(h, edges=h.edges + 0.5), *volume.axes[1:])
    moved = Histogram(volume.intensity, volume.variance, volume.mask, axes, volume.metadata)
    options: dict[str, Any] = {"uncertainty": False, "all_bins": True}
    sharp, plain = (symmetric.deconvolve(moved, symmetrise=on, **options) for on in (True, False))
    assert np.array_equal(sharp.intensity, plain.intensity, equal_nan=True)
    centred = symmetric.deconvolve(volume, **options).intensity
    assert not np.allclose(np.nan_to_num(centred), np.nan_to_num(plain.intensity))


def test_the_mean_keeps_what_has_no_partner() -> None:
    values = np.arange(6.0).reshape(1, 3, 2, 1)
    mask = np.zeros(values.shape, dtype=bool)
    mask[0, 2, 1] = True
    assert mean_with_inversion(values, mask).ravel().tolist() == [0.0, 2.5, 2.5, 2.5, 2.5, 5.0]
