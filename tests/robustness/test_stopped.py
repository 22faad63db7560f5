"""SIGTERM, kill -9, dead workers, batches that are not numbers, clocks: nothing is lost, and it goes on."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from mantid_exp2sim import Exp2SimError, save
from mantid_exp2sim.application.model import Model
from mantid_exp2sim.cli import TERMINATED, main
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.training.datasets.simulation_recipe import Recipe

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def recipe(**changes: Any) -> Recipe:
    settings: dict[str, Any] = {"train": 1, "validation": 1, "test": 1, "name": "a", "seed": 1}
    settings |= {"classes": ("Dimer",), "kinds": ("centre",), "grid": 4, "shard_size": 1}
    return Recipe(**{**settings, **changes})


def written(path: Path, values: dict[str, Any]) -> Path:
    lines = (f"{key} = {json.dumps(value)}" for key, value in values.items())
    path.write_text("\n".join(lines))
    return path


def recipe_file(path: Path, **changes: Any) -> Path:
    return written(path, recipe(**changes).model_dump(mode="json", exclude_none=True))


def without(files: dict[str, bytes], *names: str) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name not in names}


# ----------------------------------------------------------------------------------------------- SIGTERM


def stop_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Send SIGTERM to a training while it takes a step; it stops after that one."""
    from mantid_exp2sim.training.trainers.classifier import ClassifierTrainer
    from mantid_exp2sim.training.trainers.translator import TranslatorTrainer

    def stopping(real: Callable[[Any, int], dict[str, float]]) -> Callable[[Any, int], dict[str, float]]:
        def step(trainer: Any, at: int) -> dict[str, float]:
            if at == number:
                os.kill(os.getpid(), signal.SIGTERM)
            return real(trainer, at)

        return step

    for trainer in (TranslatorTrainer, ClassifierTrainer):
        monkeypatch.setattr(trainer, "train_step", stopping(trainer.train_step))


@pytest.mark.parametrize("kind", ["gan", "duq"])
def test_a_queue_that_stops_a_training(
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    content: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit status 143 after a checkpoint; resumed, the run ends with the same bytes, tables too."""
    path = str(request.getfixturevalue(f"{kind}_recipe")(steps=16))
    assert main(["train", path, "--out", str(tmp_path / "whole")]) == 0
    stop_at(monkeypatch, 8)
    capsys.readouterr()
    assert main(["train", path, "--out", str(tmp_path / "stopped"), "--json"]) == TERMINATED
    assert json.loads(capsys.readouterr().out)["status"] == "stopped"
    monkeypatch.undo()
    status = json.loads((tmp_path / "stopped" / "status.json").read_text())
    assert (status["status"], status["why"], status["step"]) == ("stopped", "SIGTERM", 9)
    assert main(["train", path, "--out", str(tmp_path / "stopped")]) == 0
    whole, resumed = (without(content(tmp_path / name), "status.json") for name in ("whole", "stopped"))
    assert whole == resumed


def test_a_translation_that_is_stopped_while_it_writes(
    tmp_path: Path,
    picture: Histogram,
    model: Model,
    content: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save(picture, tmp_path / "in.npz")
    (tmp_path / "out.npz").write_text("old")
    before = content(tmp_path)
    real = np.savez_compressed

    def stop(file: Any, **members: Any) -> None:
        real(file, **members)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(np, "savez_compressed", stop)
    arguments = [
        str(tmp_path / "in.npz"),
        str(tmp_path / "out.npz"),
        "--no-uncertainty",
        "--overwrite",
        "--model",
        str(model.folder),
    ]
    assert main(["deconvolve", *arguments]) == TERMINATED
    assert "SIGTERM" in capsys.readouterr().err
    assert content(tmp_path) == before
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    monkeypatch.undo()
    assert main(["deconvolve", *arguments]) == 0


def test_a_simulation_that_is_stopped(
    tmp_path: Path, content: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mantid_exp2sim.training.datasets import simulate as dataset

    path = recipe_file(tmp_path / "recipe.toml")
    real = dataset.write_shard

    def stop(recipe: Recipe, folder: Path, number: int) -> Any:
        if number == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(recipe, folder, number)

    monkeypatch.setattr(dataset, "write_shard", stop)
    arguments = ["simulate", "dataset", str(path), "--processes", "1", "--out"]
    assert main([*arguments, str(tmp_path / "stopped")]) == TERMINATED
    monkeypatch.undo()
    assert sorted(content(tmp_path / "stopped")) == ["dataset.json", "mask.npy", "shards/00000.h5"]
    assert main([*arguments, str(tmp_path / "stopped")]) == 0
    assert main([*arguments, str(tmp_path / "whole")]) == 0
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")


def test_the_workers_of_a_simulation_that_is_stopped_end_too(
    tmp_path: Path, content: Callable[..., Any]
) -> None:
    path = recipe_file(tmp_path / "recipe.toml", train=400)
    out = tmp_path / "out"
    start = "from mantid_exp2sim.cli import main; raise SystemExit(main())"
    command = [sys.executable, "-c", start, "simulate", "dataset", str(path)]
    command += ["--out", str(out), "--processes", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 90
        while not list(out.glob("shards/[0-9]*.h5")) and time.monotonic() < until:
            time.sleep(0.02)
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        children = workers.read_text().split() if workers.is_file() else []
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == TERMINATED
    assert "SIGTERM" in said
    assert "Traceback" not in said
    until = time.monotonic() + 20
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert not (out / ".lock").exists()
    assert (out / "shards" / "00000.h5").is_file() or (out / "shards" / "00001.h5").is_file()


# ------------------------------------------------------------------------------------------------ workers


def kill_workers(times: int) -> Callable[..., Any]:
    """A report of progress that kills all workers, so many times."""
    left = [times]

    def progress(done: int, total: int, name: str) -> None:
        if left[0] > 0 and multiprocessing.active_children():
            left[0] -= 1
            for child in multiprocessing.active_children():
                child.kill()

    return progress


def test_a_worker_that_dies_is_replaced(tmp_path: Path, content: Callable[..., Any]) -> None:
    from mantid_exp2sim.training.datasets.simulate import simulate_dataset

    more = recipe(train=4)
    simulate_dataset(more, tmp_path / "whole")
    found = simulate_dataset(more, tmp_path / "killed", processes=2, progress=kill_workers(1))
    assert found["simulated"] == more.count
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


def test_workers_that_keep_dying_end_the_simulation_and_what_is_done_stays(
    tmp_path: Path, content: Callable[..., Any]
) -> None:
    from mantid_exp2sim.training.datasets.simulate import simulate_dataset

    more = recipe(train=6, kinds=("integrated",), grid=16)  # slow enough to be killed twice
    with pytest.raises(Exp2SimError, match="died twice") as found:
        simulate_dataset(more, tmp_path / "killed", processes=2, progress=kill_workers(2))
    assert "--processes" in found.value.fix
    kept = {p.name: p.read_bytes() for p in (tmp_path / "killed" / "shards").iterdir()}
    assert kept
    assert all(name[0] != "." for name in kept)
    assert simulate_dataset(more, tmp_path / "killed")["simulated"] == more.count - len(kept)
    assert all((tmp_path / "killed" / "shards" / name).read_bytes() == data for name, data in kept.items())


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    from mantid_exp2sim.training.datasets.simulate import simulate_dataset

    simulate_dataset(recipe(), tmp_path)
    shard = tmp_path / "shards" / "00001.h5"
    whole = shard.read_bytes()
    for damage in (b"", whole[:1000], (tmp_path / "shards" / "00000.h5").read_bytes()):
        shard.write_bytes(damage)
        with pytest.raises(Exp2SimError, match=r"00001\.h5"):
            simulate_dataset(recipe(), tmp_path)
    shard.unlink()
    simulate_dataset(recipe(), tmp_path)
    assert shard.read_bytes() == whole


# ------------------------------------------------------------------------------------------- not a number


@pytest.mark.parametrize("kind", ["gan", "duq"])
def test_a_batch_that_is_not_finite_is_skipped_and_counted(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the networks changes at that step; the others are as they would have been."""
    from mantid_exp2sim.training.datasets import sampler as datasets
    from mantid_exp2sim.training.trainers import checkpoint
    from mantid_exp2sim.training.trainers.train import train

    path = request.getfixturevalue(f"{kind}_recipe")(steps=7)
    spoil(monkeypatch, datasets, {6})
    train(path, out=tmp_path / "run")
    monkeypatch.undo()
    skipped, state = checkpoint.read_tensors(tmp_path / "run" / "checkpoint.safetensors")
    assert (state["step"], state["skipped"]) == (7, 1)
    before = weights_after(path, tmp_path / "six", monkeypatch)
    assert set(before) == set(skipped)
    assert all(bool((before[key] == skipped[key]).all()) for key in before)


def weights_after(path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Everything in the checkpoint of the same run, stopped after six steps."""
    from mantid_exp2sim.training.trainers import checkpoint
    from mantid_exp2sim.training.trainers.train import train

    stop_at(monkeypatch, 5)
    assert train(path, out=out) == "stopped"
    return checkpoint.read_tensors(out / "checkpoint.safetensors")[0]


def spoil(monkeypatch: Any, datasets: ModuleType, steps: Any) -> None:
    real = datasets.Domain.at

    def at(domain: Any, step: Any) -> Any:
        batch = real(domain, step)
        if step in steps:
            batch.x.view(-1)[3] = float("nan")
        return batch

    monkeypatch.setattr(datasets.Domain, "at", at)


@pytest.mark.parametrize("kind", ["gan", "duq"])
def test_a_training_that_diverges_ends_and_keeps_its_last_good_checkpoint(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mantid_exp2sim.training.datasets import sampler as datasets
    from mantid_exp2sim.training.trainers import checkpoint
    from mantid_exp2sim.training.trainers.train import train

    path = request.getfixturevalue(f"{kind}_recipe")(steps=35, checks=5)
    spoil(monkeypatch, datasets, range(8, 100))
    with pytest.raises(Exp2SimError, match="20 steps in a row were not finite"):
        train(path, out=tmp_path / "run")
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["status"], status["skipped"]) == ("failed", 20)
    tensors, state = checkpoint.read_tensors(tmp_path / "run" / "checkpoint.safetensors")
    assert state["step"] == 21
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())


# --------------------------------------------------------------------------------------------------- time


def test_a_clock_that_goes_backwards_changes_nothing(
    tmp_path: Path,
    duq_recipe: Callable[..., Path],
    content: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mantid_exp2sim.training.datasets.simulate import simulate_dataset
    from mantid_exp2sim.training.trainers.train import train

    train(duq_recipe(steps=10), out=tmp_path / "run")
    simulate_dataset(recipe(), tmp_path / "set")
    backwards = iter(range(10**9, 0, -1000))
    monkeypatch.setattr(time, "time", lambda: float(next(backwards)))
    train(duq_recipe(steps=10), out=tmp_path / "run2")
    simulate_dataset(recipe(), tmp_path / "set2")
    assert content(tmp_path / "set") == content(tmp_path / "set2")
    first, second = (without(content(tmp_path / name), "status.json") for name in ("run", "run2"))
    assert first == second
    for name in ("run", "run2"):
        assert json.loads((tmp_path / name / "status.json").read_text())["seconds"] >= 0
