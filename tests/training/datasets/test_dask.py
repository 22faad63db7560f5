"""A data set simulated by a Dask cluster has the bytes of one that was not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.training.datasets.dask import on_dask
from mantid_exp2sim.training.datasets.simulate import simulate_dataset
from mantid_exp2sim.training.datasets.simulation_recipe import Recipe

RECIPE = Recipe(
    name="tiny", seed=3, train=1, validation=1, test=1, kinds=("convolved",), grid=4, shard_size=2
)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.*"))}


@pytest.mark.filterwarnings("ignore")  # of Dask's own, when a cluster closes
def test_a_local_cluster_writes_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="dask[distributed] is not installed (extra: scale)")
    simulate_dataset(RECIPE, tmp_path / "plain")
    done = []
    found = simulate_dataset(
        RECIPE,
        tmp_path / "dask",
        cluster=on_dask("local", processes=2),
        progress=lambda count, *_: done.append(count),
    )
    assert found["simulated"] == RECIPE.count == done[-1]
    assert len(done) == 4
    assert bytes_of(tmp_path / "dask") == bytes_of(tmp_path / "plain")


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(Exp2SimError, match="not installed") as error:
        on_dask("local")
    assert "pip install" in str(error.value)
