"""What error of a translation the features foretell: fitted on held-out pairs, per incident energy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.domain.likeness import CLIP, ErrorFit, Reference
from mantid_exp2sim.training.calibration.spectra import DIRECTIONS, Settings, as_in_training, kind_of
from mantid_exp2sim.training.datasets.volumes import Volumes

if TYPE_CHECKING:
    from mantid_exp2sim.domain.features import Role
    from mantid_exp2sim.model.bundle import Bundle
    from mantid_exp2sim.training.calibration.cuts import Cuts
    from mantid_exp2sim.training.datasets.dataset import DataSet

Floats: TypeAlias = NDArray[np.float64]

ERROR_RANK = 16
"""Leading directions of the feature moments that foretell an error."""
SHRINK = 1 / 3
"""Ridge penalty per spectrum, on features of unit variance."""


def draw_pairs(
    model: Bundle, data: DataSet, direction: Role, split: str, settings: Settings, rng: np.random.Generator
) -> tuple[Volumes, Volumes] | None:
    """Spectra of a direction (with noise, as they are) and their counterparts, or None without pairs."""
    if not data.shares_mask:
        return None
    kinds = [kind_of(model.card, d) for d in (direction, DIRECTIONS[1 - DIRECTIONS.index(direction)])]
    chosen = np.sort(rng.permutation(data.split(split))[: settings.paired])
    source, truth = (data.volumes(kind, chosen) for kind in kinds)
    plain = replace(settings, intensity_jitter=0.0, augment=())
    return as_in_training(source, plain, rng, noisy=direction == "deconvolve"), truth


def squared_errors(
    model: Bundle, direction: Role, spectra: Volumes, truth: Volumes, *, cuts: Cuts | None = None
) -> tuple[Floats, Floats]:
    """Σ (translated − truth)² and Σ truth² over the known bins of each volume, or cut: (n, G) both."""
    import torch

    from mantid_exp2sim.training.trainers.validation import translate_volumes

    network: Any = model.network(direction)
    mask, energies = torch.from_numpy(spectra.mask[0].copy()), torch.from_numpy(spectra.energies[0].copy())
    parts = []
    with torch.inference_mode():
        for x in torch.split(torch.from_numpy(np.ascontiguousarray(spectra.values)), 8):
            scaled = model.card.scaling.forward(x)
            made = translate_volumes(network, scaled, mask, energies, model.card.layout)
            parts.append(model.card.scaling.inverse(made).numpy())
    keep, inner = ~(spectra.mask | truth.mask), (2, 3, 4)
    found = (np.concatenate(parts) - truth.values) ** 2 * keep, truth.values**2 * keep
    wrong, true = found if cuts is None else map(cuts.of, found)
    return wrong.sum(axis=inner, dtype=float), true.sum(axis=inner, dtype=float)


def fit_errors(reference: Reference, moments: Floats, wrong: Floats, true: Floats) -> ErrorFit:
    """Ridge regression of log(relative L2) of each volume on its features (n, G, D)."""
    reduced = ((moments - reference.center) / reference.scale) @ reference.basis[:, :ERROR_RANK]
    middle, width = reduced.mean(axis=0), reduced.std(axis=0) + 1e-9
    x = np.clip((reduced - middle) / width, -CLIP, CLIP)
    share = np.maximum(wrong, 1e-30) / np.maximum(true, 1e-30)
    y = 0.5 * np.log(np.clip(share, 1e-6, 1.0))  # where the truth is empty the relative error is no number
    level = y.mean(axis=0)
    penalty = SHRINK * len(x) * np.eye(x.shape[2])
    weight = np.linalg.solve(
        np.einsum("ngi,ngj->gij", x, x) + penalty, np.einsum("ngi,ng->gi", x, y - level)[..., None]
    )[..., 0]
    return np.stack([middle, width, weight], axis=1), level
