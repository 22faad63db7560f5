"""What is measured on the validation split. Volumes are tensors (n, Ei, h, k, E), masks True = unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def relative_l2(x: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor, *, pooled: bool = False) -> float:
    """Mean over mosaics of ‖x − truth‖ / ‖truth‖, over all measured bins of a mosaic together.

    One number per mosaic, since a single volume can be nearly empty and its ratio then means nothing; where
    a whole sample is, its truth counts as a hundredth of the mean one. Of patches many are nearly empty:
    ``pooled`` gives one ratio of all samples together, ‖·‖ over every measured bin.
    ``x`` and ``truth`` (n, Ei, h, k, E) in physical units, ``mask`` (Ei, h, k, E).

    >>> import torch
    >>> truth = torch.ones(2, 1, 2, 2, 1)
    >>> relative_l2(1.5 * truth, truth, torch.zeros(1, 2, 2, 1).bool())
    0.5
    """
    keep = (~mask).to(x.dtype)
    error, size = ((part * keep).flatten(1).norm(dim=1) for part in (x - truth, truth))
    if pooled:
        return float(error.norm() / size.norm().clamp_min(1e-30))
    return float((error / size.clamp_min(0.01 * float(size.mean()) + 1e-30)).mean())


def flux_ratio(x: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor) -> float:
    """Total measured intensity over the true one."""
    keep = (~mask).to(x.dtype)
    return float((x * keep).sum() / (truth * keep).sum().clamp_min(1e-30))


def sliced_distance(
    x: torch.Tensor,
    mask: torch.Tensor,
    reference: torch.Tensor,
    mask_reference: torch.Tensor,
    *,
    patch: int = 5,
    windows: int = 3,
    count: int = 8000,
    directions: int = 96,
    seed: int = 0,
) -> float:
    """Sliced Wasserstein-1 distance between the patches of two unpaired sets, 0 = the same distribution.

    Both are (n, Ei, h, k, E) of scaled intensities, with masks of the same shape, True = unknown; the sets
    may differ in size. Patches are ``patch`` × ``patch`` bins of ``windows`` neighbouring energies, drawn at
    random until ``count`` wholly measured ones are found in each set, each once where there are no more, and
    smaller where there are none. They are projected on random directions and compared sorted, in units of
    the reference's standard deviation along the direction.

    >>> import torch
    >>> x = torch.rand(4, 1, 8, 8, 4)
    >>> sliced_distance(x, x > 2, x, x > 2, count=50)
    0.0
    """
    import torch

    bounds = [min(a, b) for a, b in zip(x.shape[2:], reference.shape[2:], strict=True)]
    patches: list[torch.Tensor] = []
    while True:
        size = [min(n, p) for n, p in zip(bounds, (patch, patch, windows), strict=True)]
        patches = [
            _draw_patches(volumes, unknown, size, count, seed)
            for volumes, unknown in ((x, mask), (reference, mask_reference))
        ]
        least = min(len(part) for part in patches)
        enough = min(50, count, *(_places(volumes, size) // 4 for volumes in (x, reference)))
        if least >= max(1, enough) or patch == windows == 1:
            break
        patch, windows = max(1, patch - 2), max(1, windows - 1)
    rng = np.random.default_rng([seed, 1])
    vectors = torch.from_numpy(rng.standard_normal((int(np.prod(size)), directions)).astype(np.float32))
    vectors = vectors / vectors.norm(dim=0)
    projected = [(part[:least] @ vectors).sort(dim=0).values for part in patches]
    deviation = projected[1].std(dim=0).clamp_min(1e-12)
    return float(((projected[0] - projected[1]).abs().mean(dim=0) / deviation).mean())


def _room(x: torch.Tensor, size: list[int]) -> list[int]:
    """Places of patches of a size: samples, incident energies and corners along h, k and E."""
    return [*x.shape[:2], *(n - s + 1 for n, s in zip(x.shape[2:], size, strict=True))]


def _places(x: torch.Tensor, size: list[int]) -> int:
    return int(np.prod(_room(x, size)))


def _draw_patches(
    x: torch.Tensor, mask: torch.Tensor, size: list[int], count: int, seed: int
) -> torch.Tensor:
    """Up to ``count`` wholly measured patches of a set, (n, bins), in random places."""
    import torch

    rng, room = np.random.default_rng(seed), _room(x, size)
    if _places(x, size) > count:
        places = [rng.integers(0, r, 8 * count) for r in room]
    else:
        places = list(np.unravel_index(rng.permutation(_places(x, size)), room))
    corners = torch.from_numpy(np.stack(places, axis=1))
    rows = [corners[:, i, None, None, None] for i in range(2)]
    for axis, length in enumerate(size):
        shape = [1, 1, 1, 1]
        shape[axis + 1] = length
        rows.append(corners[:, axis + 2, None, None, None] + torch.arange(length).reshape(shape))
    good = ~mask.expand_as(x)[tuple(rows)].flatten(1).any(1)
    wholly = good.nonzero()[:count, 0]
    return x[tuple(row[wholly] if len(row) == len(good) else row for row in rows)].flatten(1).float()


def negative_log_likelihood(correlations: torch.Tensor, labels: torch.Tensor) -> float:
    """Mean −log of the true class's share of the correlations (n, classes)."""
    shares = (correlations + 1e-6) / (correlations + 1e-6).sum(1, keepdim=True)
    return float(-shares.gather(1, labels[:, None]).log().mean())


def accuracy(correlations: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of samples whose largest correlation (n, classes) is their own class's.

    >>> import torch
    >>> accuracy(torch.tensor([[0.9, 0.1], [0.2, 0.1]]), torch.tensor([0, 1]))
    0.5
    """
    return float((correlations.argmax(1) == labels).float().mean())
