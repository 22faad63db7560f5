"""DUQ: a classifier that says how near an input is to each class, and can be far from all of them.

Source: van Amersfoort et al., "Uncertainty estimation using a single deep deterministic neural network",
ICML 2020.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mantid_exp2sim.networks.blocks import check_input
from mantid_exp2sim.networks.settings import ClassifierSettings, FeatureSettings


def stack_panels(x: Tensor, mask: Tensor) -> Tensor:
    """Classifier input from scaled volumes: every energy window of every Ei is a channel.

    ``x`` (B, N, h, k, E) float, scaled; ``mask`` the same shape (or without B), 1 or True = not measured, to
    (B, 2·N·E, h, k): intensities (0 where not measured), then masks. N is 6 for a mosaic, 1 for a volume.

    >>> stack_panels(torch.rand(2, 6, 40, 40, 10), torch.zeros(6, 40, 40, 10)).shape
    torch.Size([2, 120, 40, 40])
    """
    unknown = mask.to(x.dtype).expand_as(x)
    both = torch.stack([torch.where(unknown > 0.5, 0.0, x), unknown], 1)
    return both.permute(0, 1, 2, 5, 3, 4).flatten(1, 3)


def fold_panels(x: Tensor, symmetry: str) -> tuple[Tensor, Tensor]:
    """Average symmetric bins of an input (B, 2·panels, h, k) over those that were measured.

    ``symmetry`` as in :class:`mantid_exp2sim.networks.settings.ClassifierSettings`. Gives intensities and
    measured shares, both (B, panels, h', k'): half of h is left by ``inversion``, of k too by ``mirrors``.

    >>> x = torch.tensor([[1.0, 3.0], [0.0, 0.0]]).reshape(1, 2, 2, 1)
    >>> [part.flatten().tolist() for part in fold_panels(x, "inversion")]
    [[2.0], [1.0]]
    """
    panels = x.shape[1] // 2
    measured = 1 - x[:, panels:]
    both = torch.stack([x[:, :panels] * measured, measured])
    steps: dict[str, list[tuple[int, ...]]] = {"none": [], "inversion": [(3, 4)], "mirrors": [(3,), (4,)]}
    for axes in steps[symmetry]:
        both = 0.5 * (both + both.flip(axes))
        both = both.narrow(axes[0], both.shape[axes[0]] // 2, -(-both.shape[axes[0]] // 2))
    return both[0] / both[1].clamp_min(1e-6), both[1]


class Features(nn.Module):
    """(B, 2P, h, k) of any h, k to (B, F): convolutions, then averages over the cells of a fixed grid."""

    def __init__(self, settings: FeatureSettings) -> None:
        super().__init__()
        width = settings.width
        self.fold, self.grid = settings.fold, settings.grid
        self.body = nn.Sequential(
            nn.Conv2d(settings.in_channels, width, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(width, 2 * width, 3, padding=1, stride=2),
            _norm(2 * width),
            nn.LeakyReLU(0.1),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1, stride=2),
            _norm(2 * width),
            nn.LeakyReLU(0.1),
            nn.Conv2d(2 * width, 4 * width, 3, padding=1),
            _norm(4 * width),
            nn.LeakyReLU(0.1),
        )
        self.dropout = nn.Dropout(settings.dropout)
        self.out = nn.Linear(4 * width * self.grid**2, settings.features)

    def forward(self, x: Tensor) -> Tensor:
        """Intensities and masks as `stack_panels` makes them to features."""
        intensity, measured = fold_panels(x, self.fold)
        both = torch.cat([intensity, measured], 1)
        hidden = self.body(both.contiguous(memory_format=torch.channels_last))
        cells = F.adaptive_avg_pool2d(hidden, self.grid)
        out: Tensor = F.leaky_relu(self.out(self.dropout(cells.flatten(1))), 0.1)
        return out


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(8 if channels % 8 == 0 else 1, channels)


class Duq(nn.Module):
    """Correlation of an input with each class: K_c = exp(−mean‖W_c f(x) − e_c‖² / 2σ²), in [0, 1].

    The centroids e_c = m_c / N_c are no parameters: :meth:`update_centroids` moves them, an exponential
    moving average with γ < 1 of the embeddings of each class's samples. σ (``length_scale``) is chosen on
    validation data and stored with the weights.

    >>> net = Duq(ClassifierSettings(panels=10, width=8)).eval()
    >>> net(torch.zeros(3, 20, 12, 17)).shape
    torch.Size([3, 2])
    """

    sums: Tensor
    counts: Tensor
    length_scale: Tensor

    def __init__(self, settings: ClassifierSettings) -> None:
        super().__init__()
        self.settings = settings
        classes, size = settings.classes, settings.centroid
        self.features = Features(settings)
        self.weight = nn.Parameter(torch.empty(classes, size, settings.features))
        nn.init.normal_(self.weight, std=settings.features**-0.5)
        start = torch.randn(classes, size, generator=torch.Generator().manual_seed(0), device="cpu")
        self.register_buffer("sums", start.to(self.weight.device) * 0.5)
        self.register_buffer("counts", torch.ones(classes))
        self.register_buffer("length_scale", torch.tensor(0.3))

    def embed(self, x: Tensor) -> Tensor:
        """W_c f(x) of an input (B, 2·panels, h, k), any h and k: (B, classes, size), float32."""
        check_input(x, 2, self.settings.in_channels)
        return torch.einsum("bf,cnf->bcn", self.features(x).float(), self.weight)

    def distances(self, embedded: Tensor) -> Tensor:
        """mean‖W_c f(x) − e_c‖² of embeddings (B, classes, size): (B, classes)."""
        return (embedded - self.sums / self.counts[:, None]).square().mean(2)

    def correlations(self, embedded: Tensor) -> Tensor:
        """K_c of embeddings (B, classes, size): (B, classes) in [0, 1]."""
        return torch.exp(-self.distances(embedded) / (2 * self.length_scale**2))

    def forward(self, x: Tensor) -> Tensor:
        """Correlations (B, classes) of an input (B, 2·panels, h, k)."""
        return self.correlations(self.embed(x))

    @torch.no_grad()
    def update_centroids(self, embedded: Tensor, labels: Tensor, momentum: float) -> None:
        """Move the centroids: m ← γm + (1 − γ)Σz, N ← γN + (1 − γ)n, per class.

        ``embedded`` (B, classes, size); ``labels`` (B,) integers, −1 = of no class; ``momentum`` γ in [0, 1).
        """
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {momentum}: with 1 the centroids never move")
        members = F.one_hot(labels + 1, self.settings.classes + 1)[:, 1:].to(embedded.dtype)
        self.counts.mul_(momentum).add_((1 - momentum) * members.sum(0))
        total = torch.einsum("bc,bcn->cn", members, embedded)
        self.sums.mul_(momentum).add_((1 - momentum) * total)
