"""Losses of a DUQ classifier, with correlations K_c = exp(−d_c / 2σ²) of distances d to its centroids."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

NO_CLASS = -1
"""Label of inputs of no class."""


def class_entropy(distances: Tensor, label: Tensor, length_scale: Tensor) -> Tensor:
    """Compute the binary cross entropy of K, mean over samples and classes; label −1: no class.

    Computed from the distances d (n, classes), so that neither log K nor log(1 − K) loses its digits.

    >>> d = torch.tensor([[0.0, 50.0]])
    >>> float(class_entropy(d, torch.tensor([0]), torch.tensor(0.5))) < 1e-4
    True
    """
    exponent = distances / (2 * length_scale**2)
    truth = F.one_hot(label + 1, distances.shape[1] + 1)[:, 1:].to(distances.dtype)
    missed = torch.log(-torch.expm1(-exponent.clamp_min(1e-6)))
    return (truth * exponent - (1 - truth) * missed).mean()


def relative_entropy(distances: Tensor, label: Tensor, length_scale: Tensor) -> Tensor:
    """Compute the cross entropy of softmax(−d / 2σ²) of samples of a class: which centroid is nearest."""
    of_class = label >= 0
    exponents = -distances[of_class] / (2 * length_scale**2)
    return F.cross_entropy(exponents, label[of_class]) if bool(of_class.any()) else distances.sum() * 0


def gradient_penalty(total: Tensor, x: Tensor) -> Tensor:
    """Compute (‖∇ₓ ΣK‖ − 1)², mean over samples; ``total`` is ΣK summed over the batch ``x``."""
    (slope,) = torch.autograd.grad(total, x, create_graph=True)
    norms = (slope.float().flatten(1).square().sum(1) + 1e-12).sqrt()
    return (norms - 1).square().mean()
