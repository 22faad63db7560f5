"""Bins of (h, k, E), and how branches on a plane of grid cells are spread over them.

The resolution is the Gaussian of `resolution.covariance`, applied exactly in E (error functions) and as
separable blurs in h and k; correlations between Q and E and between h and k are carried to first order in
the gradient of the blur.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.mosaic import H_EDGES, INCIDENT_ENERGIES, K_EDGES, WINDOW_EDGES
from mantid_exp2sim.simulation.instrument import Instrument
from mantid_exp2sim.simulation.resolution import RadialResolution, blur_matrices, normal_cdf, radial_fit

Indices = NDArray[np.intp]
Kind = Literal["convolved", "integrated", "centre"]
KINDS: tuple[Kind, ...] = ("convolved", "integrated", "centre")
Blur = tuple[Floats, Floats, Floats, Floats, float]
"""Matrices for h and for k, each followed by its derivative times Q, and the correlation of h and k."""
Lines = tuple[Indices, Floats, Callable[[Indices, Indices], Floats]]
"""Bins (N,), the energies of their modes (N, n) in meV, and what gives the intensity of (row, mode)."""

CENTRE_WIDTH = float(0.1 / np.sqrt(8 * np.log(2)))
"""Standard deviation in meV of the lines of the `centre` kind (FWHM 0.1 meV)."""


@dataclass(frozen=True, slots=True, eq=False)
class Binning:
    """Edges of one (h, k, E) volume: h and k in r.l.u., E in meV, at one incident energy (meV).

    h and k stand for the two axes of view; of a powder h is |Q| in Å⁻¹ and k has one bin. ``third`` is the
    range of the third direction in r.l.u. that the volume of a scan is integrated over.
    """

    h_edges: Floats
    k_edges: Floats
    energy_edges: Floats
    incident_energy: float
    third: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Validate that edges ascend and that the energies can be reached."""
        for name in ("h_edges", "k_edges", "energy_edges"):
            edges = np.asarray(getattr(self, name), dtype=float)
            if edges.ndim != 1 or edges.size < 2 or not (np.diff(edges) > 0).all():
                raise Exp2SimError(
                    f"{name} must be at least two ascending numbers.",
                    reason=f"Got {edges.tolist()}.",
                    fix="Give the borders of the bins in ascending order, one more than bins.",
                )
            object.__setattr__(self, name, edges)
        if self.third is not None and not self.third[0] < self.third[1]:
            raise Exp2SimError(
                f"The range of the third direction is {self.third}.", fix="Give two ascending numbers."
            )
        if not self.incident_energy > 0 or self.energy_edges[-1] >= self.incident_energy:
            raise Exp2SimError(
                "The energy transfer must stay below the incident energy.",
                reason=f"The last edge is {self.energy_edges[-1]} meV, Ei is {self.incident_energy} meV.",
                fix="Choose a smaller range of energy transfer, or a higher incident energy.",
            )

    @classmethod
    def regular(
        cls,
        incident_energy: float,
        *,
        bins: tuple[int, int, int] = (40, 40, 10),
        h: tuple[float, float] | None = None,
        k: tuple[float, float] | None = None,
        energy: tuple[float, float] | None = None,
        third: tuple[float, float] | None = None,
    ) -> Binning:
        """Make bins of equal widths between the ends of ``h`` and ``k`` (r.l.u.) and ``energy`` (meV).

        By default the centres of h and k go from -1 to 1, and the energies from 0.1 to 0.7 of
        ``incident_energy`` (meV).

        >>> Binning.regular(50.0, bins=(3, 2, 3)).h_edges.tolist()
        [-1.5, -0.5, 0.5, 1.5]
        """
        if min(bins) < 1:
            raise Exp2SimError(
                f"{tuple(bins)} are no numbers of bins.",
                reason="Every axis has at least one bin.",
                fix="Give three positive numbers: of h, k and energy.",
            )
        halves = (1 / max(n - 1, 1) for n in bins[:2])
        ends = [span or (-1 - half, 1 + half) for span, half in zip((h, k), halves, strict=True)]
        ends.append(energy or (0.1 * incident_energy, 0.7 * incident_energy))
        edges = [np.linspace(start, stop, n + 1) for (start, stop), n in zip(ends, bins, strict=True)]
        return cls(edges[0], edges[1], edges[2], incident_energy, third)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of bins (nh, nk, nE)."""
        return self.h_edges.size - 1, self.k_edges.size - 1, self.energy_edges.size - 1

    @property
    def centres(self) -> tuple[Floats, Floats, Floats]:
        """Centres of the bins: (nh,), (nk,) and (nE,)."""
        h, k, e = (0.5 * (x[1:] + x[:-1]) for x in (self.h_edges, self.k_edges, self.energy_edges))
        return h, k, e


@lru_cache(maxsize=1)
def mosaic_binnings() -> tuple[Binning, ...]:
    """Make the six volumes of the published mosaic, 40 × 40 × 10 bins each."""
    return tuple(Binning(H_EDGES, K_EDGES, WINDOW_EDGES * ei, ei) for ei in INCIDENT_ENERGIES)


def fine_energies(binning: Binning) -> tuple[float, ...]:
    """Choose at most 15 energies (meV) over the binning at which the resolution is computed."""
    low, high = max(binning.energy_edges[0], 0.0), binning.energy_edges[-1]
    return tuple(np.linspace(low, high, min(15, binning.shape[2] + 1)).tolist())


@lru_cache(maxsize=256)
def radial_fits(
    instrument: Instrument, ei: float, energies: tuple[float, ...], q_max: float
) -> tuple[RadialResolution, ...]:
    """Fit the resolution at several energy transfers (meV), up to ``q_max`` (Å⁻¹)."""
    unscaled = instrument.model_copy(update={"width_scale": 1.0})
    fits = _unscaled_fits(unscaled, ei, energies, q_max)
    return tuple(fit.scaled(instrument.width_scale) for fit in fits)


@lru_cache(maxsize=256)
def _unscaled_fits(
    instrument: Instrument, ei: float, energies: tuple[float, ...], q_max: float
) -> tuple[RadialResolution, ...]:
    return tuple(radial_fit(instrument, energy, ei, q_max) for energy in energies)


def interpolated(
    at: Floats, energies: tuple[float, ...], fits: tuple[RadialResolution, ...], *names: str
) -> list[Floats]:
    """Interpolate fields of ``fits``, made at ``energies``, at other energies (meV)."""
    return [np.interp(at, energies, [getattr(fit, name) for fit in fits]) for name in names]


@dataclass(frozen=True, slots=True, eq=False)
class Branches:
    """Branches that reach into one binning, all (N,): what is spread over its bins.

    ``point`` row of the plane's cells, ``energy`` (meV), ``weight`` the intensity, ``spread`` variance of the
    energy over the grid cell (meV²), ``slope`` ∂ω/∂Q∥ (meV Å), None where energies do not depend on it.
    ``left_out`` counts the modes that are no excitations.
    """

    point: Indices
    energy: Floats
    weight: Floats
    spread: Floats
    slope: Floats | None = None
    left_out: int = 0

    def only(self, excited: Booleans) -> Branches:
        """Leave out, and count, the branches that are no excitations (False in ``excited`` (N,))."""
        slope = None if self.slope is None else self.slope[excited]
        arrays = self.point[excited], self.energy[excited], self.weight[excited], self.spread[excited]
        return Branches(*arrays, slope, self.left_out + int((~excited).sum()))


def energy_histograms(
    branches: Branches, size: int, edges: Floats, widths: tuple[Floats, ...] = (), drift: Floats | None = None
) -> tuple[Floats, Floats]:
    """Spread branches over energy bins: histograms (``size``, nE) of their weight, and of its drift.

    ``widths`` (N,) are the variances by the resolution (meV²), added to the spread over the cell; ``drift``
    (N,) the covariance of Q and E per unit of Q (None: no drift). The drift is weight × (δE·drift/var(E)).
    """
    step = np.diff(edges)
    n_e = step.size
    p, energy, weight = branches.point, branches.energy, branches.weight
    sigma = np.sqrt(sum(widths, branches.spread + 1e-12))
    out = np.zeros((2, size * n_e))
    first = np.searchsorted(edges, energy - 4 * sigma, side="right") - 1
    last = np.searchsorted(edges, energy + 4 * sigma, side="right") - 1
    lower_index = np.clip(first, 0, n_e)
    count = np.minimum(last, n_e - 1) - lower_index + 1
    # branches that spread over most bins first: those still active form a head that only gets shorter
    order = np.argsort(-count, kind="stable")
    p, start = p[order], lower_index[order]
    energy, sigma, weight = energy[order], sigma[order], weight[order]
    tilt = None if drift is None else drift[order] * weight / (sigma * np.sqrt(2 * np.pi))
    active = np.searchsorted(-count[order], -np.arange(int(count.max(initial=0))), side="left")
    below = (edges[np.minimum(start, n_e)] - energy) / sigma
    cdf_below, bell_below = normal_cdf(below), np.exp(-0.5 * below**2)
    for offset, n in enumerate(active):
        bin_index = start[:n] + offset
        above = (edges[bin_index + 1] - energy[:n]) / sigma[:n]
        cdf, bell = normal_cdf(above), np.exp(-0.5 * above**2)
        flat, width = p[:n] * n_e + bin_index, step[bin_index]
        out[0] += np.bincount(flat, (cdf - cdf_below[:n]) * weight[:n] / width, minlength=out.shape[1])
        if tilt is not None:
            out[1] += np.bincount(flat, (bell_below[:n] - bell) * tilt[:n] / width, minlength=out.shape[1])
        cdf_below, bell_below = cdf, bell
    return out[0].reshape(-1, n_e), out[1].reshape(-1, n_e)


def plane_blurs(
    binning: Binning,
    fits: tuple[RadialResolution, ...] | None,
    cells: tuple[Floats, Floats],
    lengths: tuple[float, float],
) -> list[Blur]:
    """Make the blurs of h and k, one per energy bin (one for all without resolution, ``fits`` None).

    ``fits`` at `fine_energies` of the binning; ``cells`` edges of the grid's cells in r.l.u. along h and k;
    ``lengths`` 2π over the length of one r.l.u., in Å.
    """
    axes = ((binning.h_edges, cells[0], lengths[0]), (binning.k_edges, cells[1], lengths[1]))
    if fits is None:
        bh, bk = (blur_matrices(edges, at[:-1], at[1:], np.zeros(at.size - 1))[0] for edges, at, _ in axes)
        return [(bh, np.zeros_like(bh), bk, np.zeros_like(bk), 0.0)]
    blurs = []
    variances = interpolated(binning.centres[2], fine_energies(binning), fits, "yy", "zz", "radial")
    for yy, zz, radial in zip(*variances, strict=True):
        pair = []
        for (edges, at, length), base in zip(axes, (yy, zz), strict=True):
            centre = 0.5 * (at[1:] + at[:-1])
            variance = base * (length / (2 * np.pi)) ** 2 + radial * centre**2
            value, slope = blur_matrices(edges, at[:-1], at[1:], np.sqrt(np.maximum(variance, 1e-12)))
            pair += [value, slope * centre]
        blurs.append((pair[0], pair[1], pair[2], pair[3], float(radial)))
    return blurs


def to_bins(weight: Floats, drift: Floats, blurs: list[Blur]) -> Floats:
    """Blur histograms on the whole plane of cells (Nh, Nk, nE) into the bins of a volume (nh, nk, nE)."""
    n_e = weight.shape[2]
    resolved = len(blurs) == n_e
    planes = []
    for e in range(n_e):
        bh, dh, bk, dk, radial = blurs[e if resolved else 0]
        w = weight[:, :, e]
        plane = (bh @ w) @ bk.T
        if resolved:
            s = drift[:, :, e]
            plane += (dh @ s) @ bk.T + (bh @ s) @ dk.T + radial * (dh @ w) @ dk.T
        planes.append(plane)
    return np.stack(planes, axis=-1)


def lines_at_centres(binning: Binning, lines: Callable[[float], Lines]) -> Floats:
    """Compute the `centre` kind (nh, nk, nE): Gaussian lines of `CENTRE_WIDTH` at the bins' centres.

    ``lines`` gives the modes of the plane's bins at an energy transfer (meV).
    """
    out = np.zeros((binning.shape[0] * binning.shape[1], binning.shape[2]))
    for e, energy in enumerate(binning.centres[2]):
        bins, omega, intensity = lines(float(energy))
        row, mode = np.nonzero(np.abs(omega - energy) < 6 * CENTRE_WIDTH)
        if not row.size:
            continue
        distance = (omega[row, mode] - energy) / CENTRE_WIDTH
        line = np.exp(-0.5 * distance**2) / (CENTRE_WIDTH * np.sqrt(2 * np.pi))
        out[:, e] = np.bincount(bins[row], intensity(row, mode) * line, minlength=len(out))
    return out.reshape(binning.shape)


def validate_kind(kind: str) -> None:
    """Raise `Exp2SimError` where ``kind`` is no kind of data that can be simulated."""
    if kind not in KINDS:
        raise Exp2SimError(f"There is no kind {kind!r}.", fix=f"Choose one of {list(KINDS)}.")
