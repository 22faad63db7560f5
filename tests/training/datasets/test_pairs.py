"""Exports of a simulated set, and the pairs of a set from files as evaluation and calibration read them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.io import load
from mantid_exp2sim.training.datasets.dataset import FileSet, open_dataset
from mantid_exp2sim.training.datasets.export import export_dataset
from mantid_exp2sim.training.datasets.from_files.build import build_dataset
from mantid_exp2sim.training.datasets.pairs import PairedSet, open_pairs

EDGES = {
    "h": np.linspace(-1, 1, 9).tolist(),
    "k": np.linspace(-1, 1, 9).tolist(),
    "energy_fraction": [0.1, 0.3, 0.5, 0.7],
}
RECIPE = """
name = "again"
pairs = {pairs}
[axes.h]
width = 0.25
range = [-1.0, 1.0]
[axes.k]
width = 0.25
range = [-1.0, 1.0]
[axes.energy]
width = 0.2
range = [0.1, 0.7]
relative_to_incident_energy = true
[labels]
source = "file"
file = "exports/labels.csv"
[split]
validation = 0.3
test = 0.3
[[convolved]]
files = ["exports/convolved/*{energy}*"]
incident_energy = {default}
[[integrated]]
files = ["exports/integrated/*{energy}*"]
incident_energy = {default}
"""


@pytest.fixture
def exported(tiny_dataset: Path, tmp_path: Path) -> Path:
    """A folder with ``simulated``, the tiny data set with edges, and ``exports`` of it."""
    shutil.copytree(tiny_dataset, tmp_path / "simulated")
    path = tmp_path / "simulated" / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"edges": EDGES}))
    export_dataset(tmp_path / "simulated", tmp_path / "exports", limit=12)
    return tmp_path


def build(folder: Path, *, energy: str = "-25meV", pairs: str = "true") -> Path:
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(energy=energy, pairs=pairs, default=25.0))
    build_dataset(recipe, folder / "built")
    return folder / "built"


def test_exports_hold_what_was_simulated(exported: Path) -> None:
    with h5py.File(exported / "simulated" / "shards" / "00000.h5") as file:
        convolved, integrated, label = (file[name][0] for name in ("convolved", "integrated", "label"))
    mask = np.load(exported / "simulated" / "mask.npy")
    name = ("Dimer", "Goodenough")[int(label)]
    for number, energy in enumerate((25, 35)):
        (measured,) = (exported / "exports" / "convolved").glob(f"{name}-00000-{energy}meV.*")
        found = load(measured)
        assert np.array_equal(found.mask, mask[number])
        assert np.array_equal(found.intensity[~found.mask], convolved[number][~mask[number]])
        ideal = load(exported / "exports" / "integrated" / f"{name}-00000-{energy}meV.mat")
        assert not ideal.mask.any()  # a simulation is known everywhere
        assert np.array_equal(ideal.intensity, integrated[number])
        assert np.allclose(ideal.axes[2].edges, energy * np.array(EDGES["energy_fraction"]))


def test_no_class_is_bound_to_a_format(exported: Path) -> None:
    names = [path.name for path in (exported / "exports" / "convolved").iterdir()]
    assert len(names) == 24
    for kind in ("Dimer", "Goodenough"):
        endings = [Path(name).suffix for name in names if name.startswith(kind)]
        assert endings.count(".nxs") == endings.count(".d3d") == 6


def test_pairs_have_one_index_and_one_mask(exported: Path) -> None:
    built = build(exported)
    data = open_pairs(built)
    assert isinstance(data, PairedSet)
    splits = [data.split(name) for name in ("train", "validation", "test")]
    assert sorted(np.concatenate(splits).tolist()) == list(range(12))
    mask = np.load(exported / "simulated" / "mask.npy")[:1]
    assert np.array_equal(data.mask, mask)
    assert data.energies.tolist() == [25.0]
    source = open_dataset(built)
    for index in splits[2]:
        one = data.read("convolved", np.array([index]))[0]
        other = data.read("integrated", np.array([index]))[0]
        assert isinstance(source, FileSet)
        file = source.items("convolved")[int(index)].file
        name, number = file.split("-")[0], int(file.split("-")[1])
        with h5py.File(exported / "simulated" / "shards" / f"{number // 10:05d}.h5") as shard:
            assert np.array_equal(one[~mask], shard["convolved"][number % 10][:1][~mask])
            assert np.array_equal(other[~mask], shard["integrated"][number % 10][:1][~mask])
        assert data.description.classes[int(data.labels(np.array([index]))[0])] == name
        assert not one[mask].any()
        assert not other[mask].any()


def test_a_simulated_set_stays_as_it_is(exported: Path) -> None:
    assert open_pairs(exported / "simulated").description.format == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [({"pairs": "false"}, "no pairs"), ({"energy": ""}, "several incident energies")],
)
def test_sets_that_cannot_be_compared_are_refused(
    exported: Path, change: dict[str, str], message: str
) -> None:
    if "energy" in change:  # Horace's images do not tell their energy
        formats: dict[str, Sequence[str]] = {"convolved": ["npz"], "integrated": ["npz"]}
        shutil.rmtree(exported / "exports")
        export_dataset(exported / "simulated", exported / "exports", formats=formats, limit=12)
    with pytest.raises(Exp2SimError, match=message):
        open_pairs(build(exported, **change))


def test_an_export_is_not_mixed_with_another(exported: Path) -> None:
    before = {path: path.read_bytes() for path in (exported / "exports").rglob("*") if path.is_file()}
    with pytest.raises(Exp2SimError, match="holds an export already"):
        export_dataset(exported / "simulated", exported / "exports", limit=1)
    after = {path: path.read_bytes() for path in (exported / "exports").rglob("*") if path.is_file()}
    assert after == before


def test_exports_of_files_or_of_unknown_formats_are_refused(exported: Path) -> None:
    with pytest.raises(Exp2SimError, match="built from files"):
        export_dataset(build(exported), exported / "more")
    with pytest.raises(Exp2SimError, match="no format"):
        export_dataset(exported / "simulated", exported / "more", formats={"convolved": ["sqw"]})
