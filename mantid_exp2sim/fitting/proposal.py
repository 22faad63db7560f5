"""Draws of a trained posterior, as starts of a fit, where one was trained for the model and such data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.special import ndtr

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.fitting.data import UNMEASURED, Part
from mantid_exp2sim.fitting.model import FitModel
from mantid_exp2sim.fitting.options import FitOptions
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.model.posterior import (
    PosteriorCard,
    TrainedPosterior,
    load_posterior,
    read_posterior_card,
)
from mantid_exp2sim.model.registry import CARD_FILE

TOLERANCE = 0.02
"""Allowed deviation of an edge from those of the training, in bins."""
DRAWS = 2000
"""Draws that mean and spread are taken from."""


def shipped_posteriors() -> tuple[Path, ...]:
    """List the folders of the posteriors that come with the package."""
    return tuple(
        sorted(path.parent for path in (Path(__file__).parent / "posteriors").glob(f"*/{CARD_FILE}"))
    )


@lru_cache(maxsize=4)
def _load(folder: Path) -> TrainedPosterior:
    return load_posterior(folder)


def propose(model: FitModel, parts: Sequence[Part], options: FitOptions) -> Floats | None:
    """Draw the free constants of a model from the posterior of the data, (n, p); None where there is none.

    The nuisances among the parameters are at their start. Draws outside the bounds are left out.

    Raises `Exp2SimError` where a posterior that ``options`` name is not one of the model and such data.
    """
    if options.posterior == "none":
        return None
    folders = shipped_posteriors() if options.posterior == "auto" else (Path(options.posterior),)
    for folder in folders:
        card = read_posterior_card(folder)
        why = _unfit(card, model, parts)
        if not why:
            return _draws(_load(folder), model, parts, options.seed)
        if options.posterior != "auto":
            raise Exp2SimError(
                f"The posterior {card.name!r} is not one of {model.name} and these data.",
                reason=f"{why}.",
                fix='Leave it out: "auto" takes one where it fits.',
            )
    return None


def _unfit(card: PosteriorCard, model: FitModel, parts: Sequence[Part]) -> str:
    """Say why a posterior is none of a model and data; empty where it is one."""
    ranges = card.models.get(model.name)
    if ranges is None or tuple(ranges) != model.constants:
        return f"It knows {', '.join(card.models)}"
    for parameter in model.free:
        low, high = ranges.get(parameter.name, parameter.bounds)
        if parameter.bounds[0] < low or parameter.bounds[1] > high:
            return f"{parameter.name} was between {low:g} and {high:g} meV in its training"
    if tuple(part.binning.incident_energy for part in parts) != card.incident_energies:
        return f"It takes the incident energies {card.incident_energies} meV, in this order"
    if not all(_same_bins(card, part) for part in parts):
        return "The bins are others than in its training"
    settings = (part.instrument.scaled(1 / part.instrument.width_scale).settings() for part in parts)
    if not all(one == card.instrument for one in settings):
        return "The instrument or its setting is another than in its training"
    return ""


def _same_bins(card: PosteriorCard, part: Part) -> bool:
    energy = part.binning.incident_energy
    edges = (part.binning.h_edges, part.binning.k_edges, part.binning.energy_edges / energy)
    trained = (card.edges["h"], card.edges["k"], card.edges["energy_fraction"])
    return part.binning.third is None and all(
        len(ours) == len(theirs) and np.allclose(ours, theirs, rtol=0, atol=TOLERANCE * np.diff(ours).min())
        for ours, theirs in zip(edges, trained, strict=True)
    )


def _draws(trained: TrainedPosterior, model: FitModel, parts: Sequence[Part], seed: int) -> Floats:
    import torch

    intensity = torch.from_numpy(np.stack([part.intensity for part in parts])).float()[None]
    mask = torch.from_numpy(np.stack([part.reason == UNMEASURED for part in parts]))[None]
    mixture = trained.network(intensity, mask)[list(trained.card.models).index(model.name)]
    z = mixture.draw(DRAWS, torch.Generator().manual_seed(seed))[0].double().numpy()
    ranges = trained.card.models[model.name]
    low, high = np.array(list(ranges.values())).T
    values = dict(zip(ranges, (low + (high - low) * ndtr(z)).T, strict=True))
    draws = np.column_stack(
        [values.get(parameter.name, np.full(DRAWS, parameter.start)) for parameter in model.free]
    )
    inside = (draws >= model.bounds[:, 0]) & (draws <= model.bounds[:, 1])
    return np.asarray(draws[inside.all(axis=1)])
