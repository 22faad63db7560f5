"""What a run starts from: another run, or the generators of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.bundle import Model, list_models, load_model
from mantid_exp2sim.model.registry import CARD_FILE
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.training.config import GanConfig, ScalingSettings

if TYPE_CHECKING:
    from torch import nn

    from mantid_exp2sim.training.trainers.translator import DualGan


def find_model(start: Path, folder: Path) -> Model | None:
    """The model that ``[run] start`` means; None where ``folder``, as it was found, is a run.

    Raises `Exp2SimError` where it is neither.
    """
    if (folder / CARD_FILE).is_file():
        return load_model(folder)
    if folder.is_dir():
        return None
    if str(start) in list_models():
        return load_model(str(start))
    raise Exp2SimError(
        f"There is no run and no model {start} to start from.",
        fix=f"Models that are installed: {', '.join(list_models()) or 'none'}.",
    )


def with_scaling(settings: ScalingSettings, theirs: Scaling) -> ScalingSettings:
    """The settings with what they leave open taken from what the run starts from.

    >>> with_scaling(ScalingSettings(gain=2.0), Scaling(intensity_scale=3.0, gain=1.0))
    ScalingSettings(kind='asinh', intensity_scale=3.0, gain=2.0)
    """
    given = settings.model_dump(exclude_unset=True, exclude_none=True)
    return ScalingSettings.model_validate({**theirs.model_dump(), **given})


def start_from_model(model: Model, gan: DualGan, config: GanConfig, scaling: Scaling) -> None:
    """Put a model's generators into a dual GAN; its discriminators begin anew.

    Raises
    ------
    Exp2SimError
        If the model has other networks, another layout, target or scaling than the recipe.
    """
    card = model.card
    wanted: dict[str, tuple[Any, Any]] = {
        "generator": (config.network.generator, card.generator.resolved()),
        "layout": (config.network.layout, card.layout),
        "target": (config.data.target, card.target),
        "scaling": (scaling, card.scaling),
    }
    for what, (mine, theirs) in wanted.items():
        if mine != theirs:
            raise Exp2SimError(
                f"The model {card.name!r} has another {what} than the recipe.",
                reason=f"It has {_words(theirs)}; the recipe says {_words(mine)}.",
                fix="Give the recipe the model's settings; leave intensity_scale out.",
            )
    for name, generator in gan.generators.items():
        state = model.network("deconvolve" if name == "deconvolve" else "convolve").state_dict()
        generator.load_state_dict(state)
        if name in gan.averages:
            gan.averages[name].load_state_dict(state)


def load_mean(checkpoints: Sequence[Path], networks: Mapping[str, nn.Module]) -> None:
    """Give a dual GAN's generators, and their averages, the mean of the averaged weights of several runs.

    Of runs of which one goes on from the other: between them the loss has no barrier, and their mean does
    what both have learnt (Wortsman et al., CVPR 2022). ``networks`` by their names in a checkpoint.

    Raises `Exp2SimError` where a checkpoint cannot be read or is of other networks.
    """
    from mantid_exp2sim.training.trainers.checkpoint import network_tensors, read_tensors

    found = [read_tensors(checkpoint)[0] for checkpoint in checkpoints]
    for name, network in networks.items():
        kind, _, direction = name.partition(".")
        if kind not in ("generator", "average"):
            continue
        states = [network_tensors(tensors, f"average.{direction}") for tensors in found]
        try:
            mean = {
                key: sum((state[key] for state in states[1:]), states[0][key]) / len(states)
                for key in network.state_dict()
            }
            network.load_state_dict(mean)
        except (KeyError, RuntimeError) as error:
            raise Exp2SimError(
                f"The runs {', '.join(path.parent.name for path in checkpoints)} have no mean.",
                reason="Their generators are not alike, or were not averaged (ema in [optimiser]).",
                fix="Name runs of the same [network] in start and mean_with.",
            ) from error


def _words(value: Any) -> str:
    return str(value)[:200]
