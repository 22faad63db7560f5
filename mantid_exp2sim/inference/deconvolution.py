"""Richardson–Lucy deconvolution with the known resolution: the classical baseline.

x ← x · Rᵀ(w y / R x) / Rᵀw, for positive data y with w = 1 where measured (Richardson, JOSA 62 (1972) 55;
Lucy, Astron. J. 79 (1974) 745). Stopped early it is regularised; the number of iterations is chosen on
validation mosaics by `choose_iterations`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mantid_exp2sim.simulation.resolution_operator import Resolution, ResolutionOperator

MAX_ITERATIONS = 12
BATCH = 24
"""Volumes at a time."""


@torch.inference_mode()
def richardson_lucy(
    operator: ResolutionOperator,
    y: Tensor,
    incident_energy: Tensor,
    mask: Tensor,
    *,
    iterations: int,
    variance: Tensor | None = None,
    visit: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Deconvolve volumes (B, h, k, E) in physical units; 0 where ``mask`` is True (not measured).

    Negative data count as 0. ``variance``, of the shape of ``y``, moves the start from the data to their
    local mean where they are mostly noise. ``visit`` is called with every iterate, from 0, the start.
    """
    keep = (~mask.expand_as(y)).float()
    resolution = operator.at(incident_energy, mask)
    data = y.float().clamp_min(0) * keep
    floor = 1e-6 * data.flatten(1).mean(1)[:, None, None, None] + 1e-30
    reach = resolution.adjoint(keep).clamp_min(1e-3)
    x = torch.maximum(start(resolution, data, variance), floor) * keep
    if visit is not None:
        visit(0, x)
    for number in range(iterations):
        blurred = torch.maximum(resolution.blur(x), floor)
        x = x * (resolution.adjoint(data / blurred) / reach).clamp_min(0)
        if visit is not None:
            visit(number + 1, x)
    return x


def start(resolution: Resolution, y: Tensor, variance: Tensor | None) -> Tensor:
    """Between the data and their local mean m = R y: m + (y − m) · m² / (m² + variance)."""
    if variance is None:
        return y
    mean = resolution.blur(y)
    power = mean.square()
    return mean + (y - mean) * torch.where(power > 0, power / (power + variance + 1e-30), 1.0)


def deconvolve_mosaics(
    operator: ResolutionOperator,
    y: Tensor,
    energies: Tensor,
    mask: Tensor,
    *,
    iterations: int,
    noise: float = 0.0,
) -> Tensor:
    """`richardson_lucy` of mosaics (n, Ei, h, k, E); ``mask`` (Ei, h, k, E), ``energies`` (Ei,) in meV.

    ``noise`` is the variance of the data over their intensity.
    """
    volumes, masks, levels = y.flatten(0, 1), mask.repeat(len(y), 1, 1, 1), energies.repeat(len(y))
    volumes_deconvolved = []
    for first in range(0, len(volumes), BATCH):
        part = slice(first, first + BATCH)
        variance = noise * volumes[part].clamp_min(0) if noise > 0 else None
        volumes_deconvolved.append(
            richardson_lucy(
                operator, volumes[part], levels[part], masks[part], iterations=iterations, variance=variance
            )
        )
    return torch.cat(volumes_deconvolved).reshape(y.shape)


def choose_iterations(
    operator: ResolutionOperator,
    y: Tensor,
    truth: Tensor,
    energies: Tensor,
    mask: Tensor,
    *,
    noise: float = 0.0,
    most: int = MAX_ITERATIONS,
) -> tuple[int, float]:
    """The number of iterations with the least mean relative L2 to the truth, and that error.

    For validation mosaics; arguments as in `deconvolve_mosaics`, ``truth`` of the shape of ``y``.
    """
    keep = ~mask
    errors = torch.zeros(most + 1, len(y))
    for number in range(len(y)):
        size = (truth[number] * keep).norm()

        def visit(iteration: int, x: Tensor, number: int = number, size: Tensor = size) -> None:
            errors[iteration, number] = ((x - truth[number]) * keep).norm() / size

        variance = noise * y[number].clamp_min(0) if noise > 0 else None
        richardson_lucy(operator, y[number], energies, mask, iterations=most, variance=variance, visit=visit)
    means = errors.mean(1)
    return int(means.argmin()), float(means.min())
