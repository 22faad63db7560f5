"""Conditions of measurement in a training: on the samples of a batch, and on the simulation of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.mosaic import picture_from_volumes
from mantid_exp2sim.simulation.coverage import mosaic_coverage_mask
from mantid_exp2sim.training.config import TranslatorDataSettings
from mantid_exp2sim.training.datasets.sampler import Domain, Samples, open_dataset
from mantid_exp2sim.training.datasets.simulate import draw, simulate_dataset
from mantid_exp2sim.training.datasets.simulation_recipe import Recipe

GRID = {"incident_energies": [30.0, 80.0], "bins": [8, 8, 5]}


def recipe(**changes: Any) -> Recipe:
    numbers = {"train": 2, "validation": 1, "test": 1, "shard_size": 10, "grid": 8, "binning": GRID}
    return Recipe.model_validate({"name": "small", "seed": 3, **numbers, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "small"
    simulate_dataset(recipe(), path)
    return path


def batch(folder: Path, *, seed: int = 0, whole: bool = True, **settings: Any) -> Samples:
    data = open_dataset(folder)
    return Domain(
        data,
        TranslatorDataSettings.model_validate({"folder": folder, "augment": [], **settings}),
        kind="convolved",
        other="integrated",
        indices=data.split("train"),
        scaling=Scaling(intensity_scale=1.0),
        batch=4,
        seed=seed,
        stream=0,
        noisy=True,
        whole=whole,
    ).at(0)


@pytest.mark.parametrize("whole", [True, False])
def test_without_ranges_the_samples_are_the_same(folder: Path, whole: bool) -> None:
    usual, conditioned = batch(folder, whole=whole), batch(folder, whole=whole, conditions={})
    assert conditioned.counterpart is not None
    assert usual.counterpart is not None
    assert torch.equal(usual.x, conditioned.x)
    assert torch.equal(usual.mask, conditioned.mask)
    assert torch.equal(usual.ei, conditioned.ei)
    assert torch.equal(usual.counterpart, conditioned.counterpart)


def test_a_unit_acts_on_both_kinds_and_phonons_on_one(folder: Path) -> None:
    scaling = Scaling(intensity_scale=1.0)
    usual = batch(folder)
    lit = batch(folder, conditions={"intensity": [3, 3]})
    mixed = batch(folder, conditions={"phonons": [1, 1]})
    totals = {
        name: [float(scaling.inverse(x).sum()) for x in (samples.x, samples.counterpart)]
        for name, samples in {"usual": usual, "lit": lit, "mixed": mixed}.items()
        if samples.counterpart is not None
    }
    assert totals["lit"] == pytest.approx([3 * total for total in totals["usual"]], rel=1e-3)
    assert totals["mixed"][1] == pytest.approx(totals["usual"][1], rel=1e-5)
    assert totals["mixed"][0] == pytest.approx(2 * totals["usual"][0], rel=1e-3)


def test_masks_vary_and_uncover_what_was_calculated(folder: Path) -> None:
    conditions = {"masks": ["layout"]}
    first, again, other = (batch(folder, seed=seed, conditions=conditions) for seed in (0, 0, 1))
    assert torch.equal(first.mask, again.mask)
    assert not torch.equal(first.mask, other.mask)
    usual = batch(folder)
    newly = usual.mask & ~first.mask
    assert newly.any()
    assert (first.x[newly] > 0).any()
    assert (first.x[first.mask] == 0).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"conditions": {}, "noise": {"background": 1.0}}, "beside noise or patch"),
        ({"conditions": {"masks": ["measured"]}}, "measured mask is not given"),
    ],
)
def test_conditions_that_cannot_be_met_are_refused(folder: Path, settings: Any, said: str) -> None:
    with pytest.raises(Exp2SimError, match=said):
        batch(folder, **settings)


def test_a_measured_mask_of_other_bins_is_refused(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", picture_from_volumes(mosaic_coverage_mask()))
    with pytest.raises(Exp2SimError, match="not of the bins"):
        batch(folder, conditions={"masks": ["measured"], "measured_mask": tmp_path / "mask.npy"})


def test_each_sample_of_a_data_set_has_a_resolution_of_its_own() -> None:
    varied = recipe(simulation={"width_scale": [0.5, 2.0], "line_width": [0, 1]})
    waves = [draw(varied, index)[0] for index in (0, 1, 0)]
    scales = [solved.options.instrument.width_scale for solved in waves]
    assert scales[0] != scales[1]
    assert scales[0] == scales[2]
    assert all(0.5 <= scale <= 2.0 for scale in scales)
    usual = draw(recipe(), 0)[1]
    assert draw(varied, 0)[1]["integrated"] == pytest.approx(usual["integrated"], abs=1e-9)
    assert np.abs(draw(varied, 0)[1]["convolved"] - usual["convolved"]).max() > 0.01
