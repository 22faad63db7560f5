"""Data made ready for a model once, for whatever is asked of them: check, translate, classify, explain."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.inference.intensity import intensity_factor
from mantid_exp2sim.inference.inversion import OFF, lies_about_0, offset
from mantid_exp2sim.inference.options import TranslationOptions
from mantid_exp2sim.inference.unreliable import find_unreliable
from mantid_exp2sim.inference.volumes import Volumes, open_volumes
from mantid_exp2sim.model.bundle import Bundle

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Hold a histogram as a model takes it: its volumes, and the factor to the model's intensity unit.

    ``notes`` say what was left out, and ``inverted`` whether (h, k) and (−h, −k) are to have the same
    intensity. ``results`` holds what was computed of these data already, so that
    it is computed once.
    """

    histogram: Histogram
    bundle: Bundle
    options: TranslationOptions
    volumes: Volumes
    factor: float
    notes: tuple[str, ...] = ()
    inverted: bool = False
    results: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return what ``compute`` gave when this key was first asked for."""
        if key not in self.results:
            self.results[key] = compute()
        result: T = self.results[key]
        return result

    def follow(self, histogram: Histogram) -> Prepared:
        """Prepare a result that has the axes and gaps of these data, without opening it again."""
        return replace(self, histogram=histogram, volumes=self.volumes.follow(histogram), results={})


def prepare(histogram: Histogram, bundle: Bundle, options: TranslationOptions | None = None) -> Prepared:
    """Open a histogram's volumes as a model takes them, and find the factor to its intensity unit.

    Bins that say nothing (:mod:`mantid_exp2sim.inference.unreliable`) are masked first, unless the options
    ask for all bins.

    Raises
    ------
    Exp2SimError
        If the model does not take such data.
    """
    options = options or TranslationOptions()
    volumes = open_volumes(histogram, bundle.card, incident_energy=options.incident_energy)
    inverted, notes = _is_inverted(histogram, bundle, volumes)
    if inverted and not options.all_bins:
        unreliable = find_unreliable(volumes.intensity, volumes.mask)
        notes, hidden = unreliable.notes, volumes.close(unreliable.unmeasured | unreliable.edges)
        if notes:
            histogram = histogram.replace(
                intensity=np.where(hidden, np.nan, histogram.intensity), mask=histogram.mask | hidden
            )
            volumes = open_volumes(histogram, bundle.card, incident_energy=options.incident_energy)
    factor = intensity_factor(options, volumes, bundle.card)
    return Prepared(histogram, bundle, options, volumes, factor, notes, inverted)


def _is_inverted(histogram: Histogram, bundle: Bundle, volumes: Volumes) -> tuple[bool, tuple[str, ...]]:
    """Say whether the data have the symmetry on the card, and if not for their place, that it is so."""
    if "inversion" not in bundle.card.symmetries or not lies_about_0(histogram, bundle.card):
        return False, ()
    off = offset(volumes.intensity, volumes.mask)
    if np.abs(off).max() <= OFF:
        return True, ()
    text = "the data lie off (h, k) = 0 by {:.2g} and {:.2g} bins: they are not averaged with their inversion"
    return False, (text.format(*off),)
