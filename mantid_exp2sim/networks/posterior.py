"""Posteriors of exchange constants from a picture of the spectrum: mixtures of Gaussians, at once.

The constants z are such that their prior is a standard normal distribution. Source of the idea: Bishop,
"Mixture density networks", Aston University NCRG/94/004 (1994).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mantid_exp2sim.networks.blocks import check_input
from mantid_exp2sim.networks.duq import Features, stack_panels
from mantid_exp2sim.networks.settings import PosteriorSettings

BRIGHTEST = 30.0
"""Intensities beyond so many times the mean of their volume are cut off."""


def normalised(volumes: Tensor, mask: Tensor) -> Tensor:
    """Intensities in any unit as the network takes them: asinh of those over the mean size of each volume.

    ``volumes`` (B, N, h, k, E); ``mask`` the same shape, True = not measured.

    >>> x = torch.rand(2, 6, 4, 4, 10)
    >>> mask = torch.zeros(2, 6, 4, 4, 10, dtype=torch.bool)
    >>> bool(torch.allclose(normalised(x, mask), normalised(5 * x, mask)))
    True
    """
    known = (~mask).to(volumes.dtype)
    total = (volumes.abs() * known).sum((2, 3, 4), keepdim=True)
    mean = total / known.sum((2, 3, 4), keepdim=True).clamp_min(1)
    scaled = (volumes / mean.clamp_min(1e-30)).clamp(-BRIGHTEST, BRIGHTEST)
    return torch.asinh(scaled) * known


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Mixtures of Gaussians, one for each sample.

    ``log_weight`` (B, K); ``mean`` (B, K, p); ``root`` (B, K, p, p), lower triangles R of positive diagonal:
    the precision of a component is RᵀR.
    """

    log_weight: Tensor
    mean: Tensor
    root: Tensor

    def log_density(self, z: Tensor) -> Tensor:
        """Compute ln p(z) of points (B, p): (B,).

        >>> one = torch.ones(1, 1)
        >>> standard = Mixture(0 * one, torch.zeros(1, 1, 2), torch.eye(2)[None, None])
        >>> round(float(standard.log_density(torch.tensor([[1.0, 0.0]]))), 4)
        -2.3379
        """
        white = torch.einsum("bkij,bkj->bki", self.root, z[:, None] - self.mean)
        size = self.root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        constant = 0.5 * z.shape[-1] * np.log(2 * np.pi)
        each = self.log_weight + size - 0.5 * white.square().sum(-1) - constant
        density: Tensor = torch.logsumexp(each, -1)
        return density

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw ``count`` points of each mixture, (B, count, p)."""
        number = torch.multinomial(self.log_weight.exp(), count, replacement=True, generator=generator)
        rows = torch.arange(len(number))[:, None]
        noise = torch.randn(*number.shape, self.mean.shape[-1], 1, generator=generator)
        step: Tensor = torch.linalg.solve_triangular(self.root[rows, number], noise, upper=False)
        return self.mean[rows, number] + step[..., 0]


class _Head(nn.Module):
    """Features (B, F) to a mixture of K Gaussians of p constants."""

    def __init__(self, features: int, constants: int, components: int) -> None:
        super().__init__()
        self.constants, self.components = constants, components
        corner = constants * (constants + 1) // 2
        self.body = nn.Sequential(nn.Linear(features, features), nn.LeakyReLU(0.1))
        self.out = nn.Linear(features, components * (1 + constants + corner))
        self.start = nn.Parameter(torch.randn(components, constants))

    def forward(self, features: Tensor) -> Mixture:
        p, out = self.constants, self.out(self.body(features)).unflatten(1, (self.components, -1))
        mean = out[..., 1 : 1 + p] + self.start
        root = out.new_zeros(*out.shape[:2], p, p)
        rows, columns = torch.tril_indices(p, p, device=out.device)
        root[..., rows, columns] = out[..., 1 + p :]
        diagonal = nn.functional.softplus(root.diagonal(dim1=-2, dim2=-1) + 1) + 0.05
        return Mixture(out[..., 0].log_softmax(-1), mean, root.tril(-1) + torch.diag_embed(diagonal))


class PosteriorNetwork(nn.Module):
    """Posteriors of the constants of each model of a picture, all from the same features.

    >>> net = PosteriorNetwork(PosteriorSettings(panels=10, constants=(2, 6), width=8)).eval()
    >>> x = torch.zeros(3, 1, 12, 12, 10)
    >>> [mixture.mean.shape[-1] for mixture in net(x, torch.zeros_like(x, dtype=torch.bool))]
    [2, 6]
    """

    def __init__(self, settings: PosteriorSettings) -> None:
        super().__init__()
        self.settings = settings
        self.features = Features(settings)
        sizes = settings.constants
        self.heads = nn.ModuleList(_Head(settings.features, p, settings.components) for p in sizes)

    def forward(self, volumes: Tensor, mask: Tensor) -> list[Mixture]:
        """Volumes (B, N, h, k, E) in any unit of intensity, and their mask, to a mixture for each model."""
        x = stack_panels(normalised(volumes, mask), mask)
        check_input(x, 2, self.settings.in_channels)
        features = self.features(x)
        return [head(features) for head in self.heads]
