"""Panels, (h, k, E) volumes and the published 240 x 400 picture.

For MAPS at ISIS the picture holds six blocks of rows (one per incident energy, 25 meV first) and ten
blocks of columns (one per energy window), each of 40 x 40 bins; h **decreases** with the row, k
increases with the column (Anker et al., Digital Discovery 2, 578 (2023)). Nothing in reciprocal space
crosses the border of a panel, and the ten windows of one incident energy are neighbours in energy: so a
mosaic is six (h, k, E) volumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Floats, Histogram

INCIDENT_ENERGIES = (25.0, 35.0, 50.0, 70.0, 100.0, 140.0)
"""Incident energies in meV, in the order of the row blocks."""
WINDOWS = 10
"""Energy windows per incident energy."""
PANEL = 40
"""Bins of a panel along h and along k."""
SHAPE = (len(INCIDENT_ENERGIES) * PANEL, WINDOWS * PANEL)
"""Shape of the picture: (240, 400)."""
VOLUMES_SHAPE = (len(INCIDENT_ENERGIES), PANEL, PANEL, WINDOWS)
"""Shape of the six volumes: [Ei, h, k, window]."""

Any_ = TypeVar("Any_", bound=np.generic)


def _constant(values: Floats) -> Floats:
    values.flags.writeable = False
    return values


H_EDGES: Floats = _constant((2 * np.arange(PANEL + 1, dtype=np.float64) - PANEL) / (PANEL - 1))
"""Edges of h in r.l.u., float64 (41,): centres from -1 to 1 in steps of 2/39."""
K_EDGES: Floats = H_EDGES
"""Edges of k in r.l.u., float64 (41,)."""
WINDOW_EDGES: Floats = _constant((10 + 6 * np.arange(WINDOWS + 1, dtype=np.float64)) / 100)
"""Edges of the energy windows as fractions of the incident energy, float64 (11,): 0.10 + 0.06 n."""


def q_edges() -> Floats:
    """Return the edges of h and of k, r.l.u., float64 (41,).

    >>> q_edges()[[0, -1]].round(6).tolist()
    [-1.025641, 1.025641]
    """
    return H_EDGES


def window_edges(incident_energy: float) -> Floats:
    """Return the edges of the energy windows, meV, float64 (11,): (0.10 + 0.06 n) Ei.

    >>> window_edges(100.0).round(9).tolist()
    [10.0, 16.0, 22.0, 28.0, 34.0, 40.0, 46.0, 52.0, 58.0, 64.0, 70.0]
    """
    return WINDOW_EDGES * incident_energy


def volume_axes(incident_energy: float) -> tuple[Axis, Axis, Axis]:
    """Return the axes (h, k, E) of the volume at one incident energy (meV)."""
    return (
        Axis("[H,0,0]", H_EDGES, unit="r.l.u.", frame="HKL"),
        Axis("[0,K,0]", K_EDGES, unit="r.l.u.", frame="HKL"),
        Axis("DeltaE", window_edges(incident_energy), unit="meV", frame="General Frame"),
    )


def volumes_from_picture(picture: npt.NDArray[Any_]) -> npt.NDArray[Any_]:
    """Cut pictures (…, 240, 400) into volumes (…, 6, 40, 40, 10) = [Ei, h, k, window], h and k ascending.

    >>> volumes_from_picture(np.zeros((3, 240, 400))).shape
    (3, 6, 40, 40, 10)
    """
    if picture.shape[-2:] != SHAPE:
        raise Exp2SimError(
            f"The picture has shape {picture.shape}.", fix=f"Give (…, {SHAPE[0]}, {SHAPE[1]})."
        )
    lead = picture.shape[:-2]
    blocks = picture.reshape(*lead, len(INCIDENT_ENERGIES), PANEL, WINDOWS, PANEL)[..., ::-1, :, :]
    return np.ascontiguousarray(np.moveaxis(blocks, -2, -1))


def picture_from_volumes(volumes: npt.NDArray[Any_]) -> npt.NDArray[Any_]:
    """Lay volumes (…, 6, 40, 40, 10) out as pictures (…, 240, 400): the inverse of `volumes_from_picture`.

    >>> x = np.arange(240 * 400.0).reshape(240, 400)
    >>> bool((picture_from_volumes(volumes_from_picture(x)) == x).all())
    True
    """
    if volumes.shape[-4:] != VOLUMES_SHAPE:
        raise Exp2SimError(f"The volumes have shape {volumes.shape}.", fix=f"Give (…, {VOLUMES_SHAPE}).")
    blocks = np.moveaxis(volumes, -1, -2)[..., ::-1, :, :]
    return np.ascontiguousarray(blocks).reshape(*volumes.shape[:-4], *SHAPE)


def mosaic_histogram(
    intensity: npt.ArrayLike,
    *,
    variance: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    metadata: dict[str, Any] | None = None,
) -> Histogram:
    """Make the mosaic `Histogram` of a picture (240, 400)."""
    axes = tuple(
        Axis(name, np.arange(n + 1.0), unit="px", frame="General Frame")
        for name, n in zip(("row", "column"), SHAPE, strict=True)
    )
    return Histogram.from_arrays(
        intensity, axes, variance, mask, metadata={**(metadata or {}), "layout": "mosaic"}
    )


def is_mosaic(histogram: Histogram) -> bool:
    """Say whether a histogram is the published picture.

    >>> is_mosaic(mosaic_histogram(np.zeros((240, 400))))
    True
    """
    return histogram.metadata.get("layout") == "mosaic" and histogram.shape == SHAPE


def split(mosaic: Histogram) -> tuple[Histogram, ...]:
    """Cut a mosaic into its six (h, k, E) histograms of shape (40, 40, 10), ordered by incident energy.

    Raises
    ------
    Exp2SimError
        If the histogram is not a mosaic.

    Examples
    --------
    >>> volumes = split(mosaic_histogram(np.ones((240, 400))))
    >>> len(volumes), volumes[0].shape, volumes[0].metadata["incident_energy"]
    (6, (40, 40, 10), 25.0)
    """
    if not is_mosaic(mosaic):
        raise Exp2SimError(
            f"A histogram of shape {mosaic.shape} is not a mosaic.",
            fix=f"Give the picture {SHAPE}: mosaic_histogram(values), or load its file.",
        )
    parts = [volumes_from_picture(part) for part in (mosaic.intensity, mosaic.variance)]
    mask = volumes_from_picture(mosaic.mask)
    shared = {key: value for key, value in mosaic.metadata.items() if key != "layout"}
    return tuple(
        Histogram(parts[0][i], parts[1][i], mask[i], volume_axes(ei), {**shared, "incident_energy": ei})
        for i, ei in enumerate(INCIDENT_ENERGIES)
    )


def join(volumes: Sequence[Histogram]) -> Histogram:
    """Lay six (h, k, E) histograms out as a mosaic: the inverse of `split`, in any order of the volumes.

    Raises
    ------
    Exp2SimError
        If the incident energies or the bins are not those of the mosaic.

    Examples
    --------
    >>> mosaic = mosaic_histogram(np.ones((240, 400)))
    >>> join(split(mosaic)).shape
    (240, 400)
    """
    by_energy = {volume.metadata.get("incident_energy"): volume for volume in volumes}
    if len(volumes) != len(INCIDENT_ENERGIES) or set(by_energy) != set(INCIDENT_ENERGIES):
        energies = [volume.metadata.get("incident_energy") for volume in volumes]
        raise Exp2SimError(
            f"The volumes have incident energies {energies}.",
            reason=f"A mosaic takes {INCIDENT_ENERGIES}.",
            fix="Give one volume for each of these, in meV.",
        )
    ordered = [by_energy[ei] for ei in INCIDENT_ENERGIES]
    for ei, volume in zip(INCIDENT_ENERGIES, ordered, strict=True):
        _check_bins(volume, ei)
    intensity, variance, mask = (
        picture_from_volumes(np.stack([getattr(volume, name) for volume in ordered]))
        for name in ("intensity", "variance", "mask")
    )
    metadata = {key: value for key, value in ordered[0].metadata.items() if key != "incident_energy"}
    return mosaic_histogram(intensity, variance=variance, mask=mask, metadata=metadata)


def _check_bins(volume: Histogram, incident_energy: float) -> None:
    expected = volume_axes(incident_energy)
    same = volume.shape == VOLUMES_SHAPE[1:] and all(
        np.allclose(axis.edges, ours.edges, rtol=0, atol=1e-4 * ours.widths[0])
        for axis, ours in zip(volume.axes, expected, strict=True)
    )
    if not same:
        raise Exp2SimError(
            f"The volume at {incident_energy:g} meV has bins that are not the mosaic's.",
            reason="It takes (40, 40, 10) bins in (h, k, E), h and k from -1 to 1, E from 0.10 to 0.70 Ei.",
            fix="Rebin the data (`exp2sim rebin`), or bin the events anew.",
        )
