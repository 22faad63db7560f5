"""Conditions that act on the simulation of a spectrum: resolution, twins, damping."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mantid_exp2sim.simulation.options import Options, Physics


def _ascending(ends: tuple[float, float]) -> tuple[float, float]:
    if not ends[0] <= ends[1]:
        raise ValueError("a range is [lowest, highest]")
    return ends


Span = Annotated[tuple[float, float], AfterValidator(_ascending)]
NotNegative = Annotated[tuple[Annotated[float, Field(ge=0)], float], AfterValidator(_ascending)]
Positive = Annotated[tuple[Annotated[float, Field(gt=0)], float], AfterValidator(_ascending)]


class SimulationConditions(BaseModel):
    """Ranges of what a simulation is set to, ``[lowest, highest]``, uniform; by default nothing is changed.

    >>> options = SimulationConditions(width_scale=(1.1, 1.1)).draw(np.random.default_rng(0), Options())
    >>> options.instrument.width_scale
    1.1
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    physics: tuple[Physics, ...] = ()
    """Ways of simulating, each as likely as often as it is named; none: the usual one."""
    frequency_factor: Positive = (1.0, 1.0)
    """On all chopper frequencies."""
    frequency_offset: Span = (0.0, 0.0)
    """Added to all chopper frequencies, in Hz."""
    width_scale: Positive = (1.0, 1.0)
    """On all widths of the resolution."""
    sample_factor: Positive = (1.0, 1.0)
    """On the sides of the sample."""
    line_width: NotNegative = (0.0, 0.0)
    """Of the excitations by their damping, FWHM in meV."""
    first_twin: NotNegative = (0.5, 0.5)
    """Share of the first of two twins, at most 1."""

    def draw(self, rng: np.random.Generator, usual: Options) -> Options:
        """Draw how a spectrum is simulated, from its ``usual`` options."""
        instrument = usual.instrument
        factor, offset = uniform(rng, self.frequency_factor), uniform(rng, self.frequency_offset)
        least, most = instrument.frequency_range or (1.0, np.inf)
        frequencies = [
            (energy, float(np.clip(f * factor + offset, least, most))) for energy, f in instrument.frequencies
        ]
        scale, size = uniform(rng, self.width_scale), uniform(rng, self.sample_factor)
        first = uniform(rng, self.first_twin)
        physics = self.physics[int(rng.integers(len(self.physics)))] if self.physics else usual.physics
        changes = {
            "frequencies": tuple(frequencies),
            "width_scale": instrument.width_scale * scale,
            "sample": tuple(side * size for side in instrument.sample),
        }
        return replace(
            usual,
            instrument=instrument.model_copy(update=changes),
            physics=physics,
            line_width=float(np.hypot(usual.line_width, uniform(rng, self.line_width))),
            twin_shares=usual.twin_shares if first == 0.5 else (first, 1 - first),
        )


def uniform(rng: np.random.Generator, ends: tuple[float, float]) -> float:
    """Draw a number between both ends."""
    return float(rng.uniform(*ends))


def log_uniform(rng: np.random.Generator, ends: tuple[float, float]) -> float:
    """Draw a number whose logarithm is uniform; uniform from a low end of 0."""
    return float(np.exp(rng.uniform(*np.log(ends)))) if ends[0] > 0 else uniform(rng, ends)
