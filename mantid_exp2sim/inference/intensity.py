"""Bring data to the intensity that a model was trained at: the one place for all that a network is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.errors import OptionError

if TYPE_CHECKING:
    from mantid_exp2sim.inference.options import TranslationOptions
    from mantid_exp2sim.inference.volumes import Volumes
    from mantid_exp2sim.model.card import Card

ENOUGH = 0.2
"""Data with less than this share of the measured bins of the training volumes are no measure of their scale:
a single cut is bright or dark because of where it lies."""


def intensity_factor(options: TranslationOptions, volumes: Volumes, card: Card) -> float:
    """Return what the intensity is multiplied by before a network, and divided by after it.

    Where the card has the typical levels of the training data, volumes are brought to them whatever their
    unit: ``options.scale`` has no influence then. It counts for data that are a small part of a volume, for
    models without levels, and for ``options.absolute`` intensities.
    """
    if not options.absolute and card.levels is not None:
        rows = [card.nearest(energy) for energy in volumes.incident_energies]
        factor = card.levels.factor(volumes.values, volumes.mask, rows, least=ENOUGH)
        if factor is not None:
            return factor
    if options.scale != "auto":
        return float(options.scale)
    mean = float(np.mean(volumes.values, where=~volumes.mask))
    if card.mean_intensity is None or not mean > 0:
        raise OptionError(
            "scale='auto' cannot be used here.",
            reason="The mean intensity of the data is not positive, or the model's card has none.",
            fix="Give the factor as a number.",
            option="scale",
        )
    return card.mean_intensity / mean


def level_factors(
    card: Card, values: NDArray[Any], mask: NDArray[np.bool_], energies: NDArray[Any]
) -> NDArray[np.float32]:
    """Return the factors (n, 1, 1, 1, 1) that bring spectra (n, V, h, k, E) to the levels on a card.

    ``mask`` of that shape or (V, h, k, E); ``energies`` (n, V) or (V,) in meV. 1 where there is none.
    """
    factors = np.ones(len(values), dtype=np.float32)
    if card.levels is not None:
        masks = np.broadcast_to(mask, values.shape)
        rows = [card.nearest(float(energy)) for energy in np.reshape(energies, (-1, values.shape[1]))[0]]
        for number, (spectrum, hidden) in enumerate(zip(values, masks, strict=True)):
            factors[number] = card.levels.factor(spectrum, hidden, rows, least=ENOUGH) or 1.0
    return factors.reshape(-1, 1, 1, 1, 1)
