"""Bins of (h, k, E), and how branches on a plane of grid cells are spread over them.

The resolution is the Gaussian of `resolution.covariance`, applied exactly in E (error functions) and as
separable blurs in h and k; correlations between Q and E and between h and k are carried to first order in
the gradient of the blur.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.simulation.instrument import Instrument
from mantid_exp2sim.simulation.resolution import RadialResolution, blur_matrices, normal_cdf, radial_fit

FloatArray = NDArray[np.float64]
Kind = Literal["convolved", "integrated", "centre"]
KINDS: tuple[Kind, ...] = ("convolved", "integrated", "centre")
Blur = tuple[FloatArray, FloatArray, FloatArray, FloatArray, float]
"""Matrices for h and for k, each followed by its derivative times Q, and the correlation of h and k."""

GAMMA_R0_SQUARED = 290.6
"""(γ r₀)² in mb for g = 2."""
CENTRE_WIDTH = float(0.1 / np.sqrt(8 * np.log(2)))
"""Standard deviation in meV of the lines of the `centre` kind (FWHM 0.1 meV)."""


@dataclass(frozen=True, slots=True, eq=False)
class Binning:
    """Edges of one (h, k, E) volume: h and k in r.l.u., E in meV, at one incident energy (meV)."""

    h_edges: FloatArray
    k_edges: FloatArray
    energy_edges: FloatArray
    incident_energy: float

    def __post_init__(self) -> None:
        """Check that edges ascend and that the energies can be reached."""
        for name in ("h_edges", "k_edges", "energy_edges"):
            edges = np.asarray(getattr(self, name), dtype=float)
            if edges.ndim != 1 or edges.size < 2 or not (np.diff(edges) > 0).all():
                raise Exp2SimError(
                    f"{name} must be at least two ascending numbers.", reason=f"Got {edges.tolist()}."
                )
            object.__setattr__(self, name, edges)
        if not self.incident_energy > 0 or self.energy_edges[-1] >= self.incident_energy:
            raise Exp2SimError(
                "The energy transfer must stay below the incident energy.",
                reason=f"The last edge is {self.energy_edges[-1]} meV, Ei is {self.incident_energy} meV.",
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of bins (nh, nk, nE)."""
        return self.h_edges.size - 1, self.k_edges.size - 1, self.energy_edges.size - 1

    @property
    def centres(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Centres of the bins: (nh,), (nk,) and (nE,)."""
        h, k, e = (0.5 * (x[1:] + x[:-1]) for x in (self.h_edges, self.k_edges, self.energy_edges))
        return h, k, e


def fine_energies(binning: Binning) -> tuple[float, ...]:
    """At most 15 energies over the binning at which the resolution is computed."""
    low, high = max(binning.energy_edges[0], 0.0), binning.energy_edges[-1]
    return tuple(np.linspace(low, high, min(15, binning.shape[2] + 1)).tolist())


@lru_cache(maxsize=256)
def radial_fits(
    instrument: Instrument, ei: float, energies: tuple[float, ...], q_max: float
) -> tuple[RadialResolution, ...]:
    """`resolution.radial_fit` at several energy transfers (meV), up to ``q_max`` (Å⁻¹)."""
    return tuple(radial_fit(instrument, energy, ei, q_max) for energy in energies)


def interpolated(
    at: FloatArray, energies: tuple[float, ...], fits: tuple[RadialResolution, ...], *names: str
) -> list[FloatArray]:
    """Fields of ``fits`` at other energies (meV)."""
    return [np.interp(at, energies, [getattr(fit, name) for fit in fits]) for name in names]


def energy_histograms(
    size: int,
    point: NDArray[np.intp],
    energy: FloatArray,
    weight: FloatArray,
    variance: FloatArray,
    slope: FloatArray | None,
    edges: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Energy histograms (``size``, nE) of branches that belong to points: weight, and its drift.

    ``point`` (N,) the row of each branch, its ``energy`` (meV), ``weight`` and ``variance`` (meV²); ``slope``
    (N,) the covariance of Q and E per unit of Q, None: no drift. The drift is weight × (δE·slope/var(E)).
    """
    step = np.diff(edges)
    n_e = step.size
    p, sigma = point, np.sqrt(variance)
    out = np.zeros((2, size * n_e))
    first = np.searchsorted(edges, energy - 4 * sigma, side="right") - 1
    last = np.searchsorted(edges, energy + 4 * sigma, side="right") - 1
    lower_index = np.clip(first, 0, n_e)
    count = np.minimum(last, n_e - 1) - lower_index + 1
    # branches that spread over most bins first: those still active form a head that only gets shorter
    order = np.argsort(-count, kind="stable")
    p, start = p[order], lower_index[order]
    energy, sigma, weight = energy[order], sigma[order], weight[order]
    tilt = None if slope is None else slope[order] * weight / (sigma * np.sqrt(2 * np.pi))
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
    cells: tuple[FloatArray, FloatArray],
    lengths: tuple[float, float],
) -> list[Blur]:
    """The blurs of h and k, one per energy bin (one for all without resolution, ``fits`` None).

    ``fits`` at `fine_energies` of the binning; ``cells`` edges of the grid's cells in r.l.u. along h and k;
    ``lengths`` 2π over the length of one r.l.u., in Å.
    """
    ch, ck = cells
    if fits is None:
        bh = blur_matrices(binning.h_edges, ch[:-1], ch[1:], np.zeros(ch.size - 1))[0]
        bk = blur_matrices(binning.k_edges, ck[:-1], ck[1:], np.zeros(ck.size - 1))[0]
        return [(bh, np.zeros_like(bh), bk, np.zeros_like(bk), 0.0)]
    middle = binning.centres[2]
    found = []
    widths = interpolated(middle, fine_energies(binning), fits, "yy", "zz", "radial")
    for yy, zz, radial in zip(*widths, strict=True):
        pair = []
        for edges, cell, base, length in (
            (binning.h_edges, ch, yy, lengths[0]),
            (binning.k_edges, ck, zz, lengths[1]),
        ):
            centre = 0.5 * (cell[1:] + cell[:-1])
            variance = base * (length / (2 * np.pi)) ** 2 + radial * centre**2
            width = np.sqrt(np.maximum(variance, 1e-12))
            value, slope = blur_matrices(edges, cell[:-1], cell[1:], width)
            pair += [value, slope * centre]
        found.append((pair[0], pair[1], pair[2], pair[3], float(radial)))
    return found


def to_bins(weight: FloatArray, drift: FloatArray, blurs: list[Blur]) -> FloatArray:
    """Volume (nh, nk, nE) from histograms on the whole plane of cells (Nh, Nk, nE)."""
    n_e = weight.shape[2]
    each = len(blurs) == n_e
    planes = []
    for e in range(n_e):
        bh, dh, bk, dk, radial = blurs[e if each else 0]
        w = weight[:, :, e]
        plane = (bh @ w) @ bk.T
        if each:
            s = drift[:, :, e]
            plane += (dh @ s) @ bk.T + (bh @ s) @ dk.T + radial * (dh @ w) @ dk.T
        planes.append(plane)
    return np.stack(planes, axis=-1)


def add_lines(
    out: FloatArray, point: NDArray[np.intp], energy: FloatArray, weight: FloatArray, middle: float
) -> None:
    """Add to ``out`` (P,) the intensity at the energy ``middle`` (meV) of branches with `CENTRE_WIDTH`."""
    line = np.exp(-0.5 * ((energy - middle) / CENTRE_WIDTH) ** 2) / (CENTRE_WIDTH * np.sqrt(2 * np.pi))
    out += np.bincount(point, weight * line, minlength=len(out))
