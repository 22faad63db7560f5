"""What a run has trained: networks, and what is needed to use them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.networks import (
    ClassifierSettings,
    GeneratorSettings,
    PosteriorSettings,
    build_classifier,
    build_generator,
    build_posterior,
)
from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.training.trainers.checkpoint import read_tensors
from mantid_exp2sim.training.trainers.run_folder import MODEL, last_stage, read_json

if TYPE_CHECKING:
    from mantid_exp2sim.networks.duq import Duq
    from mantid_exp2sim.networks.generator import Generator
    from mantid_exp2sim.networks.posterior import PosteriorNetwork


class TranslatorModel(BaseModel):
    """``model.json`` of a translator's run: what is needed to use its generators."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Layout
    generator: GeneratorSettings
    scaling: Scaling
    target: str
    mean_intensity: float
    """Of the convolved data over measured bins, in the units of the data set."""
    measurement: dict[str, Any] | None = None
    """The real measurement among the convolved data: files, volumes, measured bins and share."""


class ClassifierModel(BaseModel):
    """``model.json`` of a classifier's run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: ClassifierSettings
    scaling: Scaling
    kind: str
    """The data kind that it was trained on."""
    classes: tuple[str, ...]


class PosteriorModel(BaseModel):
    """``model.json`` of a posterior's run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: PosteriorSettings
    models: dict[str, dict[str, tuple[float, float]]]
    """The range in meV of every constant of every model."""


AnyModel = TypeVar("AnyModel", TranslatorModel, ClassifierModel, PosteriorModel)


def read_model(folder: Path, kind: type[AnyModel]) -> AnyModel:
    """Read ``model.json`` of a stage.

    Raises `Exp2SimError` where it is missing, or of a network of another kind.
    """
    try:
        return kind.model_validate(read_json(folder / MODEL))
    except ValidationError as error:
        name = kind.__name__.removesuffix("Model").lower()
        raise Exp2SimError(
            f"{folder} is no run of a {name}.",
            reason=f"Its {MODEL} describes something else.",
            fix=f"Name the folder of a run of a recipe with kind = {name!r}.",
        ) from error


def load_classifier(run: Path) -> tuple[Duq, ClassifierModel]:
    """Load the best classifier of a run folder."""
    folder = last_stage(run)
    model = read_model(folder, ClassifierModel)
    network = build_classifier(model.network)
    network.load_state_dict(read_tensors(folder / "best" / "classifier.safetensors")[0])
    return network.eval().requires_grad_(False), model


def load_generator(run: Path, direction: str) -> tuple[Generator, TranslatorModel]:
    """Load the best generator of a direction of a run folder."""
    folder = last_stage(run)
    model = read_model(folder, TranslatorModel)
    network = build_generator(model.generator, model.layout)
    network.load_state_dict(read_tensors(folder / "best" / f"{direction}.safetensors")[0])
    return network.eval().requires_grad_(False), model


def load_posterior(run: Path) -> tuple[PosteriorNetwork, PosteriorModel]:
    """Load the best posterior of a run folder."""
    folder = last_stage(run)
    model = read_model(folder, PosteriorModel)
    network = build_posterior(model.network)
    network.load_state_dict(read_tensors(folder / "best" / "posterior.safetensors")[0])
    return network.eval().requires_grad_(False), model
