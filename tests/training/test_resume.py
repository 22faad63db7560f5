"""A run that was stopped, in whatever way, ends with the same bytes as one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mantid_exp2sim.errors import Exp2SimError

TRAIN = """
import sys
from pathlib import Path
from mantid_exp2sim.training import runs
train = runs.train_gan if sys.argv[1] == "gan" else runs.train_duq
print(train(Path(sys.argv[2]), out=Path(sys.argv[3]), resume=sys.argv[4:] == ["--resume"]))
"""


def start(kind: str, recipe: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", TRAIN, kind, str(recipe), str(out), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    return out.strip()


def wait_for_checkpoint(process: subprocess.Popen[str], out: Path) -> None:
    until = time.monotonic() + 60
    while not (out / "checkpoint.safetensors").is_file():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)


def weights(out: Path) -> dict[str, bytes]:
    """All that a run leaves of its training: checkpoint (state and weights) and best networks."""
    files = [out / "checkpoint.safetensors", *sorted((out / "best").iterdir())]
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.parametrize("kind", ["gan", "duq"])
def test_kill_9_and_resume_equals_uninterrupted(kind, request, tmp_path):
    recipe = request.getfixturevalue(f"{kind}_recipe")(steps=60)
    whole = start(kind, recipe, tmp_path / "whole")
    killed = start(kind, recipe, tmp_path / "killed")
    wait_for_checkpoint(killed, tmp_path / "killed")
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=20)
    assert killed.returncode == -signal.SIGKILL
    assert finish(whole) == "finished"
    assert not (tmp_path / "killed" / "status.json").exists()
    assert finish(start(kind, recipe, tmp_path / "killed", "--resume")) == "finished"
    assert weights(tmp_path / "whole") == weights(tmp_path / "killed")
    for table in ("losses.csv", "metrics.csv"):
        steps = [line.split(",")[0] for line in (tmp_path / "killed" / table).read_text().splitlines()]
        assert steps == [line.split(",")[0] for line in (tmp_path / "whole" / table).read_text().splitlines()]


def test_sigterm_writes_a_checkpoint_and_says_so(gan_recipe, tmp_path):
    out = tmp_path / "run"
    process = start("gan", gan_recipe(steps=100_000, checks=1), out)
    wait_for_checkpoint(process, out)
    process.send_signal(signal.SIGTERM)
    assert finish(process) == "stopped"
    status = json.loads((out / "status.json").read_text())
    assert (status["status"], status["why"]) == ("stopped", "SIGTERM")
    from mantid_exp2sim.training.trainers.checkpoint import read_tensors

    state = read_tensors(out / "checkpoint.safetensors")[1]
    assert state["step"] == status["step"] > 0


@pytest.mark.parametrize("kind", ["gan", "duq"])
def test_a_run_that_could_not_begin_is_none(kind, request, tmp_path):
    """The data set is not there: the same command works once it is."""
    from mantid_exp2sim.training.trainers import runs

    recipe, out = request.getfixturevalue(f"{kind}_recipe")(steps=2), tmp_path / "run"
    whole = recipe.read_text()
    line = next(line for line in whole.splitlines() if line.startswith("folder"))
    recipe.write_text(whole.replace(line, 'folder = "nowhere"'))
    train = getattr(runs, f"train_{kind}")
    for _ in range(2):
        with pytest.raises(Exp2SimError, match="nowhere"):
            train(recipe, out=out)
    recipe.write_text(whole)
    assert train(recipe, out=out) == "finished"


def test_a_run_is_not_overwritten_or_mixed(gan_recipe, tmp_path):
    from mantid_exp2sim.training.trainers.runs import train_gan

    recipe, out = gan_recipe(steps=2), tmp_path / "run"
    with pytest.raises(Exp2SimError, match="no run to resume"):
        train_gan(recipe, out=out, resume=True)
    train_gan(recipe, out=out)
    with pytest.raises(Exp2SimError, match="holds a run already"):
        train_gan(recipe, out=out)
    changed = gan_recipe(steps=3)
    with pytest.raises(Exp2SimError, match=r"schedule\.steps"):
        train_gan(changed, out=out, resume=True)


def test_a_run_starts_from_anothers_weights(gan_recipe, tmp_path):
    """Weights of all networks come over; optimisers and step do not. Another scaling is refused."""
    from mantid_exp2sim.training.trainers.checkpoint import read_tensors
    from mantid_exp2sim.training.trainers.runs import train_gan

    first = tmp_path / "first"
    train_gan(gan_recipe(steps=2), out=first)
    text = gan_recipe(steps=1).read_text().replace("seed = 5", f'seed = 5\nstart = "{first}"')
    still = text.replace("learning_rate = 1e-3", "learning_rate = 1e-12").replace("ema = 0.9", "ema = 0.0")
    recipe = tmp_path / "second.toml"
    recipe.write_text(still)
    train_gan(recipe, out=tmp_path / "second")
    before, after = (
        read_tensors(tmp_path / name / "checkpoint.safetensors")[0] for name in ("first", "second")
    )
    weights = [key for key in after if key.startswith("network/") and "average" not in key]
    assert weights
    assert all(
        (before[key] - after[key]).abs().max() < 1e-6 for key in weights if after[key].is_floating_point()
    )
    recipe.write_text(text + "[scaling]\ngain = 2.0\n")
    with pytest.raises(Exp2SimError, match="another scaling"):
        train_gan(recipe, out=tmp_path / "third")


def test_a_run_starts_from_the_mean_of_two(gan_recipe, tmp_path):
    """The generators begin half way between the averaged ones of both runs; other networks have no mean."""
    from mantid_exp2sim.training.trainers.checkpoint import read_tensors
    from mantid_exp2sim.training.trainers.runs import train_gan

    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    train_gan(gan_recipe(steps=2), out=first)
    text = gan_recipe(steps=2).read_text()
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(text.replace("seed = 5", f'seed = 5\nstart = "{first}"'))
    train_gan(recipe, out=second)
    mean = text.replace("seed = 5", f'seed = 5\nstart = "{first}"\nmean_with = "{second}"')
    recipe.write_text(mean.replace("learning_rate = 1e-3", "learning_rate = 1e-12"))
    train_gan(recipe, out=third)
    one, two, both = (read_tensors(folder / "checkpoint.safetensors")[0] for folder in (first, second, third))
    names = [key for key in both if key.startswith("network/generator.")]
    assert names
    for key in names:
        averaged = key.replace("generator.", "average.", 1)
        torch.testing.assert_close(both[key], (one[averaged] + two[averaged]) / 2, atol=1e-6, rtol=0)
        torch.testing.assert_close(both[averaged], both[key], atol=1e-6, rtol=0)
    wide = "\nwidth = 6", "\nwidth = 10"
    recipe.write_text(mean.replace(*wide))
    with pytest.raises(Exp2SimError, match="does not belong to this recipe"):
        train_gan(recipe, out=tmp_path / "wider")
    recipe.write_text(text.replace(*wide))
    train_gan(recipe, out=tmp_path / "wide")
    recipe.write_text(mean.replace(str(second), str(tmp_path / "wide")))
    with pytest.raises(Exp2SimError, match="have no mean"):
        train_gan(recipe, out=tmp_path / "mixed")
    recipe.write_text(mean.replace(f'start = "{first}"\n', ""))
    with pytest.raises(Exp2SimError, match="mean_with"):
        train_gan(recipe, out=tmp_path / "alone")
    recipe.write_text(mean.replace(f'start = "{first}"', 'start = "pcsmo-maps"'))
    with pytest.raises(Exp2SimError, match="mean is taken"):
        train_gan(recipe, out=tmp_path / "model")
