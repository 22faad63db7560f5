"""What a spectrometer sees of the spin waves of the bilayer manganite, with and without its resolution.

c ∥ ki, T = 0, two twins with a and b exchanged, no Debye-Waller factor and no kf/ki. Intensities in
mb sr⁻¹ meV⁻¹ per formula unit, from (γr₀)² = 290.6 mb and Σ_αβ (δ_αβ − q̂_α q̂_β) S^αβ |F|².

The energies do not depend on L, so the Hamiltonian is solved once on a periodic (h, k) grid; L enters the
intensity through the kinematics of each incident energy. The resolution is applied as in `binning`;
`general` does the same for any description.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.mosaic import H_EDGES, INCIDENT_ENERGIES, K_EDGES, WINDOW_EDGES
from mantid_exp2sim.simulation.binning import (
    CENTRE_WIDTH,
    GAMMA_R0_SQUARED,
    Blur,
    add_lines,
    energy_histograms,
    interpolated,
    plane_blurs,
    radial_fits,
    to_bins,
)
from mantid_exp2sim.simulation.binning import KINDS as KINDS
from mantid_exp2sim.simulation.binning import Binning as Binning
from mantid_exp2sim.simulation.binning import Kind as Kind
from mantid_exp2sim.simulation.binning import fine_energies as fine_energies
from mantid_exp2sim.simulation.form_factor import form_factor
from mantid_exp2sim.simulation.instrument import MAPS, Instrument, kinematics
from mantid_exp2sim.simulation.manganite import (
    LATTICE,
    LAYER_HEIGHT,
    SPIN,
    ModelName,
    check_parameters,
    sites_and_species,
    solve_reduced,
)
from mantid_exp2sim.simulation.resolution import RadialResolution

FloatArray = NDArray[np.float64]

FORMULA_UNITS = 8
"""Formula units (two Mn each) in the magnetic cell."""
Q_MAX = 2.2 * np.pi / LATTICE[0]
"""Range in Å⁻¹ over which the resolution is fitted."""


@lru_cache(maxsize=1)
def mosaic_binnings() -> tuple[Binning, ...]:
    """The six volumes of the published mosaic, 40 × 40 × 10 each."""
    return tuple(Binning(H_EDGES, K_EDGES, WINDOW_EDGES * ei, ei) for ei in INCIDENT_ENERGIES)


@dataclass(frozen=True, slots=True)
class Options:
    """How the physics is simulated.

    ``physics`` "physical" (default) or "paper_compatible", which switches on three artefacts of the published
    simulation: its second twin loses S^zz and has L = 0; L is folded into [−½, ½) in the phase between the
    layers; the form factor uses that folded Q. (The polarisation factor has the true Q: with it the
    published image correlates better than with the folded one.)
    ``grid`` is the number of points of the periodic (h, k) grid per magnetic reciprocal cell and axis.
    """

    instrument: Instrument = MAPS
    physics: Literal["physical", "paper_compatible"] = "physical"
    grid: int = 30


class Solved(Protocol):
    """A solved Hamiltonian of any model: what a simulated measurement needs of it."""

    @property
    def model(self) -> str:
        """Its name."""

    @property
    def parameters(self) -> FloatArray:
        """Its constants in meV."""

    @property
    def options(self) -> Options:
        """How the physics is simulated."""

    @property
    def lattice(self) -> tuple[float, float]:
        """2π over the length of one r.l.u. of the two axes of a volume, in Å."""

    @property
    def axis_names(self) -> tuple[str, str]:
        """What the two axes of a volume are called."""

    def volume(self, binning: Binning, kind: Kind = "convolved") -> FloatArray:
        """Intensities (nh, nk, nE)."""


@dataclass(frozen=True, slots=True, eq=False)
class _Points:
    """Spin waves at a set of (h, k): crystal Cartesian Q, energies and structure factors split by ion.

    ``qx``, ``qy`` (P,) in Å⁻¹; ``energy`` (P, 16) in meV; ``z`` and ``x`` (3, P, 16): |A4|², |A3|², 2 Re A4
    A3* of the fluctuations along c and a; ``spread`` (P, 16): variance of the energy over the grid cell,
    meV².
    """

    qx: FloatArray
    qy: FloatArray
    energy: FloatArray
    z: FloatArray
    x: FloatArray
    spread: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Lit:
    """Branches seen by one binning: point (int), energy, intensity and cell spread (meV²), all (N,)."""

    point: NDArray[np.intp]
    energy: FloatArray
    weight: FloatArray
    spread: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class SpinWaves:
    """Solved Hamiltonian on the periodic grid: energies (n, n, 2, 8) in meV and amplitudes (n, n, 2, 8, 8).

    Build with `spin_waves`; serves every incident energy, binning and kind.
    """

    model: ModelName
    parameters: FloatArray
    options: Options
    energy: FloatArray
    z: NDArray[np.complex128]
    x: NDArray[np.complex128]
    spread: FloatArray
    _cache: dict[object, _Points] = field(default_factory=dict, repr=False)
    _lit: dict[object, _Lit] = field(default_factory=dict, repr=False)

    @property
    def lattice(self) -> tuple[float, float]:
        """a and b in Å."""
        return LATTICE[0], LATTICE[1]

    @property
    def axis_names(self) -> tuple[str, str]:
        """What the two axes of a volume are called."""
        return "[H,0,0]", "[0,K,0]"

    def volume(self, binning: Binning, kind: Kind = "convolved") -> FloatArray:
        """Intensities (nh, nk, nE), as in the function `volume`."""
        return _volume(self, binning, kind)

    def half_plane(self, cells: int) -> _Points:
        """The ``cells`` grid points on each side of h = 0 and above k = 0, h-major: (2·cells·cells)
        points.
        """
        if cells not in self._cache:
            self._cache[cells] = _extend(self, cells)
        return self._cache[cells]

    def lit(self, cells: int, binning: Binning, compat: int) -> _Lit:
        """The branches of `half_plane` that reach into ``binning``, with their intensities."""
        key = (cells, binning, compat)
        if key not in self._lit:
            self._lit[key] = _light(self, cells, binning, compat)
        return self._lit[key]


def spin_waves(model: str, parameters: ArrayLike, options: Options | None = None) -> SpinWaves:
    """Solve the Hamiltonian once for all spectra.

    ``model`` "Dimer" or "Goodenough", ``parameters`` (6,) in meV. Raises `UnstableStructureError` where the
    spin structure is not the ground state, `Exp2SimError` for unknown models or wrong parameters.
    """
    options = options or Options()
    name, values = check_parameters(model, parameters)
    n = options.grid
    if n < 4:
        raise Exp2SimError("The (h, k) grid needs at least 4 points per axis.", reason=f"Got {n}.")
    u = (np.arange(n) + 0.5) / n  # half steps: the zero modes at q = 0 are never hit
    q = np.stack(np.meshgrid(u, u, indexing="ij"), axis=-1).reshape(-1, 2)
    modes = solve_reduced(name, values, q)
    energy = modes.energy.reshape(n, n, 2, 8)
    slopes = [0.5 * (np.roll(energy, -1, axis) - np.roll(energy, 1, axis)) for axis in (0, 1)]
    spread = (slopes[0] ** 2 + slopes[1] ** 2) / 12
    shape = (n, n, 2, 8, 8)
    return SpinWaves(name, values, options, energy, modes.z.reshape(shape), modes.x.reshape(shape), spread)


def _structure_factors(amplitude: NDArray[np.complex128], phases: NDArray[np.complex128]) -> FloatArray:
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


def _extend(waves: SpinWaves, cells: int) -> _Points:
    n = waves.options.grid
    zones = -(-cells // n)
    positions, _ = sites_and_species()
    gh, gk = np.arange(-zones, zones), np.arange(zones)
    g = np.stack(np.meshgrid(gh, gk, indexing="ij"), axis=-1).reshape(-1, 2)
    phases = np.exp(-2j * np.pi * g @ positions.T)
    rows = slice(zones * n - cells, zones * n + cells)

    def unfold(values: FloatArray) -> FloatArray:  # (3, n, n, G, 16) -> (3, P, 16), h-major
        values = values.reshape(3, n, n, gh.size, gk.size, 16).transpose(0, 3, 1, 4, 2, 5)
        plane = values.reshape(3, gh.size * n, gk.size * n, 16)
        return plane[:, rows, :cells].reshape(3, -1, 16)

    def repeat(values: FloatArray) -> FloatArray:  # (n, n, 2, 8) -> (P, 16)
        plane = np.tile(values.reshape(n, n, 16), (gh.size, gk.size, 1))
        return plane[rows, :cells].reshape(-1, 16)

    h, k = (np.arange(-cells, cells) + 0.5) / n, (np.arange(cells) + 0.5) / n
    qx, qy = np.meshgrid(h * np.pi / LATTICE[0], k * np.pi / LATTICE[1], indexing="ij")
    z, x = (unfold(_structure_factors(a, phases)) for a in (waves.z, waves.x))
    return _Points(qx.ravel(), qy.ravel(), repeat(waves.energy), z, x, repeat(waves.spread))


def _light(waves: SpinWaves, cells: int, binning: Binning, compat: int) -> _Lit:
    points, edges, ei = waves.half_plane(cells), binning.energy_edges, binning.incident_energy
    fits = resolution_fits(waves.options.instrument, ei, fine_energies(binning))
    margin = 4 * float(np.sqrt(max(f.ee for f in fits)) + np.sqrt(points.spread.max()))
    inside = (points.energy > edges[0] - margin) & (points.energy < min(edges[-1] + margin, ei))
    p, mode = np.nonzero(inside)
    energy = points.energy[p, mode]
    weight = mode_intensity(points, (p, mode), energy, ei, compat)
    keep = weight > 0
    return _Lit(p[keep], energy[keep], weight[keep], points.spread[p, mode][keep])


@lru_cache(maxsize=2)
def _form_factor_table(ion: str) -> tuple[FloatArray, FloatArray]:
    """⟨j0⟩ against Q² on a fine grid (0 … 400 Å⁻²): np.interp of it is exact to 1e-6 and far quicker."""
    q2 = np.linspace(0.0, 400.0, 40001)
    return q2, form_factor(ion, np.sqrt(q2))


def mode_intensity(
    points: _Points,
    index: tuple[NDArray[np.intp], NDArray[np.intp]],
    energy: FloatArray,
    ei: float,
    compat: int,
) -> FloatArray:
    """Intensity in mb/sr/f.u. of chosen branches (point, mode), with kinematics at ``energy`` (meV).

    ``compat`` 0 physical, 1 or 2: that twin of the published simulation. 0 where the point cannot be reached.
    """
    p, mode = index
    qx, qy = points.qx[p], points.qy[p]
    in_plane = qx**2 + qy**2
    along, _ = kinematics(np.sqrt(in_plane), energy, ei)
    reachable = np.isfinite(along)
    along = np.where(reachable, along, 0.0)
    q2 = np.maximum(in_plane + along**2, 1e-12)
    seen = along  # what the phase of the bilayer and the form factor take for Q∥
    if compat:
        ell = along * LATTICE[2] / (2 * np.pi)
        folded = np.zeros_like(ell) if compat == 2 else (ell + 0.5) % 1.0 - 0.5
        seen = folded * 2 * np.pi / LATTICE[2]
    angle = seen * LATTICE[2] * LAYER_HEIGHT  # half the phase between the layers: 0.2 π L
    f4, f3 = (np.interp(in_plane + seen**2, *_form_factor_table(ion)) for ion in ("Mn4+", "Mn3+"))
    weights = (f4**2, f3**2, f4 * f3)
    zz = sum(w * points.z[i, p, mode] for i, w in enumerate(weights))
    xx = sum(w * points.x[i, p, mode] for i, w in enumerate(weights))
    even = np.cos(angle) ** 2
    even = np.where(mode < 8, even, 1 - even)
    if compat == 2:
        zz = 0.0 * zz
    total = (1 - along**2 / q2) * zz * even + (1 - qx**2 / q2) * xx * (1 - even)
    return np.where(reachable, GAMMA_R0_SQUARED * SPIN / FORMULA_UNITS * total, 0.0)


def resolution_fits(
    instrument: Instrument, ei: float, energies: tuple[float, ...]
) -> tuple[RadialResolution, ...]:
    """The resolution at several energy transfers (meV), over the range of the manganite's volumes."""
    return radial_fits(instrument, ei, energies, Q_MAX)


def _deposit(
    points: _Points, lit: _Lit, binning: Binning, options: Options, convolve: bool
) -> tuple[FloatArray, FloatArray]:
    """Energy histograms (P, nE) of the points: weight, and weight × (δE·slope/var(E)), the drift in Q per
    unit of Q.
    """
    p, energy = lit.point, lit.energy
    variance = lit.spread + 1e-12
    slope = None
    if convolve:
        energies = fine_energies(binning)
        fits = resolution_fits(options.instrument, binning.incident_energy, energies)
        q2 = points.qx[p] ** 2 + points.qy[p] ** 2
        ee, ee_q2, slope = interpolated(energy, energies, fits, "ee", "ee_q2", "slope")
        variance = variance + ee + ee_q2 * q2
    return energy_histograms(points.qx.size, p, energy, lit.weight, variance, slope, binning.energy_edges)


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
    """Grid points needed on each side of Q = 0 for the binning and the margin of the blur around it."""
    reach = max(float(np.abs(e).max()) for e in (binning.h_edges, binning.k_edges))
    fits = resolution_fits(options.instrument, binning.incident_energy, fine_energies(binning))
    widest = max(np.sqrt(max(f.yy, f.zz) + f.radial * Q_MAX**2) for f in fits)
    reach += 4 * float(widest) * LATTICE[1] / (2 * np.pi)
    return int(np.ceil(2 * 1.01 * reach * options.grid)) + 1


def volume(waves: Solved, binning: Binning, kind: Kind = "convolved") -> FloatArray:
    """One (h, k, E) volume, float64 (nh, nk, nE), in mb sr⁻¹ meV⁻¹ per formula unit.

    ``kind``: "convolved" with the instrument's resolution; "integrated", the same mean over the bin without
    it; "centre", the model at the bin's centre with lines of 0.1 meV FWHM. Bins that cannot be reached are
    0. The first-order terms of the resolution can leave values of about -1e-4 of the maximum beside strong
    lines; they are set to 0.
    """
    return waves.volume(binning, kind)


def _volume(waves: SpinWaves, binning: Binning, kind: Kind) -> FloatArray:
    if kind == "centre":
        return _centre_volume(waves, binning)
    if kind not in KINDS:
        raise Exp2SimError(f"There is no kind {kind!r}.", fix=f"Choose one of {list(KINDS)}.")
    convolve = kind == "convolved"
    options = waves.options
    cells = half_plane_cells(binning, options)
    points = waves.half_plane(cells)
    out = np.zeros(binning.shape)
    deposited: tuple[FloatArray, ...] | None = None
    for twin in (1, 2):
        compat = twin if options.physics == "paper_compatible" else 0
        if deposited is None or compat:
            half = _deposit(points, waves.lit(cells, binning, compat), binning, options, convolve)
            deposited = tuple(_mirror(h, cells) for h in half)
        weight, drift = deposited if twin == 1 else (d.transpose(1, 0, 2) for d in deposited)
        blurs = _blurs(binning, options.instrument, options.grid, cells, twin, convolve)
        out += 0.5 * to_bins(weight, drift, blurs)
    return np.maximum(out, 0.0)


def _mirror(half: FloatArray, n: int) -> FloatArray:
    """The full (2n, 2n, nE) plane from its half k > 0, by S(−h, −k) = S(h, k)."""
    half = half.reshape(2 * n, n, -1)
    return np.concatenate([half[::-1, ::-1], half], axis=1)


def _points_at(waves: SpinWaves, h: FloatArray, k: FloatArray) -> _Points:
    """Spin waves at given crystal (h, k) of the paper cell, solved one by one (no folding)."""
    nudge = 1e-7  # off the zero modes
    q = np.stack([2 * h + nudge, 2 * k + nudge], axis=-1)
    modes = solve_reduced(waves.model, waves.parameters, q)
    one = np.ones((1, 8), dtype=complex)
    z, x = (_structure_factors(a, one)[:, :, 0] for a in (modes.z, modes.x))
    energy = modes.energy.reshape(-1, 16)
    qx, qy = 2 * np.pi * h / LATTICE[0], 2 * np.pi * k / LATTICE[1]
    return _Points(qx, qy, energy, z, x, np.zeros_like(energy))


def _centre_points(waves: SpinWaves, binning: Binning) -> list[_Points]:
    h = 0.5 * (binning.h_edges[1:] + binning.h_edges[:-1])
    k = 0.5 * (binning.k_edges[1:] + binning.k_edges[:-1])
    cached = waves._cache
    found = []
    ratio = LATTICE[0] / LATTICE[1]
    for twin in (1, 2):
        if (slot := (h.tobytes(), k.tobytes(), twin)) not in cached:
            hh, kk = np.meshgrid(h, k, indexing="ij")
            crystal = (hh, kk) if twin == 1 else (kk * ratio, hh / ratio)
            cached[slot] = _folded_points(waves, crystal[0].ravel(), crystal[1].ravel())
        found.append(cached[slot])
    return found


def _folded_points(waves: SpinWaves, h: FloatArray, k: FloatArray) -> _Points:
    """`_points_at`, solving only one of q and −q where the list is symmetric under inversion."""
    n = h.size
    symmetric = np.allclose(h, -h[::-1], atol=1e-12) and np.allclose(k, -k[::-1], atol=1e-12)
    if not symmetric:
        return _points_at(waves, h, k)
    half = _points_at(waves, h[: (n + 1) // 2], k[: (n + 1) // 2])
    take = np.concatenate([np.arange((n + 1) // 2), np.arange(n // 2)[::-1]])
    flip = np.where(np.arange(n) < (n + 1) // 2, 1.0, -1.0)
    return replace(
        half, qx=half.qx[take] * flip, qy=half.qy[take] * flip, energy=half.energy[take], z=half.z[:, take],
        x=half.x[:, take], spread=half.spread[take],
    )  # fmt: skip


def _centre_volume(waves: SpinWaves, binning: Binning) -> FloatArray:
    middle = 0.5 * (binning.energy_edges[1:] + binning.energy_edges[:-1])
    out = np.zeros((binning.shape[0] * binning.shape[1], middle.size))
    for twin, points in enumerate(_centre_points(waves, binning), start=1):
        compat = twin if waves.options.physics == "paper_compatible" else 0
        for e, energy in enumerate(middle):
            p, mode = np.nonzero(np.abs(points.energy - energy) < 6 * CENTRE_WIDTH)
            weight = mode_intensity(
                points, (p, mode), np.full(p.size, energy), binning.incident_energy, compat
            )
            add_lines(out[:, e], p, points.energy[p, mode], 0.5 * weight, float(energy))
    return out.reshape(binning.shape)


def mosaic_volumes(waves: SpinWaves, kind: Kind = "convolved") -> FloatArray:
    """All six volumes of the published mosaic, float64 (6, 40, 40, 10) = [Ei, h, k, window]."""
    return np.stack([volume(waves, binning, kind) for binning in mosaic_binnings()])
