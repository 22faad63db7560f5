"""Deconvolve any data by the network that knows the instrument, or by Richardson–Lucy where that is safer.

The network's result is put back through the resolution. Where it does not explain the data, and
Richardson–Lucy explains them better, that one's result is given, and the history says so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

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
from mantid_exp2sim.errors import AxisError
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.inference.bins import lay_out
from mantid_exp2sim.inference.data_noise import noise_of
from mantid_exp2sim.inference.translate import Translation
from mantid_exp2sim.simulation.setting import Measured, Setting

if TYPE_CHECKING:
    from mantid_exp2sim.inference.unrolled import Deconvolver

TRUSTED = 0.15
"""Share of the data, beyond noise and background, that may be left unexplained without another look."""
WORSE = 1.25
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
            part = _by_network(chosen, volume, measured, options, residual)
            left = float(part.told["unexplained"])
            if left <= TRUSTED:
                return part
            other = deconvolve_volume(volume, measured, options, number, residual)
            if left <= WORSE * other.told["unexplained"]:
                return part
            share = 100 * other.told["unexplained"]
            why = f"the network leaves {100 * left:.0f} % of the data unexplained, this {share:.0f} %"
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


def _by_network(
    deconvolver: Deconvolver, volume: Histogram, measured: Measured, options: ClassicalOptions, residual: bool
) -> Part:
    from mantid_exp2sim.inference.unrolled import REPLICAS, sharpen

    placement = measured.place(volume)
    layout = lay_out([axis.edges for axis in volume.axes], placement.covariances, volume.find_axis("energy"))
    blur = layout.on(volume.mask)
    whole = blur.inner if min(volume.shape) > 1 else resolution_on(volume, measured).on(volume.mask)
    variance, source = noise_of(volume, whole)
    first = background_of(volume, whole, options.background)
    values = np.where(volume.mask, 0.0, volume.intensity - first)
    outcome = sharpen(
        deconvolver, blur, layout.arranged(values), layout.arranged(variance),
        replicas=REPLICAS if options.uncertainty else 0, seed=options.seed,
    )  # fmt: skip

    def put_back(array: Any) -> Any:
        return np.asarray(layout.restored(array), dtype=np.float64).reshape(volume.shape)

    removed = first + put_back(outcome.background)
    left = values - put_back(blur.blur(outcome.intensity) + outcome.background)
    told = {
        "method": "chopper-any",
        "noise": source,
        "unexplained": outcome.unexplained,
        "background_total": float(removed[~volume.mask].sum()),
        "background_mean": float(removed[~volume.mask].mean()),
        "warnings": _warnings(outcome.unexplained, measured),
    }
    sharp = volume.replace(
        intensity=np.where(volume.mask, np.nan, put_back(outcome.intensity)),
        variance=np.where(volume.mask, np.nan, put_back(outcome.variance)),
    )
    taken, rest = (volume.replace(intensity=np.where(volume.mask, np.nan, part)) for part in (removed, left))
    return Part(sharp, taken, rest if residual else taken, told)


def _warnings(unexplained: float, measured: Measured) -> list[str]:
    if unexplained <= EXPLAINED:
        return []
    share = f"{100 * unexplained:.0f} %"
    return [
        f"at {measured.incident_energy:g} meV {share} of the data are not explained: "
        "check instrument, energy and lattice"
    ]
