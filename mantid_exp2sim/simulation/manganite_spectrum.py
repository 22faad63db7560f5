"""What a spectrometer sees of the spin waves of the bilayer manganite, with and without its resolution.

c ∥ ki, T = 0, two twins with a and b exchanged, no Debye-Waller factor and no kf/ki. Intensities in
mb sr⁻¹ meV⁻¹ per formula unit, from (γr₀)² = 290.6 mb and Σ_αβ (δ_αβ − q̂_α q̂_β) S^αβ |F|².

The energies do not depend on L, so the Hamiltonian is solved once on a periodic (h, k) grid; L enters the
intensity through the kinematics of each incident energy. The resolution is applied as in `binning`;
`spectrum` does the same for any description.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats, Projection
from mantid_exp2sim.simulation.binning import (
    Binning,
    Blur,
    Branches,
    Indices,
    Kind,
    Lines,
    energy_histograms,
    fine_energies,
    interpolated,
    lines_at_centres,
    plane_blurs,
    radial_fits,
    to_bins,
    validate_kind,
)
from mantid_exp2sim.simulation.constants import GAMMA_R0_SQUARED
from mantid_exp2sim.simulation.excitations import Excitations
from mantid_exp2sim.simulation.form_factor import form_factor_of_squared
from mantid_exp2sim.simulation.geometry import not_covered
from mantid_exp2sim.simulation.instrument import Instrument, kinematics
from mantid_exp2sim.simulation.manganite import (
    LATTICE,
    LAYER_HEIGHT,
    SPIN,
    ModelName,
    sites_and_species,
    solve_reduced,
    validate_parameters,
)
from mantid_exp2sim.simulation.options import Options
from mantid_exp2sim.simulation.resolution import RadialResolution
from mantid_exp2sim.simulation.spin_waves import ComplexArray

FORMULA_UNITS = 8
"""Formula units (two Mn each) in the magnetic cell."""
Q_MAX = 2.2 * np.pi / LATTICE[0]
"""Range in Å⁻¹ over which the resolution is fitted."""


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Spin waves at a set of (h, k): crystal Cartesian Q, energies and structure factors split by ion.

    ``qx``, ``qy`` (P,) in Å⁻¹; ``energy`` (P, 16) in meV; ``z`` and ``x`` (3, P, 16): |A4|², |A3|², 2 Re A4
    A3* of the fluctuations along c and a; ``spread`` (P, 16): variance of the energy over the grid cell,
    meV².
    """

    qx: Floats
    qy: Floats
    energy: Floats
    z: Floats
    x: Floats
    spread: Floats


@dataclass(frozen=True, slots=True, eq=False)
class ManganiteSpinWaves:
    """Solved Hamiltonian on the periodic grid: energies (n, n, 2, 8) in meV and amplitudes (n, n, 2, 8, 8).

    Build with `solve_manganite`; serves every incident energy, binning and kind.
    """

    model: ModelName
    parameters: Floats
    options: Options
    energy: Floats
    z: ComplexArray
    x: ComplexArray
    spread: Floats
    left_out: dict[tuple[Binning, Kind], int] = field(default_factory=dict, repr=False)
    _points: dict[object, Points] = field(default_factory=dict, repr=False)
    _branches: dict[object, Branches] = field(default_factory=dict, repr=False)

    @property
    def lattice(self) -> tuple[float, float]:
        """a and b in Å."""
        return LATTICE[0], LATTICE[1]

    def not_covered(self, binning: Binning) -> Booleans:
        """Find the bins of a volume that no detector reaches, True = not measured."""
        return not_covered(self.model, self.options, binning)

    @property
    def projection(self) -> Projection:
        """h and k."""
        return Projection()

    @property
    def cell(self) -> tuple[float, ...]:
        """a, b, c in Å, alpha, beta, gamma in degrees."""
        return (*LATTICE, 90.0, 90.0, 90.0)

    def volume(self, binning: Binning, kind: Kind = "convolved") -> Floats:
        """Compute intensities (nh, nk, nE), as in `options.SpinWaves`."""
        validate_kind(kind)
        self.left_out[binning, kind] = 0
        if kind == "centre":
            parts = zip(_twin_shares(self), (1, 2), strict=True)
            return sum(
                (share * _centre(self, binning, twin) for share, twin in parts), np.zeros(binning.shape)
            )
        return _binned(self, binning, kind == "convolved")

    def half_plane(self, cells: int) -> Points:
        """Unfold the ``cells`` grid points on each side of h = 0 and above k = 0, h-major (2·cells·cells)."""
        if cells not in self._points:
            self._points[cells] = _extend(self, cells)
        return self._points[cells]

    def points_at(self, h: Floats, k: Floats, twin: int) -> Points:
        """Solve at every (h, k) of two lines of bin centres in r.l.u., of twin 1 or 2."""
        key = (h.tobytes(), k.tobytes(), twin)
        if key not in self._points:
            grid_h, grid_k = (line.ravel() for line in np.meshgrid(h, k, indexing="ij"))
            ratio = LATTICE[0] / LATTICE[1]
            crystal = (grid_h, grid_k) if twin == 1 else (grid_k * ratio, grid_h / ratio)
            self._points[key] = _folded_points(self, *crystal)
        return self._points[key]

    def branches(self, cells: int, binning: Binning, artefacts: int) -> Branches:
        """Find the branches of `half_plane` that reach into ``binning``, with their intensities."""
        key = (cells, binning, artefacts)
        if key not in self._branches:
            self._branches[key] = _find_branches(self, cells, binning, artefacts)
        return self._branches[key]


def solve_manganite(model: str, parameters: ArrayLike, options: Options | None = None) -> ManganiteSpinWaves:
    """Solve the Hamiltonian once for all spectra.

    ``model`` "Dimer" or "Goodenough", ``parameters`` (6,) in meV. Raises `UnstableStructureError` where the
    spin structure is not the ground state, `Exp2SimError` for unknown models or wrong parameters.
    """
    options = options or Options()
    name, values = validate_parameters(model, parameters)
    if options.scan is not None or options.powder:
        raise Exp2SimError(
            "The built-in models stand with c along the beam.",
            reason="They have a path of their own, which knows of no scan and no powder.",
            fix=f"Simulate the description pcsmo-{name.lower()} (`--description`).",
        )
    solve_reduced(name, values, np.random.default_rng(0).random((8, 2)))  # shows most unstable draws at once
    n = options.grid
    u = (np.arange(n) + 0.5) / n  # half steps: the zero modes at q = 0 are never hit
    q = np.stack(np.meshgrid(u, u, indexing="ij"), axis=-1).reshape(-1, 2)
    modes = solve_reduced(name, values, q)
    energy = modes.energy.reshape(n, n, 2, 8)
    slopes = [0.5 * (np.roll(energy, -1, axis) - np.roll(energy, 1, axis)) for axis in (0, 1)]
    spread = (slopes[0] ** 2 + slopes[1] ** 2) / 12
    shape = (n, n, 2, 8, 8)
    z, x = modes.z.reshape(shape), modes.x.reshape(shape)
    return ManganiteSpinWaves(name, values, options, energy, z, x, spread)


def _structure_factors(amplitude: ComplexArray, phases: ComplexArray) -> Floats:
    """(3, …, G, 16) from amplitudes (…, 2, 8, 8) and phases (G, 8)."""
    _, is_mn4 = sites_and_species()
    parts = []
    for ion in (is_mn4, ~is_mn4):
        part = np.matmul(phases[:, ion], amplitude[..., ion, :])  # (…, 2, G, 8)
        part = np.moveaxis(part, -3, -2)
        parts.append(part.reshape(*part.shape[:-2], 16))
    return np.stack(
        [
            parts[0].real ** 2 + parts[0].imag ** 2,
            parts[1].real ** 2 + parts[1].imag ** 2,
            2 * (parts[0].real * parts[1].real + parts[0].imag * parts[1].imag),
        ]
    )


def _extend(waves: ManganiteSpinWaves, cells: int) -> Points:
    n = waves.options.grid
    zones = -(-cells // n)
    positions, _ = sites_and_species()
    gh, gk = np.arange(-zones, zones), np.arange(zones)
    g = np.stack(np.meshgrid(gh, gk, indexing="ij"), axis=-1).reshape(-1, 2)
    phases = np.exp(-2j * np.pi * g @ positions.T)
    rows = slice(zones * n - cells, zones * n + cells)

    def unfold(values: Floats) -> Floats:  # (3, n, n, G, 16) -> (3, P, 16), h-major
        values = values.reshape(3, n, n, gh.size, gk.size, 16).transpose(0, 3, 1, 4, 2, 5)
        plane = values.reshape(3, gh.size * n, gk.size * n, 16)
        return plane[:, rows, :cells].reshape(3, -1, 16)

    def repeat(values: Floats) -> Floats:  # (n, n, 2, 8) -> (P, 16)
        plane = np.tile(values.reshape(n, n, 16), (gh.size, gk.size, 1))
        return plane[rows, :cells].reshape(-1, 16)

    h, k = (np.arange(-cells, cells) + 0.5) / n, (np.arange(cells) + 0.5) / n
    qx, qy = np.meshgrid(h * np.pi / LATTICE[0], k * np.pi / LATTICE[1], indexing="ij")
    z, x = (unfold(_structure_factors(a, phases)) for a in (waves.z, waves.x))
    return Points(qx.ravel(), qy.ravel(), repeat(waves.energy), z, x, repeat(waves.spread))


def _find_branches(waves: ManganiteSpinWaves, cells: int, binning: Binning, artefacts: int) -> Branches:
    points, edges, ei = waves.half_plane(cells), binning.energy_edges, binning.incident_energy
    fits = resolution_fits(waves.options.instrument, ei, fine_energies(binning))
    margin = 4 * float(
        np.sqrt(max(f.ee for f in fits) + waves.options.line_variance) + np.sqrt(points.spread.max())
    )
    inside = (points.energy > edges[0] - margin) & (points.energy < min(edges[-1] + margin, ei))
    p, mode = np.nonzero(inside)
    energy = points.energy[p, mode]
    weight = mode_intensity(points, (p, mode), energy, ei, artefacts)
    bright = weight > 0
    branches = Branches(p[bright], energy[bright], weight[bright], points.spread[p, mode][bright])
    return branches.only(excitations(waves, branches.energy, branches.weight))


def excitations(waves: ManganiteSpinWaves, energy: Floats, intensity: Floats) -> Booleans:
    """Tell which modes are `Excitations`, from their energies (meV) and intensities (mb/sr/f.u.)."""
    limits = waves.options.excitations or Excitations()
    return limits.hold(energy, intensity * (FORMULA_UNITS / GAMMA_R0_SQUARED))


def mode_intensity(
    points: Points,
    index: tuple[Indices, Indices],
    energy: Floats,
    ei: float,
    artefacts: int,
) -> Floats:
    """Compute the intensity in mb/sr/f.u. of branches (point, mode), with kinematics at ``energy`` (meV).

    ``artefacts`` 0: physical; 1 or 2: that twin of the published simulation. Out of reach it is 0.
    """
    p, mode = index
    qx, qy = points.qx[p], points.qy[p]
    in_plane = qx**2 + qy**2
    along, _ = kinematics(np.sqrt(in_plane), energy, ei)
    reachable = np.isfinite(along)
    along = np.where(reachable, along, 0.0)
    q2 = np.maximum(in_plane + along**2, 1e-12)
    effective = along  # what the phase of the bilayer and the form factor take for Q∥
    if artefacts:
        ell = along * LATTICE[2] / (2 * np.pi)
        folded = np.zeros_like(ell) if artefacts == 2 else (ell + 0.5) % 1.0 - 0.5
        effective = folded * 2 * np.pi / LATTICE[2]
    angle = effective * LATTICE[2] * LAYER_HEIGHT  # half the phase between the layers: 0.2 π L
    f4, f3 = (form_factor_of_squared(ion, in_plane + effective**2) for ion in ("Mn4+", "Mn3+"))
    weights = (f4**2, f3**2, f4 * f3)
    zz = sum(w * points.z[i, p, mode] for i, w in enumerate(weights))
    xx = sum(w * points.x[i, p, mode] for i, w in enumerate(weights))
    even = np.cos(angle) ** 2
    even = np.where(mode < 8, even, 1 - even)
    if artefacts == 2:
        zz = 0.0 * zz
    total = (1 - along**2 / q2) * zz * even + (1 - qx**2 / q2) * xx * (1 - even)
    return np.where(reachable, GAMMA_R0_SQUARED * SPIN / FORMULA_UNITS * total, 0.0)


def resolution_fits(
    instrument: Instrument, ei: float, energies: tuple[float, ...]
) -> tuple[RadialResolution, ...]:
    """Fit the resolution at several energy transfers (meV), over the range of the manganite's volumes."""
    return radial_fits(instrument, ei, energies, Q_MAX)


def _deposit(
    waves: ManganiteSpinWaves, points: Points, branches: Branches, binning: Binning, convolve: bool
) -> tuple[Floats, Floats]:
    """Energy histograms (P, nE) of the points, of the weight and of its drift."""
    widths: tuple[Floats, ...] = ()
    drift = None
    if convolve:
        energies = fine_energies(binning)
        fits = resolution_fits(waves.options.instrument, binning.incident_energy, energies)
        q2 = points.qx[branches.point] ** 2 + points.qy[branches.point] ** 2
        ee, ee_q2, drift = interpolated(branches.energy, energies, fits, "ee", "ee_q2", "slope")
        widths = ee + waves.options.line_variance, ee_q2 * q2
    return energy_histograms(branches, points.qx.size, binning.energy_edges, widths, drift)


@lru_cache(maxsize=64)
def _blurs(
    binning: Binning, instrument: Instrument, grid: int, cells: int, twin: int, convolve: bool
) -> list[Blur]:
    line = np.arange(-cells, cells + 1) / grid / 2  # edges of the grid's cells, paper r.l.u.
    ratio = LATTICE[0] / LATTICE[1]
    lines = (line, line) if twin == 1 else (line * ratio, line / ratio)
    fits = None
    if convolve:
        fits = resolution_fits(instrument, binning.incident_energy, fine_energies(binning))
    return plane_blurs(binning, fits, lines, (LATTICE[0], LATTICE[1]))


def half_plane_cells(binning: Binning, options: Options) -> int:
    """Count the grid points on each side of Q = 0 for the binning and the margin of the blur around it."""
    reach = max(float(np.abs(e).max()) for e in (binning.h_edges, binning.k_edges))
    fits = resolution_fits(options.instrument, binning.incident_energy, fine_energies(binning))
    widest = max(np.sqrt(max(f.yy, f.zz) + f.radial * Q_MAX**2) for f in fits)
    reach += 4 * float(widest) * LATTICE[1] / (2 * np.pi)
    return int(np.ceil(2 * 1.01 * reach * options.grid)) + 1


def _binned(waves: ManganiteSpinWaves, binning: Binning, convolve: bool) -> Floats:
    options = waves.options
    cells = half_plane_cells(binning, options)
    points = waves.half_plane(cells)
    total = np.zeros(binning.shape)
    full: list[Floats] = []
    for share, twin in zip(_twin_shares(waves), (1, 2), strict=True):
        artefacts = twin if options.physics == "paper_compatible" else 0
        if not full or artefacts:
            branches = waves.branches(cells, binning, artefacts)
            waves.left_out[binning, "convolved" if convolve else "integrated"] += branches.left_out
            full = [_mirror(half, cells) for half in _deposit(waves, points, branches, binning, convolve)]
        weight, drift = full if twin == 1 else (plane.transpose(1, 0, 2) for plane in full)
        blurs = _blurs(binning, options.instrument, options.grid, cells, twin, convolve)
        total += share * to_bins(weight, drift, blurs)
    return np.maximum(total, 0.0)


def _twin_shares(waves: ManganiteSpinWaves) -> tuple[float, ...]:
    return waves.options.shares_of((0.5, 0.5))


def _mirror(half: Floats, n: int) -> Floats:
    """The full (2n, 2n, nE) plane from its half k > 0, by S(−h, −k) = S(h, k)."""
    half = half.reshape(2 * n, n, -1)
    return np.concatenate([half[::-1, ::-1], half], axis=1)


def _solved_points(waves: ManganiteSpinWaves, h: Floats, k: Floats) -> Points:
    """Spin waves at given crystal (h, k) of the paper cell, solved one by one (no folding)."""
    nudge = 1e-7  # off the zero modes
    q = np.stack([2 * h + nudge, 2 * k + nudge], axis=-1)
    modes = solve_reduced(waves.model, waves.parameters, q)
    no_phase = np.ones((1, 8), dtype=complex)
    z, x = (_structure_factors(a, no_phase)[:, :, 0] for a in (modes.z, modes.x))
    energy = modes.energy.reshape(-1, 16)
    qx, qy = 2 * np.pi * h / LATTICE[0], 2 * np.pi * k / LATTICE[1]
    return Points(qx, qy, energy, z, x, np.zeros_like(energy))


def _folded_points(waves: ManganiteSpinWaves, h: Floats, k: Floats) -> Points:
    """`_solved_points`, solving only one of q and −q where the list is symmetric under inversion."""
    n = h.size
    symmetric = np.allclose(h, -h[::-1], atol=1e-12) and np.allclose(k, -k[::-1], atol=1e-12)
    if not symmetric:
        return _solved_points(waves, h, k)
    half = _solved_points(waves, h[: (n + 1) // 2], k[: (n + 1) // 2])
    take = np.concatenate([np.arange((n + 1) // 2), np.arange(n // 2)[::-1]])
    flip = np.where(np.arange(n) < (n + 1) // 2, 1.0, -1.0)
    return replace(
        half, qx=half.qx[take] * flip, qy=half.qy[take] * flip, energy=half.energy[take], z=half.z[:, take],
        x=half.x[:, take], spread=half.spread[take],
    )  # fmt: skip


def _centre(waves: ManganiteSpinWaves, binning: Binning, twin: int) -> Floats:
    points = waves.points_at(*binning.centres[:2], twin)
    artefacts = twin if waves.options.physics == "paper_compatible" else 0
    bins = np.arange(points.qx.size)

    def lines(energy: float) -> Lines:
        def intensity(row: Indices, mode: Indices) -> Floats:
            at = np.full(row.size, energy)
            weight = mode_intensity(points, (row, mode), at, binning.incident_energy, artefacts)
            excited = excitations(waves, points.energy[row, mode], weight)
            waves.left_out[binning, "centre"] += int((~excited).sum())
            return np.where(excited, weight, 0.0)

        return bins, points.energy, intensity

    return lines_at_centres(binning, lines)
