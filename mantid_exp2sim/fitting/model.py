"""A model's constants and the nuisances that change its spectra: names, bounds, priors, and the spectra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.fitting.data import Part
from mantid_exp2sim.fitting.options import FitOptions
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.binning import Binning
from mantid_exp2sim.simulation.excitation_model import ExcitationModel
from mantid_exp2sim.simulation.instrument import Instrument
from mantid_exp2sim.simulation.manganite import RANGES, ModelName
from mantid_exp2sim.simulation.material import Description
from mantid_exp2sim.simulation.measurement import find_model, model_parameters, solve
from mantid_exp2sim.simulation.options import Options

NUISANCES = {
    "width_scale": ((0.3, 3.0), 1.0, 0.2, 0.02),
    "line_width": ((0.0, 20.0), 0.0, 1.0, 0.05),
    "shift_h": ((-0.2, 0.2), 0.0, 0.02, 0.002),
    "shift_k": ((-0.2, 0.2), 0.0, 0.02, 0.002),
}
"""Bounds, middle and width of the Gaussian prior, and step of the differences."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A free parameter: its bounds, its start, its prior (None: uniform) and the step of differences."""

    name: str
    bounds: tuple[float, float]
    start: float
    prior: tuple[float, float] | None
    step: float


@dataclass(frozen=True, slots=True, eq=False)
class FitModel:
    """A model and which of its parameters are free.

    ``held`` values of the constants and nuisances that are not, ``tied`` names that equal another.
    """

    name: str
    model: ModelName | Description | ExcitationModel
    constants: tuple[str, ...]
    free: tuple[Parameter, ...]
    held: dict[str, float]
    tied: dict[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the free parameters."""
        return tuple(parameter.name for parameter in self.free)

    @property
    def bounds(self) -> Floats:
        """Bounds (p, 2)."""
        return np.array([parameter.bounds for parameter in self.free])

    @property
    def start(self) -> Floats:
        """Start (p,)."""
        return np.array([parameter.start for parameter in self.free])

    def values(self, free: Floats) -> dict[str, float]:
        """Name all constants and nuisances at given free ones (p,)."""
        values = {**self.held, **dict(zip(self.names, free.tolist(), strict=True))}
        return {**values, **{name: values[other] for name, other in self.tied.items()}}

    def log_prior(self, free: Floats) -> float:
        """Compute the logarithm of the prior's density; -inf outside the bounds."""
        low, high = self.bounds.T
        if ((free < low) | (free > high)).any():
            return -np.inf
        total = 0.0
        for parameter, value in zip(self.free, free, strict=True):
            if parameter.prior is None:
                total -= np.log(parameter.bounds[1] - parameter.bounds[0])
            else:
                middle, width = parameter.prior
                total -= 0.5 * ((value - middle) / width) ** 2 + np.log(width * np.sqrt(2 * np.pi))
        return float(total)

    def spectra(self, free: Floats, parts: Sequence[Part], grid: int) -> list[Floats]:
        """Simulate the bins of each part, (nh, nk, nE); `UnstableStructureError` where there are none."""
        values = self.values(free)
        constants = [values[name] for name in self.constants]
        solved = {}
        volumes = []
        for part in parts:
            instrument = part.instrument
            if instrument not in solved:
                options = Options(
                    instrument=_widened(instrument, values.get("width_scale", 1.0)),
                    grid=grid,
                    line_width=values.get("line_width", 0.0),
                )
                solved[instrument] = solve(self.model, constants, options)
            binning = _shifted(part.binning, values.get("shift_h", 0.0), values.get("shift_k", 0.0))
            volumes.append(solved[instrument].volume(binning))
        return volumes


def _widened(instrument: Instrument, width_scale: float) -> Instrument:
    return instrument if width_scale == 1 else instrument.scaled(width_scale)


def _shifted(binning: Binning, h: float, k: float) -> Binning:
    if h == 0 and k == 0:
        return binning
    return replace(binning, h_edges=binning.h_edges + h, k_edges=binning.k_edges + k)


def fit_model(model: str | Path | Description | ExcitationModel, options: FitOptions) -> FitModel:
    """Find a model and set up its free parameters."""
    base = find_model(model)
    defaults = model_parameters(base)
    ranges = dict(zip(defaults, _ranges(base), strict=True))
    nuisances = _nuisances(options)
    names = [*defaults, *nuisances]
    held = {name: value for name, value in options.fixed.items() if name in names}
    tied = {name: other for name, other in options.tied.items() if name in names}
    free = []
    for name in names:
        if name in held or name in tied:
            continue
        if name in nuisances:
            bounds, middle, width, step = nuisances[name]
            free.append(Parameter(name, options.bounds.get(name, bounds), middle, (middle, width), step))
            continue
        low, high = options.bounds.get(name, ranges[name])
        if low == high:
            held[name] = low
            continue
        start = float(np.clip(defaults[name], low, high))
        free.append(Parameter(name, (low, high), start, None, 2e-3 * (high - low)))
    title = base if isinstance(base, str) else base.name
    if not free:
        raise Exp2SimError(
            f"No constant of {title} is free.",
            reason="All are fixed, tied, or have no range.",
            fix="Free one, or give its range: under [parameters] of the description, or in 'bounds'.",
        )
    fitted = FitModel(title, base, tuple(defaults), tuple(free), held, tied)
    _validate_ties(fitted, names)
    return fitted


def _ranges(model: ModelName | Description | ExcitationModel) -> tuple[tuple[float, float], ...]:
    """Ranges of all constants; one that is not to be fitted has no width."""
    if isinstance(model, str):
        return RANGES[model]
    return tuple(p.range or (p.value, p.value) for p in model.parameters.values())


def _nuisances(options: FitOptions) -> dict[str, tuple[tuple[float, float], float, float, float]]:
    switches = {
        "width_scale": options.width_scale,
        "line_width": options.line_width,
        "shift_h": options.misalignment,
        "shift_k": options.misalignment,
    }
    return {name: numbers for name, numbers in NUISANCES.items() if switches[name]}


def _validate_ties(model: FitModel, names: list[str]) -> None:
    for name, other in model.tied.items():
        if other not in names or other in model.tied:
            raise Exp2SimError(
                f"{name} is tied to {other!r}, which is no free or fixed parameter of {model.name}.",
                fix=f"Tie it to one of {[n for n in names if n not in model.tied]}.",
            )
