"""Measure what a card says of the training data: how bright they are, and which symmetry holds in all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from mantid_exp2sim.model.levels import IntensityLevels, cut_squares

if TYPE_CHECKING:
    from mantid_exp2sim.model.card import Card
    from mantid_exp2sim.training.datasets.dataset import DataSet

SPECTRA = 200
SYMMETRIC = 20
"""Spectra of each kind whose symmetry is looked at."""
EXACT = 1e-4
"""Of the largest intensity of a spectrum: a symmetry is exact where nothing differs by more."""


def measure_levels(card: Card, data: DataSet) -> IntensityLevels | None:
    """Take the levels from at most `SPECTRA` convolved spectra of the training split.

    The geometric mean over them of the root mean square of the measured bins, at each incident energy of the
    card; None where the data set lacks one of these.
    """
    rows = data.split("train", kind="convolved")
    spectra = data.volumes("convolved", rows[:: max(1, -(-len(rows) // SPECTRA))])
    numbers: list[list[float]] = [[] for _ in card.incident_energies]
    bins = []
    for values, mask, energies in zip(spectra.values, spectra.mask, spectra.energies, strict=True):
        for volume, hidden, energy in zip(values, mask, energies, strict=True):
            if not hidden.all():
                numbers[card.nearest(float(energy))].append(float(cut_squares(volume[~hidden]).mean()))
                bins.append(int((~hidden).sum()))
    if not all(any(square > 0 for square in squares) for squares in numbers):
        return None
    logarithms = [np.log([square for square in squares if square > 0]) for squares in numbers]
    rms = tuple(float(f"{np.exp(values.mean() / 2):.5g}") for values in logarithms)
    return IntensityLevels(rms=rms, bins=float(np.mean(bins)))


def measure_symmetries(card: Card, data: DataSet) -> tuple[Literal["inversion"], ...]:
    """Find the symmetries that hold in convolved and unconvolved spectra, about bins that lie about 0."""
    edges = [np.array(data.description.edges.get(name, (0.0, 1.0))) for name in ("h", "k")]
    if not all(np.allclose(line, -line[::-1], rtol=0, atol=1e-6) for line in edges):
        return ()
    return ("inversion",) if all(_is_inverted(data, kind) for kind in ("convolved", card.target)) else ()


def _is_inverted(data: DataSet, kind: str) -> bool:
    rows = data.split("train", kind=kind)
    spectra = data.volumes(kind, rows[:: max(1, -(-len(rows) // SYMMETRIC))])
    values, hidden = (np.moveaxis(array, -1, 2) for array in (spectra.values, spectra.mask))
    both = ~(hidden | hidden[..., ::-1, ::-1])
    apart = np.where(both, np.abs(values - values[..., ::-1, ::-1]), 0).max(axis=(1, 2, 3, 4))
    return bool((apart <= EXACT * np.abs(values).max(axis=(1, 2, 3, 4))).all())
