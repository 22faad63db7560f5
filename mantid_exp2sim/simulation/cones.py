"""The cones into which a powder scatters: which of them meet a detector, and how sharply they are seen."""

from __future__ import annotations

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.simulation.binning import Binning, fine_energies
from mantid_exp2sim.simulation.constants import ENERGY_PER_K2
from mantid_exp2sim.simulation.coverage import detected
from mantid_exp2sim.simulation.instrument import Instrument
from mantid_exp2sim.simulation.resolution import RadialResolution, direction_map, variable_variances

AZIMUTHS = 72
"""Directions around a cone."""


def powder_fits(instrument: Instrument, binning: Binning) -> tuple[RadialResolution, ...]:
    """Fit var(|Q|) = ``yy`` + ``radial`` Q², cov(|Q|, E) = ``slope`` Q and var(E) at `fine_energies`.

    The mean over the detectors around each cone; over the whole cone where there are none.
    """
    at = fine_energies(binning)
    lines = [_fit(instrument, energy, binning) for energy in at]
    good = [number for number, fit in enumerate(lines) if fit is not None]
    if not good:
        raise Exp2SimError(
            "No bin can be reached at this incident energy.",
            reason=f"Ei is {binning.incident_energy:g} meV.",
            fix="Choose a higher incident energy, or smaller |Q| and energy transfer.",
        )
    nearest = [min(good, key=lambda n: abs(n - number)) for number in range(len(at))]
    return tuple(fit for n in nearest if (fit := lines[n]) is not None)


def _fit(instrument: Instrument, energy: float, binning: Binning) -> RadialResolution | None:
    ei = binning.incident_energy
    size = np.linspace(binning.h_edges[0], binning.h_edges[-1], 17)[1:]
    kf = cones(size, np.full(size.size, energy), ei)
    reachable = np.isfinite(kf).all(axis=(0, 2))
    if reachable.sum() < 3:
        return None
    kf, size = kf[:, reachable], size[reachable]
    ki = np.array([np.sqrt(ei / ENERGY_PER_K2), 0.0, 0.0])
    length = np.linalg.norm(kf, axis=-1)
    matrix = direction_map(instrument, kf / length[..., None], length, ei)
    line = np.concatenate([(ki - kf) / size[:, None], np.zeros((*length.shape, 1))], axis=-1)
    radial = np.einsum("anb,anbv->anv", line, matrix)
    variances = variable_variances(instrument, ei)
    hit = detected(instrument, *np.moveaxis(kf, -1, 0))
    share = np.where(hit.any(axis=0), hit, True).astype(np.float64)
    share /= share.sum(axis=0)
    pairs = ((radial, radial), (radial, matrix[..., 3, :]), (matrix[..., 3, :], matrix[..., 3, :]))
    qq, qe, ee = ((share * (a * b * variances).sum(axis=-1)).sum(axis=0) for a, b in pairs)
    rows = np.stack([np.ones_like(size), size**2], axis=1)
    (yy, curve), (e0, e2) = (np.linalg.lstsq(rows, values, rcond=None)[0] for values in (qq, ee))
    residual = float(np.abs(ee - rows @ (e0, e2)).max() / e0)
    return RadialResolution(yy, yy, curve, float((qe @ size) / (size @ size)), e0, e2, residual)


def cones(q: Floats, energy: Floats, incident_energy: float) -> Floats:
    """Compute the final wave vectors (`AZIMUTHS`, …, 3) around the cone of |Q| (Å⁻¹) and energy (meV)."""
    ki = np.sqrt(incident_energy / ENERGY_PER_K2)
    along = (q**2 + energy / ENERGY_PER_K2) / (2 * ki)
    with np.errstate(invalid="ignore"):
        across = np.sqrt(q**2 - along**2)
    angle = (2 * np.pi * (np.arange(AZIMUTHS) + 0.5) / AZIMUTHS).reshape(-1, *[1] * q.ndim)
    kf = [ki - along + 0 * angle, -across * np.cos(angle), -across * np.sin(angle)]
    return np.stack(np.broadcast_arrays(*kf), axis=-1)


def powder_mask(instrument: Instrument, binning: Binning, *, samples: int = 3) -> Booleans:
    """Find the bins (n, 1, nE) that no detector reaches, True = not measured."""
    offsets = (np.arange(samples) + 0.5) / samples
    q, energy = (
        (e[:-1, None] + np.diff(e)[:, None] * offsets).reshape(-1)
        for e in (binning.h_edges, binning.energy_edges)
    )
    kf = cones(*np.meshgrid(q, energy, indexing="ij"), binning.incident_energy)
    hit = np.asarray(detected(instrument, *np.moveaxis(kf, -1, 0)).any(axis=0))
    parts = hit.reshape(binning.shape[0], samples, binning.shape[2], samples)
    return np.asarray(~parts.any(axis=(1, 3)))[:, None, :]
