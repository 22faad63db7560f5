"""How far spectra are from their true counterparts, panel by panel; (n, Ei, E) of n mosaics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Singles = NDArray[np.float32]
WINDOW = 7
"""Bins of the window of `structural_similarity` along h and k."""


def panel_sums(result: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor) -> dict[str, Singles]:
    """Sums over the measured bins of each panel, and its structural similarity.

    ``made`` and ``truth`` (n, Ei, h, k, E), ``mask`` (Ei, h, k, E), True = not measured. Gives ``absolute``
    and ``square``, of the difference; ``flux``; ``true_flux``, ``true_absolute`` and ``true_square``;
    ``ssim`` (NaN in panels where nothing was measured).
    """
    keep = (~mask).to(result.dtype)
    result, truth = result * keep, truth * keep
    sums = {
        "absolute": (result - truth).abs(),
        "square": (result - truth).square(),
        "flux": result,
        "true_flux": truth,
        "true_absolute": truth.abs(),
        "true_square": truth.square(),
    }
    totals = {name: part.double().sum(dim=(2, 3)) for name, part in sums.items()}
    totals["ssim"] = structural_similarity(result, truth, mask).double()
    return {name: part.float().numpy() for name, part in totals.items()}


def structural_similarity(result: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean SSIM of each panel over the windows around measured bins, (n, Ei, E); masked bins count nowhere.

    Windows of 7 × 7 bins with equal weights, K = (0.01, 0.03); the dynamic range is the largest true
    intensity at that incident energy. Source: Wang et al., IEEE Trans. Image Process. 13 (2004) 600.

    >>> import torch
    >>> x = torch.rand(1, 2, 9, 9, 3)
    >>> structural_similarity(x, x, torch.zeros(2, 9, 9, 3).bool()).unique().tolist()
    [1.0]
    """
    import torch.nn.functional as F

    def mean(x: torch.Tensor) -> torch.Tensor:
        planes = x.permute(0, 1, 4, 2, 3).flatten(0, 2)[:, None]
        pooled = F.avg_pool2d(planes, WINDOW, stride=1, padding=WINDOW // 2)
        return pooled.reshape(*x.shape[:2], x.shape[4], *x.shape[2:4])

    keep = (~mask).to(result.dtype)[None]
    weight = mean(keep).clamp_min(1e-6)
    result, truth = result * keep, truth * keep
    ours, theirs = mean(result) / weight, mean(truth) / weight
    spread = [mean(x * y) / weight for x, y in ((result, result), (truth, truth), (result, truth))]
    variances = [spread[0] - ours**2, spread[1] - theirs**2]
    covariance = spread[2] - ours * theirs
    top = truth.amax(dim=(2, 3, 4)).clamp_min(1e-12)[:, :, None, None, None]
    luminance, contrast = (0.01 * top) ** 2, (0.03 * top) ** 2
    value = (2 * ours * theirs + luminance) * (2 * covariance + contrast)
    value = value / ((ours**2 + theirs**2 + luminance) * (variances[0] + variances[1] + contrast))
    inside = keep.permute(0, 1, 4, 2, 3)
    count = inside.sum(dim=(3, 4))
    return ((value * inside).sum(dim=(3, 4)) / count.clamp_min(1)).masked_fill(count == 0, float("nan"))


def relative(sums: Mapping[str, Singles], power: int) -> NDArray[np.float64]:
    """‖made − truth‖ / ‖truth‖ of whole mosaics in the 1- or 2-norm, (n,)."""
    names = {1: ("absolute", "true_absolute"), 2: ("square", "true_square")}[power]
    error, size = (sums[name].astype(float).sum(axis=(1, 2)) for name in names)
    return np.asarray((error / np.maximum(size, 1e-30)) ** (1 / power))


def per_panel(sums: Mapping[str, Singles], name: str) -> list[list[float | None]]:
    """``relative_l1``, ``relative_l2``, ``flux`` or ``ssim`` of each panel (Ei, E) over all mosaics.

    Of sums over the mosaics, since a single panel can be empty; None where all of them are.
    """
    if name == "ssim":
        finite = np.isfinite(sums["ssim"])
        some = np.asarray(finite.any(axis=0))
        values = np.where(finite, sums["ssim"], 0).sum(0) / np.maximum(finite.sum(0), 1)
        return [
            [float(v) if k else None for v, k in zip(*row, strict=True)]
            for row in zip(values, some, strict=True)
        ]
    above, below, power = {
        "relative_l1": ("absolute", "true_absolute", 1.0),
        "relative_l2": ("square", "true_square", 0.5),
        "flux": ("flux", "true_flux", 1.0),
    }[name]
    top, bottom = (sums[key].astype(float).sum(axis=0) for key in (above, below))
    floor = 1e-6 * float(sums[below].astype(float).sum(axis=0).max())
    return [
        [ratio(t, b, floor, power) for t, b in zip(*row, strict=True)]
        for row in zip(top, bottom, strict=True)
    ]


def ratio(top: Any, bottom: Any, floor: float, power: float = 1.0) -> float | None:
    """(top / bottom) ** power, None where the bottom is nothing."""
    return float(top / bottom) ** power if bottom > floor else None
