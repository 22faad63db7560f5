"""The published arrays of this work: ``.npy`` files of mosaics (240, 400) and volumes (60, 60, 60).

Leading axes of length 1 are dropped. Files that hold several pictures, (N, 2, 240, 400) with convolved and
unconvolved or (2, 240, 400), need an index. A volume is at 140 meV: its axes are taken as h and k with
centres from -1 to 1 and E from 0.10 to 0.70 of the incident energy, as in the mosaic.

Written: a mosaic as float64 (240, 400) with NaN where nothing was measured, and a JSON file beside it
(``result.npy.json``) with the metadata, the history among them. They are read again where the checksum in it
is that of the picture. A picture has no place for the variance; the package's own ``.npz`` has.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Booleans, Floats, Histogram
from mantid_exp2sim.io.arrays import map_npy
from mantid_exp2sim.io.axes import energy_axis, momentum_axis
from mantid_exp2sim.io.limits import Budget
from mantid_exp2sim.io.masks import MaskLike, find_mask, read_mask
from mantid_exp2sim.mosaic import SHAPE, is_mosaic, mosaic_histogram
from mantid_exp2sim.storage.atomic import atomic_path

VOLUME = (60, 60, 60)
VOLUME_ENERGY = 140.0
_MAX_METADATA = 2**20
"""Bytes of the file beside a picture that are read."""


def read(path: Path, *, mask: MaskLike | None = None, index: tuple[int, ...] | None = None) -> Histogram:
    """Read a published array.

    Raises
    ------
    Exp2SimError
        If the array is of another shape, needs an index, or holds no measured bin.
    """
    values = _pick(map_npy(path), index, path)
    told = _metadata_beside(path)
    Budget().take(8 * values.size, str(path))
    array = np.array(values, dtype=np.float64)
    metadata: dict[str, Any] = {"format": "npy"} if index is None else {"format": "npy", "index": list(index)}
    if array.shape == SHAPE:
        hidden, metadata["mask_source"] = find_mask(array, mask)
        return mosaic_histogram(array, mask=hidden, metadata={**told, **metadata})
    hidden, metadata["mask_source"] = _volume_mask(array, mask)
    metadata["incident_energy"] = VOLUME_ENERGY
    return Histogram.from_arrays(array, volume_axes(), mask=hidden, metadata=metadata)


def write(histogram: Histogram, path: Path) -> None:
    """Write a mosaic as the published picture, NaN where not measured, and its metadata beside it.

    Raises
    ------
    Exp2SimError
        If the histogram is no mosaic: a ``.npy`` file has no place for axes.
    """
    require_mosaic(histogram)
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            np.save(file, histogram.intensity, allow_pickle=False)
        about = {"sha256": _checksum(temporary), "metadata": dict(histogram.metadata)}
    with atomic_path(beside(path)) as temporary:
        temporary.write_text(json.dumps(about, indent=1, sort_keys=True), encoding="utf-8")


def require_mosaic(histogram: Histogram) -> None:
    """Refuse a histogram that a ``.npy`` file has no place for."""
    if not is_mosaic(histogram):
        raise Exp2SimError(
            f"A histogram of shape {histogram.shape} cannot be written as .npy.",
            reason="Only the mosaic (240, 400) can: the file has no place for axes.",
            fix="Choose a name that ends in .nxs (Mantid) or .npz.",
        )


def beside(path: Path) -> Path:
    """Return the file of a picture's metadata.

    >>> beside(Path("result.npy")).name
    'result.npy.json'
    """
    return path.with_name(f"{path.name}.json")


def _metadata_beside(path: Path) -> dict[str, Any]:
    """Return the metadata that were written with this picture; empty where they are of another one."""
    try:
        with beside(path).open("rb") as file:
            about = json.loads(file.read(_MAX_METADATA))
        metadata = about["metadata"] if about["sha256"] == _checksum(path) else {}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def volume_axes() -> tuple[Axis, Axis, Axis]:
    """Return the axes (h, k, E) of the published volumes at 140 meV."""
    edges = (2 * np.arange(61, dtype=np.float64) - 60) / 59
    energies = (10 + np.arange(61, dtype=np.float64)) / 100 * VOLUME_ENERGY
    return momentum_axis((1, 0, 0), edges), momentum_axis((0, 1, 0), edges), energy_axis(energies)


def _pick(array: npt.NDArray[Any], index: tuple[int, ...] | None, path: Path) -> npt.NDArray[Any]:
    """Choose one picture and drop leading axes of length 1."""
    whole = array.shape
    lead = _lead(whole)
    if index is not None:
        allowed = whole[:-1] if lead is None else lead
        if len(index) > len(allowed) or any(not -n <= i < n for i, n in zip(index, allowed, strict=False)):
            ranges = " and ".join(f"0 to {n - 1}" for n in allowed)
            alone = lead is not None and math.prod(lead) == 1
            raise Exp2SimError(
                f"{path} of shape {whole} has no entry {list(index)}.",
                reason="It holds one spectrum." if alone else f"Indices go from {ranges}.",
                fix="Leave the index out." if alone else "Choose one of these.",
            )
        array = array[index]
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.shape in (SHAPE, VOLUME):
        return array
    if lead is not None:
        example = ",".join("0" for _ in lead)
        raise Exp2SimError(
            f"{path} holds {math.prod(lead)} spectra (shape {whole}).",
            reason="One is taken at a time.",
            fix=f"Choose one: --index {example} on the command line, index=({example},) in Python.",
        )
    raise Exp2SimError(
        f"{path} holds an array of shape {whole}.",
        reason="A .npy file takes the published mosaic (240, 400) or the volume (60, 60, 60).",
        fix="Other data need axes: write them as Mantid MDHisto (.nxs), or build a Histogram in Python.",
    )


def _lead(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The axes before those of a spectrum, or None where it is none of ours."""
    if shape[-2:] == SHAPE:
        return shape[:-2]
    return shape[:-3] if shape[-3:] == VOLUME else None


def _volume_mask(array: Floats, mask: MaskLike | None) -> tuple[Booleans, str]:
    unknown = ~np.isfinite(array)
    if mask is not None:
        return read_mask(mask, VOLUME) | unknown, "given"
    from mantid_exp2sim.simulation.coverage import coverage_mask

    h, k, energy = (axis.edges for axis in volume_axes())
    coverage = coverage_mask(h, k, energy, VOLUME_ENERGY)
    if 2 * int(np.sum(unknown & coverage)) >= int(np.sum(coverage)):
        return unknown, "not finite"
    return coverage | unknown, "computed coverage"
