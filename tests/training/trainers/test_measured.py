"""Measurements as a share of the training data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mantid_exp2sim import save
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.bundle import load_bundle
from mantid_exp2sim.training.datasets.measured import MeasuredSet, Measurement
from mantid_exp2sim.training.datasets.sampler import Mixture
from mantid_exp2sim.training.trainers.train import TranslatorData, train
from tests.helpers.file_sets import PAIRED, bundle, gan_recipe, open_data, volume


def measurement_file(tmp_path: Path, **more: Any) -> Path:
    path = tmp_path / "real.npz"
    save(volume(77, **more), path)
    return path


def measurement(data: TranslatorData) -> Measurement:
    assert data.measurement is not None
    return data.measurement


def in_memory(data: TranslatorData) -> MeasuredSet:
    dataset = measurement(data).dataset
    assert isinstance(dataset, MeasuredSet)
    return dataset


def test_half_of_the_samples_are_measured(paired_set: Path, tmp_path: Path) -> None:
    path = measurement_file(tmp_path)
    recipe = gan_recipe(tmp_path / "r.toml", paired_set, data=f'measured = "{path}"')
    data = open_data(recipe, paired_set)
    assert measurement(data).about["measured_bins"] == int((~volume(77).mask).sum())
    assert measurement(data).about["files"] == ["real.npz"]
    mixture = data.sources["deconvolve"]
    assert isinstance(mixture, Mixture)
    mask = torch.from_numpy(np.array(volume(77).mask))
    for step in range(4):
        samples = mixture.at(step)
        assert (samples.label == -1).sum() == 2
        one = samples.mask[-1]
        assert any(torch.equal(one, m) for m in (mask, mask.flip(0), mask.flip(1), mask.flip(0, 1)))
    assert train(recipe, out=tmp_path / "run") == "finished"
    bundle(tmp_path, "run", paired_set)
    card = load_bundle(tmp_path / "model").card
    recorded = card.training["measurement"]
    assert isinstance(recorded, dict)
    assert (recorded["files"], recorded["share"]) == (["real.npz"], 0.5)
    assert "50 % of the measurement-like samples are from real.npz" in card.description
    assert str(tmp_path) not in card.model_dump_json()


def test_any_share_of_a_batch_on_the_whole(paired_set: Path, tmp_path: Path) -> None:
    path = measurement_file(tmp_path)
    data = f'measured = {{ files = "{path}", share = 0.3, scale = "auto" }}'
    recipe = gan_recipe(tmp_path / "r.toml", paired_set, data=data, losses=PAIRED)
    opened = open_data(recipe, paired_set)
    source, found = opened.sources["deconvolve"], in_memory(opened)
    measured = sum(int((source.at(step).label == -1).sum()) for step in range(50))
    assert measured == 60
    samples = next(s for s in map(source.at, range(9)) if (s.label == -1).any())
    assert samples.counterpart_mask is not None
    assert samples.counterpart_mask[samples.label == -1].all()
    values = found.values[0][~found.hidden[0]]
    assert values.mean() == pytest.approx(opened.mean_intensity, rel=0.05)


def test_the_measurement_alone_and_large_with_patches(paired_set: Path, tmp_path: Path) -> None:
    path = measurement_file(tmp_path, shape=(40, 30, 4), centre=2.0)
    data = f'patch = [8, 8, 4]\nmeasured = {{ files = ["{path}"], share = 1 }}'
    recipe = gan_recipe(tmp_path / "r.toml", paired_set, data=data)
    opened = open_data(recipe, paired_set)
    assert in_memory(opened).values[0].shape == (40, 30, 4)
    assert (opened.sources["deconvolve"].at(0).label == -1).all()
    assert train(recipe, out=tmp_path / "run") == "finished"


def test_a_measurement_with_other_bins_is_refused(paired_set: Path, tmp_path: Path) -> None:
    path = measurement_file(tmp_path, centre=10.0)
    recipe = gan_recipe(tmp_path / "r.toml", paired_set, data=f'measured = "{path}"')
    with pytest.raises(Exp2SimError, match=r"The measurement real.npz: .* no bin|real.npz: Its axis"):
        train(recipe, out=tmp_path / "run")


def test_the_published_measurement(reference_data: Path, tmp_path: Path) -> None:
    folder = Path(__file__).parents[3] / "data" / "pcsmo-maps"
    if not (folder / "dataset.json").is_file():
        pytest.skip(
            "the simulated set is not here: exp2sim simulate dataset training/recipes/pcsmo-maps.toml"
        )
    data = (
        f'limit = 4\nmeasured = {{ files = "{reference_data}/pcsmo/measured_4K_clipped_120.npy", '
        f'mask = "{reference_data}/pcsmo/nanmask.mat" }}'
    )
    recipe = gan_recipe(tmp_path / "r.toml", folder, data=data)
    opened = open_data(recipe, folder)
    domains, found = opened.sources, measurement(opened)
    assert found.about["volumes"] == 6
    assert found.about["measured_bins"] == 76689
    assert not found.about["rebinned"]
    samples = domains["deconvolve"].at(0)
    assert samples.x.shape == (4, 40, 40, 10)
    assert torch.isfinite(samples.x).all()
