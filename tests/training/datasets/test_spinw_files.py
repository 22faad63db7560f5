"""Data sets from results of SpinW: densities, twins, paths, and what the example in MATLAB writes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim import load, save
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.training.datasets.dataset import open_dataset
from mantid_exp2sim.training.datasets.from_files.build import build_dataset
from mantid_exp2sim.training.datasets.from_files.labels import spinw_label
from mantid_exp2sim.training.datasets.inspect import inspect_dataset, words
from tests.fuzz import fuzz_readers as fuzz
from tests.helpers.file_sets import file_set

EXAMPLES = Path(__file__).parents[3] / "examples"
RECIPE = """
name = "spinw"
[axes.h]
width = 0.05
range = [-0.5, 0.5]
[axes.k]
integrated = [-0.1, 0.1]
missing = true
[axes.energy]
width = 2.0
range = [4.0, 36.0]
[[integrated]]
files = ["{files}"]
incident_energy = 70.0
{more}
"""


def continuum(bins: int) -> dict[str, Any]:
    """A continuum of strength 1 per meV from 2 to 38 meV on a line of points, in bins of sw_egrid."""
    h = np.linspace(-1, 1, 41)
    edges = np.linspace(0, 40, bins + 1)
    modes = np.linspace(2, 38, 36001)
    sums = np.histogram(modes, edges, weights=np.full(modes.size, 36 / modes.size))[0]
    points = np.stack([h, 0 * h, 0 * h])
    return {"hkl": points, "hklA": points, "swConv": np.tile(sums, (41, 1)).T, "Evect": edges}


def means(folder: Path, files: str, more: str = "") -> list[float]:
    """The mean intensity of each file of a data set."""
    (folder / "recipe.toml").write_text(RECIPE.format(files=files, more=more))
    data = file_set(build_dataset(folder / "recipe.toml", folder / "set"))
    return [item.mean for item in data.description.domains["integrated"].items]


def test_data_sets_do_not_depend_on_the_bins_of_sw_egrid(tmp_path: Path) -> None:
    for bins in (40, 80, 100):
        (tmp_path / f"five-{bins}.mat").write_bytes(fuzz.matlab5({"spec": continuum(bins)}))
        (tmp_path / f"seven-{bins}.mat").write_bytes(fuzz.matlab73(continuum(bins)))
    np.testing.assert_allclose(means(tmp_path, "*.mat"), np.ones(6), rtol=1e-3)


def test_sums_in_files_of_other_programs(tmp_path: Path) -> None:
    for bins, ending in ((40, ".nxs"), (80, ".nxs"), (80, ".d2d"), (40, ".npz")):
        (tmp_path / "a.mat").write_bytes(fuzz.matlab5({"spec": continuum(bins)}))
        h = load(tmp_path / "a.mat").replace(metadata={})
        save(h.replace(intensity=h.intensity * h.axes[1].widths), tmp_path / f"sums-{bins}{ending}")
    sums = means(tmp_path, "sums-*", 'values = "energy_sum"')
    np.testing.assert_allclose(sums, np.ones(4), rtol=1e-3)


@pytest.mark.parametrize("values", ["sum", "energy_sum"])
def test_spinws_sums_are_divided_once(tmp_path: Path, values: str) -> None:
    (tmp_path / "a.mat").write_bytes(fuzz.matlab5({"spec": continuum(40)}))
    with pytest.raises(Exp2SimError, match="per meV"):
        means(tmp_path, "a.mat", f'values = "{values}"')


def test_volumes_of_twins_in_a_recipe(tmp_path: Path) -> None:
    spec = continuum(40)
    spec["swConv"] = fuzz.cells(spec["swConv"], 5 * spec["swConv"])
    (tmp_path / "a.mat").write_bytes(fuzz.matlab5({"spec": spec}))
    assert means(tmp_path, "a.mat") == pytest.approx([3], rel=1e-3)  # equal shares
    text = words(inspect_dataset(tmp_path / "set"))
    assert "note       volumes of the twins: equal ones are assumed (files: 1)" in text
    assert means(tmp_path, "a.mat", "twins = [3, 1]") == pytest.approx([2], rel=1e-3)
    assert "note" not in words(inspect_dataset(tmp_path / "set"))


def test_paths_are_refused_with_the_way_to_a_grid(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(fuzz.matlab5({"spec": fuzz.path()}))
    with pytest.raises(Exp2SimError, match=r"path through reciprocal space.*sw_qgrid"):
        means(tmp_path, "a.mat")


def test_the_example_in_matlab_writes_what_is_read(tmp_path: Path) -> None:
    script = (EXAMPLES / "spinw_export.m").read_text(encoding="utf-8")
    saved = re.search(r"^ *save\(.*?\)\), (.*), '-v7'\);", script, flags=re.MULTILINE)
    assert saved is not None
    names = re.findall(r"'(\w+)'", saved[1])
    values: dict[str, Any] = {
        "spec": continuum(40),
        "parameters": {"J1": 1.5, "J2": -0.1},
        "class": "ferromagnetic J2",
    }
    (tmp_path / "a.mat").write_bytes(fuzz.matlab5({name: values[name] for name in names}))
    label = spinw_label(tmp_path / "a.mat")
    assert (label.name, label.parameters) == ("ferromagnetic J2", {"J1": 1.5, "J2": -0.1})
    assert load(tmp_path / "a.mat").shape == (41, 40)
    means(tmp_path, "a.mat", '[labels]\nsource = "spinw"')
    assert open_dataset(tmp_path / "set").description.classes == ("ferromagnetic J2",)
