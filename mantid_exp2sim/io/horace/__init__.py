"""Horace's images: ``.sqw`` and ``.d1d`` … ``.d4d``, versions 2, 3, 3.1, 3.3 and 4.

Read is the image (signal, variance, number of pixels in bins), also from an sqw file, whose pixels are never
touched. Written is version 2 of the dnd file, which every Horace reads.

Rules: s is the mean signal and e the variance of the mean; a bin with npix = 0 was not measured. A
projection axis whose largest component is 1 is in reciprocal lattice units and named by its direction
(``[H,H,0]``); another is in Å⁻¹ where Horace says so (length 1 Å⁻¹) and keeps Horace's label. Horace counts
edges and ranges from the offset of the projection; here they count from Γ and from 0 meV. The header and
npix are kept on `Histogram.nexus` under ``horace``, so that a file comes back bit for bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import CELL, Axis, Histogram
from mantid_exp2sim.io.binary import Stream
from mantid_exp2sim.io.files import damaged, reading
from mantid_exp2sim.io.horace.image import (
    Image,
    axes_of,
    image_of,
    pack,
    pack_header,
    ranges_of,
    unpack_header,
)
from mantid_exp2sim.nexus import NexusTree
from mantid_exp2sim.storage.atomic import atomic_path

MAGIC = b"\x06\x00\x00\x00horace"
VERSIONS = (2.0, 3.0, 3.1, 3.3, 4.0)
ENDINGS = {".sqw": None, ".d1d": 1, ".d2d": 2, ".d3d": 3, ".d4d": 4}
"""Endings that Horace uses, and the number of dimensions that each is for."""
RECORD = "horace"
_DTYPES = (np.dtype(np.uint8), np.dtype(np.int64), np.dtype(np.float32))


def read(path: Path) -> Histogram:
    """Read the image of a Horace file.

    Returns
    -------
    Histogram
        Intensity s and variance e, masked where npix is 0 or a value is not finite. The metadata hold
        ``title``, ``lattice``, ``incident_energy`` (meV, where an sqw file of direct geometry tells one),
        ``integrated`` (the ranges of the other axes) and ``horace`` (version, kind, projection).

    Raises
    ------
    Exp2SimError
        If the file is damaged, of another version, or has no axis.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "cut.d1d"
    >>> axis = Axis("[H,0,0]", np.array([0.0, 0.5, 1.0]), unit="r.l.u.", frame="HKL")
    >>> write(Histogram.from_arrays([1.0, 2.0], [axis]), path)
    >>> read(path).intensity, read(path).axes[0].kind
    (array([1., 2.]), 'h')
    """
    with reading(path, ValueError, OverflowError, np.linalg.LinAlgError), Stream(path) as stream:
        return _histogram(_image(stream))


def _image(stream: Stream) -> Image:
    if stream.raw(len(MAGIC), "The header") != MAGIC:
        raise damaged("The file does not begin like one of Horace.")
    version, kind, ndim = stream.numbers("dii", "The header")
    if version not in VERSIONS:
        raise Exp2SimError(
            f"It is of Horace version {version:g}.",
            reason=f"Versions {', '.join(f'{v:g}' for v in VERSIONS)} are read.",
            fix="In Horace: save(w, 'cut.d2d') writes the image anew.",
        )
    if kind not in (0, 1) or not 0 <= ndim <= 4:
        raise damaged(f"The header names kind {kind} and {ndim} dimensions.")
    if ndim == 0:
        raise Exp2SimError(
            "It holds a single number, integrated over all axes.", fix="Cut along at least one axis."
        )
    if version < 4:
        from mantid_exp2sim.io.horace.v2 import read_image
    else:
        from mantid_exp2sim.io.horace.v4 import read_image
    return read_image(stream, version=version, is_sqw=kind == 1, ndim=ndim)


def _histogram(image: Image) -> Histogram:
    signal, errors = image.s.astype(np.float64), image.e.astype(np.float64)
    mask = (image.npix == 0) | ~np.isfinite(signal) | ~np.isfinite(errors)
    return Histogram(signal, errors, mask, axes_of(image), _metadata(image), _record(image))


def _metadata(image: Image) -> dict[str, Any]:
    kind = "sqw" if image.is_sqw else "dnd"
    metadata: dict[str, Any] = {"format": "horace"}
    if image.title:
        metadata["title"] = image.title.decode("utf-8", errors="replace")
    cell = [float(x) for x in (*image.lattice, *image.angles)]
    if np.all(np.isfinite(cell)) and min(cell) > 0:
        metadata["lattice"] = dict(zip(CELL, cell, strict=True))
    if image.incident_energy is not None:
        metadata["incident_energy"] = image.incident_energy
    if image.integrated:
        metadata["integrated"] = [
            {"axis": name, "range": [_json(low), _json(high)]} for name, low, high in ranges_of(image)
        ]
    metadata[RECORD] = {
        "version": image.version,
        "kind": kind,
        "projection": _json(image.projection.tolist()),
    }
    return metadata


def _json(value: Any) -> Any:
    """Numbers as JSON takes them: None for what is not finite."""
    if isinstance(value, list):
        return [_json(item) for item in value]
    return float(value) if np.isfinite(value) else None


def _record(image: Image) -> NexusTree:
    """What `write` needs to give the same file again."""
    from mantid_exp2sim.io.hdf5 import array_value

    hidden = (image.npix == 0) | ~np.isfinite(image.s) | ~np.isfinite(image.e)
    raw = np.stack([image.s[hidden], image.e[hidden]]).astype(np.float32)
    arrays: dict[str, npt.NDArray[Any]] = {
        "header": np.frombuffer(pack_header(image), dtype=np.uint8),
        "npix": image.npix.astype(np.int64),
        "hidden": raw if np.any(raw.view(np.uint32)) else np.zeros((2, 0), dtype=np.float32),
    }
    return NexusTree({}, {RECORD: NexusTree({}, {k: array_value(v) for k, v in arrays.items()})})


# ---------------------------------------------------------------------------------------------- writing


def write(histogram: Histogram, path: Path) -> None:
    """Write ``.sqw``, ``.d1d`` … ``.d4d``: Horace's dnd of version 2, in single precision.

    A histogram that came from a Horace file keeps that file's projection, labels and npix; another gets
    npix = 1 where it was measured.

    Raises
    ------
    Exp2SimError
        As `content`.
    """
    data = content(histogram, path)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def content(histogram: Histogram, path: Path) -> bytes:
    """Return the bytes of the file that `write` makes.

    Raises
    ------
    Exp2SimError
        If the histogram has more than four axes, axes that Horace has no place for, or edges that single
        precision cannot hold, or the ending belongs to another number of dimensions.
    """
    ndim = ENDINGS.get(path.suffix.lower())
    if ndim is not None and ndim != histogram.ndim:
        raise Exp2SimError(
            f"{path} is a name for {ndim} dimensions; the histogram has {histogram.ndim}.",
            fix=f"Name it {path.stem}.d{histogram.ndim}d or {path.stem}.sqw.",
        )
    if histogram.ndim > 4:
        raise Exp2SimError(
            f"A histogram of {histogram.ndim} dimensions is no dnd object.",
            reason="It has at most 4.",
            fix="Write .nxs or .npz.",
        )
    with np.errstate(all="ignore"):
        return pack(_kept(histogram) or image_of(histogram))


def _kept(histogram: Histogram) -> Image | None:
    """The image with the header and npix of the file that the histogram came from, where they still fit."""
    record = histogram.nexus.get(RECORD) if histogram.nexus is not None else None
    if not isinstance(record, NexusTree):
        return None
    values = [record.value(name) for name in ("header", "npix", "hidden")]
    if any(value is None for value in values):
        return None
    header, npix, hidden = (value.data for value in values if value is not None)
    if npix.shape != histogram.shape or (header.dtype, npix.dtype, hidden.dtype) != _DTYPES:
        return None
    image = unpack_header(header.tobytes())
    if not _same_axes(axes_of(image), histogram.axes):
        return None
    was_hidden = histogram.mask.copy()
    signal, errors = np.where(was_hidden, 0, histogram.intensity), np.where(was_hidden, 0, histogram.variance)
    if hidden.ndim == 2 and hidden.shape == (2, int(np.sum(was_hidden))):
        signal[was_hidden], errors[was_hidden] = hidden
    revealed = ~histogram.mask & (npix == 0)
    masked = np.where(histogram.mask & np.isfinite(signal) & np.isfinite(errors), 0, npix)
    return image.with_data(signal, errors, np.where(revealed, 1, masked))


def _same_axes(ours: tuple[Axis, ...], theirs: tuple[Axis, ...]) -> bool:
    return len(ours) == len(theirs) and all(
        (a.name, a.unit) == (b.name, b.unit)
        and np.array_equal(a.edges.astype(np.float32), b.edges.astype(np.float32))
        for a, b in zip(ours, theirs, strict=True)
    )
