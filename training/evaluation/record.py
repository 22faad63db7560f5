"""What was measured of every way of translating, before it becomes figures."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Sums = dict[str, NDArray[np.float32]]
INPUTS = {
    ("deconvolve", "untranslated"): "convolved",
    ("deconvolve", "identity"): "identity_convolved",
    ("deconvolve", "richardson_lucy"): "richardson_lucy",
    ("deconvolve", "richardson_lucy_of_cuts"): "richardson_lucy_of_cuts",
    ("deconvolve", "paired"): "paired",
    ("deconvolve", "translated"): "deconvolved",
    ("deconvolve_measured", "untranslated"): "measured",
    ("deconvolve_measured", "identity"): "identity_measured",
    ("deconvolve_measured", "richardson_lucy"): "measured_richardson_lucy",
    ("deconvolve_measured", "richardson_lucy_of_cuts"): "measured_richardson_lucy_of_cuts",
    ("deconvolve_measured", "paired"): "measured_paired",
    ("deconvolve_measured", "translated"): "measured_deconvolved",
    ("convolve", "untranslated"): "target",
    ("convolve", "identity"): "identity_target",
    ("convolve", "resolution"): "resolution",
    ("convolve", "resolution_of_cuts"): "resolution_of_cuts",
    ("convolve", "paired"): "paired",
    ("convolve", "translated"): "convolved_again",
}
OWN_INPUTS = {"deconvolved", "measured_deconvolved", "convolved_again"}
"""Inputs that each seed makes itself."""


@dataclass(slots=True, eq=False)
class Record:
    """What was measured: by name, one list entry per batch, for each seed where that matters.

    ``sums``: (case, method, seed) to `panel_sums`; ``answers``: (reader, input, seed) to correlations
    (n, classes); ``consistency``: (source, method, seed) to ‖R·made − source‖/‖source‖ (n,).
    """

    sums: dict[tuple[str, str, int], list[Sums]] = field(default_factory=lambda: defaultdict(list))
    answers: dict[tuple[str, str, int], list[NDArray[np.float64]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    consistency: dict[tuple[str, str, int], list[NDArray[np.float64]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    labels: list[NDArray[np.int64]] = field(default_factory=list)
    example: dict[str, NDArray[np.float32]] = field(default_factory=dict)
