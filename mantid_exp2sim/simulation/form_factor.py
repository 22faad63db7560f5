"""Magnetic form factors ⟨j0⟩ of ions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats

Coefficients = tuple[float, float, float, float, float, float, float]

_ION = re.compile(r"([A-Z][a-z]?)(?:(\d)\+)?")


def coefficients(ion: str, described: Mapping[str, Coefficients] | None = None) -> Coefficients:
    """Look up A, a, B, b, C, c, D of ``ion`` ("Mn2+", "Fe"): in ``described``, else in the public table.

    That is P. J. Brown's, International Tables for Crystallography C, section 4.4.5, as periodictable has it
    (four decimals): ⟨j0⟩, for Ce3+ its dipole approximation.

    >>> coefficients("Mn2+")[0]
    0.422
    """
    if described and ion in described:
        return described[ion]
    table = _tabulated(ion)
    if table is None:
        raise Exp2SimError(
            f"No form factor is known for the ion {ion!r}.",
            reason="The table has 98 ions of 3d, 4d, 4f and 5f elements, written such as Mn2+.",
            fix="Correct its name, or give its seven coefficients A, a, B, b, C, c, D of ⟨j0⟩ under "
            "[form_factors].",
        )
    return table


@lru_cache(maxsize=64)
def _tabulated(ion: str) -> Coefficients | None:
    from periodictable import elements  # a quarter of a second

    match = _ION.fullmatch(ion)
    symbols = {element.symbol: element for element in elements}
    if match is None or match[1] not in symbols:
        return None
    charges = getattr(symbols[match[1]], "magnetic_ff", {})
    factor = charges.get(int(match[2] or 0))
    numbers = getattr(factor, "j0", None) or getattr(factor, "J", None)
    if numbers is None:
        return None
    a1, b1, a2, b2, a3, b3, constant = (round(float(x), 4) for x in numbers)
    return a1, b1, a2, b2, a3, b3, constant


def form_factor(ion: str | Coefficients, q: ArrayLike) -> Floats:
    """Compute the magnetic form factor ⟨j0⟩(s²) = A e^(−a s²) + B e^(−b s²) + C e^(−c s²) + D, s = |Q|/4π.

    ``ion`` a name that `coefficients` knows, or seven coefficients; ``q`` = |Q| in Å⁻¹, any shape; result
    float64 of that shape.

    >>> round(float(form_factor("Mn3+", 0.0)), 3)
    1.0
    """
    a1, b1, a2, b2, a3, b3, constant = coefficients(ion) if isinstance(ion, str) else ion
    s2 = (np.asarray(q, dtype=float) / (4 * np.pi)) ** 2
    return np.asarray(a1 * np.exp(-b1 * s2) + a2 * np.exp(-b2 * s2) + a3 * np.exp(-b3 * s2) + constant)


@lru_cache(maxsize=64)
def _table(ion: str | Coefficients) -> tuple[Floats, Floats]:
    q2 = np.linspace(0.0, 400.0, 40001)
    return q2, form_factor(ion, np.sqrt(q2))


def form_factor_of_squared(ion: str | Coefficients, squared: Floats) -> Floats:
    """Interpolate the form factor at ``squared`` = |Q|² in Å⁻² (0 … 400): exact to 1e-6, and far quicker."""
    return np.asarray(np.interp(squared, *_table(ion)))
