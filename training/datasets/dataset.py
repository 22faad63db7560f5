"""A data set on disk, read whole or in parts.

Format 1 (simulated): ``mask.npy`` (True = not measured) for all, and shards of mosaics (Ei, h, k, E) in which
every kind of a parameter set has the same index. Format 2 (from files): every volume has its own mask and
incident energy, and the domains have different counts; which volume is which stands in ``dataset.json``.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.io.arrays import map_npy
from mantid_exp2sim.training.datasets.description import (
    MAKE_AGAIN,
    MAKE_ONE,
    DatasetDescription,
    Item,
)
from mantid_exp2sim.training.datasets.shards import Shards
from mantid_exp2sim.training.datasets.volumes import Volumes

Floats: TypeAlias = NDArray[np.float32]
Integers: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]
Region: TypeAlias = tuple[slice, slice, slice]

WHOLE: Region = (slice(None), slice(None), slice(None))
MAX_BYTES = 64 * 2**30
"""Largest array that is read into memory."""


class DataSet(ABC):
    """A data set on disk. Made by :func:`open_dataset`."""

    in_memory = False
    """Whether reading costs nothing."""
    shares_mask = False
    """Whether one mask holds for all samples, and every kind has the same indices."""

    def __init__(self, folder: Path, description: DatasetDescription) -> None:
        self.folder, self.description = folder, description
        self.shards = Shards(folder / "shards")

    @property
    def energies(self) -> Floats:
        """Incident energies in meV that occur; of format 1 those of a mosaic's volumes, (Ei,)."""
        return np.asarray(self.description.incident_energies, dtype=np.float32)

    @property
    def mask(self) -> Mask:
        """(Ei, h, k, E), True = not measured; `Exp2SimError` where every sample has its own."""
        raise Exp2SimError(
            f"In the data set {self.folder} every sample has its own mask.",
            fix="Use a simulated data set for this.",
        )

    @abstractmethod
    def split(self, name: str, limit: int | None = None, kind: str = "convolved") -> Integers:
        """Indices of the samples of a split, the first ``limit`` of them."""

    @abstractmethod
    def labels(self, indices: Integers, kind: str = "convolved") -> Integers:
        """Class numbers (n,) of samples; −1 where it is not known."""

    @abstractmethod
    def groups(self, indices: Integers, kind: str = "convolved") -> Integers:
        """Numbers (n,) of the samples' parameter sets."""

    @abstractmethod
    def counterparts(self, indices: Integers, kind: str) -> Integers:
        """Indices (n,) of the samples in the other domain; −1 where there is none."""

    @abstractmethod
    def energies_of(self, kind: str, indices: Integers) -> Floats:
        """Incident energies in meV, (n, Ei)."""

    @abstractmethod
    def _where(self, kind: str, index: int) -> tuple[str, int, str]:
        """Shard, row and HDF5 dataset of a sample."""

    @abstractmethod
    def masks(self, kind: str, indices: Integers) -> Mask:
        """Masks (n, Ei, h, k, E), True = not measured."""

    @abstractmethod
    def mask_part(self, kind: str, index: int, energy: int, region: Region = WHOLE) -> Mask:
        """The mask (h, k, E) of part of one volume."""

    def volume_shape(self, kind: str, index: int) -> tuple[int, int, int]:
        """Bins (h, k, E) of a volume."""
        _, h, k, e = self.description.shape
        return h, k, e

    def sample_bytes(self) -> int:
        """Bytes of one sample's intensities."""
        return 4 * int(np.prod(self.description.shape, dtype=np.float64))

    def read(self, kind: str, indices: Integers) -> Floats:
        """Samples of a kind, (n, Ei, h, k, E) float32, zero where not measured, in physical units."""
        self.check_kind(kind)
        if self.sample_bytes() * len(indices) > min(MAX_BYTES, _memory()):
            raise Exp2SimError(
                f"{len(indices)} samples of {kind!r} are more than memory should hold.",
                fix="Set memory = false in [data], or a limit.",
            )
        out = np.empty((len(indices), *self.description.shape), dtype=np.float32)
        self._fill(kind, indices, out)
        self._check_finite(kind, out)
        if self.shares_mask:
            out[:, self.mask] = 0
        else:
            out[self.masks(kind, indices)] = 0
        return out

    def volumes(self, kind: str, indices: Integers) -> Volumes:
        """Read samples of a kind with their masks and incident energies."""
        mask, energies = self.masks(kind, indices), self.energies_of(kind, indices)
        return Volumes(self.read(kind, indices), np.array(mask), np.array(energies))

    def part(self, kind: str, index: int, energy: int, region: Region = WHOLE) -> Floats:
        """Part of one volume, float32, zero where not measured; nothing else is read."""
        shard, row, name = self._where(kind, index)
        values = self.shards.read(shard, name, (row, energy, *region), self.description.shape)
        self._check_finite(kind, values)
        hidden = self.mask_part(kind, index, energy, region)
        return np.where(hidden, np.float32(0), values.astype(np.float32, copy=False))

    def check_kind(self, kind: str) -> None:
        """Raise `Exp2SimError` where there is no such kind."""
        if kind not in self.description.kinds:
            raise Exp2SimError(
                f"The data set {self.folder} has no {kind!r}.",
                fix=f"Take {' or '.join(self.description.kinds)}.",
            )

    def _check_finite(self, kind: str, values: NDArray[Any]) -> None:
        if not np.isfinite(values).all():
            raise Exp2SimError(
                f"The data set {self.folder} holds {kind!r} values that are not finite.", fix=MAKE_AGAIN
            )

    def _fill(self, kind: str, indices: Integers, out: NDArray[Any]) -> None:
        """Read rows into the rows of ``out``, shard by shard."""
        places = [self._where(kind, int(index)) for index in indices]
        by_shard: dict[tuple[str, str], list[int]] = {}
        for number, (shard, _, name) in enumerate(places):
            by_shard.setdefault((shard, name), []).append(number)
        for (shard, name), numbers in by_shard.items():
            local = np.array([places[number][1] for number in numbers])
            first, last = int(local.min()), int(local.max())
            rows = self.shards.read(shard, name, slice(first, last + 1), out.shape[1:])
            if len(rows) != last + 1 - first:
                raise Exp2SimError(f"The shard {shard} of {self.folder} has too few rows.", fix=MAKE_AGAIN)
            out[numbers] = rows[local - first]


class CommonMaskSet(DataSet):
    """A data set with one mask for all samples, whose kinds have the same indices."""

    shares_mask = True
    _mask: Mask

    @property
    def mask(self) -> Mask:
        """See :class:`DataSet`."""
        return self._mask

    def groups(self, indices: Integers, kind: str = "convolved") -> Integers:
        """See :class:`DataSet`; every index is its own parameter set."""
        return indices

    def counterparts(self, indices: Integers, kind: str) -> Integers:
        """See :class:`DataSet`."""
        return indices

    def energies_of(self, kind: str, indices: Integers) -> Floats:
        """See :class:`DataSet`."""
        return np.broadcast_to(self.energies, (len(indices), len(self.energies)))

    def masks(self, kind: str, indices: Integers) -> Mask:
        """See :class:`DataSet`."""
        return np.broadcast_to(self._mask, (len(indices), *self._mask.shape))

    def mask_part(self, kind: str, index: int, energy: int, region: Region = WHOLE) -> Mask:
        """See :class:`DataSet`."""
        part: Mask = self._mask[energy][region]
        return part


class SimulatedSet(CommonMaskSet):
    """Format 1."""

    def __init__(self, folder: Path, description: DatasetDescription, mask: Mask) -> None:
        super().__init__(folder, description)
        self._mask = mask

    def without_mask(self) -> SimulatedSet:
        """Show also what no detector reaches: it was calculated."""
        return SimulatedSet(self.folder, self.description, np.zeros_like(self._mask))

    def split(self, name: str, limit: int | None = None, kind: str = "convolved") -> Integers:
        """See :class:`DataSet`."""
        splits = self.description.splits
        if name not in splits:
            raise Exp2SimError(
                f"The data set {self.folder} has no split {name!r}.", fix=f"Take {', '.join(splits)}."
            )
        start, stop = splits[name]
        return np.arange(start, stop if limit is None else min(stop, start + limit), dtype=np.int64)

    def labels(self, indices: Integers, kind: str = "convolved") -> Integers:
        """See :class:`DataSet`."""
        stored = self._stored("label", indices, ())
        if stored.dtype.kind not in "iu":
            raise Exp2SimError(f"The labels of {self.folder} are no whole numbers.", fix=MAKE_AGAIN)
        return stored.astype(np.int64)

    def parameters(self, indices: Integers, count: int) -> NDArray[np.float64]:
        """Constants (n, count) of samples, NaN beyond those of its class; ``count`` as in the shards."""
        return self._stored("parameters", indices, (count,)).astype(np.float64)

    def _stored(self, name: str, indices: Integers, shape: tuple[int, ...]) -> NDArray[Any]:
        """Rows of a table that stands beside the spectra."""
        rows = []
        shards, local = np.divmod(indices, self.description.shard_size)
        tables = {
            int(shard): self.shards.read(self._shard(int(shard)), name, slice(None), shape)
            for shard in np.unique(shards)
        }
        for shard, row in zip(shards.tolist(), local.tolist(), strict=True):
            if row >= len(tables[shard]):
                raise Exp2SimError(
                    f"The shard {self._shard(shard)} of {self.folder} has too few rows.", fix=MAKE_AGAIN
                )
            rows.append(tables[shard][row])
        return np.array(rows) if rows else np.empty((0, *shape), dtype=np.int64)

    def _shard(self, number: int) -> str:
        return f"{number:05d}.h5"

    def _where(self, kind: str, index: int) -> tuple[str, int, str]:
        return self._shard(index // self.description.shard_size), index % self.description.shard_size, kind


class FileSet(DataSet):
    """Format 2: one sample is one volume, with its own mask."""

    def items(self, kind: str) -> tuple[Item, ...]:
        """All volumes of a domain."""
        self.check_kind(kind)
        return self.description.domains[kind].items

    def split(self, name: str, limit: int | None = None, kind: str = "convolved") -> Integers:
        """See :class:`DataSet`."""
        indices = [i for i, item in enumerate(self.items(kind)) if item.split == name]
        return np.array(indices[:limit], dtype=np.int64)

    def _each(self, kind: str, indices: Integers, name: str) -> list[Any]:
        items = self.items(kind)
        return [getattr(items[i], name) for i in indices]

    def labels(self, indices: Integers, kind: str = "convolved") -> Integers:
        """See :class:`DataSet`."""
        return np.array(self._each(kind, indices, "label"), dtype=np.int64)

    def groups(self, indices: Integers, kind: str = "convolved") -> Integers:
        """See :class:`DataSet`."""
        return np.array(self._each(kind, indices, "group"), dtype=np.int64)

    def counterparts(self, indices: Integers, kind: str) -> Integers:
        """See :class:`DataSet`."""
        return np.array(self._each(kind, indices, "pair"), dtype=np.int64)

    def energies_of(self, kind: str, indices: Integers) -> Floats:
        """See :class:`DataSet`."""
        return np.array(self._each(kind, indices, "incident_energy"), dtype=np.float32).reshape(-1, 1)

    def masks(self, kind: str, indices: Integers) -> Mask:
        """See :class:`DataSet`."""
        out = np.empty((len(indices), *self.description.shape), dtype=np.bool_)
        for number, index in enumerate(indices):
            out[number, 0] = self.mask_part(kind, int(index), 0)
        return out

    def mask_part(self, kind: str, index: int, energy: int, region: Region = WHOLE) -> Mask:
        """See :class:`DataSet`."""
        shard, row, _ = self._where(kind, index)
        values = self.shards.read(shard, "mask", (row, energy, *region), self.description.shape)
        return np.asarray(values != 0, dtype=np.bool_)

    def _where(self, kind: str, index: int) -> tuple[str, int, str]:
        item = self.items(kind)[index]
        return f"{kind}-{item.shard:05d}.h5", item.row, "values"


def _memory() -> int:
    """Memory of this machine in bytes."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return MAX_BYTES


def open_dataset(folder: Path) -> DataSet:
    """Open a data set; only its description and its mask are read.

    Raises `Exp2SimError` if the folder holds no data set, or its description or mask is invalid.
    """
    description = DatasetDescription.read(folder)
    if description.format == 2:
        return FileSet(folder, description)
    try:
        mask = np.array(map_npy(folder / "mask.npy"))
    except (OSError, ValueError) as error:
        raise Exp2SimError(f"{folder} holds no complete data set: {error}.", fix=MAKE_ONE) from error
    if mask.shape != description.shape or mask.dtype != np.bool_ or mask.all():
        raise Exp2SimError(
            f"The mask of {folder} has shape {mask.shape}, not {description.shape}, or hides all.",
            fix=MAKE_AGAIN,
        )
    return SimulatedSet(folder, description, mask)
