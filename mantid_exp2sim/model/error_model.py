"""How far a result may be from the truth: the parts of its error, and intervals that cover what they say."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Floats

NORMAL_95 = 1.959964
"""Half of the 95 % interval of a Gaussian, in standard deviations."""


class ErrorModel(BaseModel):
    """The model's own error in one direction, fitted on a validation split and kept on the card.

    Beside the spread s of the members the error depends on the result's intensity I and on the incident
    energy. Half of the 68 % interval of the model's own error is σ, half of its 95 % interval is τ, with

    ``σ² = (spread · share(|I|) · s)² + sigma(|I|)²`` and
    ``τ² = (1.96 · spread · share_wide(|I|) · s)² + wide(|I|)²``.

    The shares are about 1 where the error is more than what the members' spread says, and below that where
    the spread alone says more. Of the variance v propagated from the input ``given(|I|) · v`` counts beside
    σ², and ``given_wide(|I|) · v`` beside τ²: replicas put noise on what has noise already, which overrates
    it where a network answers zero to all that is weak. ``sigma`` and ``wide`` are linear between the
    tabulated intensities and proportional to |I| above the last one, the shares and factors constant there.
    There are two of each because such errors have heavy tails: τ is not 1.96 σ. Intensities are in the unit
    of the training data.

    >>> errors = ErrorModel(spread=0.0, intensity=(0.0, 10.0), sigma=((1.0, 2.0),), wide=((3.0, 6.0),))
    >>> [half.tolist() for half in errors.halves(np.array([[-5.0, 20.0]]), np.zeros((1, 2)), [0])]
    [[[1.5, 4.0]], [[4.5, 12.0]]]
    >>> [factor.tolist() for factor in errors.factors(np.array([3.0]))]
    [[1.0], [3.841459]]
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    spread: float = Field(ge=0, le=100)
    """Factor on the standard deviation between the members."""
    intensity: tuple[float, ...] = Field(min_length=1, max_length=64)
    """Tabulated |I|, increasing."""
    sigma: tuple[tuple[float, ...], ...] = Field(min_length=1, max_length=1000)
    """For each incident energy of the card, at each tabulated |I|: half of the 68 % interval."""
    wide: tuple[tuple[float, ...], ...] = Field(min_length=1, max_length=1000)
    """The same for 95 %."""
    share: tuple[tuple[float, ...], ...] | None = Field(default=None, max_length=1000)
    """For each incident energy of the card, at each tabulated |I|: how much of ``spread`` counts for 68 %;
    None: all of it."""
    share_wide: tuple[tuple[float, ...], ...] | None = Field(default=None, max_length=1000)
    """The same for 95 %."""
    given: tuple[float, ...] | None = Field(default=None, max_length=64)
    """At each tabulated |I|: how much of the propagated variance counts for 68 %; None: all of it."""
    given_wide: tuple[float, ...] | None = Field(default=None, max_length=64)
    """For 95 %; None: 1.96² times all of it."""

    @model_validator(mode="after")
    def _consistent(self) -> ErrorModel:
        if self.intensity[0] < 0 or any(b <= a for a, b in pairwise(self.intensity)):
            raise ValueError("intensity increases from 0 or more")
        tables = [
            table for table in (self.sigma, self.wide, self.share, self.share_wide) if table is not None
        ]
        if len({len(table) for table in tables}) > 1:
            raise ValueError("sigma, wide and the shares have a row for each incident energy")
        factors = [row for row in (self.given, self.given_wide) if row is not None]
        for row in (*(row for table in tables for row in table), *factors):
            if len(row) != len(self.intensity) or min(row) < 0:
                raise ValueError("each row has a number, not negative, for each intensity")
        return self

    def halves(self, intensity: Floats, spread: Floats, rows: list[int]) -> tuple[Floats, Floats]:
        """σ and τ for results (B, …) of which the first axis has the incident energies ``rows``."""
        size = np.abs(intensity)
        beyond = np.maximum(1.0, size / max(self.intensity[-1], 1e-300))
        halves = []
        for table, share, normal in ((self.sigma, self.share, 1.0), (self.wide, self.share_wide, NORMAL_95)):
            half = normal * self.spread * spread
            for number, row in enumerate(rows):
                if share is not None:
                    half[number] *= np.interp(size[number], self.intensity, share[row])
                beyond_table = beyond[number] * np.interp(size[number], self.intensity, table[row])
                half[number] = np.hypot(half[number], beyond_table)
            halves.append(half)
        return halves[0], halves[1]

    def factors(self, intensity: Floats) -> tuple[Floats, Floats]:
        """How much of the propagated variance counts for the 68 % and for the 95 % interval, at each bin."""
        size = np.abs(intensity)
        tables = ((self.given, 1.0), (self.given_wide, round(NORMAL_95**2, 6)))
        narrow, wide = (
            np.full(size.shape, whole) if table is None else np.interp(size, self.intensity, table)
            for table, whole in tables
        )
        return narrow, wide
