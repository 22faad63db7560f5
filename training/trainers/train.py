"""``exp2sim train``: the stages of a recipe, one after the other, each from where it was stopped."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.training.config import ClassifierConfig, Config, PosteriorConfig, TranslatorConfig
from mantid_exp2sim.training.datasets.constants import ranges_of, simulated
from mantid_exp2sim.training.datasets.measured import KIND, Measurement, open_measurement
from mantid_exp2sim.training.datasets.sampler import (
    Batches,
    DataSet,
    Domain,
    choose_scaling,
    mean_intensity,
    open_dataset,
)
from mantid_exp2sim.training.datasets.sources import domain_indices, translator_sources
from mantid_exp2sim.training.losses import find_needs
from mantid_exp2sim.training.losses.known_operator import KnownOperator
from mantid_exp2sim.training.recipe_file import read_recipe
from mantid_exp2sim.training.trainers import distributed as parallel
from mantid_exp2sim.training.trainers.classifier import ClassifierTrainer, network_settings
from mantid_exp2sim.training.trainers.posterior import PosteriorTrainer
from mantid_exp2sim.training.trainers.run_folder import (
    MODEL,
    emptied_if_failed,
    find_folder,
    held,
    is_finished,
    prepare_folder,
    stage_folders,
    write_settings,
)
from mantid_exp2sim.training.trainers.trained import ClassifierModel, PosteriorModel, TranslatorModel
from mantid_exp2sim.training.trainers.trainer import CHECKPOINT, FINISHED, Run, Task, write_json
from mantid_exp2sim.training.trainers.translator import TranslatorTrainer
from mantid_exp2sim.training.trainers.validation import make_validation
from mantid_exp2sim.training.trainers.warm_start import find_start

_LOG = logging.getLogger(__name__)


def train(
    recipe: Path, *, out: Path, seed: int | None = None, device: str = "cpu", tensorboard: bool = False
) -> str:
    """Train the networks of a recipe in the folder ``out``: ``finished`` or ``stopped``.

    A run that is there goes on where it was stopped. ``seed`` takes the place of the recipe's. How it goes is
    logged at the level INFO.

    Raises `Exp2SimError` if recipe or data cannot be used, ``out`` holds something else, or training
    diverges.
    """
    stages = read_recipe(recipe, seed=seed)
    with parallel.joined(), held(out), emptied_if_failed(out):
        prepare_folder(out, stages)
        previous = None
        for stage, folder in zip(stages, stage_folders(out, len(stages)), strict=True):
            if not is_finished(folder):
                task, model = _prepare(stage, recipe, previous, folder, device)
                write_settings(out, stages)
                status = _run(task, stage, model, folder, tensorboard)
                if status != FINISHED:
                    return status
            previous = folder
    return FINISHED


def _prepare(
    stage: Config, recipe: Path, previous: Path | None, folder: Path, device: str
) -> tuple[Task, BaseModel]:
    """Make what a stage trains, with the weights that it starts from."""
    start = find_start(stage, recipe, previous)
    scaling = None if start is None else start.scaling
    task, model = _make(stage, recipe, scaling, device)
    if start is not None and not (folder / CHECKPOINT).is_file():
        start.load_into(task)
    return task, model


def _make(stage: Config, recipe: Path, scaling: Scaling | None, device: str) -> tuple[Task, BaseModel]:
    if isinstance(stage, TranslatorConfig):
        return _translator(stage, recipe, scaling, device)
    if isinstance(stage, ClassifierConfig):
        return _classifier(stage, recipe, scaling, device)
    return _posterior(stage, recipe, device)


def _run(task: Task, stage: Config, model: BaseModel, folder: Path, tensorboard: bool) -> str:
    """Train a stage in its folder."""
    write_settings(folder, [stage])
    if parallel.number() == 0:
        write_json(folder / MODEL, model.model_dump(mode="json", exclude_none=True))
    run = Run(
        task,
        out=folder,
        schedule=stage.schedule,
        checks=stage.validation.checks,
        tensorboard=tensorboard,
        log=_LOG.info,
    )
    return run.go()


@dataclass(frozen=True, slots=True, eq=False)
class TranslatorData:
    """Sources of both directions, their scaling, the mean intensity of convolved data, measurements."""

    sources: dict[str, Batches]
    scaling: Scaling
    mean_intensity: float
    measurement: Measurement | None


def read_translator_data(
    dataset: DataSet, config: TranslatorConfig, recipe: Path, scaling: Scaling | None = None
) -> TranslatorData:
    """Read what a translator is trained on; ``scaling`` is that of what it starts from."""
    convolved, target = domain_indices(dataset, config)
    measured = config.data.measured
    compare = measured is not None and measured.scale == "auto" and len(convolved)
    simulated = mean_intensity(dataset, KIND, convolved) if compare else None
    measurement = open_measurement(config, recipe, dataset, simulated)
    source, indices = dataset, convolved
    if measurement is not None and (not len(convolved) or measurement.about["share"] == 1):
        source, indices = measurement.dataset, measurement.indices
    scaling_of_data = choose_scaling(source, kind=KIND, indices=indices)
    scaling = scaling or scaling_of_data
    sources = translator_sources(dataset, config, scaling, convolved, target, measurement)
    return TranslatorData(sources, scaling, scaling_of_data.intensity_scale, measurement)


def _translator(
    config: TranslatorConfig, recipe: Path, scaling: Scaling | None, device: str
) -> tuple[TranslatorTrainer, TranslatorModel]:
    dataset = open_dataset(find_folder(config.data.folder, recipe))
    data = read_translator_data(dataset, config, recipe, scaling)
    model = TranslatorModel(
        layout=config.network.layout,
        generator=config.network.generator,
        scaling=data.scaling,
        target=config.data.target,
        mean_intensity=data.mean_intensity,
        measurement=None if data.measurement is None else data.measurement.about,
    )
    validation = make_validation(dataset, config, data.scaling, data.measurement)
    resolution = _known_operator(dataset, config, data.scaling, device)
    task = TranslatorTrainer(config, data.sources, validation, resolution=resolution, device=device)
    return task, model


def _known_operator(
    dataset: DataSet, config: TranslatorConfig, scaling: Scaling, device: str
) -> KnownOperator | None:
    if "resolution" not in find_needs(config.losses):
        return None
    from mantid_exp2sim.training.datasets.resolution import dataset_operator

    resolution = dataset_operator(dataset).to(parallel.local_device(device))
    return KnownOperator(resolution, config.network.layout, scaling)


def _classifier(
    config: ClassifierConfig, recipe: Path, scaling: Scaling | None, device: str
) -> tuple[ClassifierTrainer, ClassifierModel]:
    dataset, kind = open_dataset(find_folder(config.data.folder, recipe)), config.data.kind
    indices = dataset.split("train", config.data.limit, kind=kind)
    indices = indices[dataset.labels(indices, kind) >= 0]
    scaling = scaling or choose_scaling(dataset, kind=kind, indices=indices)
    source = Domain(
        dataset,
        config.data,
        kind=kind,
        indices=indices,
        scaling=scaling,
        batch=config.schedule.batch,
        seed=config.run.seed,
        stream=0,
        noisy=True,
        whole=True,
    )
    model = ClassifierModel(
        network=network_settings(dataset, config),
        scaling=scaling,
        kind=kind,
        classes=dataset.description.classes,
    )
    return ClassifierTrainer(config, source, dataset, scaling, device=device), model


def _posterior(config: PosteriorConfig, recipe: Path, device: str) -> tuple[PosteriorTrainer, PosteriorModel]:
    dataset = simulated(open_dataset(find_folder(config.data.folder, recipe)))
    task = PosteriorTrainer(config, dataset, ranges_of(dataset), device=device)
    return task, PosteriorModel(network=task.average.settings, models=ranges_of(dataset))
