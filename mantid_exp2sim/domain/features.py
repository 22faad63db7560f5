"""Compute what a generator sees in a volume: the features of its layers, summed up and as single points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.inference.worker import short_waits
from mantid_exp2sim.networks.layout import Layout

if TYPE_CHECKING:
    import torch


MAX_CHANNELS = 32
"""Channels of a layer that are looked at, evenly spaced over all of them."""
BATCH_BINS = 65_536
"""At most so many bins go through the network at once (but always one sample)."""
LEVEL_FLOOR = 0.01
"""Added to the mean of scaled intensities before its logarithm: an empty volume has no level."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Of V volumes: ``moments`` float64 (V, D), ``points`` float64 (V, N, C) and ``levels`` float64 (V,).

    The moments are, for each layer, the mean, the standard deviation and the roughness (mean absolute
    difference of neighbours) of each channel over measured positions: its distribution over the volume, for
    which mean and standard deviation are what optimal transport between Gaussians compares. The points are
    the last layer's features at N measured positions. The levels are the logarithms of the mean (scaled)
    intensity of measured bins.
    """

    moments: Floats
    points: Floats
    levels: Floats

    def __getitem__(self, rows: Any) -> Features:
        """Select volumes."""
        return Features(self.moments[rows], self.points[rows], self.levels[rows])

    def reshape(self, *shape: int) -> Features:
        """Bring the first axis into another shape."""
        return Features(
            self.moments.reshape(*shape, *self.moments.shape[1:]),
            self.points.reshape(*shape, *self.points.shape[1:]),
            self.levels.reshape(shape),
        )


def encode(
    network: Any,
    layout: Layout,
    scaled: npt.NDArray[Any],
    mask: npt.NDArray[np.bool_],
    energies: npt.NDArray[Any],
    *,
    points: int,
    seed: int = 0,
) -> Features:
    """Compute the features of volumes (V, h, k, E) in network units with their masks and Ei (V,).

    The network takes what a translation gives it. Nothing is changed by values under the mask.
    ``points`` positions are drawn with ``seed``, from measured ones.
    """
    import torch

    features = []
    with short_waits(), torch.inference_mode():
        for values, hidden, energy in zip(scaled, mask, energies, strict=True):
            x = torch.from_numpy(np.where(hidden, 0.0, values).astype(np.float32))[None]
            gone = torch.from_numpy(np.array(hidden)).float()[None]
            stacked = layout.stack(x, gone, torch.tensor([float(energy)]))
            features.append(_encode_volume(network, stacked, layout.channels, points, seed))
    moments, clouds = (np.stack(part) for part in zip(*features, strict=True))
    return Features(moments, clouds, _levels(scaled, mask))


def _levels(scaled: npt.NDArray[Any], mask: npt.NDArray[np.bool_]) -> Floats:
    inner = tuple(range(1, mask.ndim))
    total = np.where(mask, 0.0, scaled).sum(axis=inner, dtype=np.float64)
    return np.asarray(np.log(np.maximum(total / np.maximum((~mask).sum(axis=inner), 1), 0) + LEVEL_FLOOR))


def _encode_volume(
    network: Any, stacked: torch.Tensor, channels: int, count: int, seed: int
) -> tuple[Floats, Floats]:
    import torch

    bins = int(np.prod(stacked.shape[2:]))
    sums: list[Any] = []
    clouds, weights = [], []
    for part in torch.split(stacked, max(1, BATCH_BINS // bins)):
        gate = (1 - part[:, channels : 2 * channels]).amax(1, keepdim=True)
        layers = [_thin(layer) for layer in network.forward_features(part)[1]]
        more = [_sums(layer, _resized(gate, layer)) for layer in layers]
        sums = more if not sums else [a + b for a, b in zip(sums, more, strict=True)]
        clouds.append(layers[-1].flatten(2).transpose(1, 2).reshape(-1, layers[-1].shape[1]))
        weights.append(_resized(gate, layers[-1]).flatten())
    measured = np.flatnonzero(torch.cat(weights).numpy() > 0)
    if measured.size == 0:
        measured = np.arange(sum(len(w) for w in weights))
    rng = np.random.default_rng([seed, count])
    rows = rng.choice(measured, count, replace=measured.size < count)
    return np.concatenate([_moments(s.numpy()) for s in sums]), torch.cat(clouds)[rows].double().numpy()


def _thin(layer: torch.Tensor) -> torch.Tensor:
    rows = np.unique(np.linspace(0, layer.shape[1] - 1, min(layer.shape[1], MAX_CHANNELS)).round())
    return layer if rows.size == layer.shape[1] else layer[:, rows.astype(int).tolist()]


def _resized(gate: torch.Tensor, layer: torch.Tensor) -> torch.Tensor:
    import torch

    if gate.shape[2:] == layer.shape[2:]:
        return gate
    return torch.nn.functional.interpolate(gate, size=layer.shape[2:], mode="nearest")


def _sums(layer: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
    """Sum up a layer: Σw, Σwf, Σwf², Σ pairs, Σ|difference| of pairs, with a column for each channel."""
    import torch

    def total(values: torch.Tensor) -> torch.Tensor:
        return values.sum(dim=(0, *range(2, layer.ndim)), dtype=torch.float64)

    weighted = layer * gate
    pairs = torch.zeros((), dtype=torch.float64)
    rough = torch.zeros(layer.shape[1], dtype=torch.float64)
    for axis in range(2, layer.ndim):
        if layer.shape[axis] > 1:
            both = gate.narrow(axis, 1, gate.shape[axis] - 1) * gate.narrow(axis, 0, gate.shape[axis] - 1)
            pairs = pairs + both.sum(dtype=torch.float64)
            rough += total(layer.diff(dim=axis).abs() * both)
    rows = [total(gate).expand_as(rough), total(weighted), total(weighted * layer)]
    return torch.stack([*rows, pairs.expand_as(rough), rough])


def _moments(sums: Floats) -> Floats:
    weight, first, second, pairs, rough = sums
    mean = first / np.maximum(weight, 1)
    deviation = np.sqrt(np.maximum(second / np.maximum(weight, 1) - mean**2, 0))
    # like the intensity scaling: linear for weak, logarithmic for strong features
    return np.asarray(np.arcsinh(10 * np.concatenate([mean, deviation, rough / np.maximum(pairs, 1)])))
