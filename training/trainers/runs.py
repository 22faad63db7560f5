"""Starting and resuming runs, and reading what a run has made."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.networks import ClassifierSettings, GeneratorSettings, build_classifier, build_generator
from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.storage.atomic import is_temporary, make_folder, sweep
from mantid_exp2sim.storage.locks import LOCK, locked
from mantid_exp2sim.training.config import (
    Config,
    DuqConfig,
    GanConfig,
    RunSettings,
    ScalingSettings,
    read_config,
)
from mantid_exp2sim.training.datasets.measured import KIND, Measurement, open_measurement
from mantid_exp2sim.training.datasets.sampler import (
    Batches,
    DataSet,
    Domain,
    choose_scaling,
    mean_intensity,
    open_dataset,
)
from mantid_exp2sim.training.datasets.sources import domain_indices, gan_domains
from mantid_exp2sim.training.trainers.warm_start import find_model, load_mean, start_from_model, with_scaling

if TYPE_CHECKING:
    from torch import Tensor

    from mantid_exp2sim.networks.duq import Duq
    from mantid_exp2sim.networks.generator import Generator
    from mantid_exp2sim.training.losses.data_consistency import KnownOperator
    from mantid_exp2sim.training.trainers.trainer import Task

CONFIG, MODEL = "config.json", "model.json"
FREE = ("log_every", "checkpoint_every", "tensorboard")
"""Settings of ``[run]`` that may be others when a run is resumed."""


class GanModel(BaseModel):
    """``model.json`` of a GAN run: what is needed to use its generators."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Layout
    generator: GeneratorSettings
    scaling: Scaling
    target: str
    mean_intensity: float
    """Of domain A over measured bins, in the units of the data set."""
    measurement: dict[str, Any] | None = None
    """The real measurement that domain A held: files, volumes, measured bins and share of the samples."""


class DuqModel(BaseModel):
    """``model.json`` of a classifier run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: ClassifierSettings
    scaling: Scaling
    kind: str
    form: str
    classes: tuple[str, ...]


class Train(Protocol):
    """`train_gan` and `train_duq`."""

    def __call__(self, recipe: Path, *, out: Path, resume: bool = False, seed: int | None = None) -> str:
        """Train the recipe in ``out``: ``finished`` or ``stopped``."""
        ...


def alone(train: Train) -> Train:
    """Let a training hold its folder: a second one in the same folder is refused.

    Of several processes of one training (``RANK`` of torchrun) the first one holds it for all.
    """

    @functools.wraps(train)
    def run(recipe: Path, *, out: Path, resume: bool = False, seed: int | None = None) -> str:
        from mantid_exp2sim.training.trainers import distributed as parallel

        with parallel.joined():
            if parallel.number() > 0:
                return train(recipe, out=out, resume=resume, seed=seed)
            with locked(out, "run"):
                for folder in (out, out / "best", out / "pictures"):
                    sweep(folder)
                return train(recipe, out=out, resume=resume, seed=seed)

    return run


@alone
def train_gan(recipe: Path, *, out: Path, resume: bool = False, seed: int | None = None) -> str:
    """Train the dual GAN of a recipe in the folder ``out``: ``finished`` or ``stopped``.

    ``seed`` takes the place of the recipe's.

    Raises
    ------
    Exp2SimError
        If recipe or data cannot be used, ``out`` holds a run and ``resume`` is false, or training diverges.
    """
    config = with_seed(read_config(recipe, GanConfig), seed)
    prepare_folder(out, config, resume=resume)
    use_threads(config.run)
    from mantid_exp2sim.training.trainers.translator import DualGan
    from mantid_exp2sim.training.trainers.validation import make_validation

    dataset = open_dataset(find_folder(config.data.folder, recipe))
    domains, scaling, mean, measurement = gan_data(dataset, config, recipe)
    model = GanModel(
        layout=config.network.layout,
        generator=config.network.generator,
        scaling=scaling,
        target=config.data.target,
        mean_intensity=mean,
        measurement=None if measurement is None else measurement.about,
    )
    validation = make_validation(dataset, config, scaling, measurement)
    gan = DualGan(config, domains, validation, _known_operator(dataset, config, scaling))
    start_from(config.run, recipe, gan, model, out=out)
    return run_task(gan, config, model, out=out, resume=resume)


def _known_operator(dataset: DataSet, config: GanConfig, scaling: Scaling) -> KnownOperator | None:
    if not config.loss.needs_operator:
        return None
    from mantid_exp2sim.training.datasets.resolution import dataset_operator
    from mantid_exp2sim.training.losses.data_consistency import KnownOperator

    resolution = dataset_operator(dataset).to(config.run.device)
    return KnownOperator(resolution, config.network.layout, scaling)


@alone
def train_duq(recipe: Path, *, out: Path, resume: bool = False, seed: int | None = None) -> str:
    """Train the classifier of a recipe in ``out``: ``finished`` or ``stopped``; see :func:`train_gan`."""
    config = with_seed(read_config(recipe, DuqConfig), seed)
    prepare_folder(out, config, resume=resume)
    use_threads(config.run)
    from mantid_exp2sim.training.trainers.classifier import DuqTask, check_panels

    dataset = open_dataset(find_folder(config.data.folder, recipe))
    check_panels(dataset, config)
    indices = dataset.split("train", config.data.limit, kind=config.data.kind)
    indices = indices[dataset.labels(indices, config.data.kind) >= 0]
    settings = start_scaling(config.scaling, config.run, recipe)
    scaling = choose_scaling(dataset, settings, kind=config.data.kind, indices=indices)
    domain = Domain(
        dataset,
        config.data,
        kind=config.data.kind,
        indices=indices,
        scaling=scaling,
        batch=config.schedule.batch,
        seed=config.run.seed,
        stream=0,
        noisy=True,
        whole=config.data.form == "mosaic",
    )
    model = DuqModel(
        network=config.network,
        scaling=scaling,
        kind=config.data.kind,
        form=config.data.form,
        classes=dataset.description.classes,
    )
    task = DuqTask(config, domain, dataset, scaling)
    start_from(config.run, recipe, task, model, out=out)
    return run_task(task, config, model, out=out, resume=resume)


def gan_data(
    dataset: DataSet, config: GanConfig, recipe: Path
) -> tuple[dict[str, Batches], Scaling, float, Measurement | None]:
    """Both domains' samples, their scaling, the mean intensity of domain A, and the measurement in it."""
    convolved, target = domain_indices(dataset, config)
    wants_mean = config.data.measured is not None and config.data.measured.scale == "auto"
    simulated = mean_intensity(dataset, KIND, convolved) if len(convolved) and wants_mean else None
    measurement = open_measurement(config, recipe, dataset, simulated)
    first: tuple[DataSet, Any] = (dataset, convolved)
    if measurement is not None and (not len(convolved) or measurement.about["share"] == 1):
        first = (measurement.dataset, measurement.indices)
    mean = choose_scaling(first[0], ScalingSettings(), kind=KIND, indices=first[1]).intensity_scale
    settings = start_scaling(config.scaling, config.run, recipe)
    scaling = Scaling(
        kind=settings.kind, intensity_scale=settings.intensity_scale or mean, gain=settings.gain
    )
    domains = gan_domains(dataset, config, scaling, convolved, target, measurement)
    return domains, scaling, mean, measurement


def start_scaling(settings: ScalingSettings, run: RunSettings, recipe: Path) -> ScalingSettings:
    """The scaling's settings; what they leave open is that of what ``[run] start`` names."""
    if run.start is None:
        return settings
    folder = find_folder(run.start, recipe)
    model = find_model(run.start, folder)
    theirs = (
        Scaling.model_validate(read_json(folder / MODEL)["scaling"]) if model is None else model.card.scaling
    )
    return with_scaling(settings, theirs)


def with_seed(config: Config, seed: int | None) -> Config:
    """The recipe with another seed, checked like the recipe's own; None: the recipe's.

    Either way ``{seed}`` in ``[run] start`` and ``mean_with`` becomes the number.
    """
    run = config.run
    if seed is not None:
        if not 0 <= seed < 2**32:
            raise Exp2SimError(f"The seed is {seed}.", reason="It takes a whole number from 0 to 2**32 - 1.")
        run = run.model_copy(update={"seed": seed})
    for name in ("start", "mean_with"):
        if (path := getattr(run, name)) is not None:
            run = run.model_copy(update={name: Path(str(path).replace("{seed}", str(run.seed)))})
    return config.model_copy(update={"run": run})


def start_from(
    settings: RunSettings, recipe: Path, task: Task, model: GanModel | DuqModel, *, out: Path
) -> None:
    """Put the last weights of the run, or the generators of the model, that ``[run] start`` names in place.

    Not where the run in ``out`` has a checkpoint of its own; one that was killed before its first has none.

    Raises
    ------
    Exp2SimError
        If that run or model has other networks or another scaling, or cannot be read.
    """
    from mantid_exp2sim.training.trainers.checkpoint import load_checkpoint
    from mantid_exp2sim.training.trainers.trainer import CHECKPOINT
    from mantid_exp2sim.training.trainers.translator import DualGan

    if settings.start is None or (out / CHECKPOINT).is_file():
        return
    start = find_folder(settings.start, recipe)
    found = find_model(settings.start, start)
    if settings.mean_with is not None and (found is not None or not isinstance(task, DualGan)):
        raise Exp2SimError(
            "A mean is taken of the generators of two runs.",
            reason=f"{settings.start} is a model." if found is not None else "This is a classifier.",
            fix="Leave mean_with out of [run], or name a dual GAN's run in start.",
        )
    if found is not None:
        if not isinstance(task, DualGan):
            raise Exp2SimError(
                f"A classifier cannot start from the model {found.card.name!r}.",
                fix="Name the folder of a classifier's run.",
            )
        start_from_model(found, task, task.config, model.scaling)
        return
    if read_json(start / MODEL).get("scaling") != model.scaling.model_dump(mode="json"):
        raise Exp2SimError(
            f"The run in {start} has another scaling.",
            reason="Its weights belong to other network values.",
            fix="Give both recipes the same intensity_scale and gain in [scaling].",
        )
    load_checkpoint(start / CHECKPOINT, task.networks(), {})
    if settings.mean_with is not None:
        other = find_folder(settings.mean_with, recipe)
        load_mean([start / CHECKPOINT, other / CHECKPOINT], task.networks())


def run_task(task: Task, config: GanConfig | DuqConfig, model: BaseModel, *, out: Path, resume: bool) -> str:
    """Run a task in a prepared folder."""
    from mantid_exp2sim.training.trainers import distributed as parallel
    from mantid_exp2sim.training.trainers.trainer import Run, write_json

    if parallel.number() == 0:  # the recipe now: what could not begin leaves no run
        write_json(out / CONFIG, json.loads(config.model_dump_json()))
        write_json(out / MODEL, model.model_dump(mode="json", exclude_none=True))
    run = Run(
        task,
        out=out,
        schedule=config.schedule,
        settings=config.run,
        checks=config.validation.checks,
        resume=resume,
        log=log_line(),
    )
    return run.go()


def prepare_folder(out: Path, config: GanConfig | DuqConfig, *, resume: bool) -> None:
    """Make the run folder, or check that a resumed run has the same recipe.

    Of several processes the first does so for all.
    """
    from mantid_exp2sim.training.trainers import distributed as parallel

    if parallel.number() == 0:
        _prepare_folder(out, config, resume=resume)
    parallel.wait_for_all()


def _prepare_folder(out: Path, config: GanConfig | DuqConfig, *, resume: bool) -> None:
    now = json.loads(config.model_dump_json())
    path = out / CONFIG
    if path.is_file():
        if not resume:
            raise Exp2SimError(
                f"{out} holds a run already.", fix="Continue it with --resume, or choose another --out."
            )
        changed = _differences(read_json(path), now)
        if changed:
            raise Exp2SimError(
                f"The run in {out} was started with other settings: {', '.join(changed)}.",
                fix="Resume it with its own recipe, or start anew with another --out.",
            )
    elif resume:
        raise Exp2SimError(f"{out} holds no run to resume.", fix="Start it without --resume.")
    elif out.is_dir() and any(each.name != LOCK and not is_temporary(each) for each in out.iterdir()):
        raise Exp2SimError(f"{out} is not empty and holds no run.", fix="Choose another --out.")
    make_folder(out)


def _differences(before: Any, now: Any) -> list[str]:
    tables = sorted({*before, *now})
    return [
        f"{table}.{key}"
        for table in tables
        for key in sorted({*before.get(table, {}), *now.get(table, {})})
        if before.get(table, {}).get(key) != now.get(table, {}).get(key)
        and not (table == "run" and key in FREE)
    ]


def find_folder(folder: Path, recipe: Path) -> Path:
    """A folder as given: absolute, below the working directory, or beside the recipe."""
    if folder.is_absolute() or folder.is_dir():
        return folder
    return recipe.parent / folder if (recipe.parent / folder).is_dir() else folder


def use_threads(settings: RunSettings) -> None:
    """Set torch's threads."""
    import torch

    if settings.threads:
        torch.set_num_threads(settings.threads)


def log_line() -> Callable[[str], None]:
    """A function that writes a line to stderr."""
    return lambda text: print(text, file=sys.stderr, flush=True)


def read_json(path: Path) -> Any:
    """JSON of a file."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise Exp2SimError(f"Cannot read {path}: {error}.") from error


@dataclass(frozen=True, slots=True, eq=False)
class TrainedClassifier:
    """A classifier of a finished run."""

    network: Duq
    model: DuqModel

    def correlations(self, intensity: Tensor, mask: Tensor, *, batch: int = 32) -> Tensor:
        """Correlations (n, classes) of mosaics (n, Ei, h, k, E) in physical units; ``mask`` True = unknown.

        ``mask`` is (Ei, h, k, E) for all, or one for each mosaic.
        Of a classifier of single volumes: the geometric mean over the incident energies.
        """
        import torch

        from mantid_exp2sim.training.trainers.validation import classifier_input

        found = []
        with torch.no_grad():
            for start in range(0, len(intensity), batch):
                part = self.model.scaling.forward(intensity[start : start + batch])
                own = mask[start : start + batch] if mask.ndim == intensity.ndim else mask
                x = classifier_input(part, own, self.model.form)
                found.append(self.network(x))
        each = torch.cat(found).reshape(len(intensity), -1, self.model.network.classes)
        return each[:, 0] if each.shape[1] == 1 else (each + 1e-9).log().mean(1).exp()


def load_classifier(run: Path) -> TrainedClassifier:
    """The best classifier of a run folder."""
    from mantid_exp2sim.training.trainers.checkpoint import read_tensors

    model = DuqModel.model_validate(read_json(run / MODEL))
    network = build_classifier(model.network)
    network.load_state_dict(read_tensors(run / "best" / "classifier.safetensors")[0])
    return TrainedClassifier(network.eval().requires_grad_(False), model)


def load_generator(run: Path, direction: str) -> tuple[Generator, GanModel]:
    """The best generator of a direction of a run folder."""
    from mantid_exp2sim.training.trainers.checkpoint import read_tensors

    model = GanModel.model_validate(read_json(run / MODEL))
    network = build_generator(model.generator, model.layout)
    network.load_state_dict(read_tensors(run / "best" / f"{direction}.safetensors")[0])
    return network.eval().requires_grad_(False), model
