"""Two processes on one output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mantid_exp2sim import Exp2SimError
from mantid_exp2sim.storage.atomic import host
from mantid_exp2sim.storage.locks import LOCK, locked

HOLD = """
import sys, time
from pathlib import Path
from mantid_exp2sim.storage.locks import locked
with locked(Path(sys.argv[1]), "run"):
    print("held", flush=True)
    time.sleep(300)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Any]:
    """Another process that holds the folder."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_is_told_who_the_first_is(tmp_path: Path, holder: Any) -> None:
    with pytest.raises(Exp2SimError, match=rf"process {holder.pid} on {host()}"), locked(tmp_path, "run"):
        pass
    assert json.loads((tmp_path / LOCK).read_text())["pid"] == holder.pid


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_lock_of_a_dead_process_is_taken_over(tmp_path: Path, holder: Any, how: Any) -> None:
    holder.send_signal(how)
    holder.wait(timeout=20)
    assert (tmp_path / LOCK).is_file()
    with locked(tmp_path, "run"):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert not (tmp_path / LOCK).exists()


def test_of_another_machine_it_cannot_be_told(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text(json.dumps({"pid": 1, "host": "node17"}))
    with pytest.raises(Exp2SimError, match="process 1 on node17") as found, locked(tmp_path, "run"):
        pass
    assert f"delete {tmp_path / LOCK}" in found.value.fix
    (tmp_path / LOCK).unlink()
    with locked(tmp_path, "run"):
        pass


@pytest.mark.parametrize("left", ["", "{", "[1]", "[" * 5000, '{"pid": "x"}', "\0" * 9000])
def test_what_a_crash_left_in_the_lock_does_not_matter(tmp_path: Path, left: str) -> None:
    (tmp_path / LOCK).write_text(left)
    with locked(tmp_path, "run"):
        pass


def test_without_locks_of_the_system_the_number_of_the_process_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, and on some network file systems."""
    import importlib

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with locked(tmp_path, "run"), pytest.raises(Exp2SimError, match="in use"), locked(tmp_path, "run"):
        pass
    (tmp_path / LOCK).write_text(json.dumps({"pid": 2**22 + 1, "host": host()}))
    with locked(tmp_path, "run"):
        pass


def test_a_run_and_a_dataset_are_held(tmp_path: Path, duq_recipe: Callable[..., Path], holder: Any) -> None:
    from mantid_exp2sim.training.datasets.simulate import simulate_dataset
    from mantid_exp2sim.training.datasets.simulation_recipe import Recipe
    from mantid_exp2sim.training.trainers.train import train

    with pytest.raises(Exp2SimError, match=f"run in .* in use by process {holder.pid}"):
        train(duq_recipe(steps=2), out=tmp_path)
    recipe = Recipe(name="a", seed=1, train=1, validation=1, test=1, grid=4)
    with pytest.raises(Exp2SimError, match=f"data set in .* in use by process {holder.pid}"):
        simulate_dataset(recipe, tmp_path)


def test_a_recipe_that_cannot_be_read_leaves_no_folder(tmp_path: Path) -> None:
    from mantid_exp2sim.training.trainers.train import train

    with pytest.raises(Exp2SimError):
        train(tmp_path / "none.toml", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_killed_before_its_first_checkpoint_starts_from_the_same_weights(
    tmp_path: Path, gan_recipe: Callable[..., Path]
) -> None:
    """``[run] start`` counts until the run has a checkpoint of its own."""
    from mantid_exp2sim.training.trainers.run_folder import CONFIG
    from mantid_exp2sim.training.trainers.train import train

    train(gan_recipe(steps=2), out=tmp_path / "first")
    recipe = gan_recipe(steps=2)
    recipe.write_text(recipe.read_text().replace("seed = 5", f'seed = 5\nstart = "{tmp_path / "first"}"'))
    train(recipe, out=tmp_path / "whole")
    killed: Path = tmp_path / "killed"
    killed.mkdir()
    (killed / CONFIG).write_bytes((tmp_path / "whole" / CONFIG).read_bytes())
    train(recipe, out=killed)
    one, other = (tmp_path / name / "checkpoint.safetensors" for name in ("whole", "killed"))
    assert one.read_bytes() == other.read_bytes()
