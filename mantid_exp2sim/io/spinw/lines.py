"""What ``spinwave`` returns: modes with energies and strengths, summed into bins as ``sw_egrid`` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats, Histogram
from mantid_exp2sim.io.axes import energy_axis
from mantid_exp2sim.io.limits import Budget
from mantid_exp2sim.io.matlab.values import Cell
from mantid_exp2sim.io.spinw.fields import points_last, read_array, twin_weights, wrong
from mantid_exp2sim.io.spinw.points import make_histogram

BINS = 500
LOWEST_MODE = 5e-4
"""Energy in meV below which a mode is no excitation, as in ``sw_egrid``."""
HIGHEST_STRENGTH = 1e6
"""Strength above which a mode is rounding on a Bragg point, as in ``sw_egrid``."""
IMAGINARY = 1e-3
"""Imaginary part of an energy in meV above which the structure is not stable at that point."""


def read_lines(
    spectrum: dict[str, Any], twins: Sequence[float] | None, metadata: dict[str, Any], budget: Budget
) -> Histogram:
    """Sum modes into 500 bins up to 1.1 times the highest one, per meV."""
    omegas, strengths = _modes(spectrum)
    finite = np.concatenate([omega[np.isfinite(omega)] for omega in omegas])
    highest = float(np.max(finite, initial=0.0))
    if not highest > 0:
        raise Exp2SimError(
            "No mode has a positive energy.",
            reason="There is nothing to put into bins.",
            fix="Check the exchange constants and the magnetic structure of the calculation.",
        )
    metadata["energy_bins"] = "500 up to 1.1 times the highest mode"
    last = energy_axis(np.linspace(0, 1.1, BINS + 1) * highest)
    count = omegas[0].shape[1]
    budget.take(24 * count * last.size, f"A spectrum of {count} points and {last.size} energies")
    weights = twin_weights(spectrum, len(omegas), twins, metadata)
    sums = np.zeros((count, last.size))
    for omega, strength, weight in zip(omegas, strengths, weights, strict=True):
        sums += weight * _fill(omega, strength, last.edges)
    return make_histogram(spectrum, sums, last, metadata)


def _modes(spectrum: dict[str, Any]) -> tuple[list[Floats], list[Floats]]:
    """Energies and strengths (modes, points) of each twin."""
    twins = [_parts(spectrum, key) for key in ("omega", "Sperp" if "Sperp" in spectrum else "Sab")]
    if len(twins[0]) != len(twins[1]) or not twins[0]:
        raise wrong(f"There are {len(twins[0])} twins in omega and {len(twins[1])} beside it.")
    omegas, strengths = [], []
    for omega, values in zip(*twins, strict=True):
        energy = np.where(np.abs(omega.imag) > IMAGINARY, np.nan, omega.real)
        energy = points_last(np.atleast_2d(energy), 1)
        is_summed = "Sperp" in spectrum
        strength = points_last(np.atleast_2d(values.real), 1) if is_summed else _across(spectrum, values)
        if energy.ndim != 2 or strength.shape != energy.shape or energy.size == 0:
            raise wrong(f"omega is of shape {energy.shape} and the strengths of {strength.shape}.")
        omegas.append(energy)
        strengths.append(strength)
    if len({omega.shape[1] for omega in omegas}) != 1:
        raise wrong("The twins have different numbers of points.")
    return omegas, strengths


def _parts(spectrum: dict[str, Any], key: str) -> list[npt.NDArray[Any]]:
    value = spectrum[key]
    if not isinstance(value, Cell):
        return [read_array(spectrum, key)]
    return [read_array({key: part}, key) for part in value.items]


def _across(spectrum: dict[str, Any], correlations: npt.NDArray[Any]) -> Floats:
    """Σ (δ_ab − q_a q_b) S_ab, (modes, points); SpinW has turned each twin's S into the common frame.

    At Q = 0 the direction is that of the next point, as in SpinW.
    """
    momenta = points_last(read_array(spectrum, "hklA").real, 1) if "hklA" in spectrum else np.zeros((0, 0))
    correlations = points_last(correlations, 3)
    if (
        correlations.ndim != 4
        or correlations.shape[:2] != (3, 3)
        or momenta.shape != (3, correlations.shape[3])
    ):
        raise Exp2SimError(
            f"Sab is of shape {correlations.shape} and hklA of {momenta.shape}.",
            reason="It takes (3, 3, modes, points) and (3, points).",
            fix="In MATLAB: spec = sw_egrid(sw_neutron(spec)).",
        )
    lengths = np.linalg.norm(momenta, axis=0)
    units = momenta / np.where(lengths > 0, lengths, 1)
    for i in np.flatnonzero(lengths == 0):
        units[:, i] = units[:, i + 1] if i + 1 < units.shape[1] and lengths[i + 1] > 0 else (1, 0, 0)
    factor = np.eye(3)[:, :, None] - units[:, None] * units[None, :]
    return np.asarray(np.einsum("abq,abmq->mq", factor, correlations.real), dtype=np.float64)


def _fill(omega: Floats, strength: Floats, edges: Floats) -> Floats:
    """Sum the modes into energy bins, (points, bins); a mode without a number makes its point unknown."""
    bins = edges.size - 1
    place = np.searchsorted(edges, omega, side="right") - 1
    place = np.where(omega == edges[-1], bins - 1, place)
    inside = (place >= 0) & (place < bins) & (omega >= LOWEST_MODE) & (np.abs(strength) <= HIGHEST_STRENGTH)
    points = np.broadcast_to(np.arange(omega.shape[1]), omega.shape)
    flat = points[inside] * bins + place[inside]
    sums = np.bincount(flat, weights=strength[inside], minlength=omega.shape[1] * bins)
    values = sums.astype(np.float64).reshape(-1, bins)
    values[np.any(~np.isfinite(omega), axis=0)] = np.nan
    return values
