"""Compare the volumes of a histogram with the training set of a direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.domain.features import Features, encode
from mantid_exp2sim.domain.likeness import FAR, Reference, together
from mantid_exp2sim.domain.reference import domain_card, load_reference
from mantid_exp2sim.domain.transport import NotConverged
from mantid_exp2sim.histogram import Floats

if TYPE_CHECKING:
    from mantid_exp2sim.inference.volumes import Volumes
    from mantid_exp2sim.model.bundle import Bundle
    from mantid_exp2sim.model.card import Calibrated, Direction, DomainCard


MAX_REGIONS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Deviations:
    """How far the volumes of a histogram lie from a training set."""

    parts: Floats
    """What the score is made of, (groups, Y)."""
    groups: list[int]
    """The incident energies of the reference that the data have."""
    distance: float
    """Mean transport distance."""
    expected_error: float
    """NaN: not known."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What volumes of one direction are compared with, and how."""

    bundle: Bundle
    direction: Direction
    reference: Reference
    regularisation: float
    shape: tuple[int, ...]
    """Bins (h, k, E) of the calibration's volumes, or cuts."""
    points: int
    seed: int
    cuts: bool = False
    """Whether the calibration is one of single cuts, which may lie anywhere in a volume."""

    @classmethod
    def of(cls, bundle: Bundle, direction: Direction, *, cuts: bool = False) -> Comparison:
        """Read what a model compares volumes, or single cuts, with."""
        card, reference = domain_card(bundle), load_reference(bundle, direction, cuts=cuts)
        section = section_of(card, cuts=cuts)
        epsilon = section.directions[direction].regularisation
        return cls(bundle, direction, reference, epsilon, section.shape, card.points, card.seed, cuts)

    def encode(
        self, intensity: npt.NDArray[Any], mask: npt.NDArray[np.bool_], energies: Floats, points: int
    ) -> Features:
        """Compute the features of volumes (V, h, k, E) in the model's intensity unit."""
        card, network = self.bundle.card, self.bundle.network(self.direction)
        scaled = card.scaling.forward(intensity)
        return encode(network, card.layout, scaled, mask, energies, points=points, seed=self.seed)

    def deviations(self, volumes: Volumes, factor: float) -> Deviations:
        """Compare the volumes of one histogram; ``factor`` brings them to the model's intensity unit.

        A volume with more bins than the calibration's is cut into regions of their size, and their parts
        averaged.
        """
        by_group: dict[int, list[tuple[Floats, float]]] = {}
        energies = volumes.incident_energies
        for number, group in enumerate(self.reference.group(energies)):
            if not volumes.mask[number].all():
                energy = energies[number : number + 1]
                compared = self._regions(volumes.intensity[number], volumes.mask[number], energy, factor)
                by_group.setdefault(group, []).extend(compared)
        groups = sorted(by_group)
        parts = [np.array([region[0] for region in by_group[group]]) for group in groups]
        errors = np.array([region[1] for group in groups for region in by_group[group]])
        return Deviations(
            np.stack([np.mean(part, axis=0) for part in parts]),
            groups,
            float(np.mean([np.mean(np.exp(part[:, FAR])) for part in parts])),
            float(together(errors)),
        )

    def _regions(
        self, volume: npt.NDArray[Any], mask: npt.NDArray[np.bool_], energy: Floats, factor: float
    ) -> list[tuple[Floats, float]]:
        """Return parts (Y,) and expected error of each measured region of a volume."""
        compared, groups = [], self.reference.group(energy)
        for region in regions(mask.shape, self.shape):
            hidden, values = mask[region], volume[region]
            if hidden.all():
                continue
            features = self.encode(values[None] * factor, hidden[None], energy, self.points)
            try:
                parts = self.reference.parts(features, groups, self.regularisation)[0]
            except NotConverged:  # farther away than can be measured
                parts = np.full(self.reference.calibration.shape[-1], np.inf)
            errors = self.reference.errors(features.moments, groups)
            compared.append((parts, np.nan if errors is None else float(errors[0])))
        return compared


def section_of(card: DomainCard, *, cuts: bool) -> Calibrated:
    """Return the card's section on volumes, or on single cuts."""
    return card.cuts if cuts and card.cuts is not None else card


def regions(shape: Sequence[int], size: Sequence[int]) -> list[tuple[slice, ...]]:
    """Cover a shape by at most `MAX_REGIONS` regions of ``size``, or less where the shape is smaller.

    >>> regions((40, 90), (40, 40))
    [(slice(0, 40, None), slice(0, 40, None)), (slice(0, 40, None), slice(25, 65, None)), \
(slice(0, 40, None), slice(50, 90, None))]
    """
    spans = []
    for bins, width in zip(shape, size, strict=True):
        starts = np.linspace(0, max(bins - width, 0), -(-bins // width)).astype(int).tolist()
        spans.append([slice(start, min(start + width, bins)) for start in starts])
    cover = list(product(*spans))
    if len(cover) <= MAX_REGIONS:
        return cover
    return [cover[index] for index in np.linspace(0, len(cover) - 1, MAX_REGIONS).astype(int)]
