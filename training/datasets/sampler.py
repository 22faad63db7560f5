"""Drawing training samples from a data set.

A draw is a pure function of (seed, step), so a run that is resumed sees what it would have seen. The data
themselves are read by :mod:`mantid_exp2sim.training.datasets.dataset`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.simulation.noise import MeasurementNoise
from mantid_exp2sim.training.config import DataSettings, Symmetry
from mantid_exp2sim.training.datasets.augmentation import apply_symmetries, draw_symmetries
from mantid_exp2sim.training.datasets.conditions import ConditionedSamples
from mantid_exp2sim.training.datasets.dataset import (
    WHOLE,
    DataSet,
    Floats,
    Integers,
    Mask,
    Region,
    open_dataset,
)
from mantid_exp2sim.training.datasets.patches import find_patch

if TYPE_CHECKING:
    import torch

__all__ = [
    "Batches",
    "DataSet",
    "Domain",
    "Mixture",
    "Order",
    "Samples",
    "choose_scaling",
    "halves",
    "open_dataset",
]


def halves(labels: Integers, seed: int) -> tuple[Integers, Integers]:
    """Positions of two disjoint halves with the same share of each class, in a seeded random choice.

    >>> one, two = halves(np.array([0, 1, 0, 1]), seed=3)
    >>> sorted([*one.tolist(), *two.tolist()])
    [0, 1, 2, 3]
    """
    rng = np.random.default_rng([seed, _HALVES])
    parts: tuple[list[Integers], list[Integers]] = ([], [])
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        parts[0].append(members[: len(members) // 2])
        parts[1].append(members[len(members) // 2 :])
    return np.sort(np.concatenate(parts[0])), np.sort(np.concatenate(parts[1]))


PATCH_MEASURED = 0.5
"""Least measured share of a patch."""
_HALVES, _ORDER, _DRAW, _PATCH = 1, 2, 3, 4
"""Streams of random numbers that must not be the same."""


class Order:
    """Which items a step takes: a new permutation each epoch, a pure function of (seed, step).

    >>> order = Order(5, batch=2, seed=1, stream=0)
    >>> first = [int(i) for step in range(5) for i in order.at(step)]
    >>> sorted(first[:5]), first == [int(i) for step in range(5) for i in Order(5, 2, 1, 0).at(step)]
    ([0, 1, 2, 3, 4], True)
    """

    def __init__(self, items: int, batch: int, seed: int, stream: int) -> None:
        self.items, self.batch, self.seed, self.stream = items, batch, seed, stream
        self._epochs: dict[int, Integers] = {}

    def at(self, step: int) -> Integers:
        """Item numbers of a step, (batch,)."""
        return self.take(step * self.batch, self.batch)

    def take(self, first: int, count: int) -> Integers:
        """Item numbers of ``count`` places in the endless order, from ``first`` on."""
        places = range(first, first + count)
        return np.array([self._epoch(p // self.items)[p % self.items] for p in places], dtype=np.int64)

    def _epoch(self, epoch: int) -> Integers:
        if epoch not in self._epochs:
            rng = np.random.default_rng([self.seed, _ORDER, self.stream, epoch])
            self._epochs = {e: v for e, v in self._epochs.items() if e == epoch - 1}
            self._epochs[epoch] = rng.permutation(self.items).astype(np.int64)
        return self._epochs[epoch]


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """A batch of scaled volumes: ``x`` and ``mask`` (B, h, k, E), ``ei`` (B,) in meV, ``label`` (B,).

    ``x`` is 0 where ``mask`` is True, not measured; a label of −1 is not known. ``counterpart`` is the same
    sample of the other data kind, if asked for, and ``counterpart_mask`` is True where one of the two was not
    measured (None: the mask of ``x``).
    """

    x: torch.Tensor
    mask: torch.Tensor
    ei: torch.Tensor
    label: torch.Tensor
    counterpart: torch.Tensor | None = None
    counterpart_mask: torch.Tensor | None = None


class Batches(Protocol):
    """What a network is trained on."""

    scaling: Scaling

    def at(self, step: int) -> Samples:
        """The batch of a step."""
        ...


class Domain:
    """Training samples of one domain: items, order, patches, augmentation, noise and scaling.

    ``whole`` makes an item all volumes of a sample (x: (B, Ei, h, k, E)), else it is one volume or, with
    ``[data] patch``, a part of it (B, h, k, E). ``noisy`` adds noise and background; with ``background``
    that alone.
    """

    def __init__(
        self,
        dataset: DataSet,
        settings: DataSettings,
        *,
        kind: str,
        indices: Integers,
        scaling: Scaling,
        batch: int,
        seed: int,
        stream: int,
        noisy: bool = False,
        background: bool = False,
        other: str | None = None,
        whole: bool = False,
    ) -> None:
        self.dataset, self.settings, self.scaling = dataset, settings, scaling
        self.kind, self.other, self.indices, self.whole = kind, other, indices, whole
        if not len(indices):
            raise Exp2SimError(
                f"There is nothing to train on in {kind!r} of {dataset.folder}.",
                fix="Look at it with `exp2sim data inspect`; see limit in [data].",
            )
        self.noise = MeasurementNoise()
        if noisy or background:
            self.noise = settings.noise
            self.noise = self.noise if noisy else self.noise.background_alone
        self.conditions, self._source = None, dataset
        if noisy and settings.conditions is not None:
            self.conditions = ConditionedSamples(dataset, settings)
            self._source = self.conditions.source
        self.label = dataset.labels(indices, kind)
        self.energy = dataset.energies_of(kind, indices)
        self.patch = None if whole else settings.patch
        self.symmetries = allowed_symmetries(dataset, settings.augment)
        self.seed, self.stream = seed, stream
        self.per_mosaic = 1 if whole else dataset.description.shape[0]
        self.order = Order(len(indices) * self.per_mosaic, batch, seed, stream)
        self._indices = {kind: indices}
        if other is not None:
            self._indices[other] = dataset.counterparts(indices, kind)
        held = settings.memory and not dataset.in_memory
        self._held = {name: self._source.read(name, rows) for name, rows in self._indices.items() if held}
        apart = held and not dataset.shares_mask
        self._masks = {name: dataset.masks(name, rows) for name, rows in self._indices.items() if apart}

    def at(self, step: int) -> Samples:
        """The batch of a step."""
        return self.draw(step * self.order.batch, self.order.batch, step)

    def draw(self, first: int, count: int, step: int) -> Samples:
        """``count`` samples from place ``first`` of the order on, made with the random numbers of a step."""
        import torch

        items = self.order.take(first, count)
        places = self._places(items, step)
        mosaics = np.array([place[0] for place in places], dtype=np.int64)
        rng = np.random.default_rng([self.seed, _DRAW, self.stream, step])
        moves = draw_symmetries(rng, len(items), self.symmetries)
        factor = np.exp(self.settings.intensity_jitter * rng.standard_normal(len(items)))
        masks = {}
        volumes = {}
        for kind in self._indices:
            if kind == self.kind or not self.dataset.shares_mask:
                masks[kind] = apply_symmetries(np.stack([self._mask(kind, *p) for p in places]), moves)
            volumes[kind] = apply_symmetries(np.stack([self._take(kind, *p) for p in places]), moves)
            volumes[kind] *= factor.astype(np.float32).reshape(-1, *[1] * (volumes[kind].ndim - 1))
        energies = np.array([self.energy[m] if self.whole else self.energy[m, e] for m, e, _ in places])
        self._measure(rng, volumes, masks, energies)
        unknown = {kind: torch.from_numpy(mask) for kind, mask in masks.items()}
        scaled = {
            kind: self.scaling.forward(torch.from_numpy(v)).masked_fill_(
                unknown.get(kind, unknown[self.kind]), 0
            )
            for kind, v in volumes.items()
        }
        joint = self.other is not None and not self.dataset.shares_mask
        return Samples(
            x=scaled[self.kind],
            mask=unknown[self.kind],
            ei=torch.from_numpy(energies.astype(np.float32)),
            label=torch.from_numpy(self.label[mosaics]),
            counterpart=None if self.other is None else scaled[self.other],
            counterpart_mask=torch.stack(list(unknown.values())).any(0) if joint else None,
        )

    def _measure(
        self,
        rng: np.random.Generator,
        volumes: dict[str, Floats],
        masks: dict[str, Mask],
        energies: NDArray[Any],
    ) -> None:
        """Add what a measurement adds to the volumes of the own kind; conditions of the sample to both."""
        own, other = self.kind, self.other or self.kind
        if self.conditions is None:
            volumes[own] = self.noise.apply(rng, volumes[own])
            return
        measured, truth, mask = self.conditions.apply(rng, volumes[own], volumes[other], masks[own], energies)
        volumes[other] = truth
        volumes[own] = measured
        masks[own] = mask

    def _places(self, items: Integers, step: int) -> list[tuple[int, int, Region]]:
        """Position in ``indices``, energy and region of each sample."""
        places = [(int(i) // self.per_mosaic, int(i) % self.per_mosaic, WHOLE) for i in items]
        if self.patch is None:
            return places
        rng = np.random.default_rng([self.seed, _PATCH, self.stream, step])
        return [self._patch(rng, int(i)) for i in items]

    def _patch(self, rng: np.random.Generator, item: int) -> tuple[int, int, Region]:
        """A patch of an item or, where too little of that was measured, of the next one that will do."""
        assert self.patch is not None
        for number in range(self.order.items):
            mosaic, energy = divmod((item + number) % self.order.items, self.per_mosaic)
            shape = self.dataset.volume_shape(self.kind, int(self.indices[mosaic]))
            if any(p > n for p, n in zip(self.patch, shape, strict=True)):
                continue

            def mask(region: Region, at: tuple[int, int] = (mosaic, energy)) -> Mask:
                return self._mask(self.kind, *at, region)

            region = find_patch(rng, shape, self.patch, mask, PATCH_MEASURED)
            if region is not None:
                return mosaic, energy, region
        raise Exp2SimError(
            f"No patch of {list(self.patch)} bins in {self.kind!r} of {self.dataset.folder} is large enough "
            f"with {100 * PATCH_MEASURED:g} % of it measured.",
            fix="Set a smaller patch in [data].",
        )

    def _take(self, kind: str, mosaic: int, energy: int, region: Region) -> Floats:
        if kind in self._held:
            held: Floats = self._held[kind][mosaic]
            return held if self.whole else held[energy][region]
        index = int(self._indices[kind][mosaic])
        if self.whole:
            return np.stack([self._source.part(kind, index, e) for e in range(self.energy.shape[1])])
        return self._source.part(kind, index, energy, region)

    def _mask(self, kind: str, mosaic: int, energy: int, region: Region) -> Mask:
        if kind in self._masks:
            held: Mask = self._masks[kind][mosaic]
            return held if self.whole else held[energy][region]
        index = int(self._indices[kind][mosaic])
        if self.whole:
            return np.stack([self.dataset.mask_part(kind, index, e) for e in range(self.energy.shape[1])])
        return self.dataset.mask_part(kind, index, energy, region)


def allowed_symmetries(dataset: DataSet, names: Sequence[Symmetry]) -> tuple[Symmetry, ...]:
    """The symmetries that are asked for, without h ↔ k where the bins along h and k differ in width."""
    widths = {axis.kind: axis.width for axis in dataset.description.axes}
    same = abs(widths.get("h", 1.0) - widths.get("k", 1.0)) <= 1e-6 * widths.get("h", 1.0) or not widths
    return tuple(name for name in names if name != "swap" or same)


class Mixture:
    """Samples of one domain with a share of another's, which has no counterparts: a real measurement."""

    def __init__(self, domain: Domain, other: Domain, *, share: float) -> None:
        self.domain, self.other, self.share = domain, other, share
        self.scaling = domain.scaling
        self.batch = domain.order.batch

    def at(self, step: int) -> Samples:
        """The batch of a step: as many of the other's samples as makes their share right on the whole."""
        import torch

        before, after = (int(self.share * self.batch * s + 1e-9) for s in (step, step + 1))
        count = after - before
        parts = []
        if count < self.batch:
            parts.append(self.domain.draw(step * self.batch - before, self.batch - count, step))
        if count:
            parts.append(self._without_counterpart(self.other.draw(before, count, step)))
        joined = {
            name: torch.cat([getattr(part, name) for part in parts]) for name in ("x", "mask", "ei", "label")
        }
        if self.domain.other is None:
            return Samples(**joined)
        masks = [p.mask if p.counterpart_mask is None else p.counterpart_mask for p in parts]
        return Samples(
            **joined,
            counterpart=torch.cat([p.x if p.counterpart is None else p.counterpart for p in parts]),
            counterpart_mask=torch.cat(masks),
        )

    def _without_counterpart(self, samples: Samples) -> Samples:
        import torch

        return Samples(
            x=samples.x,
            mask=samples.mask,
            ei=samples.ei,
            label=samples.label,
            counterpart_mask=torch.ones_like(samples.mask),
        )


def choose_scaling(dataset: DataSet, *, kind: str, indices: Integers) -> Scaling:
    """Choose the scaling of a run by the mean over measured bins of up to 200 samples."""
    scale = mean_intensity(dataset, kind, indices)
    if not scale > 0:
        raise Exp2SimError(
            f"The mean intensity of {kind} in {dataset.folder} is {scale}, not positive.",
            reason="Network values are intensities in units of their mean.",
            fix="Look at the data with `exp2sim data inspect`.",
        )
    return Scaling(intensity_scale=scale)


MEAN_BYTES = 256 * 2**20
"""The mean intensity is taken from no more than so much."""


def mean_intensity(dataset: DataSet, kind: str, indices: Integers) -> float:
    """Mean over the measured bins of up to 200 samples; of fewer where they are large."""
    if not len(indices):
        raise Exp2SimError(
            f"There is no {kind!r} in the training split of {dataset.folder}.",
            fix="Look at the data set with `exp2sim data inspect`.",
        )
    some = indices[:: max(1, len(indices) // 200)]
    if dataset.shares_mask and dataset.sample_bytes() * len(some) <= MEAN_BYTES:
        return float(dataset.read(kind, some)[:, ~dataset.mask].mean(dtype=np.float64))
    most = max(1, MEAN_BYTES // max(dataset.sample_bytes(), 1))
    total, bins = 0.0, 0
    for index in some[:: -(-len(some) // most)]:
        for energy in range(dataset.description.shape[0]):
            for region in _slabs(dataset.volume_shape(kind, int(index))):
                total += float(dataset.part(kind, int(index), energy, region).sum(dtype=np.float64))
                bins += int(np.sum(~dataset.mask_part(kind, int(index), energy, region)))
    return total / max(bins, 1)


def _slabs(shape: tuple[int, int, int], bins: int = 2**22) -> Iterator[Region]:
    """A volume in slabs of about so many bins."""
    step = max(1, bins // (shape[1] * shape[2]))
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0])), slice(None), slice(None)
