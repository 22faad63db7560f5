"""Several processes train as one does; all stop together; the batch of the next step is made ahead."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.networks.settings import ClassifierSettings
from mantid_exp2sim.training.config import ClassifierNetworkSettings, TranslatorConfig
from mantid_exp2sim.training.datasets.prefetch import Prefetch
from mantid_exp2sim.training.recipe_file import read_recipe
from mantid_exp2sim.training.trainers import distributed
from mantid_exp2sim.training.trainers.checkpoint import read_tensors
from mantid_exp2sim.training.trainers.distributed import Share, means, not_finite
from mantid_exp2sim.training.trainers.train import train
from tests.helpers import forks
from tests.helpers.forks import free_port, join_ranks

PROCESSES = 2

needs_gloo = pytest.mark.skipif(
    not (torch.distributed.is_available() and torch.distributed.is_gloo_available()),
    reason="this torch has no gloo, which joins processes on CPUs",
)


def start(*program: str | Path, processes: int) -> subprocess.Popen[str]:
    """A module of Python (``-m``) or a file of it, in one process or in several that torchrun joins."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return subprocess.Popen(
        [sys.executable, *(run if processes > 1 else ()), *program],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def training(recipe: Path, out: Path) -> tuple[str | Path, ...]:
    return "-m", "mantid_exp2sim", "train", recipe, "--out", out


def edited(recipe: Path, *changes: tuple[str, str]) -> Path:
    text = recipe.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    recipe.write_text(text)
    return recipe


def largest_difference(one: Path, two: Path) -> float:
    """Return the largest difference of any mean gradient of two runs, over the largest one of its tensor.

    Weights would not do: Adam divides by the size of a gradient, so rounding shows where there is none.
    """
    first, second = (read_tensors(out / "checkpoint.safetensors")[0] for out in (one, two))
    assert list(first) == list(second)
    gradients = [key for key in first if key.endswith("/exp_avg")]
    assert gradients
    scale = max(float(first[key].abs().max()) for key in gradients)
    return max(
        float((first[k] - second[k]).abs().max() / first[k].abs().max().clamp_min(1e-3 * scale))
        for k in gradients
    )


def train_without_dropout(recipe: Path, out: Path, rank: int, processes: int, port: int) -> None:
    """Train as one of several processes; each would draw dropout for itself."""
    join_ranks(rank, processes, port)

    def for_data(self: ClassifierNetworkSettings, *, panels: int, classes: int) -> ClassifierSettings:
        return ClassifierSettings(panels=panels, classes=classes, width=self.width, dropout=0.0)

    ClassifierNetworkSettings.for_data = for_data  # type: ignore[method-assign]
    train(recipe, out=out)


@needs_gloo
@pytest.mark.parametrize("kind", ["gan", "duq"])
def test_two_processes_equal_one_with_the_whole_batch(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    recipe = edited(request.getfixturevalue(f"{kind}_recipe")(steps=2, checks=1), ("ema = 0.9", "ema = 0.0"))
    if kind == "gan":
        edited(recipe, ("batch = 3", "batch = 4"))
    for processes in (1, PROCESSES):
        out, port = tmp_path / str(processes), free_port()
        ranks = range(processes)
        for process in [
            forks.start(train_without_dropout, recipe, out, rank, processes, port) for rank in ranks
        ]:
            forks.finish(process)
    assert largest_difference(tmp_path / "1", tmp_path / "2") < 1e-3
    tables = [(tmp_path / name / "losses.csv").read_text().splitlines() for name in ("1", "2")]
    assert tables[0][0] == tables[1][0]
    for one, two in zip(*(map(float, table[1].split(",")) for table in tables), strict=True):
        assert two == pytest.approx(one, rel=1e-4, abs=1e-6)
    assert json.loads((tmp_path / "2" / "status.json").read_text())["status"] == "finished"


@needs_gloo
def test_a_signal_to_any_process_stops_all_after_the_same_step(
    gan_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    recipe = edited(gan_recipe(steps=100_000, checks=10_000), ("batch = 3", "batch = 4"))
    process = start(*training(recipe, out), processes=PROCESSES)
    until = time.monotonic() + 200
    while not (out / "checkpoint.safetensors").is_file():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.05)
    os.kill(_ranks(process.pid)[1], signal.SIGTERM)
    text = process.communicate(timeout=200)[0]
    assert process.returncode != 0
    status = json.loads((out / "status.json").read_text())
    assert (status["status"], status["why"]) == ("stopped", "SIGTERM"), text
    state = read_tensors(out / "checkpoint.safetensors")[1]
    assert state["step"] == status["step"] > 0


def threads() -> set[str]:
    return {task.joinpath("comm").read_text().strip() for task in Path("/proc/self/task").iterdir()}


class Averaging:
    """Refers to itself, as trainers do."""

    def __init__(self) -> None:
        network = torch.nn.Linear(2, 1)
        self.me = self
        self.loss = distributed.averaged(lambda x: network(x).sum(), [network])


def leave(out: Path, rank: int, port: int) -> None:
    """Join the others, average a gradient, leave them, and write which threads of the group are left."""
    warnings.simplefilter("error", FutureWarning)
    join_ranks(rank, PROCESSES, port)
    with distributed.joined():
        Averaging().loss(torch.ones(3, 2)).backward()
        assert any("gloo" in thread for thread in threads())
    out.write_text(" ".join(thread for thread in threads() if "gloo" in thread))


@needs_gloo
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the threads are counted by /proc")
def test_no_thread_of_the_group_is_left(tmp_path: Path) -> None:
    """It could drop a tensor while Python shuts down, which aborts the process now and then."""
    port, files = free_port(), [tmp_path / f"left-{rank}" for rank in range(PROCESSES)]
    for process in [forks.start(leave, file, rank, port) for rank, file in enumerate(files)]:
        forks.finish(process)
    assert [file.read_text() for file in files] == [""] * PROCESSES


def _ranks(parent: int) -> list[int]:
    """Process numbers of the workers of torchrun, by rank."""
    children = Path(f"/proc/{parent}/task/{parent}/children")
    if not children.exists():
        pytest.skip("the processes of torchrun are found by /proc, which is not here")
    found: dict[int, int] = {}
    for child in map(int, children.read_text().split()):
        environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        ranks = [int(entry.removeprefix(b"RANK=")) for entry in environment if entry.startswith(b"RANK=")]
        found |= dict.fromkeys(ranks, child)
    return [found[rank] for rank in sorted(found)]


def test_shares_are_all_of_the_batch_and_nothing_twice() -> None:
    whole = torch.arange(24).reshape(12, 2)
    parts = [Share(number, 3, batch=6).rows(whole) for number in range(3)]
    assert torch.cat(parts)[:, 0].sort().values.tolist() == whole[:, 0].tolist()
    draws = [
        Share(number, 3, batch=6).draw(4, lambda rows: torch.arange(rows)).tolist() for number in range(3)
    ]
    assert sorted(row for part in draws for row in part) == list(range(12))
    assert Share().draw(5, torch.arange).tolist() == list(range(5))


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from mantid_exp2sim.training.trainers import distributed as parallel

    monkeypatch.setattr(parallel, "processes", lambda: 2)
    with pytest.raises(Exp2SimError, match="cannot be shared by 2"):
        Share.of_this_process(5)


def test_scalars_come_together_and_the_first_bad_one_is_named() -> None:
    found = means({"a": torch.tensor(1.0), "b": torch.tensor(float("nan"))})
    assert found["a"] == 1.0
    assert not_finite(found) == "b is nan"
    assert not_finite({"a": 1.0}) == ""


class TestPrefetch:
    def test_order_and_bytes_are_those_without_it(self, gan_recipe: Callable[..., Path]) -> None:
        from mantid_exp2sim.training.datasets.sampler import open_dataset
        from mantid_exp2sim.training.trainers.train import read_translator_data

        recipe = gan_recipe()
        (config,) = read_recipe(recipe)
        assert isinstance(config, TranslatorConfig)
        data = read_translator_data(open_dataset(config.data.folder), config, recipe)
        for domain in data.sources.values():
            ahead = Prefetch(domain)
            for step in (0, 1, 2, 7, 8, 3):
                ours, plain = ahead.at(step), domain.at(step)
                assert torch.equal(ours.x, plain.x)
                assert torch.equal(ours.mask, plain.mask)
                assert torch.equal(ours.label, plain.label)

    def test_the_next_is_made_ahead_by_one_thread_and_errors_arrive(self) -> None:
        class Source:
            def __init__(self) -> None:
                self.made: list[int] = []
                self.busy, self.ahead = threading.Lock(), threading.Event()

            def at(self, step: Any) -> Any:
                assert self.busy.acquire(blocking=False)
                self.made.append(step)
                self.busy.release()
                if step == 1:
                    self.ahead.set()
                if step == 3:
                    raise ValueError("no such batch")
                return step

        source = Source()
        batches = Prefetch(source)
        assert batches.at(0) == 0
        assert source.ahead.wait(20)
        assert [batches.at(1), batches.at(2)] == [1, 2]
        with pytest.raises(ValueError, match="no such batch"):
            batches.at(3)
        assert batches.at(0) == 0
        assert source.made[:4] == [0, 1, 2, 3]
