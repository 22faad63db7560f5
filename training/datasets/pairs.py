"""The pairs of a data set from files, read like a simulated set: one index for both domains, one mask.

Evaluation and calibration compare a spectrum with its true counterpart, bin by bin. A set from files has
pairs where its recipe asked for them; what is unknown in any of them is left out for all.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.simulation.constants import SAME_ENERGY
from mantid_exp2sim.training.datasets.dataset import (
    CommonMaskSet,
    DataSet,
    FileSet,
    Floats,
    Integers,
    Mask,
    open_dataset,
)
from mantid_exp2sim.training.datasets.description import SPLITS

HELD_OUT = ("validation", "test")
MOST_LOST = 0.5
"""Share of the bins that the common mask may hide beyond that of a single pair."""


def open_pairs(folder: Path) -> DataSet:
    """Open a data set for comparisons: a simulated one as it is, the pairs of one from files.

    Raises `Exp2SimError` if a set from files has no pairs, or these have several incident energies or no bin
    in common.
    """
    data = open_dataset(folder)
    return PairedSet(data) if isinstance(data, FileSet) else data


class PairedSet(CommonMaskSet):
    """Pairs of volumes of a set from files; index i is pair i in both domains."""

    def __init__(self, source: FileSet) -> None:
        super().__init__(source.folder, source.description)
        self.source = source
        kinds = source.description.kinds
        if "convolved" not in kinds or len(kinds) < 2:
            raise Exp2SimError(
                f"The data set {self.folder} holds {' and '.join(kinds)} alone.",
                reason="Spectra are compared with their counterparts of the other data kind.",
                fix="Build one with [[convolved]] and [[integrated]] files, and pairs = true.",
            )
        self._other = next(kind for kind in kinds if kind != "convolved")
        pairs = [(i, item.pair) for i, item in enumerate(source.items("convolved")) if item.pair >= 0]
        if not pairs:
            raise Exp2SimError(
                f"The data set {self.folder} has no pairs.",
                reason="Spectra are compared with their true counterparts in the other domain.",
                fix="Build it with pairs = true; training need not use them.",
            )
        self._own = np.array(pairs, dtype=np.int64)
        self._labels = np.maximum(*(source.labels(self._own[:, n], kind) for n, kind in self._sides()))
        self._energy = self._one_energy()
        self._mask = self._common_mask()

    def _sides(self) -> tuple[tuple[int, str], tuple[int, str]]:
        return (0, "convolved"), (1, self._other)

    def _one_energy(self) -> float:
        energies = self.source.energies_of("convolved", self._own[:, 0])
        if float(energies.max()) > (1 + SAME_ENERGY) * float(energies.min()):
            raise Exp2SimError(
                f"The pairs of {self.folder} have several incident energies.",
                reason="A comparison takes volumes of one.",
                fix="Build a data set of the files of each incident energy.",
            )
        return float(np.median(energies))

    def _common_mask(self) -> Mask:
        """What is unknown in any volume of a pair that is held out (of all, where none is)."""
        held = np.concatenate([self.split(name) for name in HELD_OUT])
        pairs = held if len(held) else np.arange(len(self._own))
        common = np.zeros(self.description.shape, dtype=np.bool_)
        least = 1.0
        for index in pairs:
            unknown = np.zeros_like(common)
            for number, kind in self._sides():
                unknown[0] |= self.source.mask_part(kind, int(self._own[index, number]), 0)
            least = min(least, float(unknown.mean()))
            common |= unknown
        if common.all() or common.mean() - least > MOST_LOST:
            raise Exp2SimError(
                f"All pairs of {self.folder} measured {100 * (1 - common.mean()):.0f} % of the bins.",
                reason="Too little is left to compare.",
                fix="Narrow the ranges of [axes] to what all files have measured.",
            )
        return common

    @property
    def energies(self) -> Floats:
        """See :class:`DataSet`."""
        return np.array([self._energy], dtype=np.float32)

    def split(self, name: str, limit: int | None = None, kind: str = "convolved") -> Integers:
        """See :class:`DataSet`; where classes are known, pairs of a known class alone."""
        if name not in SPLITS:
            raise Exp2SimError(
                f"The data set {self.folder} has no split {name!r}.", fix=f"Take {', '.join(SPLITS)}."
            )
        items = self.source.items("convolved")
        inside = np.array([items[i].split == name for i in self._own[:, 0]])
        if (self._labels >= 0).any():
            inside &= self._labels >= 0
        return np.flatnonzero(inside)[:limit].astype(np.int64)

    def labels(self, indices: Integers, kind: str = "convolved") -> Integers:
        """See :class:`DataSet`."""
        return self._labels[indices]

    def groups(self, indices: Integers, kind: str = "convolved") -> Integers:
        """See :class:`DataSet`."""
        return self.source.groups(self._own[indices, 0], "convolved")

    def _where(self, kind: str, index: int) -> tuple[str, int, str]:
        number = 0 if kind == "convolved" else 1
        return self.source._where(kind, int(self._own[index, number]))
