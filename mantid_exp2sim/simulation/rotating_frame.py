"""Spirals in their rotating frame: one cell, a propagation vector and an axis.

In the frame that turns by 2π k·R from cell to cell the structure is that of one cell. A mode of that frame
at q − k, q and q + k is seen at q; Toth and Lake, J. Phys.: Condens. Matter 27 (2015) 166002, sections 2.2
and 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats


@dataclass(frozen=True, slots=True, eq=False)
class RotatingFrame:
    """How the moments of a spiral turn from cell to cell.

    ``propagation`` (3,) in r.l.u. of the magnetic cell, ``axis`` (3,) a Cartesian unit vector. A propagation
    of half a reciprocal lattice vector is refused: there q − k and q + k interfere.
    """

    propagation: Floats
    axis: Floats

    def __post_init__(self) -> None:
        """Validate that the axis is a unit vector and that 2k is no reciprocal lattice vector."""
        if not np.isclose(np.linalg.norm(self.axis), 1.0):
            raise Exp2SimError(
                "The axis of the rotation must be a unit vector.", fix="Divide it by its length."
            )
        twice = 2 * np.asarray(self.propagation)
        if np.abs(twice - np.round(twice)).max() < 1e-6:
            raise Exp2SimError(
                f"The propagation {np.asarray(self.propagation).tolist()} is collinear, not a spiral.",
                reason="Twice of it is a reciprocal lattice vector, where two branches interfere.",
                fix="Choose a magnetic_cell that holds the whole period, and propagation in [[sites]].",
            )

    @property
    def cross(self) -> Floats:
        """Matrix N (3, 3) with N v = axis × v."""
        x, y, z = self.axis
        return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])

    def turns(self, cells: NDArray[np.int64]) -> Floats:
        """Compute the rotations (m, 3, 3) from the first cell to ``cells`` (m, 3)."""
        angle = 2 * np.pi * (cells @ self.propagation)[:, None, None]
        across = np.eye(3) - np.outer(self.axis, self.axis)
        return np.asarray(np.eye(3) - across + np.cos(angle) * across + np.sin(angle) * self.cross)

    def projections(self) -> NDArray[np.complex128]:
        """Compute what a fluctuation at q − k, q and q + k becomes at q: (3, 3, 3), one matrix of each.

        >>> frame = RotatingFrame(np.array([0.2, 0, 0]), np.array([0.0, 0, 1]))
        >>> frame.projections().sum(axis=0).real.tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
        """
        along = np.outer(self.axis, self.axis)
        turning = 0.5 * (np.eye(3) - along - 1j * self.cross)
        return np.stack([turning, along, turning.conj()])

    def refuse_asymmetric(self, matrices: Floats, what: str) -> None:
        """Raise `Exp2SimError` where a matrix (m, 3, 3) is not symmetric about the axis."""
        largest = np.abs(matrices @ self.cross - self.cross @ matrices).max(initial=0.0)
        if largest > 1e-6 * max(np.abs(matrices).max(initial=0.0), 1e-9):
            raise Exp2SimError(
                f"{what} is not symmetric about the axis of the rotating frame.",
                reason=f"It changes by {largest:.3g} meV as the frame turns.",
                fix="Correct it or the axis, or describe the whole period with a magnetic_cell.",
            )
