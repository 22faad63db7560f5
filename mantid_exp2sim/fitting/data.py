"""What is fitted: (h, k, E) volumes with their errors, and which bins cannot be trusted.

Bins are set aside by rule, from the data alone: those that touch an unmeasured bin along h or k, spikes, and
where the errors come from inversion pairs (h, k) and (-h, -k) also those without a measured partner or far
from it. Nothing is dropped silently: `Part.reason` says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, convolve, maximum_filter
from scipy.optimize import nnls
from scipy.stats import norm

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.fitting.options import Measurement
from mantid_exp2sim.histogram import Axis, Booleans, Floats, Histogram, integrated_axes
from mantid_exp2sim.mosaic import is_mosaic, picture_from_volumes, split
from mantid_exp2sim.simulation.binning import Binning
from mantid_exp2sim.simulation.instrument import Instrument

REASONS = (
    "used",
    "not measured",
    "touches a bin that was not measured",
    "its partner at (-h, -k) was not measured",
    "spike",
    "far from its partner at (-h, -k)",
)
"""Why a bin is not used, by number."""
USED, UNMEASURED, EDGE, ALONE, SPIKE, UNLIKE = range(len(REASONS))
FAR = 6.0
"""Errors beyond which a bin is a spike or unlike its partner."""
SHARE_OF_LIMIT = 0.02
"""Share of bins at exactly 0 from which data count as cut there."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One volume at one incident energy.

    ``intensity`` and ``sigma`` (nh, nk, nE); ``reason`` numbers of `REASONS`; ``low`` and ``high`` the bins
    that are known only to lie at or below, at or above their value (cut at 0, clipped). ``paired`` whether
    the errors come from inversion pairs; ``panel`` (nE,) the number of each energy bin's panel; ``raised``
    how many used bins had no error, or one below a fifth of the median.
    """

    binning: Binning
    instrument: Instrument
    intensity: Floats
    sigma: Floats
    reason: NDArray[np.int8]
    low: Booleans
    high: Booleans
    paired: bool
    panel: NDArray[np.intp]
    raised: int

    @property
    def used(self) -> Booleans:
        """Bins that are fitted."""
        return np.asarray(self.reason == USED)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A measurement and its parts, and the way back from volumes to a histogram like the measured one."""

    histogram: Histogram
    parts: tuple[Part, ...]
    order: tuple[int, ...]

    def restore(
        self, volumes: Sequence[NDArray[Any]], title: str, *, signed: bool = False, unit: str | None = None
    ) -> Histogram:
        """Lay volumes of the parts out as the measured histogram; masked where that is.

        ``signed`` values are drawn on a scale that is symmetric about 0; ``unit`` replaces that of the data.
        """
        if is_mosaic(self.histogram):
            values = picture_from_volumes(np.stack(volumes))
        else:
            values = np.transpose(volumes[0], np.argsort(self.order)).reshape(self.histogram.shape)
        metadata = {**self.histogram.metadata, "title": title, "signed": signed}
        if unit is not None:
            metadata["intensity_unit"] = unit
        return Histogram.from_arrays(values, self.histogram.axes, mask=self.histogram.mask, metadata=metadata)


def prepare_data(measurements: Sequence[Measurement], *, counts: bool = False) -> tuple[Source, ...]:
    """Cut measurements into parts, with errors and the bins that are set aside."""
    if not measurements:
        raise Exp2SimError("There is nothing to fit.", fix="Give at least one histogram.")
    sources = tuple(_source(measurement, counts) for measurement in measurements)
    number = sum(int(part.used.sum()) for source in sources for part in source.parts)
    if number < 20:
        raise Exp2SimError(
            f"Only {number} bins can be fitted.",
            reason="The others were not measured, or are set aside by rule.",
            fix="Give data with more measured bins away from the gaps.",
        )
    return sources


def _source(measurement: Measurement, counts: bool) -> Source:
    histogram, instrument = measurement.histogram, measurement.spectrometer()
    if is_mosaic(histogram):
        volumes = split(histogram)
        parts = tuple(_part(volume, (0, 1, 2), volume.axes, instrument, counts) for volume in volumes)
        return Source(histogram, parts, (0, 1, 2))
    axes, order = _three_axes(histogram)
    return Source(histogram, (_part(histogram, order, axes, instrument, counts),), order)


def _three_axes(histogram: Histogram) -> tuple[tuple[Axis, ...], tuple[int, ...]]:
    """All axes of the data, those that were integrated over as one bin each, and the order h, k, E.

    Of three axes of Q, one that was integrated over is along the beam: L, if it is among them.
    """
    axes, beside = list(histogram.axes), sorted(integrated_axes(histogram), key=lambda axis: axis.kind == "l")
    for axis in beside:
        if axis.kind == "energy" or sum(other.kind != "energy" for other in axes) < 2:
            axes.append(axis)
    energies = [i for i, axis in enumerate(axes) if axis.kind == "energy"]
    across = [i for i, axis in enumerate(axes) if axis.kind not in ("energy", "modQ")]
    if len(energies) != 1 or len(across) != 2 or len(axes) != 3:
        raise Exp2SimError(
            f"Data with the axes {', '.join(axis.name for axis in axes)} cannot be fitted.",
            reason="A fit takes two axes of Q and the energy, each binned or integrated over.",
            fix="Give a mosaic, an (h, k, E) volume, or a cut of one made by this package.",
        )
    across.sort(key=lambda i: {"h": 0, "k": 1, "l": 2}.get(axes[i].kind or "", i))
    return tuple(axes), (across[0], across[1], energies[0])


def _part(
    histogram: Histogram, order: tuple[int, ...], axes: Sequence[Axis], instrument: Instrument, counts: bool
) -> Part:
    ei = histogram.metadata.get("incident_energy")
    if not isinstance(ei, int | float):
        raise Exp2SimError(
            "The incident energy of the data is not known.",
            fix="Put 'incident_energy' in meV into the histogram's metadata.",
        )
    shape = tuple(axis.size for axis in axes)
    mask = np.transpose(histogram.mask.reshape(shape), order)
    values, variance = (
        np.where(mask, 0.0, np.transpose(array.reshape(shape), order))
        for array in (histogram.intensity, histogram.variance)
    )
    edges = [axes[i].edges for i in order]
    binning = Binning(edges[0], edges[1], edges[2], float(ei))
    return _weighed(
        binning, instrument, np.where(mask, 0.0, values), np.where(mask, 0.0, variance), mask, counts
    )


def _weighed(
    binning: Binning, instrument: Instrument, values: Floats, variance: Floats, mask: Booleans, counts: bool
) -> Part:
    reason = np.zeros(values.shape, np.int8)
    touching = _touching(mask)
    paired = not counts and not (variance > 0).any()
    partner = _is_even(binning)
    if paired and not partner:
        raise Exp2SimError(
            "The data have no errors, and none can be found.",
            reason="They would come from pairs (h, k) and (-h, -k), and these bins are not symmetric.",
            fix="Give data with variances, or bins of h and k that are symmetric about 0.",
        )
    if paired:
        reason[mask[::-1, ::-1]] = ALONE
    reason[touching] = EDGE
    reason[mask] = UNMEASURED
    low, high = _limits(values, (reason == USED) & (not counts))
    sigma = np.sqrt(np.maximum(values, 1.0)) if counts else _floored(np.sqrt(variance), reason == USED)
    raised = 0 if counts or paired else int(((reason == USED) & (sigma**2 > 1.001 * variance)).sum())
    panel = np.arange(values.shape[2]) * min(values.shape[2], 10) // values.shape[2]
    part = Part(binning, instrument, values, sigma, reason, low, high, paired, panel, raised)
    return _without_outliers(pair_errors(part) if paired else part, mask)


def _without_outliers(part: Part, mask: Booleans) -> Part:
    """Set spikes aside, and bins unlike their partner."""
    reason, values, sigma = part.reason.copy(), part.intensity, part.sigma
    reason[part.used & _spikes(values, sigma, mask)] = SPIKE
    if part.paired:
        apart = np.abs(values - values[::-1, ::-1]) > FAR * np.hypot(sigma, sigma[::-1, ::-1])
        reason[(reason == USED) & apart] = UNLIKE
    used = reason == USED
    return replace(part, reason=reason, low=part.low & used, high=part.high & used)


def _touching(mask: Booleans) -> Booleans:
    """Bins beside or diagonal to an unmeasured bin of the same energy."""
    return np.asarray(binary_dilation(mask, np.ones((3, 3, 1), bool)) & ~mask)


def _is_even(binning: Binning) -> bool:
    edges = (binning.h_edges, binning.k_edges)
    return all(np.allclose(line, -line[::-1], atol=1e-3 * np.diff(line).min()) for line in edges)


def _limits(values: Floats, used: Booleans) -> tuple[Booleans, Booleans]:
    """Bins at the lower and the upper limit of data that were cut at 0 or clipped."""
    none = np.zeros(values.shape, bool)
    if not used.any():
        return none, none
    at_zero = used & (values == 0)
    cut = values[used].min() == 0 and at_zero.sum() > SHARE_OF_LIMIT * used.sum()
    top = used & (values == values[used].max())
    return (at_zero if cut else none), (top if top.sum() > 2 and values[used].max() > 0 else none)


def _floored(sigma: Floats, used: Booleans) -> Floats:
    """Errors, at least a fifth of the median of their energy bin, and the median where none is known (0)."""
    out = sigma.copy()
    for e in range(sigma.shape[2]):
        positive = sigma[:, :, e][used[:, :, e] & (sigma[:, :, e] > 0)]
        overall = sigma[used & (sigma > 0)]
        typical = np.median(positive) if positive.size else np.median(overall) if overall.size else 1.0
        out[:, :, e] = np.where(sigma[:, :, e] > 0, np.maximum(sigma[:, :, e], 0.2 * typical), typical)
    return out


def pair_errors(part: Part, expected: Floats | None = None) -> Part:
    """Return the part with errors from inversion pairs: σ² = a + b μ in each energy bin, a and b ≥ 0.

    Half the squared difference of a pair has the mean σ². μ is the ``expected`` intensity (nh, nk, nE), or
    the mean of the neighbours of the pair, which is too low on sharp ridges. Where data were cut at 0, both
    are corrected for what is missing.
    """
    values, used = part.intensity, part.used
    twin, both = values[::-1, ::-1], used & used[::-1, ::-1]
    mean, squared = 0.5 * (values + twin), 0.5 * (values - twin) ** 2
    least = 1e-3 * float(np.sqrt(np.mean(values[used] ** 2))) if used.any() else 1.0
    variance = np.full(values.shape, least**2)
    for e in range(values.shape[2]):
        at = both[:, :, e]
        if at.sum() < 4:
            continue
        local = _neighbours(mean[:, :, e], at) if expected is None else expected[:, :, e]
        local = np.maximum(local, 0)
        constant, slope = _variance_line(local[at], squared[at, e])
        line = constant + slope * local
        line = np.maximum(line, 0.2 * np.median(line[at]))
        ratio = local / np.sqrt(line + least**2)
        variance[:, :, e] += line * _uncut(ratio, of_cut=expected is None) if part.low.any() else line
    return replace(part, sigma=np.sqrt(variance))


def _uncut(ratio: Floats, *, of_cut: bool) -> Floats:
    """Variance of a Gaussian over that of its values cut at 0.

    By the ``ratio`` of its mean to the spread of the cut values; ``of_cut``: of the mean of these, too.
    """
    t = np.linspace(-1.0 if of_cut else 0.0, 6.0, 200)
    mean = norm.pdf(t) + t * norm.cdf(t)
    variance = (t**2 + 1) * norm.cdf(t) + t * norm.pdf(t) - mean**2
    return np.asarray(np.interp(ratio, (mean if of_cut else t) / np.sqrt(variance), 1 / variance))


def _variance_line(local: Floats, squared: Floats) -> tuple[float, float]:
    """Fit ``squared`` = a + b ``local`` with weights 1/line², without what is 25 times the line or more."""
    design = np.column_stack([np.ones(local.size), local])
    weight = np.ones(local.size)
    line = np.zeros(2)
    for _ in range(4):
        line, _ = nnls(design * weight[:, None], squared * weight)
        expected = np.maximum(design @ line, 1e-12)
        weight = (squared < 25 * expected) / expected
    return float(line[0]), float(line[1])


def _neighbours(plane: Floats, usable: Booleans) -> Floats:
    """Mean of the usable ones of the eight neighbours of each bin."""
    kernel = np.ones((3, 3))
    kernel[1, 1] = 0
    total = convolve(np.where(usable, plane, 0.0), kernel, mode="constant")
    number = convolve(usable.astype(float), kernel, mode="constant")
    return np.asarray(np.where(number > 0, total / np.maximum(number, 1), plane))


def _spikes(values: Floats, sigma: Floats, mask: Booleans) -> Booleans:
    """Bins that stand out of all eight neighbours by `FAR` errors and by twice the largest of them."""
    ring = np.ones((3, 3, 1), bool)
    ring[1, 1] = False
    highest = maximum_filter(np.where(mask, -np.inf, values), footprint=ring, mode="constant", cval=-np.inf)
    return np.asarray((values > highest + FAR * sigma) & (values > 2 * highest))
