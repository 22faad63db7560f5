"""Synthetic inputs that belong to no class, for a classifier that is to say so."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mantid_exp2sim.training.config import OutlierKind
from mantid_exp2sim.training.synthetic.magnets import Magnets

_LARGEST_BAND = 12.0
"""The energies of ``lattice`` are divided by 1 to this much: the classes have narrow bands as well."""
MAGNETS: tuple[OutlierKind, ...] = "magnet", "cell_magnet"
"""The kinds that need something that draws magnets."""
_ZOOMS: dict[OutlierKind, tuple[tuple[float, float], tuple[float, float]]] = {
    "lattice": ((0.45, 0.75), (1.35, 2.2)),
    "near_lattice": ((0.7, 0.85), (1.18, 1.4)),
}
"""By how much the panels of another lattice are zoomed: out or in."""


def make_outliers(
    x: Tensor,
    draws: torch.Generator,
    kinds: Sequence[OutlierKind],
    *,
    levels: Tensor | None = None,
    magnets: Magnets | None = None,
) -> Tensor:
    """Inputs of no class made from real ones (B, 2·panels, h, k): same masks, other intensities.

    Each sample gets one of ``kinds`` at random; one that is named twice comes twice as often. ``levels``
    (panels,): the energy transfers of the panels in meV; without them ``lattice`` keeps the band. ``magnets``
    draws what `MAGNETS` ask for.

    >>> x = torch.rand(2, 4, 3, 3)
    >>> x[:, 2:] = 0
    >>> make_outliers(x, torch.Generator(), ["zeros"])[:, :2].abs().max().item()
    0.0
    """
    if len(x) == 0:
        return x
    panels = x.shape[1] // 2
    outliers = []
    for sample in x:
        kind = kinds[int(torch.randint(len(kinds), (), generator=draws)) if len(kinds) > 1 else 0]
        outliers.append(_one(sample[:panels], sample[panels:], kind, draws, levels, magnets))
    intensity = torch.where(x[:, panels:] > 0, 0.0, torch.stack(outliers))
    return torch.cat([intensity, x[:, panels:]], 1)


def _one(
    intensity: Tensor,
    mask: Tensor,
    kind: OutlierKind,
    draws: torch.Generator,
    levels: Tensor | None,
    magnets: Magnets | None,
) -> Tensor:
    """Other intensities (panels, h, k) of about the same size."""
    if kind in _ZOOMS:
        return _another_lattice(intensity, mask, draws, levels, kind)
    if kind in MAGNETS:
        return _magnet(intensity, mask, draws, magnets, own_cell=kind == "cell_magnet")
    level = intensity.abs().mean() * (4 * torch.rand((), generator=draws))
    if kind == "zeros":
        return torch.zeros_like(intensity)
    if kind == "constant":
        return torch.ones_like(intensity) * level
    if kind == "panels":
        return intensity[torch.randperm(len(intensity), generator=draws)]
    if kind == "bins":
        flat = intensity.flatten(1)
        return flat[:, torch.randperm(flat.shape[1], generator=draws)].reshape(intensity.shape)
    noise = torch.rand(intensity.shape, generator=draws).clamp_min(1e-6)
    if kind == "noise":
        return -level * noise.log()
    return torch.where(noise < 0.03, 30 * level, torch.zeros(()))


def _magnet(
    intensity: Tensor, mask: Tensor, draws: torch.Generator, magnets: Magnets | None, own_cell: bool
) -> Tensor:
    """Another magnet, of about the same mean intensity in physical units."""
    if magnets is None:
        raise ValueError("outliers that are magnets need something that draws magnets")
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=draws)))
    level = magnets.scaling.inverse(intensity)[mask == 0].clamp_min(0).mean().nan_to_num()
    panels = magnets.panels(rng, float(level), (intensity.shape[-2], intensity.shape[-1]), own_cell)
    return torch.from_numpy(panels).to(intensity.dtype)


def _another_lattice(
    intensity: Tensor, mask: Tensor, draws: torch.Generator, levels: Tensor | None, kind: OutlierKind
) -> Tensor:
    """Panels (n, h, k) looked at through another reciprocal lattice and, with ``levels``, another band.

    Zoomed about the centre as `_ZOOMS` says, in half of the draws turned by 45°, and in half
    moved by up to a quarter of the range, the same for all panels. What lies outside is mirrored at the
    edge, gaps are filled with the mean around them beforehand.
    """
    chance = torch.rand(6, generator=draws).tolist()
    low, high = _ZOOMS[kind][0 if chance[1] < 0.5 else 1]
    zoom = low * (high / low) ** chance[0]
    angle = math.pi / 4 if chance[2] < 0.5 else 0.0
    shift = [0.0, 0.0]
    if chance[3] < 0.5:
        shift = (torch.rand(2, generator=draws) - 0.5).tolist()
    turn, side = zoom * math.cos(angle), zoom * math.sin(angle)
    matrix = torch.tensor([[turn, -side, shift[0]], [side, turn, shift[1]]], dtype=intensity.dtype)
    grid = F.affine_grid(matrix[None], [1, 1, *intensity.shape[1:]], align_corners=False)
    panels = _filled(intensity, mask)
    if levels is not None:
        panels = _of_another_band(panels, levels, _LARGEST_BAND ** chance[4])
    zoomed: Tensor = F.grid_sample(panels[None], grid, padding_mode="reflection", align_corners=False)[0]
    return zoomed


def _filled(intensity: Tensor, mask: Tensor, size: int = 9) -> Tensor:
    """Panels (n, h, k) with the gaps filled: the mean of the bins around; where there are none, of the panel.

    >>> x = torch.ones(1, 4, 4)
    >>> x[0, 1, 1] = 0
    >>> float(_filled(x, (x == 0).float())[0, 1, 1])
    1.0
    """
    keep = 1 - mask
    near, weight = (
        F.avg_pool2d(part[:, None], size, 1, size // 2)[:, 0] for part in (intensity * keep, keep)
    )
    mean = (intensity * keep).sum((1, 2)) / keep.sum((1, 2)).clamp_min(1)
    around = torch.where(weight > 0, near / weight.clamp_min(1e-9), mean[:, None, None])
    return torch.where(mask > 0, around, intensity)


def _of_another_band(panels: Tensor, levels: Tensor, factor: float) -> Tensor:
    """Each panel (n, h, k) becomes the one of ``factor`` times its energy, empty above the largest energy.

    >>> levels = torch.tensor([1.0, 2.0, 4.0])
    >>> _of_another_band(torch.tensor([10.0, 20.0, 40.0])[:, None, None], levels, 2.0).flatten().tolist()
    [20.0, 40.0, 0.0]
    """
    energies = levels * factor
    nearest = (energies[:, None] - levels).abs().argmin(1)
    inside = (energies <= levels.max() * (1 + 1e-6))[:, None, None]
    return torch.where(inside, panels[nearest], torch.zeros(()))
