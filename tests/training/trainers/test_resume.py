"""A run that was stopped, in whatever way, ends with the same bytes as one that was not."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.training.trainers.checkpoint import read_tensors
from mantid_exp2sim.training.trainers.train import train
from mantid_exp2sim.training.trainers.trained import load_generator
from mantid_exp2sim.training.trainers.translator import TranslatorTrainer
from tests.helpers.forks import finish, run_training, start

STAGES = "[[stage]]\n[[stage]]\n[stage.optimiser]\nlearning_rate = 2e-4\n"


def wait_for_checkpoint(process: BaseProcess, out: Path) -> None:
    until = time.monotonic() + 100
    while not (out / "checkpoint.safetensors").is_file():
        assert process.is_alive()
        assert time.monotonic() < until
        time.sleep(0.005)


def status(out: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((out / "status.json").read_text())
    return told


def weights(out: Path) -> dict[str, bytes]:
    """Read all that a run leaves of its training: checkpoints (state and weights) and best networks."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.safetensors"))}


@pytest.mark.parametrize("kind", ["gan", "duq"])
def test_kill_9_and_resume_equals_uninterrupted(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    recipe = request.getfixturevalue(f"{kind}_recipe")(steps=24, checks=3)
    whole, killed = (start(run_training, recipe, tmp_path / name) for name in ("whole", "killed"))
    wait_for_checkpoint(killed, tmp_path / "killed")
    killed.kill()
    killed.join(timeout=20)
    assert killed.exitcode == -signal.SIGKILL
    finish(whole)
    assert status(tmp_path / "whole")["status"] == "finished"
    assert not (tmp_path / "killed" / "status.json").exists()
    finish(start(run_training, recipe, tmp_path / "killed"))
    assert status(tmp_path / "killed")["status"] == "finished"
    assert weights(tmp_path / "whole") == weights(tmp_path / "killed")
    for table in ("losses.csv", "metrics.csv"):
        steps = [line.split(",")[0] for line in (tmp_path / "killed" / table).read_text().splitlines()]
        assert steps == [line.split(",")[0] for line in (tmp_path / "whole" / table).read_text().splitlines()]


def test_sigterm_writes_a_checkpoint_and_says_so(gan_recipe: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = start(run_training, gan_recipe(steps=100_000, checks=10_000), out)
    wait_for_checkpoint(process, out)
    process.terminate()
    finish(process)
    told = status(out)
    assert (told["status"], told["why"]) == ("stopped", "SIGTERM")
    state = read_tensors(out / "checkpoint.safetensors")[1]
    assert state["step"] == told["step"] > 0


@pytest.mark.parametrize("kind", ["gan", "duq"])
def test_a_run_that_could_not_begin_is_none(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The data set is not there: the same command works once it is, with stages too."""
    recipe, out = request.getfixturevalue(f"{kind}_recipe")(steps=2), tmp_path / "run"
    whole = recipe.read_text() + STAGES
    line = next(line for line in whole.splitlines() if line.startswith("folder"))
    recipe.write_text(whole.replace(line, 'folder = "nowhere"'))
    for _ in range(2):
        with pytest.raises(Exp2SimError, match="nowhere"):
            train(recipe, out=out)
    recipe.write_text(whole)
    assert train(recipe, out=out) == "finished"


def test_a_run_is_not_mixed_with_another(gan_recipe: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(gan_recipe(steps=2), out=out)
    before = weights(out)
    assert train(gan_recipe(steps=2), out=out) == "finished"
    with pytest.raises(Exp2SimError, match=r"other settings: schedule\.steps"):
        train(gan_recipe(steps=3), out=out)
    with pytest.raises(Exp2SimError, match=r"other settings: run\.seed"):
        train(gan_recipe(steps=2), out=out, seed=6)
    assert weights(out) == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    with pytest.raises(Exp2SimError, match="holds no run"):
        train(gan_recipe(steps=2), out=tmp_path / "full")


@pytest.mark.parametrize("kind", ["gan", "duq"])
def test_stages_are_a_chain_of_runs(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Each stage begins with the last weights of the one before, as a run that names it in ``start`` does."""
    recipe = request.getfixturevalue(f"{kind}_recipe")(steps=3)
    text = recipe.read_text()
    recipe.write_text(text + STAGES)
    assert train(recipe, out=tmp_path / "chain") == "finished"
    previous, rate = None, re.findall("learning_rate = .*", text)[0]
    for number in (1, 2, 3):
        part = text if previous is None else text.replace("[run]", f'[run]\nstart = "{previous}"')
        recipe.write_text(part if number < 3 else part.replace(rate, "learning_rate = 2e-4"))
        previous = tmp_path / f"alone-{number}"
        train(recipe, out=previous)
        assert weights(previous) == weights(tmp_path / "chain" / f"stage-{number}")


def test_stages_go_on_where_they_were_stopped(
    gan_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = gan_recipe(steps=4)
    recipe.write_text(recipe.read_text() + STAGES)
    train(recipe, out=tmp_path / "whole")
    real, steps = TranslatorTrainer.train_step, iter(range(100))

    def stop_at_seventh(trainer: Any, step: Any) -> Any:
        if next(steps) == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(trainer, step)

    monkeypatch.setattr(TranslatorTrainer, "train_step", stop_at_seventh)
    out = tmp_path / "stopped"
    assert train(recipe, out=out) == "stopped"
    assert sorted(path.name for path in out.glob("stage-*")) == ["stage-1", "stage-2"]
    assert train(recipe, out=out) == "finished"
    assert next(steps) == 12, "no step was done twice"
    assert weights(out) == weights(tmp_path / "whole")


def test_what_a_chain_ships_is_its_last_stage(gan_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe = gan_recipe(steps=3)
    recipe.write_text(recipe.read_text() + STAGES)
    train(recipe, out=tmp_path / "chain")
    network, _ = load_generator(tmp_path / "chain", "deconvolve")
    best = read_tensors(tmp_path / "chain" / "stage-3" / "best" / "deconvolve.safetensors")[0]
    assert all(torch.equal(network.state_dict()[key], best[key]) for key in best)


def test_a_run_starts_from_anothers_weights(gan_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """Weights of all networks come over, and the scaling; optimisers and step do not."""
    first = tmp_path / "first"
    train(gan_recipe(steps=2), out=first)
    text = gan_recipe(steps=1).read_text().replace("seed = 5", f'seed = 5\nstart = "{first}"')
    recipe = tmp_path / "second.toml"
    still = text.replace("learning_rate = 1e-3", "learning_rate = 1e-12").replace("ema = 0.9", "ema = 0.0")
    recipe.write_text(still)
    train(recipe, out=tmp_path / "second")
    before, after = (
        read_tensors(tmp_path / name / "checkpoint.safetensors")[0] for name in ("first", "second")
    )
    names = [key for key in after if key.startswith("network/") and "average" not in key]
    assert names
    assert all(
        (before[key] - after[key]).abs().max() < 1e-6 for key in names if after[key].is_floating_point()
    )
    recipe.write_text(text.replace("\nwidth = 6", "\nwidth = 10"))
    with pytest.raises(Exp2SimError, match="does not belong to this recipe"):
        train(recipe, out=tmp_path / "wider")
