"""Say in words why data lie off the domain of a model, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from mantid_exp2sim.domain.likeness import NUMBERS
from mantid_exp2sim.histogram import Booleans, Floats

UNUSUAL = 1.0
"""A number of the score is told where it exceeds the 95 % quantile of the domain."""
WORDS = {
    "features": "the features differ from those of all training spectra: look for phonons, an elastic tail, "
    "another material or another resolution",
    "kind": "they look like the other kind of data: check whether the resolution is in them or already out",
    "sharing": "the intensity is shared unusually between the incident energies: check how each was "
    "normalised, and what was subtracted",
    "error": "the expected error is {ratio:.1f} times the usual one: look for what is no spin wave and "
    "subtract it, or use the known resolution",
}

CLIPPED, FEWEST = 1e-3, 10
"""Data of which this share of the bins, and so many, have the highest value exactly were clipped there."""


def clipping(values: Floats, mask: Booleans) -> tuple[str, ...]:
    """Say that intensities were clipped, where they were.

    >>> import numpy as np
    >>> clipping(np.minimum(np.arange(100.0), 80.0), np.zeros(100, dtype=bool))[0][:38]
    '20 bins have the highest intensity exa'
    >>> clipping(np.arange(100.0), np.zeros(100, dtype=bool))
    ()
    """
    measured = values[~mask]
    count = int((measured == measured.max()).sum()) if measured.size and measured.max() > 0 else 0
    if count < max(FEWEST, CLIPPED * measured.size) or count == measured.size:
        return ()
    return (
        f"{count} bins have the highest intensity exactly: it was clipped there, and stays too low. Take the "
        "data as they were before",
    )


def reasons_of(tails: Sequence[float], error_ratio: float | None) -> tuple[str, ...]:
    """Return the reasons against data, the strongest first.

    Parameters
    ----------
    tails
        What the score is made of, in the order of `NUMBERS`; above 1 is rarer than one in twenty.
    error_ratio
        Expected error over the usual one, where it speaks against the data.

    Examples
    --------
    >>> reasons_of([0.2, 0.0, 0.0, 3.0, 0.1, 1.5], None)[0][:21]
    'the features differ f'
    >>> len(reasons_of([0.2, 0.0, 0.0, 3.0, 0.1, 1.5], 2.0))
    3
    """
    strength: dict[str, float] = {}
    for name, tail in zip(NUMBERS, tails, strict=True):
        strength[name] = max(strength.get(name, 0.0), float(tail))
    names = sorted((name for name in strength if strength[name] > UNUSUAL), key=lambda n: -strength[n])
    texts = [WORDS[name] for name in names]
    return tuple(texts if error_ratio is None else [WORDS["error"].format(ratio=error_ratio), *texts])
