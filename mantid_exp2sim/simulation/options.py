"""What every solved Hamiltonian has in common: how it is simulated, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats, Projection
from mantid_exp2sim.simulation.binning import Binning, Kind
from mantid_exp2sim.simulation.excitations import Excitations
from mantid_exp2sim.simulation.instrument import MAPS, Instrument
from mantid_exp2sim.simulation.scan import Scan

Physics = Literal["physical", "paper_compatible"]


@dataclass(frozen=True, slots=True)
class Options:
    """How the physics is simulated.

    ``physics`` "paper_compatible" switches on three artefacts of the published simulation of the manganite:
    its second twin loses S^zz and has L = 0; L is folded into [−½, ½) in the phase between the layers; the
    form factor uses that folded Q. (The polarisation factor has the true Q: with it the published image
    correlates better than with the folded one.)
    ``grid`` is half the number of points per r.l.u. on which the Hamiltonian is solved. ``excitations`` are
    the limits of what counts as a mode; None takes those of the description, or the default ones.
    ``line_width`` is that of the excitations themselves, a Gaussian's FWHM in meV, where the resolution is
    applied. ``twin_shares`` are the shares of the twins, of any sum; none: equal ones of the built-in models,
    those of a description.
    ``scan``: the crystal turns meanwhile, and a volume is integrated over a range of the third direction;
    None: it stands with both axes of view normal to ki. ``powder``: there is no crystal, and the first axis
    of a volume is |Q| in Å⁻¹.
    """

    instrument: Instrument = MAPS
    physics: Physics = "physical"
    grid: int = 30
    excitations: Excitations | None = None
    line_width: float = 0.0
    twin_shares: tuple[float, ...] = ()
    scan: Scan | None = None
    powder: bool = False

    def shares_of(self, usual: Sequence[float]) -> tuple[float, ...]:
        """Return the shares of the twins, of sum 1; ``usual`` are those of the model.

        Raises `Exp2SimError` where there are not as many, or one of them is no share.

        >>> Options(twin_shares=(3, 1)).shares_of((0.5, 0.5))
        (0.75, 0.25)
        """
        shares = self.twin_shares or tuple(usual)
        total = sum(shares)
        if len(shares) != len(usual) or not min(shares) >= 0 or not 0 < total < np.inf:
            raise Exp2SimError(
                f"The shares of the twins are {list(shares)}.",
                reason=f"The model has {len(usual)} of them.",
                fix="Give as many numbers from 0, not all of them 0.",
            )
        return tuple(share / total for share in shares)

    @property
    def line_variance(self) -> float:
        """Variance of the energy by ``line_width``, in meV²."""
        return float(self.line_width**2 / (8 * np.log(2)))

    def __post_init__(self) -> None:
        """Validate the grid, the line width and the sample."""
        if not 0 <= self.line_width < np.inf:
            raise Exp2SimError(f"The line width is {self.line_width} meV.", fix="Give 0 or more.")
        if self.powder and self.scan is not None:
            raise Exp2SimError("A powder is not turned.", fix="Leave the scan or the powder out.")
        if self.grid < 4:
            raise Exp2SimError(
                f"The grid is {self.grid}.",
                reason="The Hamiltonian is solved on a grid of at least 4 points per axis.",
                fix="Choose a grid of 4 or more; 30 is the default.",
            )


class SpinWaves(Protocol):
    """A Hamiltonian that is solved once and serves every incident energy, binning and kind of data."""

    @property
    def model(self) -> str:
        """Name of the model."""

    @property
    def parameters(self) -> Floats:
        """Constants of the model in meV, float64 (p,)."""

    @property
    def options(self) -> Options:
        """How the physics is simulated."""

    @property
    def lattice(self) -> tuple[float, float]:
        """2π over the length of one r.l.u. along the two Q axes of a volume, in Å."""

    @property
    def projection(self) -> Projection:
        """Directions of the Q axes of a volume."""

    def not_covered(self, binning: Binning) -> Booleans:
        """Find the bins of a volume that no detector reaches, True = not measured."""

    @property
    def cell(self) -> tuple[float, ...]:
        """a, b, c in Å, alpha, beta, gamma in degrees."""

    @property
    def left_out(self) -> Mapping[tuple[Binning, Kind], int]:
        """How many modes each computed volume leaves out: they are no `Excitations`."""

    def volume(self, binning: Binning, kind: Kind = "convolved") -> Floats:
        """Compute the intensities of one volume, float64 (nh, nk, nE), in mb sr⁻¹ meV⁻¹ per formula unit.

        ``kind`` "convolved" with the instrument's resolution; "integrated", the same mean over the bin
        without it; "centre", the model at the bin's centre with lines of 0.1 meV FWHM. Bins that cannot be
        reached are 0. The first-order terms of the resolution can leave values of about -1e-4 of the maximum
        beside strong lines; they are set to 0.
        """
