"""The scores of the domain's own spectra, which the score of a measurement is ranked among."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mantid_exp2sim.domain.check import compares_cuts
from mantid_exp2sim.domain.comparison import Comparison

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Floats
    from mantid_exp2sim.inference.prepare import Prepared
    from mantid_exp2sim.model.card import Direction


def in_domain_scores(prepared: Prepared, direction: Direction = "deconvolve") -> Floats | None:
    """Return scores (n,) of held-out spectra of the domain at the incident energies that the data have.

    None where the model keeps no reference.
    """
    card = prepared.bundle.card.domain
    if card is None or direction not in card.directions:
        return None
    volumes = prepared.volumes
    reference = Comparison.of(prepared.bundle, direction, cuts=compares_cuts(card, volumes)).reference
    measured = ~volumes.mask.all(axis=(1, 2, 3))
    groups = sorted(set(reference.group(volumes.incident_energies[measured])))
    return reference.scores(reference.calibration[:, groups], groups)
