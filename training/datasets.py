"""Reading a data set, and drawing training samples from it.

A data set is a folder: ``dataset.json``, ``mask.npy`` (True = not measured) and shards of mosaics in HDF5,
every mosaic as (Ei, h, k, window) with its own parameter set. A draw is a pure function of (seed, step), so a
run that is resumed sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import numpy as np
from mantid_exp2sim.training.config import DataSettings, ScalingSettings
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mantid_exp2sim.card import validation_summary
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.scaling import Scaling

if TYPE_CHECKING:
    import torch

Floats: TypeAlias = NDArray[np.float32]
Integers: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]

MAX_BYTES = 64 * 2**30
"""Largest array that is read into memory."""


class Description(BaseModel):
    """``dataset.json``, as far as training needs it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int = Field(ge=1, le=1)
    classes: tuple[str, ...] = Field(min_length=1, max_length=1000)
    kinds: tuple[str, ...]
    shape: tuple[Annotated[int, Field(ge=1, le=10_000)], ...] = Field(min_length=4, max_length=4)
    incident_energies: tuple[Annotated[float, Field(gt=0)], ...]
    count: int = Field(ge=1)
    shard_size: int = Field(ge=1)
    splits: dict[str, tuple[int, int]]
    seed: int | None = None
    edges: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """Of ``h`` and ``k`` in r.l.u. and of ``energy_fraction``, the energy transfer over Ei."""


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """A data set on disk. Made by :func:`open_dataset`."""

    folder: Path
    description: Description
    mask: Mask
    """(Ei, h, k, window), True = not measured."""

    @property
    def energies(self) -> Floats:
        """Incident energies in meV, (Ei,)."""
        return np.asarray(self.description.incident_energies, dtype=np.float32)

    def split(self, name: str, limit: int | None = None) -> Integers:
        """Indices of the mosaics of a split, the first ``limit`` of them."""
        if name not in self.description.splits:
            raise Exp2SimError(
                f"The data set {self.folder} has no split {name!r}.",
                why=f"It has {', '.join(self.description.splits)}.",
            )
        start, stop = self.description.splits[name]
        return np.arange(start, stop if limit is None else min(stop, start + limit), dtype=np.int64)

    def read(self, kind: str, indices: Integers) -> Floats:
        """Mosaics of a kind, (n, Ei, h, k, window) float32, zero where not measured, in physical units."""
        if kind not in self.description.kinds:
            raise Exp2SimError(
                f"The data set {self.folder} has no {kind!r}.", why=f"It has {self.description.kinds}."
            )
        shape = (len(indices), *self.description.shape)
        if 4 * int(np.prod(shape, dtype=np.float64)) > MAX_BYTES:
            raise Exp2SimError(f"{len(indices)} mosaics of {kind!r} are more than memory should hold.")
        out = np.empty(shape, dtype=np.float32)
        self._fill(kind, indices, out)
        if not np.isfinite(out).all():
            raise Exp2SimError(f"The data set {self.folder} holds {kind!r} values that are not finite.")
        out[:, self.mask] = 0
        return out

    def labels(self, indices: Integers) -> Integers:
        """Class numbers (n,) of mosaics."""
        out = np.empty(len(indices), dtype=np.int64)
        self._fill("label", indices, out)
        return out

    def _fill(self, name: str, indices: Integers, out: NDArray[Any]) -> None:
        """Read rows of one HDF5 dataset, shard by shard, into the rows of ``out``."""
        import h5py

        shards = indices // self.description.shard_size
        for shard in np.unique(shards):
            rows = np.flatnonzero(shards == shard)
            local = indices[rows] - shard * self.description.shard_size
            path = self.folder / "shards" / f"{shard:05d}.h5"
            try:
                with h5py.File(path, "r") as file:
                    table = file[name]
                    if table.shape[1:] != out.shape[1:]:
                        raise Exp2SimError(
                            f"{path} has {name} of shape {table.shape[1:]}, not {out.shape[1:]}."
                        )
                    first = int(local.min())
                    out[rows] = table[first : int(local.max()) + 1][local - first]
            except (OSError, KeyError, IndexError) as error:
                raise Exp2SimError(
                    f"Cannot read {name} from the shard {path}: {error}.", way_out="Make the data set again."
                ) from error


def open_dataset(folder: Path) -> DataSet:
    """Open a data set; only its description and its mask are read.

    Raises
    ------
    Exp2SimError
        If the folder holds no data set, or its description or mask is invalid.
    """
    try:
        text = (folder / "dataset.json").read_bytes()
        mask = np.load(folder / "mask.npy", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise Exp2SimError(
            f"{folder} holds no complete data set: {error}.",
            way_out="Make one with `exp2sim simulate dataset RECIPE.toml`.",
        ) from error
    try:
        description = Description.model_validate_json(text)
    except ValidationError as error:
        raise Exp2SimError(f"{folder / 'dataset.json'} is invalid: {validation_summary(error)}.") from error
    if mask.shape != description.shape or mask.dtype != np.bool_ or mask.all():
        raise Exp2SimError(
            f"The mask of {folder} has shape {mask.shape}, not {description.shape}, or hides all."
        )
    if len(description.incident_energies) != description.shape[0]:
        raise Exp2SimError(f"{folder} names {len(description.incident_energies)} incident energies.")
    return DataSet(folder, description, mask)


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


_HALVES, _ORDER, _DRAW = 1, 2, 3
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
        places = np.arange(step * self.batch, (step + 1) * self.batch)
        return np.array([self._epoch(int(p) // self.items)[int(p) % self.items] for p in places])

    def _epoch(self, epoch: int) -> Integers:
        if epoch not in self._epochs:
            rng = np.random.default_rng([self.seed, _ORDER, self.stream, epoch])
            self._epochs = {e: v for e, v in self._epochs.items() if e == epoch - 1}
            self._epochs[epoch] = rng.permutation(self.items).astype(np.int64)
        return self._epochs[epoch]


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """A batch of scaled volumes: ``x`` and ``mask`` (B, h, k, E), ``ei`` (B,) in meV, ``label`` (B,).

    ``x`` is 0 where ``mask`` is 1. ``counterpart`` is the same sample in the other domain, if asked for.
    """

    x: torch.Tensor
    mask: torch.Tensor
    ei: torch.Tensor
    label: torch.Tensor
    counterpart: torch.Tensor | None = None


class Domain:
    """Training samples of one domain: items, order, augmentation, noise and scaling.

    ``whole`` makes an item a mosaic (x: (B, Ei, h, k, E)), else it is the volume at one Ei (B, h, k, E).
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
        other: str | None = None,
        whole: bool = False,
    ) -> None:
        self.dataset, self.settings, self.scaling = dataset, settings, scaling
        self.kind, self.other, self.indices, self.whole = kind, other, indices, whole
        self.noisy = noisy
        self.noise = settings.noise if noisy else (0.0, 0.0)
        self.label = dataset.labels(indices)
        self.seed, self.stream = seed, stream
        self.per_mosaic = 1 if whole else len(dataset.energies)
        self.order = Order(len(indices) * self.per_mosaic, batch, seed, stream)
        self._held = {name: dataset.read(name, indices) for name in self._kinds()} if settings.memory else {}

    def _kinds(self) -> list[str]:
        return [self.kind] if self.other is None else [self.kind, self.other]

    def _take(self, kind: str, mosaics: Integers, energies: Integers) -> Floats:
        if kind in self._held:
            held = self._held[kind]
            return held[mosaics] if self.whole else held[mosaics, energies]
        read = np.concatenate([self.dataset.read(kind, self.indices[m : m + 1]) for m in mosaics])
        return read if self.whole else read[np.arange(len(mosaics)), energies]

    def at(self, step: int) -> Samples:
        """The batch of a step."""
        import torch

        items = self.order.at(step)
        mosaics, energies = items // self.per_mosaic, items % self.per_mosaic
        rng = np.random.default_rng([self.seed, _DRAW, self.stream, step])
        moves = draw_symmetries(rng, len(items), self.settings.augment)
        factor = np.exp(self.settings.intensity_jitter * rng.standard_normal(len(items)))
        mask = self.dataset.mask[None].repeat(len(items), 0) if self.whole else self.dataset.mask[energies]
        mask = apply_symmetries(mask, moves)
        volumes = {}
        for kind in self._kinds():
            volumes[kind] = apply_symmetries(self._take(kind, mosaics, energies), moves)
            volumes[kind] *= factor.astype(np.float32).reshape(-1, *[1] * (mask.ndim - 1))
        if self.noisy and self.settings.background > 0:
            volumes[self.kind] = add_background(
                rng, volumes[self.kind], self.settings.background, share=self.settings.background_share
            )
        volumes[self.kind] = add_noise(rng, volumes[self.kind], self.noise)
        unknown = torch.from_numpy(mask)
        scaled = {
            kind: self.scaling.forward(torch.from_numpy(v)).masked_fill_(unknown, 0)
            for kind, v in volumes.items()
        }
        return Samples(
            x=scaled[self.kind],
            mask=unknown.float(),
            ei=torch.from_numpy(self.dataset.energies[energies]),
            label=torch.from_numpy(self.label[mosaics]),
            counterpart=None if self.other is None else scaled[self.other],
        )


def draw_symmetries(rng: np.random.Generator, count: int, allowed: Sequence[str]) -> Mask:
    """For each of ``count`` samples, whether to do h → −h, k → −k and h ↔ k: (count, 3)."""
    wanted = np.array([name in allowed for name in ("h", "k", "swap")])
    moves: Mask = (rng.random((count, 3)) < 0.5) & wanted
    return moves


def apply_symmetries(volumes: NDArray[Any], moves: Mask) -> NDArray[Any]:
    """Apply each sample's symmetries to (B, ..., h, k, E); h ↔ k only on a square panel.

    >>> one = np.arange(4).reshape(1, 2, 2, 1)
    >>> apply_symmetries(one, np.array([[True, False, False]])).ravel().tolist()
    [2, 3, 0, 1]
    """
    out = np.empty_like(volumes)
    for number, (flip_h, flip_k, swap) in enumerate(moves):
        sample = volumes[number]
        sample = sample[..., ::-1, :, :] if flip_h else sample
        sample = sample[..., ::-1, :] if flip_k else sample
        if swap and sample.shape[-3] == sample.shape[-2]:
            sample = sample.swapaxes(-3, -2)
        out[number] = sample
    return out


def add_background(rng: np.random.Generator, volumes: Floats, mean: float, *, share: float = 1.0) -> Floats:
    """Volumes (..., h, k, E) with a background each: flat in Q, exponential in the number of the energy bin.

    Its height in the first bin is drawn from an exponential distribution of this mean, its decay length
    uniformly between a fifth of the bins and twice their number. About ``share`` of the samples get one.

    >>> flat = np.zeros((3, 2, 2, 10), dtype=np.float32)
    >>> with_it = add_background(np.random.default_rng(0), flat, 1.0)
    >>> bool((np.diff(with_it, axis=-1) < 0).all()), float(np.ptp(with_it, axis=(1, 2)).max())
    (True, 0.0)
    """
    bins = volumes.shape[-1]
    each = (*volumes.shape[:-3], 1, 1, 1)
    height = rng.exponential(mean, each)
    length = rng.uniform(0.2 * bins, 2.0 * bins, each)
    if share < 1:
        height *= rng.random((len(volumes), *[1] * (volumes.ndim - 1))) < share
    return (volumes + height * np.exp(-np.arange(bins) / length)).astype(np.float32)


def add_noise(rng: np.random.Generator, volumes: Floats, noise: tuple[float, float]) -> Floats:
    """Gaussian counting noise of variance ``noise · max(I, 0)``, the factor drawn per sample from a range.

    Weak noise is drawn more often than strong noise: the factor is low + (high − low) u², u uniform.
    """
    if noise[1] == 0:
        return volumes
    share = rng.random(len(volumes)) ** 2  # weak noise is met most often
    level = (noise[0] + (noise[1] - noise[0]) * share).reshape(-1, *[1] * (volumes.ndim - 1))
    deviation = np.sqrt(level * np.maximum(volumes, 0)).astype(np.float32)
    return volumes + deviation * rng.standard_normal(volumes.shape, dtype=np.float32)


def choose_scaling(dataset: DataSet, settings: ScalingSettings, *, kind: str, indices: Integers) -> Scaling:
    """The scaling of a run; where no scale is set it is the mean over measured bins of up to 200 mosaics."""
    scale = settings.intensity_scale
    if scale is None:
        some = dataset.read(kind, indices[:: max(1, len(indices) // 200)])
        scale = float(some[:, ~dataset.mask].mean(dtype=np.float64))
        if not scale > 0:
            raise Exp2SimError(f"The mean intensity of {kind} in {dataset.folder} is {scale}, not positive.")
    return Scaling(kind=settings.kind, intensity_scale=scale, gain=settings.gain)
