"""Deconvolve any data by the network that knows the instrument, or by Richardson–Lucy where that is safer.

The network's result is put back through the resolution. Where that and a smooth background do not explain the
data, and Richardson–Lucy explains them better, that one's result is given, and the history says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mantid_exp2sim.application.known_resolution import (
    EXPLAINED,
    ClassicalOptions,
    Part,
    Progress,
    background_of,
    deconvolve_volume,
    deconvolve_volumes,
    resolution_on,
    separated,
)
from mantid_exp2sim.application.separation import smooth_part
from mantid_exp2sim.errors import AxisError
from mantid_exp2sim.histogram import Floats, Histogram
from mantid_exp2sim.inference.bins import lay_out
from mantid_exp2sim.inference.data_noise import noise_of
from mantid_exp2sim.inference.translate import Translation
from mantid_exp2sim.simulation.setting import Measured, Setting

if TYPE_CHECKING:
    from mantid_exp2sim.inference.unrolled import Deconvolver

TRUSTED = 0.1
"""Share of the data, beyond noise and background, that may be left unexplained without another look."""
WORSE = 1.5
"""Times what Richardson–Lucy leaves unexplained, above which that one is taken."""


def deconvolve_any(
    histogram: Histogram,
    setting: Setting,
    options: ClassicalOptions | None = None,
    *,
    deconvolver: Deconvolver | None = None,
    split: bool = False,
    progress: Progress | None = None,
) -> Translation:
    """Take the resolution of a known instrument out by the network for any material.

    Parameters
    ----------
    histogram
        One to three axes of more than one bin.
    setting
        Of the measurement; what it does not say is taken from the data.
    options
        ``background`` is taken off first; the network takes out what is left of one. The variance is from
        four replicas, averaged over the resolution.
    deconvolver
        By default the shipped one.
    split
        Whether to give the background and the residual too.

    Returns
    -------
    Translation
        The last entry of the history of its ``histogram`` tells for each volume which ``method`` its result
        is from, and why it is not the network's.

    Raises
    ------
    Exp2SimError
        If the instrument, the incident energy or the lattice is not known, or an axis has no resolution.
    """
    from mantid_exp2sim.inference.unrolled import open_deconvolver

    chosen = open_deconvolver() if deconvolver is None else deconvolver

    def solve(
        volume: Histogram, measured: Measured, options: ClassicalOptions, number: int, residual: bool
    ) -> Part:
        if volume.mask.all():
            return deconvolve_volume(volume, measured, options, number, residual)
        try:
            outcome = _by_network(chosen, volume, measured, options)
            left = float(outcome.part.told["unexplained"])
            if left <= TRUSTED:
                return outcome.part
            other = deconvolve_volume(volume, measured, options, number, True)
            smooth = np.nan_to_num(smooth_part(other.residual))
            rest = other.residual.replace(intensity=other.residual.intensity - smooth)
            own = _unexplained(volume, rest, outcome.noise)
            if left <= WORSE * own:
                return outcome.part
            why = f"the network leaves {100 * left:.0f} % of the data unexplained, this {100 * own:.0f} %"
        except AxisError as error:
            other, why = deconvolve_volume(volume, measured, options, number, residual), error.summary
        where = f"at {measured.incident_energy:g} meV "
        warnings = [*other.told["warnings"], f"{where}richardson-lucy, not the network: {why}"]
        return replace(other, told={**other.told, "not_the_network": why, "warnings": warnings})

    about = {"model": chosen.card.name, "model_version": chosen.card.version}
    whole, parts = deconvolve_volumes(
        histogram, setting, options or ClassicalOptions(), progress, residual=split, solve=solve, about=about
    )
    return separated(histogram, whole, parts) if split else Translation(whole)


@dataclass(frozen=True, slots=True, eq=False)
class _Outcome:
    """What the network made of one volume; ``noise`` is the variance of the data, of their shape."""

    part: Part
    noise: Floats


def _by_network(
    deconvolver: Deconvolver, volume: Histogram, measured: Measured, options: ClassicalOptions
) -> _Outcome:
    from mantid_exp2sim.inference.unrolled import REPLICAS, sharpen

    placement = measured.place(volume)
    layout = lay_out([axis.edges for axis in volume.axes], placement.covariances, volume.find_axis("energy"))
    if sorted(layout.shape)[1] == 1:
        raise AxisError(
            "The data are a cut along one axis.",
            reason="The network has met few of them.",
            fix="Deconvolve the slice or volume that it was cut from.",
            wrong="axes",
        )
    blur = layout.on(volume.mask)
    whole = blur.inner if min(volume.shape) > 1 else resolution_on(volume, measured).on(volume.mask)
    variance, source = noise_of(volume, whole)
    first = background_of(volume, whole, options.background)
    values = np.where(volume.mask, 0.0, volume.intensity - first)
    outcome = sharpen(
        deconvolver, blur, layout.arranged(values), layout.arranged(variance),
        replicas=REPLICAS if options.uncertainty else 0, seed=options.seed,
    )  # fmt: skip

    def on_the_bins(array: Floats) -> Floats:
        return np.asarray(layout.restored(array), dtype=np.float64).reshape(volume.shape)

    def part(array: Floats) -> Histogram:
        return volume.replace(intensity=np.where(volume.mask, np.nan, array))

    difference = values - on_the_bins(blur.blur(outcome.intensity).astype(np.float64))
    smooth = np.where(volume.mask, 0.0, smooth_part(part(difference)))
    removed, residual = first + smooth, part(difference - smooth)
    unexplained = _unexplained(volume, residual, variance)
    told = {
        "method": "chopper-any",
        "noise": source,
        "unexplained": unexplained,
        "background_total": float(removed[~volume.mask].sum()),
        "background_mean": float(removed[~volume.mask].mean()),
        "warnings": _warnings(unexplained, measured),
    }
    sharp = part(on_the_bins(outcome.intensity)).replace(
        variance=np.where(volume.mask, np.nan, on_the_bins(outcome.variance))
    )
    return _Outcome(Part(sharp, part(removed), residual, told), variance)


def _unexplained(volume: Histogram, residual: Histogram, variance: Floats) -> float:
    """Norm of a residual beyond the noise, over that of the data."""
    inside = ~volume.mask
    size, square = (float((part.intensity[inside] ** 2).sum()) for part in (volume, residual))
    beyond = max(square - float(variance[inside].sum()), 0.0)
    return float(np.sqrt(beyond / size)) if size else 0.0


def _warnings(unexplained: float, measured: Measured) -> list[str]:
    if unexplained <= EXPLAINED:
        return []
    share = f"{100 * unexplained:.0f} %"
    return [
        f"at {measured.incident_energy:g} meV {share} of the data are not explained: "
        "check instrument, energy and lattice"
    ]
