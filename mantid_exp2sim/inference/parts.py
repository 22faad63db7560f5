"""The parts of a measurement that are no sharp spectrum, as histograms beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats, Histogram
from mantid_exp2sim.histogram.history import with_step
from mantid_exp2sim.inference.translate import Translation

Through = Literal["the known resolution", "the model's convolve direction"]
"""By what the sharp spectrum was made measurement-like again."""


def with_parts(
    translation: Translation, measured: Histogram, removed: Floats, residual: Floats, through: Through
) -> Translation:
    """Return a translation with its background and residual as histograms of the measurement's bins.

    The residual has the variance of the measurement; that of the background is not known (0).
    """
    unknown = np.where(measured.mask, np.nan, 0.0)
    histograms = [
        measured.replace(
            intensity=np.where(measured.mask, np.nan, values),
            variance=variance,
            metadata=with_step(
                translation.histogram.metadata, "separate", {"part": part, "put_back_through": through}
            ),
        )
        for part, values, variance in (
            ("removed", removed, unknown),
            ("residual", residual, measured.variance),
        )
    ]
    return replace(translation, removed=histograms[0], residual=histograms[1], put_back_through=through)


def with_background(translation: Translation) -> Histogram:
    """Return the sharp spectrum with the background that was taken out put back, not sharpened."""
    sharp = translation.histogram
    if translation.removed is None:
        raise Exp2SimError(
            "The background that was taken out is not known.", fix="Separate the translation first."
        )
    history = list(sharp.metadata["history"])
    history[-1] = {**history[-1], "background_kept_through": translation.put_back_through}
    return sharp.replace(
        intensity=sharp.intensity + translation.removed.intensity,
        metadata={**sharp.metadata, "history": history},
    )
