"""Which solutions of a spin-wave Hamiltonian are excitations, and which are zero modes under rounding."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from mantid_exp2sim.histogram import Booleans, Floats


class Excitations(BaseModel):
    """``[excitations]``: the limits outside of which a mode is no excitation and is left out.

    A zero mode comes out with some 1e-5 meV by rounding, and with a strength that goes as one over that. The
    defaults are those of SpinW's ``sw_egrid``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lowest_energy: float = Field(default=5e-4, ge=0, allow_inf_nan=False)
    """meV; modes below it are left out."""
    highest_strength: PositiveFloat = 1e6
    """Σ_αβ (δ_αβ − q̂_α q̂_β) S^αβ |F|² per magnetic cell, in ħ²; modes above it are left out."""

    def hold(self, energy: Floats, strength: Floats) -> Booleans:
        """Tell which modes are excitations, from ``energy`` (meV) and ``strength`` (ħ²) of the same shape.

        >>> import numpy as np
        >>> Excitations().hold(np.array([1e-7, 1.0, 1.0]), np.array([1.0, 2e6, 1.0])).tolist()
        [False, False, True]
        """
        return (energy >= self.lowest_energy) & (strength <= self.highest_strength)
