"""How far spectra are from their true counterparts, panel by panel; (n, Ei, E) of n mosaics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Sums: TypeAlias = dict[str, NDArray[np.float32]]


def panel_sums(result: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor) -> Sums:
    """Sum over the measured bins of each panel: ``square`` of the difference, ``flux``, and the true ones.

    ``result`` and ``truth`` (n, Ei, h, k, E), ``mask`` (Ei, h, k, E), True = not measured.
    """
    keep = (~mask).to(result.dtype)
    result, truth = result * keep, truth * keep
    sums = {
        "square": (result - truth).square(),
        "flux": result,
        "true_flux": truth,
        "true_square": truth.square(),
    }
    return {name: part.double().sum(dim=(2, 3)).float().numpy() for name, part in sums.items()}


def relative(sums: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    """‖result − truth‖ / ‖truth‖ of whole mosaics, (n,)."""
    error, size = (sums[name].astype(float).sum(axis=(1, 2)) for name in ("square", "true_square"))
    return np.asarray(np.sqrt(error / np.maximum(size, 1e-30)))


def per_panel(sums: Mapping[str, NDArray[np.float32]], name: str) -> list[list[float | None]]:
    """``relative_l2`` or ``flux`` of each panel (Ei, E) over all mosaics.

    Of sums over the mosaics, since a single panel can be empty; None where all of them are.
    """
    above, below, power = {
        "relative_l2": ("square", "true_square", 0.5),
        "flux": ("flux", "true_flux", 1.0),
    }[name]
    top, bottom = (sums[key].astype(float).sum(axis=0) for key in (above, below))
    floor = 1e-6 * float(bottom.max())
    return [
        [float(t / b) ** power if b > floor else None for t, b in zip(*row, strict=True)]
        for row in zip(top, bottom, strict=True)
    ]
