"""Train the unrolled deconvolver on made-up materials, for a given time.

Everything drawn comes from the seed and the number of the step. The step size falls with the share of the
time that is over. A run that was stopped goes on from its checkpoint.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mantid_exp2sim.inference.bins import VolumeResolution
from mantid_exp2sim.inference.unrolled import save_deconvolver
from mantid_exp2sim.networks.unrolled import NetworkSettings, Unrolled
from mantid_exp2sim.simulation.conditions import MeasurementConditions
from mantid_exp2sim.simulation.measurement import solve
from mantid_exp2sim.storage.toml import read_toml
from mantid_exp2sim.training.config import Table as Settings
from mantid_exp2sim.training.synthetic.world.held_out import held_out_setting, materials
from mantid_exp2sim.training.synthetic.world.pairs import Pairs, cached_pairs
from mantid_exp2sim.training.synthetic.world.samples import CLEAN, Sample, measured_sample, resolution_of
from mantid_exp2sim.training.trainers.checkpoint import load_checkpoint, save_checkpoint
from mantid_exp2sim.training.trainers.logs import Table
from mantid_exp2sim.training.trainers.trainer import write_json

CHECKPOINT, MODEL, LOSSES, STATUS = "checkpoint.safetensors", "model", "losses.csv", "status.json"
DESCRIPTION = "Any material on a direct-geometry chopper spectrometer whose resolution is known"
BARE: dict[str, tuple[float, float]] = {"background": (0, 0), "elastic_tail": (0, 0), "spurions": (0, 0)}
"""Conditions with nothing beside the excitations."""
WARM_UP = 100
"""Steps over which the step size rises."""
AVERAGE = 0.999
"""Of the weights that are shipped: a running mean over about 1000 steps."""
LEAST_RATE = 0.01
"""Of the step size, at the end."""
LEAST_ERROR = 0.03
"""Relative L2 of the plain iterations that counts at least, in the loss."""
DARK = 1e-5
"""Of the square of the data's scale, beside the error of the plain iterations in the loss."""
TOTAL = 0.1
"""Weight of the error of the total in the loss."""
CLIP = 1.0
"""Norm of the gradient above which it is cut."""


class Recipe(Settings):
    """A training of the deconvolver."""

    seed: int = Field(ge=0)
    settings: int = Field(ge=1)
    first: int = Field(default=60, ge=1)
    """Settings that the first step draws from; each ``pace`` steps there is one more."""
    pace: int = Field(default=12, ge=1)
    pairs: int = Field(default=12, ge=1)
    """Of each setting."""
    seconds: float = Field(gt=0)
    batch: int = Field(default=4, ge=1)
    rate: float = Field(default=2e-3, gt=0)
    clean_share: float = Field(default=0.35, ge=0, le=1)
    """Share of the samples with neither noise nor anything beside the excitations."""
    bare_share: float = Field(default=0.3, ge=0, le=1)
    """Share of those with noise and nothing beside."""
    check_every: float = Field(default=300, gt=0)
    loss_weights: tuple[float, ...] = (1.0,)
    network: NetworkSettings = NetworkSettings()
    conditions: MeasurementConditions = CLEAN
    watched: dict[str, str] = Field(default_factory=dict)
    """Held-out materials that the log follows, with an instrument each; nothing is chosen by them."""

    def conditions_at(self, place: float) -> MeasurementConditions:
        """Return the conditions of a sample at a ``place`` from 0 to 1: clean ones first."""
        if place < self.clean_share:
            return CLEAN
        if place < self.clean_share + self.bare_share:
            return self.conditions.model_copy(update=BARE)
        return self.conditions


def read_unrolled_recipe(path: Path) -> Recipe:
    """Read a recipe; `Exp2SimError` where it is missing or holds something unknown."""
    return read_toml(path, Recipe, what="recipe", fix="training/recipes/chopper-any.toml is an example.")


def sample_loss(states: Sequence[tuple[Tensor, Tensor]], sample: Sample, weights: Sequence[float]) -> Tensor:
    """Compute the L2 of every step over that of the plain iterations, and the error of the total."""
    truth, measured = sample.truth, sample.problem.measured
    plain = (sample.problem.start - truth).pow(2).sum()
    size = torch.maximum(plain, LEAST_ERROR**2 * truth.pow(2).sum()) + DARK * measured.sum()
    used = weights[-len(states) :] if len(weights) >= len(states) else [1.0] * len(states)
    errors = [((x - truth).pow(2).sum() / size + 1e-6).sqrt() for x, _ in states]
    loss = sum((weight * error for weight, error in zip(used, errors, strict=True)), torch.zeros(()))
    total = states[-1][0].sum() / torch.clamp(truth.sum(), min=1e-3) - 1
    return loss / sum(used) + TOTAL * torch.clamp(total.abs(), max=2.0)


def relative_error(x: Tensor, truth: Tensor) -> float:
    """Compute the relative L2."""
    return float((x - truth).norm() / truth.norm())


class World:
    """The pairs of a recipe with the resolution on their bins, made where they are needed first."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, folder
        self._pairs: dict[int, Pairs] = {}
        self._resolutions: dict[int, VolumeResolution] = {}

    def sample(self, rng: np.random.Generator, step: int) -> Sample:
        """Draw a sample of a step."""
        recipe = self.recipe
        while True:
            number = int(rng.integers(min(recipe.settings, recipe.first + step // recipe.pace)))
            pairs = self._of(number)
            i = int(rng.integers(len(pairs.kinds)))
            conditions = recipe.conditions_at(float(rng.random()))
            sample = measured_sample(
                rng,
                pairs.setting,
                self._resolutions[number],
                pairs.convolved[i],
                pairs.integrated[i],
                conditions,
            )
            if sample is not None:
                return sample

    def _of(self, number: int) -> Pairs:
        if number not in self._pairs:
            self._pairs[number] = cached_pairs(self.folder, self.recipe.seed, number, self.recipe.pairs)
            self._resolutions[number] = resolution_of(self._pairs[number].setting)
        return self._pairs[number]


def held_out_samples(recipe: Recipe) -> Iterator[tuple[str, Sample]]:
    """Make the samples that the log follows: clean, with noise alone, and as measured."""
    kinds = {"clean": 0.0, "bare": recipe.clean_share, "measured": 1.0}
    by_name = {material.name: material for material in materials()}
    for number, (name, instrument) in enumerate(recipe.watched.items()):
        material = by_name[name]
        setting = held_out_setting(material, instrument, bins=(28, 28, 10), grid=40)
        waves = solve(material.model, material.constants, setting.options)
        convolved, integrated = (
            waves.volume(setting.binning, kind).astype(np.float32) for kind in ("convolved", "integrated")
        )
        scale = 1 / convolved[~setting.mask].mean()
        resolution = resolution_of(setting)
        for kind, place in kinds.items():
            of = CLEAN if kind == "clean" else recipe.conditions_at(place)
            rng = np.random.default_rng([7, number])
            sample = measured_sample(rng, setting, resolution, convolved * scale, integrated * scale, of)
            if sample is not None:
                yield kind, sample


@dataclass
class Run:
    """A training as it stands: the network, the mean of its weights, the optimiser, steps and seconds."""

    recipe: Recipe
    out: Path
    network: Unrolled = field(init=False)
    average: Unrolled = field(init=False)
    optimiser: torch.optim.Optimizer = field(init=False)
    step: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        torch.manual_seed(self.recipe.seed)
        self.network = Unrolled(self.recipe.network)
        self.average = Unrolled(self.recipe.network)
        self.average.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=self.recipe.rate, weight_decay=1e-4)
        if (path := self.out / CHECKPOINT).is_file():
            networks = {"network": self.network, "average": self.average}
            state = load_checkpoint(path, networks, {"all": self.optimiser})
            self.step, self.seconds = int(state["step"]), float(state["seconds"])

    def save(self) -> None:
        """Write the checkpoint, and the weights that would be shipped."""
        state = {"step": self.step, "seconds": self.seconds}
        networks = {"network": self.network, "average": self.average}
        save_checkpoint(self.out / CHECKPOINT, networks, {"all": self.optimiser}, state)
        training = {"recipe": self.recipe.model_dump(mode="json"), **state}
        save_deconvolver(
            self.out / MODEL, self.average,
            name="chopper-any", version="1", description=DESCRIPTION, training=training,
        )  # fmt: skip

    def take_step(self, world: World) -> float:
        """Learn from a batch; returns its loss."""
        rng = np.random.default_rng([self.recipe.seed, self.step, 99])
        share = min(self.seconds / self.recipe.seconds, 1.0)
        factor = LEAST_RATE + (1 - LEAST_RATE) * 0.5 * (1 + np.cos(np.pi * share))
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate * factor * min(1.0, (self.step + 1) / WARM_UP)
        self.optimiser.zero_grad()
        total = 0.0
        for _ in range(self.recipe.batch):
            sample = world.sample(rng, self.step)
            loss = sample_loss(self.network(sample.problem), sample, self.recipe.loss_weights)
            (loss / self.recipe.batch).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach()) / self.recipe.batch
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        if torch.isfinite(norm):
            self.optimiser.step()
        self.step += 1
        decay = min(AVERAGE, 1 - 1 / (1 + 0.1 * self.step))
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
        return total


def check(network: Unrolled, samples: Sequence[tuple[str, Sample]]) -> dict[str, float]:
    """Compute the mean relative L2 over samples of each kind, of the last step and of the best one."""
    errors: dict[str, list[float]] = {}
    with torch.no_grad():
        for kind, sample in samples:
            states = network(sample.problem)
            along = [relative_error(x, sample.truth) for x, _ in states]
            errors.setdefault(kind, []).append(along[-1])
            errors.setdefault(f"{kind}_by_step", []).append(min(along))
    return {kind: round(float(np.mean(values)), 4) for kind, values in errors.items()}


def train_unrolled(recipe: Recipe, out: Path, pairs: Path) -> dict[str, Any]:
    """Train until the time of the recipe is over; pairs that a folder lacks are drawn into it.

    ``out`` gets the checkpoint, the log and the model. Returns the last row of the log.
    """
    out.mkdir(parents=True, exist_ok=True)
    world, watched = World(recipe, pairs), list(held_out_samples(recipe))
    run = Run(recipe, out)
    table = Table(out / LOSSES, step=run.step)
    row = _checked(run, watched, table, [])
    while run.seconds < recipe.seconds:
        row = _checked(run, watched, table, _train_until(run, world, run.seconds + recipe.check_every))
    write_json(out / STATUS, row)
    return row


def _train_until(run: Run, world: World, seconds: float) -> list[float]:
    """Take steps until a time; returns their losses."""
    losses = []
    while run.seconds < min(seconds, run.recipe.seconds):
        start = monotonic()
        losses.append(run.take_step(world))
        run.seconds += monotonic() - start
    return losses


def _checked(
    run: Run, watched: Sequence[tuple[str, Sample]], table: Table, losses: Sequence[float]
) -> dict[str, Any]:
    """Write everything, and tell how it stands."""
    row = {
        "step": run.step,
        "seconds": round(run.seconds),
        "loss": round(float(np.mean(losses)), 4) if losses else "",
        **check(run.average, watched),
    }
    run.save()
    table.add(row)
    print(json.dumps(row), file=sys.stderr, flush=True)
    return row
