"""What the classifiers of a model answer to inputs of no class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mantid_exp2sim.model.bundle import Bundle
from mantid_exp2sim.training.datasets.spectra import Spectra
from mantid_exp2sim.training.trainers.scores import correlations

if TYPE_CHECKING:
    import torch

NULL_DRAWS = 16
"""Of each kind of input of no class; the largest answer counts."""


def null_inputs(x: torch.Tensor, mask: torch.Tensor, level: float, seed: int) -> dict[str, torch.Tensor]:
    """Inputs of no class, of the shape of ``x`` (n, Ei, h, k, E), in physical units.

    Empty; constant at levels from a fifth to five times the mean; noise; the bins of a mosaic in another
    order; and whole panels in another order.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    count = len(x)
    levels = level * torch.logspace(-0.7, 0.7, count)[:, None, None, None, None]
    bins = torch.stack([part[torch.randperm(len(part), generator=generator)] for part in x.flatten(1)])
    panels = x.permute(0, 1, 4, 2, 3).flatten(1, 2)
    mixed = torch.stack([sample[torch.randperm(len(sample), generator=generator)] for sample in panels])
    mixed = mixed.reshape(count, x.shape[1], x.shape[4], *x.shape[2:4]).permute(0, 1, 3, 4, 2)
    inputs = {
        "empty": torch.zeros_like(x),
        "constant": levels.expand(x.shape),
        "noise": torch.randn(x.shape, generator=generator) * level,
        "shuffled": bins.reshape(x.shape),
        "shuffled panels": mixed,
    }
    return {name: torch.where(mask, 0.0, values) for name, values in inputs.items()}


def null_response(model: Bundle, spectra: Spectra, seed: int = 0) -> dict[str, dict[str, dict[str, float]]]:
    """The largest correlation with every class of inputs that belong to none, for each classifier."""
    import torch

    response: dict[str, dict[str, dict[str, float]]] = {}
    target = torch.cat([batch.target for batch in spectra.batches(NULL_DRAWS)])
    level = float(target[:, ~spectra.mask].mean())
    for domain in model.card.classifiers:
        response[domain] = {}
        for name, x in null_inputs(target, spectra.mask, level, seed).items():
            values = correlations(model, domain, x, spectra.mask).max(axis=0)
            response[domain][name] = dict(zip(model.card.classes, values.tolist(), strict=True))
    return response
