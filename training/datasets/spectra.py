"""The spectra that a model is measured on, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.simulation.noise import MeasurementNoise
from mantid_exp2sim.training.datasets.sampler import DataSet

if TYPE_CHECKING:
    import torch

BATCH_BINS = 8 * 96_000
"""At most so many bins are read at once: eight mosaics."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some spectra: physical units, (n, Ei, h, k, E), 0 where not measured; ``first`` is the place of its
    first one in the split.

    ``measured`` is ``convolved`` with a background and counting noise.
    """

    first: int
    label: NDArray[np.int64]
    convolved: torch.Tensor
    target: torch.Tensor
    measured: torch.Tensor

    def source(self, name: str) -> torch.Tensor:
        """``convolved``, ``target`` or ``measured``."""
        spectra: torch.Tensor = getattr(self, name)
        return spectra


@dataclass(frozen=True, slots=True, eq=False)
class Spectra:
    """One split of a data set with one mask for all, read lazily.

    What ``noise`` adds to a spectrum depends on ``seed`` and the spectrum alone.
    """

    data: DataSet
    target: str
    indices: NDArray[np.int64]
    noise: MeasurementNoise
    seed: int

    @property
    def mask(self) -> torch.Tensor:
        """(Ei, h, k, E), True = not measured."""
        import torch

        return torch.from_numpy(self.data.mask)

    @property
    def energies(self) -> torch.Tensor:
        """Incident energies in meV, (Ei,)."""
        import torch

        return torch.from_numpy(np.array(self.data.energies))

    def __len__(self) -> int:
        return len(self.indices)

    def batches(self, limit: int | None = None) -> Iterator[Batch]:
        """All of them, or the first ``limit``, in order."""
        size = max(1, BATCH_BINS // int(np.prod(self.data.description.shape)))
        count = len(self.indices) if limit is None else min(limit, len(self.indices))
        for first in range(0, count, size):
            yield self._batch(first, self.indices[first : min(first + size, count)])

    def _batch(self, first: int, indices: NDArray[np.int64]) -> Batch:
        import torch

        convolved = self.data.read("convolved", indices)
        spectra = zip(indices, convolved, strict=True)
        measured = np.stack([self.add_noise(spectrum, (1, int(index))) for index, spectrum in spectra])
        return Batch(
            first,
            self.data.labels(indices),
            torch.from_numpy(convolved),
            torch.from_numpy(self.data.read(self.target, indices)),
            torch.from_numpy(measured),
        )

    def add_noise(self, clean: NDArray[np.float32], key: Sequence[int]) -> NDArray[np.float32]:
        """A spectrum (Ei, h, k, E) with a background and counting noise, both of ``seed`` and ``key``."""
        rng = np.random.default_rng([self.seed, *key])
        return np.where(self.data.mask, np.float32(0), self.noise.apply(rng, clean[None])[0])
