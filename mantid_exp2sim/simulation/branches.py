"""Which branches of a solved description one binning sees.

Where no bond leads along the beam, the energies do not depend on Q∥: the model is solved once on a plane,
folded into one period where the bonds allow it, and Q∥ enters the intensity alone. Where they do depend on
it, it is solved on layers of constant Q∥; a branch is seen where ω(Q⊥, Q∥(E)) = E, with the Jacobian
|1 − ∂ω/∂Q∥ · ∂Q∥/∂E|, and the resolution along Q∥ is carried to first order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.simulation.binning import Binning, Branches, fine_energies, interpolated
from mantid_exp2sim.simulation.constants import ENERGY_PER_K2
from mantid_exp2sim.simulation.instrument import kinematics
from mantid_exp2sim.simulation.options import Options
from mantid_exp2sim.simulation.resolution import RadialResolution, beam_table
from mantid_exp2sim.simulation.solved import SolvedMaterial
from mantid_exp2sim.simulation.spin_waves import ComplexArray
from mantid_exp2sim.simulation.twins import Plane, Twin, period

LAYERS = 32
"""Layers of Q∥ per period of the bonds that lead farthest along the beam."""
MEMORY = 1.5e9
"""Bytes of amplitudes that are kept."""
STEEPEST = 0.05
"""Least |1 − ∂ω/∂Q∥ · ∂Q∥/∂E|: a branch that runs along with the kinematics stays finite."""


def find_branches(waves: SolvedMaterial, twin: Twin, plane: Plane, binning: Binning) -> Branches:
    """Find the branches of a twin that reach into a binning, with their intensities."""
    return (_flat_branches if waves.is_flat(twin) else _steep_branches)(waves, twin, plane, binning)


class Resolved(Protocol):
    """What is seen with a resolution."""

    @property
    def options(self) -> Options:
        """How the physics is simulated."""

    def fits(self, binning: Binning) -> tuple[RadialResolution, ...]:
        """Fit the resolution at the `fine_energies` of a binning."""

    def reach(self, binning: Binning) -> float:
        """Return the largest |Q| in Å⁻¹ along an axis of view."""


def resolution_widths(
    waves: Resolved, plane: Plane, branches: Branches, binning: Binning
) -> tuple[tuple[Floats], Floats]:
    """Compute the variance of the energy (meV²) by the resolution, and its covariance with Q over Q."""
    energies, s, ei = fine_energies(binning), branches.slope, binning.incident_energy
    q2 = (plane.q[branches.point] ** 2).sum(axis=1)
    if s is None:
        names = ("ee", "ee_q2", "slope")
        ee, ee_q2, drift = interpolated(branches.energy, energies, waves.fits(binning), *names)
        return (ee + ee_q2 * q2 + waves.options.line_variance,), drift
    q, table = beam_table(waves.options.instrument, energies, ei, 1.5 * waves.reach(binning))
    at = np.column_stack(
        [np.clip(branches.energy, energies[0], energies[-1]), np.clip(np.sqrt(q2), q[0], q[-1])]
    )
    width, drift, beside, with_energy, with_q = RegularGridInterpolator((np.array(energies), q), table)(at).T
    stretch = _stretch(s, np.sqrt(q2), branches.energy, ei)
    width = (width - 2 * s * with_energy + s**2 * beside) / stretch**2
    width = np.maximum(width, 1e-12) + waves.options.line_variance / stretch**2
    return (width,), (drift - s * with_q) / stretch


def cartesian_q(twin: Twin, in_plane: Floats, energy: Floats, ei: float) -> tuple[Floats, Booleans]:
    """Compute Q (N, 3) in the twin's frame by the kinematics, in Å⁻¹, and which can be reached."""
    along, _ = kinematics(np.hypot(in_plane[:, 0], in_plane[:, 1]), energy, ei)
    reachable = np.isfinite(along)
    along = np.where(reachable, along, 0.0)
    return np.column_stack([in_plane, along]) @ twin.axes, reachable


def _stretch(slope: Floats, q: Floats, energy: Floats, ei: float) -> Floats:
    """1 − ∂ω/∂Q∥ · ∂Q∥/∂E, at least `STEEPEST` away from 0."""
    _, kf = kinematics(q, energy, ei)
    along = np.sqrt(np.maximum(kf**2 - q**2, 1e-6))
    value = 1 - slope / (2 * ENERGY_PER_K2 * along)
    return np.asarray(np.where(np.abs(value) < STEEPEST, np.copysign(STEEPEST, value), value))


def _flat_branches(waves: SolvedMaterial, twin: Twin, plane: Plane, binning: Binning) -> Branches:
    """Branches whose energies do not depend on Q∥: solved once for all binnings."""
    omega, amplitude = waves.solve_plane(twin, plane.solved)
    energy = omega[plane.row]
    spread = variance_in_cell(energy.reshape(*plane.shape, -1)).reshape(energy.shape)
    edges, ei = binning.energy_edges, binning.incident_energy
    margin = 4 * float(
        np.sqrt(max(f.ee for f in waves.fits(binning)) + waves.options.line_variance) + np.sqrt(spread.max())
    )
    inside = (energy > edges[0] - margin) & (energy < min(edges[-1] + margin, ei))
    point, mode = np.nonzero(inside)
    q, reachable = cartesian_q(twin, plane.q[point], energy[point, mode], ei)
    point, mode, q = point[reachable], mode[reachable], q[reachable]
    weight, energy = waves.intensity(q, amplitude, plane.row[point], mode), energy[point, mode]
    return Branches(point, energy, weight, spread[point, mode]).only(waves.excited(energy, weight))


def variance_in_cell(energy: Floats) -> Floats:
    """Variance of the energy over a grid cell, from energies (nh, nk, n) on the plane."""
    slopes = np.gradient(energy, axis=(0, 1))
    return np.asarray((slopes[0] ** 2 + slopes[1] ** 2) / 12)


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """Spin waves at one Q∥ (Å⁻¹) on the whole plane: energies (P, n) in meV and their changes from cell to
    cell (2, P, n), amplitudes of the solved points, and the energy transfer (P,) that has this Q∥.
    """

    along: float
    omega: Floats
    change: Floats
    amplitude: ComplexArray
    energy: Floats


def _steep_branches(waves: SolvedMaterial, twin: Twin, plane: Plane, binning: Binning) -> Branches:
    """Branches whose energies depend on Q∥: where ω(Q⊥, Q∥(E)) = E, by linear interpolation along Q∥.

    The model is solved on layers of constant Q∥; each belongs to one energy transfer at every point.
    """
    edges, ei = binning.energy_edges, binning.incident_energy
    margin = 4 * float(np.sqrt(max(f.ee for f in waves.fits(binning)) + waves.options.line_variance))
    span = max(edges[0] - margin, 0.0), min(edges[-1] + margin, ei)
    ki = float(np.sqrt(ei / ENERGY_PER_K2))
    step, repeat = layer_step(waves, twin)
    first = int(np.floor((ki - np.sqrt((ei - span[0]) / ENERGY_PER_K2)) / step)) - 1
    crossings: list[Branches] = []
    before: _Layer | None = None
    wide = 4 * _largest_change(waves, twin, plane, first % repeat if repeat else first, step)
    span = max(span[0] - wide, 0.0), min(span[1] + wide, ei)
    for number in range(first, int(ki / step - 0.5) + 1):
        along = (number + 0.5) * step
        energy = ei - ENERGY_PER_K2 * ((ki - along) ** 2 + (plane.q**2).sum(axis=1))
        omega, amplitude = solved_layer(waves, twin, plane, number % repeat if repeat else number, step)
        omega = omega[plane.row]
        change = np.stack(np.gradient(omega.reshape(*plane.shape, -1), axis=(0, 1))).reshape(2, *omega.shape)
        layer = _Layer(along, omega, change, amplitude, energy)
        if before is not None:
            crossings.append(_crossings(waves, twin, plane, before, layer, span, ei))
        before = layer

    def joined(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in crossings])

    arrays = joined("point"), joined("energy"), joined("weight"), joined("spread"), joined("slope")
    return Branches(*arrays, sum(part.left_out for part in crossings))


def _largest_change(waves: SolvedMaterial, twin: Twin, plane: Plane, number: int, step: float) -> float:
    """The largest standard deviation in meV of an energy over a grid cell, in one layer."""
    omega, _ = solved_layer(waves, twin, plane, number, step)
    return float(np.sqrt(variance_in_cell(omega[plane.row].reshape(*plane.shape, -1)).max()))


def layer_step(waves: SolvedMaterial, twin: Twin) -> tuple[float, int]:
    """Distance of the layers in Å⁻¹, and after how many they repeat (0: never)."""
    steps = waves.translations @ twin.beam
    length, shortest = period(steps), 2 * np.pi / float(np.abs(steps).max())
    repeat = LAYERS * max(round(length / shortest), 1) if length else 0
    return (length / repeat if repeat else shortest / LAYERS), repeat


def solved_layer(
    waves: SolvedMaterial, twin: Twin, plane: Plane, number: int, step: float
) -> tuple[Floats, ComplexArray]:
    """Energies and amplitudes of the points that are solved, at Q∥ = (number + ½) · step."""
    layers = waves.cache.setdefault((twin, plane.solved.tobytes()), {})
    if number not in layers:
        size = len(plane.solved) * len(waves.places) * waves.count * 48
        if (len(layers) + 1) * size > MEMORY:
            raise Exp2SimError(
                f"Solving {waves.model} along the beam takes more than {MEMORY / 1e9:g} GB of memory.",
                fix="Choose a smaller grid or a smaller range of h and k.",
            )
        q = np.column_stack([plane.solved, np.full(len(plane.solved), (number + 0.5) * step)])
        layers[number] = waves.solve(q @ twin.axes)
    omega, amplitude = layers[number]
    return omega, amplitude


def _crossings(
    waves: SolvedMaterial,
    twin: Twin,
    plane: Plane,
    before: _Layer,
    after: _Layer,
    span: tuple[float, float],
    ei: float,
) -> Branches:
    """The branches that meet the kinematics between two layers, at energies inside ``span`` (meV)."""
    f0, f1 = before.omega - before.energy[:, None], after.omega - after.energy[:, None]
    inside = (after.energy > span[0]) & (before.energy < span[1]) & (before.energy > -ei)
    point, mode = np.nonzero(((f0 > 0) != (f1 > 0)) & inside[:, None])
    a, b = f0[point, mode], f1[point, mode]
    t, way = a / (a - b), (after.energy - before.energy)[point]
    energy = before.energy[point] + t * way
    jacobian = np.maximum(np.abs(b - a) / way, STEEPEST)
    slope = (after.omega - before.omega)[point, mode] / (after.along - before.along)
    in_plane = plane.q[point]
    q, reachable = cartesian_q(twin, in_plane, energy, ei)
    layers = (before, after)
    ends = np.stack([waves.intensity(q, layer.amplitude, plane.row[point], mode) for layer in layers])
    excited = waves.excited(np.stack([layer.omega[point, mode] for layer in layers]), ends)
    shares = np.stack([1 - t, t]) * excited  # an end that is no excitation leaves its share to the other
    weight = (shares * ends).sum(axis=0) / np.maximum(shares.sum(axis=0), 1e-12) / jacobian
    change = (1 - t) * before.change[:, point, mode] + t * after.change[:, point, mode]
    _, kf = kinematics(np.zeros(energy.size), energy, ei)
    out = np.sqrt(np.maximum(kf**2 - (in_plane**2).sum(axis=1), 1e-6))
    change += slope * in_plane.T / out * np.array(plane.step)[:, None]  # Q∥ changes along the plane, too
    spread = (change**2).sum(axis=0) / 12 / jacobian**2
    bright = excited.any(axis=0) & waves.excited(energy, weight * jacobian)
    return Branches(point, energy, np.where(reachable, weight, 0.0), spread, slope).only(bright)
