"""What a deconvolution takes out, as outputs of their own: the background, and a residual.

Measured = sharp spectrum with the resolution + removed + residual, in every measured bin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import gaussian_filter

from mantid_exp2sim.application.known_resolution import convolve_known
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats, Histogram
from mantid_exp2sim.inference.parts import Through, with_parts
from mantid_exp2sim.inference.translate import Translation
from mantid_exp2sim.mosaic import is_mosaic, join, split

if TYPE_CHECKING:
    from mantid_exp2sim.application.model import Model
    from mantid_exp2sim.inference.prepare import Prepared
    from mantid_exp2sim.simulation.setting import Setting

SMOOTH = 0.2
"""Of the bins of an axis of momentum: the standard deviation of the Gaussian of `smooth_part`."""


def separate_network(
    model: Model,
    prepared: Prepared,
    translation: Translation,
    setting: Setting,
    about: Mapping[str, Any] | None = None,
) -> Translation:
    """Fill in what a network's deconvolution took out.

    The sharp spectrum is put back through the known resolution where instrument, incident energy and lattice
    are known, else through the model's own convolve direction. What the measurement has beyond that is
    separated by `smooth_part`. ``about`` are metadata of instrument and lattice that the data do not hold.
    """
    measured = prepared.histogram
    sharp = translation.histogram
    sharp = sharp.replace(metadata={**(about or {}), **sharp.metadata})
    seen, through = _put_back(model, prepared, sharp, setting)
    difference = measured.replace(intensity=measured.intensity - seen.intensity)
    removed = smooth_part(difference)
    return with_parts(translation, measured, removed, difference.intensity - removed, through)


def _put_back(
    model: Model, prepared: Prepared, sharp: Histogram, setting: Setting
) -> tuple[Histogram, Through]:
    try:
        return convolve_known(sharp, setting), "the known resolution"
    except Exp2SimError:
        if setting.instrument is not None:
            raise
    options = replace(prepared.options, uncertainty=False, force=True)
    return model.convolve(sharp, options=options), "the model's convolve direction"


def smooth_part(difference: Histogram) -> Floats:
    """Return the smooth part of what a measurement has beyond its spin waves, NaN where not measured.

    At each energy transfer, G(d m) / G(m) over the axes of momentum: d the difference, m 1 where measured, G
    a Gaussian whose standard deviation is `SMOOTH` of the number of bins. Data with no other axis are
    smoothed along the energy.

    >>> from mantid_exp2sim.histogram import Axis
    >>> axes = [Axis("[H,0,0]", np.arange(5.0)), Axis("DeltaE", np.arange(3.0), unit="meV")]
    >>> smooth_part(Histogram.from_arrays([[1.0, 2.0]] * 4, axes)).round(6)[0]
    array([1., 2.])
    """
    if is_mosaic(difference):
        parts = [part.replace(intensity=smooth_part(part)) for part in split(difference)]
        return join(parts).intensity
    energy = difference.find_axis("energy")
    sigma = [SMOOTH * count * (i != energy) for i, count in enumerate(difference.shape)]
    if all(count == 1 for i, count in enumerate(difference.shape) if i != energy):
        sigma = [SMOOTH * count for count in difference.shape]
    measured = (~difference.mask).astype(np.float64)
    values = np.where(difference.mask, 0.0, difference.intensity)
    total, weight = (gaussian_filter(array, sigma, mode="constant") for array in (values, measured))
    return np.asarray(np.divide(total, weight, out=np.full(total.shape, np.nan), where=measured > 0))
