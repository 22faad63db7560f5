"""What a stage starts from: the last weights of another run, or the generators of a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.bundle import load_bundle
from mantid_exp2sim.model.registry import CARD_FILE, list_models
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.training.config import Config
from mantid_exp2sim.training.trainers.checkpoint import load_checkpoint
from mantid_exp2sim.training.trainers.run_folder import (
    CONFIG,
    MODEL,
    find_folder,
    last_stage,
    read_json,
)
from mantid_exp2sim.training.trainers.trainer import CHECKPOINT, Task
from mantid_exp2sim.training.trainers.translator import TranslatorTrainer


@dataclass(frozen=True, slots=True)
class Start:
    """A run's stage or a model, and the scaling that belongs to its weights."""

    folder: Path
    is_model: bool
    scaling: Scaling

    def load_into(self, task: Task) -> None:
        """Put its weights into the networks of a task.

        Raises `Exp2SimError` if it has other networks, or cannot be read.
        """
        if not self.is_model:
            load_checkpoint(self.folder / CHECKPOINT, task.networks(), {})
        elif isinstance(task, TranslatorTrainer):
            _load_generators(self.folder, task)
        else:
            raise Exp2SimError(
                f"A classifier cannot start from the model in {self.folder}.",
                reason="A model's classifiers are means of several members.",
                fix="Name the folder of a classifier's run in [run] start.",
            )


def find_start(config: Config, recipe: Path, previous: Path | None) -> Start | None:
    """Find what a stage starts from: the stage before it, else what ``[run] start`` names."""
    if previous is not None:
        return _of_stage(previous)
    if config.run.start is None:
        return None
    folder = find_folder(config.run.start, recipe)
    if (folder / CONFIG).is_file():
        return _of_stage(last_stage(folder))
    models = list_models()
    if not (folder / CARD_FILE).is_file():
        if str(config.run.start) not in models:
            raise Exp2SimError(
                f"There is no run and no model {config.run.start} to start from.",
                reason="It is no folder of either, and no installed model has this name.",
                fix=f"Models that are installed: {', '.join(models) or 'none'}.",
            )
        folder = models[str(config.run.start)]
    return Start(folder, is_model=True, scaling=load_bundle(folder).card.scaling)


def _of_stage(folder: Path) -> Start:
    scaling = Scaling.model_validate(read_json(folder / MODEL)["scaling"])
    return Start(folder, is_model=False, scaling=scaling)


def _load_generators(folder: Path, task: TranslatorTrainer) -> None:
    """Put a model's generators into a translator; its discriminators begin anew."""
    model, config = load_bundle(folder), task.config
    compared: dict[str, tuple[Any, Any]] = {
        "generator": (config.network.generator, model.card.generator.resolved()),
        "layout": (config.network.layout, model.card.layout),
        "target": (config.data.target, model.card.target),
    }
    for what, (ours, theirs) in compared.items():
        if ours != theirs:
            raise Exp2SimError(
                f"The model {model.card.name!r} has another {what} than the recipe.",
                reason=f"It has {str(theirs)[:200]}; the recipe says {str(ours)[:200]}.",
                fix="Give the recipe the model's settings.",
            )
    for direction, generator in task.generators.items():
        state = model.network("deconvolve" if direction == "deconvolve" else "convolve").state_dict()
        generator.load_state_dict(state)
        if direction in task.averages:
            task.averages[direction].load_state_dict(state)
