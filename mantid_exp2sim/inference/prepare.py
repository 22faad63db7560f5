"""Data made ready for a model once, for whatever is asked of them: check, translate, classify, explain."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.inference.options import TranslationOptions
from mantid_exp2sim.inference.volumes import Volumes, intensity_factor, open_volumes
from mantid_exp2sim.model.bundle import Bundle

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Hold a histogram as a model takes it: its volumes, and the factor to the model's intensity unit.

    ``results`` holds what was computed of these data already, so that it is computed once.
    """

    histogram: Histogram
    bundle: Bundle
    options: TranslationOptions
    volumes: Volumes
    factor: float
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

    Raises
    ------
    Exp2SimError
        If the model does not take such data.
    """
    options = options or TranslationOptions()
    volumes = open_volumes(histogram, bundle.card, incident_energy=options.incident_energy)
    factor = intensity_factor(options.scale, volumes, bundle.card)
    return Prepared(histogram, bundle, options, volumes, factor)
