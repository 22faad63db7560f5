"""A full disk or a read-only folder: the package's own error, the old file as it was, nothing beside it."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mantid_exp2sim import Exp2SimError, save
from mantid_exp2sim.application.model import Model
from mantid_exp2sim.cli import main
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.storage.atomic import atomic_path

if TYPE_CHECKING:
    from mantid_exp2sim.training.datasets.simulation_recipe import Recipe

NUMBER = {"full": errno.ENOSPC, "quota": errno.EDQUOT, "read-only": errno.EROFS}


def _write_text(path: Path, n: int) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(f"{n}" * 1000)


def _tensors(path: Path, n: int) -> None:
    import torch

    from mantid_exp2sim.training.trainers.checkpoint import write_tensors

    write_tensors(path, {"a": torch.full((100,), float(n))}, {"step": n})


def _table(path: Path, n: int) -> None:
    from mantid_exp2sim.training.trainers.logs import Table

    Table(path, step=10**6).add({"step": n, **{f"column{i}_{n}": 0.5 for i in range(40)}})


def _json(path: Path, n: int) -> None:
    from mantid_exp2sim.training.trainers.trainer import write_json

    write_json(path, {"n": [n] * 200})


def _user_properties(path: Path, n: int) -> None:
    from mantid_exp2sim.mantid import user_properties

    user_properties.write_properties(path, f"{n}" * 1000)


def _recipe(seed: int) -> Recipe:
    from mantid_exp2sim.training.datasets.simulation_recipe import Recipe

    values: dict[str, Any] = {"train": 1, "validation": 1, "test": 1, "classes": ("Dimer",)}
    return Recipe(name="a", seed=seed, kinds=("centre",), grid=4, shard_size=1, **values)


def _shard(path: Path, n: int) -> None:
    from mantid_exp2sim.training.datasets.simulate import write_shard

    recipe = _recipe(n)
    path.parent.joinpath("shards").mkdir(exist_ok=True)
    write_shard(recipe, path.parent, 0)


@pytest.fixture
def writers(
    volume: Histogram, picture: Histogram, model: Model, cut: Callable[..., Histogram]
) -> dict[str, Callable[..., Any]]:
    """Name of a file and a function (path, n) that writes something else for every n."""
    from mantid_exp2sim.model.archive import pack_model
    from mantid_exp2sim.model.bundle import save_bundle
    from mantid_exp2sim.plotting import plot

    def bundle(path: Path, n: int) -> None:
        networks = {role: model.bundle.network(role) for role in model.card.weights}
        card = model.card.model_copy(update={"version": str(n)})
        save_bundle(path, card, networks, overwrite=True)

    def histogram(h: Any) -> Any:
        return lambda path, n: save(h.replace(intensity=h.intensity * n), path, overwrite=True)

    def pack(path: Path, n: int) -> None:
        pack_model(model.folder, path, overwrite=True)

    return {
        "a.txt": _write_text,
        "a.npz": histogram(picture),
        "a.npy": histogram(picture),
        "a.nxs": histogram(volume),
        "a.d3d": histogram(volume),
        "a.png": lambda path, n: plot(cut(volume, 0, 20, 3), path, title=f"{n}"),
        "checkpoint.safetensors": _tensors,
        "losses.csv": _table,
        "status.json": _json,
        "Mantid.user.properties": _user_properties,
        "model": bundle,
        "model.zip": pack,
        "shards": _shard,
    }


NAMES = [
    "a.txt", "a.npz", "a.npy", "a.nxs", "a.d3d", "a.png", "checkpoint.safetensors", "losses.csv",
    "status.json", "Mantid.user.properties", "model", "model.zip", "shards",
]  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on the size of files there")
@pytest.mark.parametrize("name", NAMES)
def test_a_disk_that_is_really_full(
    tmp_path: Path,
    writers: dict[str, Callable[..., Any]],
    name: str,
    full_disk: Callable[..., Any],
    content: Callable[..., Any],
) -> None:
    write = writers[name]
    write(tmp_path / name, 1)
    before = content(tmp_path)
    assert before
    with full_disk(), pytest.raises(Exp2SimError, match=r"Cannot write .*(full|quota)") as found:
        write(tmp_path / name, 2)
    assert found.value.fix
    assert content(tmp_path) == before
    write(tmp_path / name, 2)  # there is room again


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("call", "kind"),
    [("fsync", "full"), ("replace", "quota"), ("replace", "read-only"), ("fsync", "read-only")],
)
def test_every_step_may_fail(
    tmp_path: Path,
    writers: dict[str, Callable[..., Any]],
    name: str,
    call: str,
    kind: str,
    refuse: Callable[..., Any],
    content: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = writers[name]
    write(tmp_path / name, 1)
    before = content(tmp_path)
    if name == "model" and call == "replace":
        pytest.skip("a folder is not replaced by os.replace")
    with monkeypatch.context():
        refuse(call, NUMBER[kind])
        with pytest.raises(Exp2SimError, match="Cannot write"):
            write(tmp_path / name, 2)
        monkeypatch.undo()
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, writers: dict[str, Callable[..., Any]], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's answer to making a file there, whoever asks, root too."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(Exp2SimError, match="read-only"):
        writers[name](tmp_path / name, 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_in_place_of_the_folder(
    tmp_path: Path, writers: dict[str, Callable[..., Any]], name: str
) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises((Exp2SimError, NotADirectoryError) if name == "shards" else Exp2SimError):
        writers[name](tmp_path / "file" / name, 1)
    assert (tmp_path / "file").read_text() == "not a folder"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(Exp2SimError, match="read-only"):
        _write_text(tmp_path / "a.txt", 1)


def test_trouble_with_another_file_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt"):
        (tmp_path / "other.txt").read_text()
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_it_and_exits_with_2(
    tmp_path: Path,
    picture: Histogram,
    model: Model,
    full_disk: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
    content: Callable[..., Any],
) -> None:
    save(picture, tmp_path / "in.npz")
    (tmp_path / "out.npz").write_text("old")
    before = content(tmp_path)
    with full_disk(1000):
        status = main(["deconvolve", str(tmp_path / "in.npz"), str(tmp_path / "out.npz"), "--overwrite",
                       "--no-uncertainty", "--model", str(model.folder)])  # fmt: skip
    said = capsys.readouterr().err
    assert status == 2
    assert "full" in said
    assert "Traceback" not in said
    assert content(tmp_path) == before


def test_training_goes_on_after_the_disk_was_full(
    tmp_path: Path,
    duq_recipe: Callable[..., Path],
    content: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last checkpoint is kept, and the run ends with the same bytes as one that had room all the time."""
    from mantid_exp2sim.training.trainers import checkpoint
    from mantid_exp2sim.training.trainers.train import train

    recipe = duq_recipe(steps=20, checks=4)
    train(recipe, out=tmp_path / "whole")
    real, calls = checkpoint.write_tensors, iter(range(10))

    def write(path: Path, *args: Any) -> None:
        if next(calls) == 1:
            raise Exp2SimError("Cannot write it: No space left on device.", fix="Make room.")
        real(path, *args)

    monkeypatch.setattr(checkpoint, "write_tensors", write)
    with pytest.raises(Exp2SimError, match="No space"):
        train(recipe, out=tmp_path / "full")
    monkeypatch.undo()
    assert '"failed"' in (tmp_path / "full" / "status.json").read_text()
    assert train(recipe, out=tmp_path / "full") == "finished"
    whole, resumed = (content(tmp_path / name) for name in ("whole", "full"))
    for timed in (whole, resumed):
        del timed["status.json"]
    assert whole == resumed


def test_a_dataset_goes_on_after_the_disk_was_full(
    tmp_path: Path, full_disk: Callable[..., Any], content: Callable[..., Any]
) -> None:
    from mantid_exp2sim.training.datasets.simulate import simulate_dataset

    recipe = _recipe(1)

    with ExitStack() as limit:

        def fill(done: int, total: int, name: str) -> None:
            if done == 1:
                limit.enter_context(full_disk(100_000))

        with pytest.raises(Exp2SimError, match=r"Cannot write .*00001\.h5"):
            simulate_dataset(recipe, tmp_path / "full", progress=fill)
    assert sorted(p.name for p in (tmp_path / "full" / "shards").iterdir()) == ["00000.h5"]
    found = simulate_dataset(recipe, tmp_path / "full")
    assert found["simulated"] == 2
    simulate_dataset(recipe, tmp_path / "whole")
    assert content(tmp_path / "full") == content(tmp_path / "whole")


def test_two_writers_of_one_file_leave_one_whole(tmp_path: Path) -> None:
    """Threads that write one file at once: at every moment it is what one of them wrote."""
    from concurrent.futures import ThreadPoolExecutor

    target = tmp_path / "a.npy"

    def write(n: int) -> None:
        with atomic_path(target) as temporary, temporary.open("wb") as file:
            np.save(file, np.full(20_000, n))

    def whole(_: int) -> bool:
        return not target.exists() or len(set(np.load(target).tolist())) == 1

    with ThreadPoolExecutor(4) as pool:
        written = pool.map(write, range(40))
        assert all(pool.map(whole, range(200)))
        list(written)
    assert list(tmp_path.iterdir()) == [target]
