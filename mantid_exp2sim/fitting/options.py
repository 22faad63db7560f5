"""How a fit is made: what is free, what is held, and how long it looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Histogram, require_histogram
from mantid_exp2sim.mosaic import is_mosaic, split
from mantid_exp2sim.simulation.instrument import Instrument
from mantid_exp2sim.simulation.setting import Setting, complete

Counts = Literal["gaussian", "poisson"]
Scale = Literal["each", "sloped", "fixed"]
Background = Literal["flat", "smooth", "rings", "none"]


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """A histogram and the spectrometer that measured it.

    ``histogram`` the mosaic, an (h, k, E) volume, or a slice or cut of one. ``instrument`` a name, the path
    of a TOML file, or an `Instrument`; ``frequency`` of its chopper in Hz, ``package`` its slits. What is
    not said is taken from the data, as in `simulation.setting`.
    """

    histogram: Histogram
    instrument: str | Path | Instrument | None = None
    frequency: float | None = None
    package: str | None = None

    def __post_init__(self) -> None:
        require_histogram(self.histogram)

    def spectrometer(self) -> Instrument:
        """Return the instrument with the widths that are computed for it: an `Instrument` as it is.

        Raises
        ------
        OptionError
            If the instrument is neither given nor told by the data.
        """
        if isinstance(self.instrument, Instrument):
            return self.instrument
        setting = Setting(instrument=self.instrument, frequency=self.frequency, package=self.package)
        part = split(self.histogram)[0] if is_mosaic(self.histogram) else self.histogram
        return complete(setting, part, self.histogram).instrument.model_copy(update={"width_scale": 1.0})


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """How a fit is made.

    Parameters
    ----------
    fixed
        Constants that are held, in meV, by name; nuisances such as ``width_scale`` likewise.
    bounds
        Ranges (low, high) of constants, instead of those of the model; the prior is uniform inside.
    tied
        Constants that equal another: the name of the one, and of the other.
    scale
        "each": a factor on the intensity of each incident energy; "sloped": one that changes linearly with
        the energy transfer, as kf/ki and the efficiency of detectors do; "fixed": the data are absolute.
    background
        "flat": constant in Q in each panel (at most ten knots in energy); "smooth": linear between four
        places of |Q| there; "rings": between eight; "none".
    phonons
        A term ∝ Q² (1 + n(E)) for each incident energy.
    width_scale
        Fit a factor on all widths of the resolution; prior 1 ± 0.2.
    line_width
        Fit the width of the excitations, FWHM in meV; prior 0 ± 1.
    misalignment
        Fit a shift of the data along both axes, in r.l.u.; prior 0 ± 0.02.
    temperature
        Of the sample in K, for the phonons.
    errors
        "poisson" where the intensities are counts.
    outliers
        Share of bins with errors ten times as large; 0 trusts every bin.
    starts
        Stable draws of the constants that are tried before anything is fitted; a quarter of them where they
        are draws of a trained posterior.
    posterior
        "auto": a shipped posterior where one was trained for the model and such data; "none"; or its folder.
    samples
        Draws of the importance sampling; 0 gives the Gaussian about the best mode.
    grid
        Half the points per r.l.u. on which the Hamiltonian is solved.
    seed
        Of the starts and of the samples.
    """

    fixed: Mapping[str, float] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    tied: Mapping[str, str] = field(default_factory=dict)
    scale: Scale = "each"
    background: Background = "flat"
    phonons: bool = False
    width_scale: bool = True
    line_width: bool = False
    misalignment: bool = False
    temperature: float = 5.0
    errors: Counts = "gaussian"
    outliers: float = 0.01
    starts: int = 96
    posterior: str | Path = "auto"
    samples: int = 100
    grid: int = 30
    seed: int = 0

    def __post_init__(self) -> None:
        """Validate the numbers."""
        usable = self.starts >= 1 and self.samples >= 0 and self.grid >= 4 and self.seed >= 0
        if not (usable and self.temperature > 0 and 0 <= self.outliers < 0.5):
            raise Exp2SimError(
                "The options of the fit cannot be used.",
                reason=f"starts {self.starts}, samples {self.samples}, grid {self.grid}, seed {self.seed}, "
                f"temperature {self.temperature}, outliers {self.outliers}.",
                fix="Give a start or more, a grid from 4, a temperature above 0, outliers below 0.5.",
            )
        for name, (low, high) in self.bounds.items():
            if not low < high:
                raise Exp2SimError(f"The bounds of {name} are {low} and {high}.", fix="Give low, then high.")


def for_each(values: Sequence[Any], count: int, error: Exp2SimError) -> list[Any]:
    """Return a value for each of ``count`` measurements: None without any, one for all, or each its own.

    Raises ``error`` where there is another number of values.

    >>> for_each(["MAPS"], 2, Exp2SimError("wrong", fix="count"))
    ['MAPS', 'MAPS']
    """
    if len(values) not in (0, 1, count):
        raise error
    return list(values) if len(values) == count else [values[0] if values else None] * count
