"""``kill -9`` at random moments of training, simulation, translation and the writing of models.

After each the job is given again: a training or a simulation goes on and ends with the same bytes as one
that was never killed, and of a file or a model that was being replaced the old one is there, or the new one,
whole. Jobs run in forks of one warm process, so that the moments fall into the work and not into imports.
Moments are drawn from a seed over the time that the job takes; one that comes too late is drawn again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from mantid_exp2sim import load, save
from mantid_exp2sim.application.model import Model
from mantid_exp2sim.model.bundle import load_bundle, save_bundle
from mantid_exp2sim.mosaic import mosaic_histogram
from mantid_exp2sim.training.datasets.simulate import simulate_dataset
from mantid_exp2sim.training.datasets.simulation_recipe import Recipe
from mantid_exp2sim.training.trainers.train import train
from tests.helpers.datasets import write_dataset
from tests.helpers.models import tiny_card, tiny_networks
from tests.training.conftest import DUAL_GAN, DUQ_RECIPE, GAN_RECIPE, PENALISED

KINDS = ("translator", "classifier", "simulate", "translate", "bundle")
SIMULATED = Recipe(
    name="tiny", seed=1, train=2, validation=1, test=1, grid=4, shard_size=1, kinds=("centre",)
)


def tree(folder: Path) -> dict[str, bytes]:
    """All files but those that tell times, locks and what a killed process has left half-written."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "status.json" and not hidden(path)
    }


def hidden(path: Path) -> bool:
    return any(part.startswith((".exp2sim-", ".lock")) for part in path.parts)


class Job:
    """One kind of work in a folder ``out``; ``resume`` is whether it was begun before."""

    replaces = False

    def __init__(self, room: Path) -> None:
        self.room = room

    def prepare(self, out: Path) -> None:
        """What is there before."""

    def run(self, out: Path) -> None:
        raise NotImplementedError


class Training(Job):
    def __init__(self, room: Path, kind: str) -> None:
        super().__init__(room)
        data = room / "data"
        if not data.exists():
            write_dataset(data)
        self.recipe = room / f"{kind}.toml"
        text, losses = {"translator": (GAN_RECIPE, DUAL_GAN), "classifier": (DUQ_RECIPE, PENALISED)}[kind]
        recipe = text.format(folder=data, steps=15, checks=3, losses=losses)
        self.recipe.write_text(recipe + "[[stage]]\n")

    def run(self, out: Path) -> None:
        train(self.recipe, out=out)


class Simulation(Job):
    def run(self, out: Path) -> None:
        simulate_dataset(SIMULATED, out)


class Replacing(Job):
    replaces = True

    def __init__(self, room: Path) -> None:
        super().__init__(room)
        self.folder = room / "tiny"
        if not self.folder.exists():
            card = tiny_card("tiny")
            save_bundle(self.folder, card, tiny_networks(card))
        self.model = load_bundle(self.folder)
        self.networks = {key: self.model.network(key) for key in self.model.card.weights}

    def prepare(self, out: Path) -> None:
        out.mkdir()
        self.write(out, "old")

    def run(self, out: Path) -> None:
        self.write(out, "new")

    def write(self, out: Path, version: str) -> None:
        raise NotImplementedError


class Translation(Replacing):
    def write(self, out: Path, version: str) -> None:
        values = torch.rand((240, 400), generator=torch.Generator().manual_seed(1)).double().numpy()
        histogram = mosaic_histogram(values + (version == "new"), metadata={"title": version})
        result = Model(self.model).deconvolve(histogram, uncertainty=False)
        for ending in (".npz", ".npy"):
            save(result, out / f"result{ending}", overwrite=True)
            load(out / f"result{ending}")


class Bundle(Replacing):
    def write(self, out: Path, version: str) -> None:
        card = self.model.card.model_copy(update={"version": version})
        save_bundle(out / "model", card, self.networks, overwrite=True)


def make(kind: str, room: Path) -> Job:
    jobs: dict[str, Callable[[], Job]] = {
        "translator": lambda: Training(room, "translator"),
        "classifier": lambda: Training(room, "classifier"),
        "simulate": lambda: Simulation(room),
        "translate": lambda: Translation(room),
        "bundle": lambda: Bundle(room),
    }
    return jobs[kind]()


def forked(job: Job, out: Path) -> int:
    """Start the job in a fork of this process."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 2)
        job.run(out)
        status = 0
    finally:
        os._exit(status)


def finish(job: Job, out: Path) -> None:
    _, status = os.waitpid(forked(job, out), 0)
    if status != 0:
        raise SystemExit(f"the job in {out} ends with status {status}")


def one(kind: str, kills: int, seed: int, room: Path) -> dict[str, object]:
    """Kill one kind of job so many times."""
    job, draws = make(kind, room), random.Random(f"{seed} {kind}")
    whole, old = room / f"{kind} whole", room / f"{kind} old"
    for folder in (whole, old):
        job.prepare(folder)
    finish(job, whole)
    shutil.rmtree(whole)
    job.prepare(whole)
    start = time.monotonic()  # of the second, warm one
    finish(job, whole)
    seconds = time.monotonic() - start
    wanted, before = tree(whole), tree(old) if job.replaces else {}
    row: dict[str, object] = {"kills": 0, "late": 0, "same": 0, "different": 0, "torn": 0, "left": 0}

    def count(name: str) -> None:
        row[name] = int(str(row[name])) + 1

    for number in range(5 * kills):
        if row["kills"] == kills:
            break
        out = room / f"{kind} {number}"
        job.prepare(out)
        child = forked(job, out)
        time.sleep(draws.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        count("kills" if os.WIFSIGNALED(status) else "late")
        if job.replaces:
            found = tree(out)
            parts = {name.split("/")[0] for name in before}
            for part in parts:
                own = [
                    {k: v for k, v in files.items() if k.split("/")[0] == part}
                    for files in (found, before, wanted)
                ]
                if own[0] not in own[1:]:
                    count("torn")
        finish(job, out)
        count("same" if tree(out) == wanted else "different")
        if kind != "translate" and any(hidden(path) for path in out.rglob("*")):
            count("left")
        shutil.rmtree(out)
    return {**row, "seconds": round(seconds, 2)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=KINDS, help="one kind of job; all by default")
    parser.add_argument("--kills", type=int, default=10, help="of each kind (default 10: 50 in all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    names = ("kills", "late", "same", "different", "torn", "left")
    print(f"{'job':<12}" + "".join(f"{name:>11}" for name in names) + f"{'one takes':>12}")
    rows, failed = {}, False
    for kind in [args.kind] if args.kind else KINDS:
        with tempfile.TemporaryDirectory() as room:
            rows[kind] = row = one(kind, args.kills, args.seed, Path(room))
        failed |= any(row[name] for name in ("different", "torn", "left"))
        print(
            f"{kind:<12}" + "".join(f"{row[name]!s:>11}" for name in names) + f"{row['seconds']:>10} s",
            flush=True,
        )
    if args.json:
        print(json.dumps(rows))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
