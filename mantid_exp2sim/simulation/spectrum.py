"""What a spectrometer sees of the spin waves of any description, with and without its resolution.

As `spectrum` does for the manganite, with the general solver: T = 0, no Debye-Waller factor, no kf/ki, and
the beam normal to the two axes of view (c ∥ ki for the usual ones). Intensities in mb sr⁻¹ meV⁻¹ per formula
unit.

Where no bond leads along the beam, the energies do not depend on Q∥: the model is solved once on a plane,
folded into one period where the bonds allow it, and Q∥ enters the intensity alone. Where they do depend on
it, it is solved on layers of constant Q∥; a branch is seen where ω(Q⊥, Q∥(E)) = E, with the Jacobian
|1 − ∂ω/∂Q∥ · ∂Q∥/∂E|, and the resolution along Q∥ is carried to first order.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import RegularGridInterpolator

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.simulation.binning import (
    CENTRE_WIDTH,
    GAMMA_R0_SQUARED,
    KINDS,
    Binning,
    Kind,
    add_lines,
    energy_histograms,
    fine_energies,
    interpolated,
    plane_blurs,
    radial_fits,
    to_bins,
)
from mantid_exp2sim.simulation.crystal import Assembly, assemble, check_values
from mantid_exp2sim.simulation.form_factor import coefficients, form_factor
from mantid_exp2sim.simulation.instrument import ENERGY_PER_K2, kinematics
from mantid_exp2sim.simulation.manganite_spectrum import Options
from mantid_exp2sim.simulation.material import Description
from mantid_exp2sim.simulation.plane import Domain, Plane, domains, make_plane, period
from mantid_exp2sim.simulation.resolution import RadialResolution, beam_table
from mantid_exp2sim.simulation.spin_waves import Bonds, Structure, UnstableStructureError, modes

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IndexArray = NDArray[np.intp]

FLAT = 1e-6
"""Å along the beam below which a bond does not lead along it."""
LAYERS = 32
"""Layers of Q∥ per period of the bonds that lead farthest along the beam."""
MEMORY = 1.5e9
"""Bytes of amplitudes that are kept."""
STEEPEST = 0.05
"""Least |1 − ∂ω/∂Q∥ · ∂Q∥/∂E|: a branch that runs along with the kinematics stays finite."""


@dataclass(frozen=True, slots=True, eq=False)
class _Branches:
    """Branches seen by one binning: row of the plane, energy (meV), intensity, variance of the energy over
    the grid cell (meV²) and ∂ω/∂Q∥ (meV Å), all (N,).
    """

    point: IndexArray
    energy: FloatArray
    weight: FloatArray
    spread: FloatArray
    slope: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class GeneralWaves:
    """A description with its parameters, ready for every incident energy, binning and kind.

    Build with `general_waves`. Bonds and places are those of a choice of cells in which as few bonds as
    possible lead from cell to cell; ``bonds`` couple whole cells, so that the site phases are in ``places``
    (Å) alone and everything that is solved has the period of the bonds.
    """

    assembly: Assembly
    parameters: FloatArray
    options: Options
    structure: Structure
    bonds: Bonds
    anisotropy: FloatArray
    places: FloatArray
    domains: tuple[Domain, ...]
    _cache: dict[object, Any] = field(default_factory=dict, repr=False)

    @property
    def model(self) -> str:
        """The name of the description."""
        return self.assembly.description.name

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return self.assembly.description.names

    @property
    def lattice(self) -> tuple[float, float]:
        """2π over the length of one r.l.u. of the two axes of view, in Å (a and b for the usual ones)."""
        return self.domains[0].lengths

    @property
    def axis_names(self) -> tuple[str, str]:
        """What the two axes of view are called."""
        view = self.assembly.description.view
        return axis_name(view.horizontal, "H"), axis_name(view.vertical, "K")

    def volume(self, binning: Binning, kind: Kind = "convolved") -> FloatArray:
        """Intensities (nh, nk, nE), as in `spectrum.volume`."""
        if kind not in KINDS:
            raise Exp2SimError(f"There is no kind {kind!r}.", fix=f"Choose one of {list(KINDS)}.")
        parts = (_centre(self, d, binning) if kind == "centre" else _binned(self, d, binning, kind)
                 for d in self.domains)  # fmt: skip
        out = np.zeros(binning.shape)
        for domain, part in zip(self.domains, parts, strict=True):
            out += domain.weight * part
        return np.maximum(out, 0.0)

    def solve(self, q: FloatArray) -> tuple[FloatArray, ComplexArray]:
        """Energies (P, n), amplitudes (P, n, 3, n) at Cartesian ``q`` (P, 3) in Å⁻¹; no site phases."""
        reduced = q @ self.assembly.cell.T / (2 * np.pi)
        n = len(self.places)
        chunk = max(16, 2_000_000 // (4 * n * n))
        found = [
            modes(self.structure, self.bonds, reduced[i : i + chunk], anisotropy=self.anisotropy)
            for i in range(0, len(reduced), chunk)
        ]
        return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])

    def intensity(
        self, q: FloatArray, amplitude: ComplexArray, row: IndexArray, mode: IndexArray
    ) -> FloatArray:
        """Intensity (N,) in mb/sr/f.u. at Cartesian ``q`` (N, 3): branch ``mode`` of ``amplitude[row]``."""
        out = np.empty(len(q))
        n = len(self.places)
        for part in (slice(i, i + 400_000 // n) for i in range(0, len(q), 400_000 // n)):
            at = q[part]
            squared = np.maximum((at**2).sum(axis=1), 1e-12)
            factors = np.stack([_factor(c, squared) for c in self._coefficients()], axis=1)
            weight = factors[:, self.assembly.ion] * (0.5 * self.assembly.g)
            phased = weight * np.exp(-1j * (at @ self.places.T))
            total = np.einsum("ni,nia->na", phased, amplitude[row[part], :, :, mode[part]])
            along = (at * total).sum(axis=1)
            out[part] = (np.abs(total) ** 2).sum(axis=1) - np.abs(along) ** 2 / squared
        return np.asarray(out * (GAMMA_R0_SQUARED / self.assembly.formula_units))

    def _coefficients(self) -> list[tuple[float, ...]]:
        return [coefficients(ion, self.assembly.description.form_factors) for ion in self.assembly.ions]

    def runs(self, domain: Domain) -> FloatArray:
        """How far (Å) the bonds lead along the beam of a domain: all zero where energies depend on h and k
        alone."""
        return np.asarray(np.abs(self.bonds.cell @ self.assembly.cell @ domain.beam))


def axis_name(vector: tuple[float, float, float], letter: str) -> str:
    """The name of an axis of view.

    >>> axis_name((1, 0, 0), "H"), axis_name((-1, 2, 0), "K")
    ('[H,0,0]', '[-K,2K,0]')
    """
    parts = ("0" if x == 0 else f"{x:g}{letter}".replace(f"1{letter}", letter, abs(x) == 1) for x in vector)
    return f"[{','.join(parts)}]"


@lru_cache(maxsize=64)
def _factor_table(ion: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    q2 = np.linspace(0.0, 400.0, 40001)
    return q2, form_factor(ion, np.sqrt(q2))  # type: ignore[arg-type]


def _factor(ion: tuple[float, ...], squared: FloatArray) -> FloatArray:
    return np.asarray(np.interp(squared, *_factor_table(ion)))


def general_waves(
    description: Description, parameters: ArrayLike | None = None, options: Options | None = None
) -> GeneralWaves:
    """A description with ``parameters`` (p,) in meV, its own values by default.

    Raises `UnstableStructureError` where the spin structure is no equilibrium or not the ground state of
    these constants, `Exp2SimError` for a description or parameters that cannot be used.

    >>> from .description import read_description, shipped
    >>> waves = general_waves(read_description(shipped()["rb2mnf4"]), [0.65, 0.0])
    >>> edges = np.linspace(-1, 1, 5)
    >>> waves.volume(Binning(edges, edges, np.linspace(2, 7, 3), 12.0), "integrated").shape
    (4, 4, 2)
    """
    options = options or Options()
    if options.physics != "physical":
        raise Exp2SimError(f"Only the built-in models have physics {options.physics!r}.")
    assembly = assemble(description)
    values = check_values(description, description.values if parameters is None else parameters)
    structure, bonds, anisotropy = assembly.hamiltonian(values)
    _refuse_torque(description, structure, bonds, anisotropy)
    cell, places = _few_steps(assembly)
    structure = replace(structure, positions=np.zeros_like(structure.positions))
    waves = GeneralWaves(
        assembly, values, options, structure, replace(bonds, cell=cell), anisotropy, places,
        domains(description),
    )  # fmt: skip
    probe = np.random.default_rng(0).random((48, 3)) @ np.linalg.inv(assembly.cell).T * 2 * np.pi
    try:
        waves.solve(probe)  # most unstable draws show here, for a hundredth of the cost
    except UnstableStructureError as error:
        raise unstable(description, values) from error
    return waves


def unstable(description: Description, values: FloatArray) -> UnstableStructureError:
    """The error of constants for which the structure is not the ground state."""
    return UnstableStructureError(
        f"The structure of {description.name} is not stable with these exchange constants.",
        reason=f"{dict(zip(description.names, values.tolist(), strict=True))} give imaginary energies.",
        fix="Choose constants for which the described spin order is the ground state.",
    )


def _refuse_torque(
    description: Description, structure: Structure, bonds: Bonds, anisotropy: FloatArray
) -> None:
    """Each moment must point along its own field, or there are no spin waves about this structure."""
    n, s = structure.directions, structure.spins[:, None]
    fields = 2 * s * np.einsum("nab,nb->na", anisotropy, n)
    moment = s * n
    np.add.at(fields, bonds.first, np.einsum("mab,mb->ma", bonds.exchange, moment[bonds.second]))
    np.add.at(fields, bonds.second, np.einsum("mba,mb->ma", bonds.exchange, moment[bonds.first]))
    torque = np.linalg.norm(np.cross(n, fields), axis=1)
    scale = np.abs(bonds.exchange).max(initial=0.0) * structure.spins.max() + np.abs(anisotropy).max(
        initial=0.0
    )
    if torque.max() > 1e-6 * max(scale, 1e-12):
        site = int(torque.argmax())
        raise UnstableStructureError(
            f"The structure of {description.name} is no equilibrium of these exchange constants.",
            reason=f"The field on spin {site + 1} is not along its moment ({torque[site]:.3g} meV "
            "across it).",
            fix="Correct the directions of the moments, or the bonds.",
        )


def _few_steps(assembly: Assembly) -> tuple[NDArray[np.int64], FloatArray]:
    """Cells of the bonds (m, 3) and places of the sites (n, 3) in Å, each site counted to the cell of one
    that it is bound to: the bonds of a spanning tree stay inside their cell.
    """
    n = len(assembly.spins)
    steps: list[list[tuple[int, NDArray[np.int64]]]] = [[] for _ in range(n)]
    for i, j, shift in zip(assembly.first, assembly.second, assembly.shift, strict=True):
        steps[i].append((int(j), shift))
        steps[j].append((int(i), -shift))
    home: list[NDArray[np.int64] | None] = [None] * n
    for start in range(n):
        if home[start] is not None:
            continue
        home[start] = np.zeros(3, dtype=np.int64)
        queue = deque([start])
        while queue:
            i = queue.popleft()
            for j, shift in steps[i]:
                here = home[i]
                if home[j] is None and here is not None:
                    home[j] = here + shift
                    queue.append(j)
    moved = np.array(home)
    cell = assembly.shift + moved[assembly.first] - moved[assembly.second]
    return cell, (assembly.positions + moved) @ assembly.cell


def _fits(waves: GeneralWaves, binning: Binning) -> tuple[RadialResolution, ...]:
    return radial_fits(
        waves.options.instrument,
        binning.incident_energy,
        fine_energies(binning),
        1.07 * _reach(waves, binning),
    )


def _reach(waves: GeneralWaves, binning: Binning) -> float:
    """The largest |Q| in Å⁻¹ along one of the axes of view."""
    edges = (binning.h_edges, binning.k_edges)
    return max(
        2 * np.pi / length * float(np.abs(e).max()) for e, length in zip(edges, waves.lattice, strict=True)
    )


def _plane(waves: GeneralWaves, domain: Domain, binning: Binning) -> Plane:
    """The grid cells under the binning and the margin of the blur around it."""
    fits, reach = _fits(waves, binning), _reach(waves, binning)
    margin = 4 * max(float(np.sqrt(max(f.yy, f.zz) + max(f.radial, 0.0) * reach**2)) for f in fits)
    ends = []
    for edges, length in zip((binning.h_edges, binning.k_edges), domain.lengths, strict=True):
        unit = 2 * np.pi / length
        ends.append((edges[0] * unit - margin, edges[-1] * unit + margin))
    translations = waves.bonds.cell @ waves.assembly.cell
    return make_plane(domain, translations, (ends[0], ends[1]), waves.options.grid)


def _binned(waves: GeneralWaves, domain: Domain, binning: Binning, kind: Kind) -> FloatArray:
    plane = _plane(waves, domain, binning)
    flat = bool((waves.runs(domain) < FLAT).all())
    key = (domain, binning)
    if key not in waves._cache:
        branches = _flat_branches if flat else _steep_branches
        waves._cache[key] = branches(waves, domain, plane, binning)
    seen: _Branches = waves._cache[key]
    variance, drift, fits = seen.spread + 1e-12, None, None
    if kind == "convolved":
        fits = _fits(waves, binning)
        width, drift = _width(waves, plane, seen, binning, fits, flat)
        variance = variance + width
    weight, tilt = energy_histograms(
        plane.size, seen.point, seen.energy, seen.weight, variance, drift, binning.energy_edges
    )
    blurs = plane_blurs(binning, fits, plane.edges(domain), domain.lengths)
    shape = (*plane.shape, -1)
    return to_bins(weight.reshape(shape), tilt.reshape(shape), blurs)


def _width(
    waves: GeneralWaves,
    plane: Plane,
    seen: _Branches,
    binning: Binning,
    fits: tuple[RadialResolution, ...],
    flat: bool,
) -> tuple[FloatArray, FloatArray]:
    """Variance of the energy (meV²) by the resolution, and its covariance with Q per unit of Q."""
    energies = fine_energies(binning)
    q2 = (plane.q[seen.point] ** 2).sum(axis=1)
    if flat:
        ee, ee_q2, slope = interpolated(seen.energy, energies, fits, "ee", "ee_q2", "slope")
        return ee + ee_q2 * q2, slope
    ei, s = binning.incident_energy, seen.slope
    q, table = beam_table(waves.options.instrument, energies, ei, 1.5 * _reach(waves, binning))
    at = np.column_stack([np.clip(seen.energy, energies[0], energies[-1]), np.clip(np.sqrt(q2), q[0], q[-1])])
    width, slope, own, with_energy, with_q = RegularGridInterpolator((np.array(energies), q), table)(at).T
    stretch = _stretch(s, np.sqrt(q2), seen.energy, ei)
    width = (width - 2 * s * with_energy + s**2 * own) / stretch**2
    return np.maximum(width, 1e-12), (slope - s * with_q) / stretch


def _stretch(slope: FloatArray, q: FloatArray, energy: FloatArray, ei: float) -> FloatArray:
    """1 − ∂ω/∂Q∥ · ∂Q∥/∂E, at least `STEEPEST` away from 0."""
    _, kf = kinematics(q, energy, ei)
    along = np.sqrt(np.maximum(kf**2 - q**2, 1e-6))
    value = 1 - slope / (2 * ENERGY_PER_K2 * along)
    return np.asarray(np.where(np.abs(value) < STEEPEST, np.copysign(STEEPEST, value), value))


def _flat_branches(waves: GeneralWaves, domain: Domain, plane: Plane, binning: Binning) -> _Branches:
    """Branches whose energies do not depend on Q∥: solved once for all binnings."""
    key = (domain, plane.solved.tobytes())
    if key not in waves._cache:
        waves._cache[key] = waves.solve(plane.solved @ domain.axes[:2])
    omega, amplitude = waves._cache[key]
    energy = omega[plane.row]
    spread = _spread(energy.reshape(*plane.shape, -1)).reshape(energy.shape)
    edges, ei = binning.energy_edges, binning.incident_energy
    margin = 4 * float(np.sqrt(max(f.ee for f in _fits(waves, binning))) + np.sqrt(spread.max()))
    inside = (energy > edges[0] - margin) & (energy < min(edges[-1] + margin, ei))
    point, mode = np.nonzero(inside)
    q, reachable = _q(domain, plane.q[point], energy[point, mode], ei)
    point, mode, q = point[reachable], mode[reachable], q[reachable]
    weight = waves.intensity(q, amplitude, plane.row[point], mode)
    return _Branches(point, energy[point, mode], weight, spread[point, mode], np.zeros(point.size))


def _q(
    domain: Domain, in_plane: FloatArray, energy: FloatArray, ei: float
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Cartesian Q (N, 3) in the crystal's frame by the kinematics, and which can be reached."""
    along, _ = kinematics(np.hypot(in_plane[:, 0], in_plane[:, 1]), energy, ei)
    reachable = np.isfinite(along)
    along = np.where(reachable, along, 0.0)
    return np.column_stack([in_plane, along]) @ domain.axes, reachable


def _spread(energy: FloatArray) -> FloatArray:
    """Variance of the energy over a grid cell, from energies (nh, nk, n) on the plane."""
    slopes = np.gradient(energy, axis=(0, 1))
    return np.asarray((slopes[0] ** 2 + slopes[1] ** 2) / 12)


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """Spin waves at one Q∥ (Å⁻¹) on the whole plane: energies (P, n) in meV and their changes from cell to
    cell (2, P, n), amplitudes of the solved points, and the energy transfer (P,) that has this Q∥.
    """

    along: float
    omega: FloatArray
    change: FloatArray
    amplitude: ComplexArray
    energy: FloatArray


def _steep_branches(waves: GeneralWaves, domain: Domain, plane: Plane, binning: Binning) -> _Branches:
    """Branches whose energies depend on Q∥: where ω(Q⊥, Q∥(E)) = E, by linear interpolation along Q∥.

    The model is solved on layers of constant Q∥; each belongs to one energy transfer at every point.
    """
    edges, ei = binning.energy_edges, binning.incident_energy
    margin = 4 * float(np.sqrt(max(f.ee for f in _fits(waves, binning))))
    span = max(edges[0] - margin, 0.0), min(edges[-1] + margin, ei)
    ki = float(np.sqrt(ei / ENERGY_PER_K2))
    step, repeat = _layer_step(waves, domain)
    first = int(np.floor((ki - np.sqrt((ei - span[0]) / ENERGY_PER_K2)) / step)) - 1
    found: list[_Branches] = []
    before: _Layer | None = None
    wide = 4 * _largest_change(waves, domain, plane, first % repeat if repeat else first, step)
    span = max(span[0] - wide, 0.0), min(span[1] + wide, ei)
    for number in range(first, int(ki / step - 0.5) + 1):
        along = (number + 0.5) * step
        energy = ei - ENERGY_PER_K2 * ((ki - along) ** 2 + (plane.q**2).sum(axis=1))
        omega, amplitude = _solved_layer(waves, domain, plane, number % repeat if repeat else number, step)
        omega = omega[plane.row]
        change = np.stack(np.gradient(omega.reshape(*plane.shape, -1), axis=(0, 1))).reshape(2, *omega.shape)
        here = _Layer(along, omega, change, amplitude, energy)
        if before is not None:
            found.append(_crossings(waves, domain, plane, (before, here), span, ei))
        before = here
    fields = ("point", "energy", "weight", "spread", "slope")
    return _Branches(*(np.concatenate([getattr(part, name) for part in found]) for name in fields))


def _largest_change(waves: GeneralWaves, domain: Domain, plane: Plane, number: int, step: float) -> float:
    """The largest standard deviation in meV of an energy over a grid cell, in one layer."""
    omega, _ = _solved_layer(waves, domain, plane, number, step)
    return float(np.sqrt(_spread(omega[plane.row].reshape(*plane.shape, -1)).max()))


def _layer_step(waves: GeneralWaves, domain: Domain) -> tuple[float, int]:
    """Distance of the layers in Å⁻¹, and after how many they repeat (0: never)."""
    length = period(waves.bonds.cell @ waves.assembly.cell @ domain.beam)
    shortest = 2 * np.pi / float(waves.runs(domain).max())
    repeat = LAYERS * max(round(length / shortest), 1) if length else 0
    return (length / repeat if repeat else shortest / LAYERS), repeat


def _solved_layer(
    waves: GeneralWaves, domain: Domain, plane: Plane, number: int, step: float
) -> tuple[FloatArray, ComplexArray]:
    """Energies and amplitudes of the points that are solved, at Q∥ = (number + ½) · step."""
    layers = waves._cache.setdefault((domain, plane.solved.tobytes()), {})
    if number not in layers:
        n = len(waves.places)
        if (len(layers) + 1) * len(plane.solved) * n * n * 48 > MEMORY:
            raise Exp2SimError(
                f"Solving {waves.model} along the beam takes more than {MEMORY / 1e9:g} GB of memory.",
                fix="Choose a smaller grid or a smaller range of h and k.",
            )
        q = np.column_stack([plane.solved, np.full(len(plane.solved), (number + 0.5) * step)])
        layers[number] = waves.solve(q @ domain.axes)
    found: tuple[FloatArray, ComplexArray] = layers[number]
    return found


def _crossings(
    waves: GeneralWaves,
    domain: Domain,
    plane: Plane,
    pair: tuple[_Layer, _Layer],
    span: tuple[float, float],
    ei: float,
) -> _Branches:
    """The branches that meet the kinematics between two layers, at energies inside ``span`` (meV)."""
    one, other = pair
    f0, f1 = one.omega - one.energy[:, None], other.omega - other.energy[:, None]
    inside = (other.energy > span[0]) & (one.energy < span[1]) & (one.energy > -ei)
    point, mode = np.nonzero(((f0 > 0) != (f1 > 0)) & inside[:, None])
    a, b = f0[point, mode], f1[point, mode]
    t, way = a / (a - b), (other.energy - one.energy)[point]
    energy = one.energy[point] + t * way
    jacobian = np.maximum(np.abs(b - a) / way, STEEPEST)
    slope = (other.omega - one.omega)[point, mode] / (other.along - one.along)
    in_plane = plane.q[point]
    q, reachable = _q(domain, in_plane, energy, ei)
    ends = (waves.intensity(q, part.amplitude, plane.row[point], mode) for part in pair)
    weight = sum(share * end for share, end in zip((1 - t, t), ends, strict=True)) / jacobian
    change = (1 - t) * one.change[:, point, mode] + t * other.change[:, point, mode]
    _, kf = kinematics(np.zeros(energy.size), energy, ei)
    out = np.sqrt(np.maximum(kf**2 - (in_plane**2).sum(axis=1), 1e-6))
    change += slope * in_plane.T / out * np.array(plane.step)[:, None]  # Q∥ changes along the plane, too
    spread = (change**2).sum(axis=0) / 12 / jacobian**2
    return _Branches(point, energy, np.where(reachable, weight, 0.0), spread, slope)


def _centre(waves: GeneralWaves, domain: Domain, binning: Binning) -> FloatArray:
    """Lines of `CENTRE_WIDTH` at the centres of the bins."""
    h, k, energies = binning.centres
    nudge = 1e-7  # off the zero modes
    units = 2 * np.pi / np.array(domain.lengths)
    in_plane = np.stack(np.meshgrid(h + nudge, k + nudge, indexing="ij"), axis=-1).reshape(-1, 2) * units
    flat = bool((waves.runs(domain) < FLAT).all())
    if flat:
        key = (domain, in_plane.tobytes())
        if key not in waves._cache:
            waves._cache[key] = waves.solve(in_plane @ domain.axes[:2])
        omega, amplitude = waves._cache[key]
    out = np.zeros((len(in_plane), energies.size))
    for e, energy in enumerate(energies):
        q, reachable = _q(domain, in_plane, np.full(len(in_plane), energy), binning.incident_energy)
        rows = np.flatnonzero(reachable)
        if not rows.size:
            continue
        if flat:
            here, at = omega[rows], rows
        else:
            here, amplitude = waves.solve(q[rows])
            at = np.arange(rows.size)
        row, mode = np.nonzero(np.abs(here - energy) < 6 * CENTRE_WIDTH)
        weight = waves.intensity(q[rows][row], amplitude, at[row], mode)
        add_lines(out[:, e], rows[row], here[row, mode], weight, float(energy))
    return out.reshape(binning.shape)
