"""Data sets from files, as training reads them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.training.config import TranslatorConfig
from mantid_exp2sim.training.datasets import dataset as store
from mantid_exp2sim.training.datasets import shards as shards_module
from mantid_exp2sim.training.datasets.sources import domain_indices
from tests.helpers.file_sets import domain, file_set, of_files, volume


def test_a_sample_is_its_file_with_its_own_mask(paired_set: Path) -> None:
    found = domain(paired_set)
    samples = found.at(0)
    for place, item in enumerate(found.order.at(0)):
        entry = of_files(found.dataset).items("convolved")[found.indices[item]]
        wanted = volume(int(Path(entry.file).stem), ei=entry.incident_energy)
        np.testing.assert_array_equal(samples.mask[place].numpy(), wanted.mask)
        back = found.scaling.inverse(samples.x[place].double()).numpy()
        np.testing.assert_allclose(back, np.where(wanted.mask, 0, wanted.intensity), rtol=1e-4, atol=1e-5)
        assert float(samples.ei[place]) == entry.incident_energy
        assert int(samples.label[place]) == entry.label


def test_the_counterpart_comes_with_the_joint_mask(paired_set: Path) -> None:
    found = domain(paired_set, other="integrated", augment=("h", "k"))
    samples = found.at(2)
    assert samples.counterpart is not None
    assert samples.counterpart_mask is not None
    assert samples.counterpart_mask[samples.mask].all()
    assert not samples.mask[samples.counterpart_mask].all()
    dataset = of_files(found.dataset)
    for index in found.indices:
        partner = dataset.items("integrated")[dataset.counterparts(np.array([index]), "convolved")[0]]
        assert partner.file == dataset.items("convolved")[index].file


def test_disk_and_memory_agree(paired_set: Path) -> None:
    settings: dict[str, Any] = {
        "other": "integrated",
        "augment": ("h", "k"),
        "intensity_jitter": 0.2,
        "patch": (6, 6, 4),
    }
    one, two = (domain(paired_set, memory=memory, **settings).at(3) for memory in (True, False))
    for name in ("x", "mask", "ei", "label", "counterpart", "counterpart_mask"):
        assert torch.equal(getattr(one, name), getattr(two, name)), name


def test_domains_of_different_counts_share_no_parameter_set(paired_set: Path) -> None:
    dataset = file_set(paired_set)
    for disjoint in (True, False):
        losses = {"cycle" if disjoint else "paired": {"weight": 1.0}}
        config = TranslatorConfig.model_validate(
            {"data": {"folder": str(paired_set)}, "losses": losses, "schedule": {"steps": 1}}
        )
        first, second = domain_indices(dataset, config)
        groups = [set(dataset.groups(i, k)) for i, k in ((first, "convolved"), (second, "integrated"))]
        assert bool(groups[0] & groups[1]) is not disjoint
        assert all(groups)


def test_only_what_is_needed_is_read(paired_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    real = shards_module.Shards.read

    def read(self: shards_module.Shards, shard: str, name: str, where: Any, shape: tuple[int, ...]) -> Any:
        asked.append(where)
        return real(self, shard, name, where, shape)

    monkeypatch.setattr(shards_module.Shards, "read", read)
    found = domain(paired_set, patch=(4, 4, 4), memory=False)
    asked.clear()
    found.at(0)
    assert asked
    for _, _, *region in asked:
        assert [part.stop - part.start for part in region] == [4, 4, 4]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no list of open files")
def test_few_files_are_open_at_once(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    for number in range(shards_module.OPEN_FILES + 9):
        with h5py.File(tmp_path / "shards" / f"{number}.h5", "w") as file:
            file["values"] = np.full((1, 2), number)
    shards = shards_module.Shards(tmp_path / "shards")
    for number in [*range(shards_module.OPEN_FILES + 9), 3]:
        assert shards.read(f"{number}.h5", "values", (0,), (2,)).tolist() == [number] * 2
    open_files = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
    assert sum(Path(name).parent.parent == tmp_path for name in open_files) == shards_module.OPEN_FILES


def test_more_than_memory_is_refused_with_the_way_out(
    paired_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAX_BYTES", 1000)
    with pytest.raises(Exp2SimError, match="memory = false"):
        domain(paired_set)
