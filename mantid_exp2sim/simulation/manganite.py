"""The half-doped bilayer manganite Pr(Ca,Sr)2Mn2O7 in its two models, and its exact 8×8 reduction.

Structure, exchange paths and best fits: G. E. Johnstone et al., Phys. Rev. Lett. 109, 237202 (2012).
Energies in meV. The magnetic cell is 2a × 2b × c of the paper cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.simulation.spin_waves import ComplexArray, UnstableStructureError

ModelName = Literal["Dimer", "Goodenough"]

SPIN = 7 / 4
LATTICE = (5.408, 5.4599, 19.266)
"""Paper cell a, b, c in Å."""
LAYER_HEIGHT = 0.1
"""Distance of a layer from the middle of the bilayer in units of c."""

# four Mn4+ and four Mn3+ of one layer, in fractions of the magnetic cell, with the sign of their spin along b
_SITES = np.array(
    [[0, 0], [0.5, 0.5], [0, 0.5], [0.5, 0], [0.25, 0.75], [0.75, 0.75], [0.25, 0.25], [0.75, 0.25]]
)
_SIGNS = np.array([1, 1, -1, -1, 1, 1, -1, -1])
_IS_MN4 = np.arange(8) < 4

PARAMETERS: Mapping[ModelName, tuple[str, ...]] = MappingProxyType(
    {
        "Dimer": ("JFW", "JA1", "JA2", "JFS", "Jperp", "D"),
        "Goodenough": ("JF1", "JA", "JF2", "JF3", "Jperp", "D"),
    }
)
BEST_FIT: Mapping[ModelName, tuple[float, ...]] = MappingProxyType(
    {
        "Dimer": (-8.43, 1.52, 1.52, -14.2, 0.92, 0.073),
        "Goodenough": (-11.39, 1.5, -1.35, 1.5, 0.88, 0.074),
    }
)
RANGES: Mapping[ModelName, tuple[tuple[float, float], ...]] = MappingProxyType(
    {
        "Dimer": ((-20, 0), (-3, 3), (-3, 3), (-20, 0), (0, 3), (0, 0.2)),
        "Goodenough": ((-20, 0), (0, 3), (-3, 3), (-3, 3), (0, 3), (0, 0.2)),
    }
)
"""Uniform training ranges in meV, in the order of `PARAMETERS`."""


@dataclass(frozen=True, slots=True, eq=False)
class Modes:
    """Spin waves on a set of q: 16 branches, the 8 even (first) and the 8 odd ones under the mirror of the
    bilayer.

    ``energy`` (nq, 2, 8) in meV; ``z`` and ``x`` complex (nq, 2, 8, 8): amplitude of each site of a layer
    (axis 2) in each branch (axis 3), for the fluctuation along c and along a.
    """

    energy: Floats
    z: ComplexArray
    x: ComplexArray


@lru_cache(maxsize=2)
def layer_bonds(model: ModelName) -> tuple[tuple[int, int, float, float, int], ...]:
    """List the bonds inside one layer: (first, second, dx, dy, index of the parameter), in magnetic cells."""
    bonds: list[tuple[int, int, float, float, int]] = []
    for i in range(4):  # every nearest-neighbour bond joins an Mn4+ to an Mn3+
        for dx in (-0.25, 0.25):
            for dy in (-0.25, 0.25):
                j = _site_at(_SITES[i] + (dx, dy))
                if model == "Goodenough":
                    index = 0 if _SIGNS[i] == _SIGNS[j] else 1
                else:
                    index = _dimer_index(bool(_SITES[i, 0] == 0), dx, dy)
                bonds.append((i, j, dx, dy, index))
    if model == "Goodenough":
        bonds += [(i, _site_at(_SITES[i] + (0.5, 0.0)), 0.5, 0.0, 3) for i in range(4, 8)]
        for i in range(4):
            if _SITES[i, 0] == 0.5:
                bonds += [(i, _site_at(_SITES[i] + (dx, 0.5)), dx, 0.5, 2) for dx in (-0.5, 0.5)]
    return tuple(bonds)


def _dimer_index(at_zero: bool, dx: float, dy: float) -> int:
    """Index of a nearest-neighbour bond from an Mn4+ in [JFW, JA1, JA2, JFS]."""
    toward = dy < 0 if at_zero else dy > 0
    if not toward:
        return 1 if at_zero else 2
    return 3 if dx > 0 else 0


def _site_at(position: ArrayLike) -> int:
    distance = np.asarray(position) - _SITES
    return int(np.argmin(np.abs(distance - np.round(distance)).sum(axis=1)))


def validate_parameters(model: str, parameters: ArrayLike) -> tuple[ModelName, Floats]:
    """Return the model's name and its six parameters (meV) as float64, or raise `Exp2SimError`."""
    name = next((name for name in PARAMETERS if name.lower() == model.lower()), None)
    if name is None:
        raise Exp2SimError(
            f"There is no spin-wave model {model!r}.", fix=f"Choose one of {list(PARAMETERS)}."
        )
    values = np.asarray(parameters, dtype=float)
    if values.shape != (6,) or not np.isfinite(values).all():
        raise Exp2SimError(
            f"The {name} model takes six finite numbers in meV.",
            reason=f"Got {values.tolist()}.",
            fix=f"Give {', '.join(PARAMETERS[name])} in this order.",
        )
    return name, values


def solve_reduced(model: ModelName, parameters: ArrayLike, q: ArrayLike) -> Modes:
    """Solve spin waves by the exact reduction of the 32×32 problem to two real-symmetric-cost 8×8 ones.

    ``parameters`` (6,) in meV in the order of `PARAMETERS`; ``q`` (nq, 2) as (h, k) in r.l.u. of the
    *magnetic* cell. With V = L L†, ω² = eig(L† W L); V acts on the fluctuations along c, W on those along a.
    Amplitudes are those of H = ½(zᵀVz + xᵀWx), so S^zz = (S/2)·|Σ_i F_i z_i|² per layer and branch.

    Raises `UnstableStructureError` where V or W is not positive definite.

    >>> modes = solve_reduced("Goodenough", BEST_FIT["Goodenough"], [[0.5, 0.25]])
    >>> modes.energy.shape
    (1, 2, 8)
    """
    model, values = validate_parameters(model, parameters)
    q = np.atleast_2d(np.asarray(q, dtype=float))
    j_perp, d = values[4], values[5]
    exchange = np.zeros((len(q), 8, 8), dtype=complex)
    field = np.full(8, SPIN * j_perp)
    for i, j, dx, dy, index in layer_bonds(model):
        phase = values[index] * np.exp(2j * np.pi * (q[:, 0] * dx + q[:, 1] * dy))
        exchange[:, i, j] += phase
        exchange[:, j, i] += phase.conj()
        coupling = SPIN * values[index] * _SIGNS[i] * _SIGNS[j]
        field[i] -= coupling
        field[j] -= coupling
    flipped = _SIGNS[:, None] * exchange * _SIGNS
    parity = np.array([1.0, -1.0])[:, None, None] * SPIN * j_perp * np.eye(8)
    v = (np.diag(field + 2 * d * SPIN) + SPIN * exchange)[:, None] + parity
    w = (np.diag(field) + SPIN * flipped)[:, None] - parity
    try:
        lower = np.linalg.cholesky(v)
        np.linalg.cholesky(w + 1e-9 * np.eye(8))
    except np.linalg.LinAlgError as error:
        constants = dict(zip(PARAMETERS[model], values.tolist(), strict=True))
        raise UnstableStructureError(
            f"The {model} structure is not stable with these exchange constants.",
            reason=f"{_worst_place(v, w, q)}, with {constants}.",
            fix="Choose constants for which the assumed spin order is the ground state.",
        ) from error
    upper = np.swapaxes(lower.conj(), -1, -2)
    squares, vectors = np.linalg.eigh(upper @ w @ lower)
    energy = np.sqrt(np.maximum(squares, 1e-12))
    root = np.sqrt(energy)[..., None, :]
    z = np.linalg.solve(upper, vectors * root)
    x = _SIGNS[:, None] * (lower @ (vectors / root))
    return Modes(energy, z, x)


def _worst_place(v: ComplexArray, w: ComplexArray, q: Floats) -> str:
    """Where V and W (nq, 2, 8, 8) give the largest imaginary energy, ω² being the eigenvalues of VW."""
    squares = np.linalg.eigvals(v @ w).real.reshape(len(q), -1).min(axis=1)
    worst = int(squares.argmin())
    h, k = q[worst] / 2  # of the lattice
    energies = f"imaginary, up to {np.sqrt(-squares[worst]):.3g}i meV" if squares[worst] < 0 else "below 0"
    return f"At (h, k) = ({h:.4g}, {k:.4g}) energies are {energies}"


def sites_and_species() -> tuple[Floats, Booleans]:
    """Return positions (8, 2) of one layer's sites in the magnetic cell, and which are Mn4+ (8,)."""
    return _SITES, _IS_MN4
