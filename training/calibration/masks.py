"""Read spectra under masks of many kinds, so that what is calibrated does not hang on one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans
from mantid_exp2sim.simulation.drawn_masks import MaskKind, draw_mask
from mantid_exp2sim.training.datasets.conditions import volume_bins
from mantid_exp2sim.training.datasets.dataset import DataSet, SimulatedSet
from mantid_exp2sim.training.datasets.volumes import Volumes

if TYPE_CHECKING:
    from numpy.typing import NDArray

VARIED: tuple[MaskKind, ...] = ("own", "own", "shifted", "tubes", "layout")
"""Kinds of masks, each as likely as often as it is named."""


def draw_masks(
    data: DataSet, kinds: Sequence[MaskKind], count: int, rng: np.random.Generator
) -> Booleans | None:
    """Draw masks (count, G, h, k, E), True = not measured.

    None, which means those of the data set, where all kinds are "own", or it does not tell its bins or hide
    calculated values alone.
    """
    if set(kinds) <= {"own"} or not isinstance(data, SimulatedSet):
        return None
    try:
        bins = volume_bins(data)
    except Exp2SimError:
        return None
    energies = np.asarray(data.energies, dtype=float).ravel()
    drawn = [kinds[int(rng.integers(len(kinds)))] for _ in range(count)]
    return np.stack([draw_mask(rng, kind, data.mask, bins, energies) for kind in drawn])


def read_masked(data: DataSet, kind: str, rows: NDArray[Any], masks: Booleans | None) -> Volumes:
    """Read samples under other masks than those of the data set (None: under these)."""
    if masks is None or not isinstance(data, SimulatedSet):
        return data.volumes(kind, rows)
    spectra = data.without_mask().volumes(kind, rows)
    return Volumes(np.where(masks, np.float32(0), spectra.values), masks, spectra.energies)
