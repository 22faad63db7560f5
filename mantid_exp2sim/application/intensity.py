"""How much intensity a deconvolution takes out, by panel or range of energy transfer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.mosaic import INCIDENT_ENERGIES, is_mosaic, volumes_from_picture, window_edges

RANGES = 10
"""Of the energy transfer, at most."""
WARNED = 0.1
"""Share of the intensity that may go without a warning."""
DARK = 0.05
"""Of the mean sum of the parts: where there is less, no share is told."""


@dataclass(frozen=True, slots=True)
class LostInRange:
    """Share of the intensity that is lost in one panel or range; ``lost`` is None where there was hardly any.

    ``incident_energy`` in meV; ``energy`` transfer in meV, None where the data have no such axis.
    ``significant``: more than `WARNED` by more than two standard deviations of the noise, where it is known.
    """

    incident_energy: float | None
    energy: tuple[float, float] | None
    lost: float | None
    significant: bool

    @property
    def words(self) -> str:
        """Where it is."""
        at = "" if self.incident_energy is None else f" of Ei {self.incident_energy:g} meV"
        return "all data" if self.energy is None else f"{self.energy[0]:.4g} to {self.energy[1]:.4g} meV{at}"


@dataclass(frozen=True, slots=True)
class LostIntensity:
    """Shares of the intensity that a deconvolution took out: of all of it, and in each part of the data."""

    total: float | None
    ranges: tuple[LostInRange, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {**asdict(self), "words": self.words, "warnings": self.warnings}

    @property
    def words(self) -> str:
        """One line."""
        shares = [part.lost for part in self.ranges if part.lost is not None]
        if self.total is None or not shares:
            return "intensity lost: not known, since the sum before is not positive"
        spread = f"; by energy {100 * min(shares):.0f} to {100 * max(shares):.0f} %" if shares[1:] else ""
        return f"intensity lost: {100 * self.total:.1f} %{spread}"

    @property
    def warnings(self) -> list[str]:
        """What is lost beyond `WARNED`."""
        texts = []
        if self.total is not None and self.total > WARNED:
            texts.append(f"{100 * self.total:.0f} % of the intensity is lost")
        shares = {part.words: part.lost for part in self.ranges if part.significant and part.lost}
        if shares:
            worst, most = max(shares.items(), key=lambda pair: pair[1])
            texts.append(
                f"{len(shares)} of {len(self.ranges)} parts of the data lose more than {100 * WARNED:.0f} % "
                f"of their intensity, most at {worst}: {100 * most:.0f} %"
            )
        return ["; ".join(texts)] if texts else []


def lost_intensity(before: Histogram, after: Histogram) -> LostIntensity:
    """Compare the sums over the measured bins, by panel of a mosaic or in ranges of energy transfer.

    Parameters
    ----------
    before, after
        On the same bins, in the same unit.

    Examples
    --------
    >>> from mantid_exp2sim.histogram import Axis
    >>> axis = Axis("DeltaE", np.array([0.0, 1.0, 2.0]), unit="meV")
    >>> before = Histogram.from_arrays([10.0, 10.0], [axis])
    >>> lost = lost_intensity(before, before.replace(intensity=[10.0, 6.0]))
    >>> lost.total, [part.lost for part in lost.ranges]
    (0.2, [0.0, 0.4])
    """
    sums = list((_panels if is_mosaic(before) else _sums)(before, after))
    dark = DARK * float(np.mean([part[2] for part in sums])) if sums else 0.0
    ranges = [_in_range(*part, dark=max(dark, 0.0)) for part in sums]
    return LostIntensity(
        _share(float(np.nansum(before.intensity)), float(np.nansum(after.intensity))), tuple(ranges)
    )


_Sums = tuple[float | None, tuple[float, float] | None, float, float, float]
"""Incident energy, ends of the range, and the sums before, after and of the variance."""


def _panels(before: Histogram, after: Histogram) -> Iterator[_Sums]:
    arrays = (before.intensity, after.intensity, before.variance)
    totals = [np.nansum(volumes_from_picture(array), axis=(1, 2)) for array in arrays]
    measured = (~volumes_from_picture(before.mask)).any(axis=(1, 2))
    for level, window in np.argwhere(measured):
        incident = INCIDENT_ENERGIES[level]
        low, high = window_edges(incident)[window : window + 2]
        first, second, spread = (float(total[level, window]) for total in totals)
        yield incident, (float(low), float(high)), first, second, spread


def _sums(before: Histogram, after: Histogram) -> Iterator[_Sums]:
    energy = before.find_axis("energy")
    along = tuple(i for i in range(before.ndim) if i != energy)
    sums = [np.nansum(a, axis=along) for a in (before.intensity, after.intensity, before.variance)]
    bins = np.sum(~before.mask, axis=along)
    told = before.metadata.get("incident_energy")
    incident = float(told) if isinstance(told, int | float) else None
    if energy is None:
        first, second, spread = (float(total) for total in sums)
        yield incident, None, first, second, spread
        return
    edges = before.axes[energy].edges
    for places in np.array_split(np.arange(bins.size), min(RANGES, bins.size)):
        if bins[places].any():
            ends = float(edges[places[0]]), float(edges[places[-1] + 1])
            first, second, spread = (float(total[places].sum()) for total in sums)
            yield incident, ends, first, second, spread


def _in_range(
    incident: float | None,
    energy: tuple[float, float] | None,
    before: float,
    after: float,
    variance: float,
    *,
    dark: float,
) -> LostInRange:
    large = before - after > WARNED * before + 2 * float(np.sqrt(variance))
    lost = _share(before, after) if before > dark else None
    return LostInRange(incident, energy, lost, large and lost is not None)


def _share(before: float, after: float) -> float | None:
    return (before - after) / before if before > 0 else None
