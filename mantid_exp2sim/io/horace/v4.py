"""Horace files of version 4: a table of blocks, of which the image and its description are read."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.io.axes import common_energy
from mantid_exp2sim.io.binary import Stream
from mantid_exp2sim.io.files import damaged
from mantid_exp2sim.io.horace.image import LABELS, Image, b_matrix

MAX_BLOCKS = 4096
MAX_DEPTH = 24
MAX_ITEMS = 200_000
_CODES = {0: "?", 3: "<f8", 4: "<f4", 5: "i1", 6: "u1", 7: "<i2", 8: "<u2", 9: "<i4", 10: "<u4", 11: "<i8"}
_CODES[12] = "<u8"
_CHAR, _CELL, _STRUCT, _SELF = 1, 23, 24, 32


def read_image(stream: Stream, *, version: float, is_sqw: bool, ndim: int) -> Image:
    """Read the image; `stream` stands after the file's header of 26 bytes."""
    blocks = _table(stream)
    if ("data", "metadata") not in blocks or ("data", "nd_data") not in blocks:
        raise damaged("The file has no image: the blocks data/metadata and data/nd_data are missing.")
    about = _Reader(stream).block(blocks["data", "metadata"])
    shape, arrays = _arrays(stream, blocks["data", "nd_data"], ndim)
    axes, projection = (_struct(about, key) for key in ("axes", "proj"))
    bins = _numbers(axes, "nbins_all_dims", 4)
    ranges = _numbers(axes, "img_range", 8).reshape(4, 2)
    if not np.all((bins >= 1) & (bins < 2**31)):
        raise damaged(f"The numbers of bins are {bins.tolist()}.")
    plotted = tuple(i + 1 for i in range(4) if bins[i] > 1)
    plotted = plotted if len(plotted) == ndim else _by_flags(axes, bins, ndim)
    if tuple(int(bins[i - 1]) for i in plotted) != shape:
        raise damaged(f"The image is of shape {shape} and its axes of {bins.tolist()} bins.")
    lattice, angles = _numbers(projection, "alatt", 3), _numbers(projection, "angdeg", 3)
    matrix, lengths = _projection(projection, axes, lattice, angles)
    display = _numbers(axes, "dax", None) if "dax" in axes else np.arange(1, ndim + 1)
    order = tuple(int(i) if 1 <= i <= 4 else 0 for i in display)
    return Image(
        filename=_text(axes, "filename"),
        filepath=_text(axes, "filepath"),
        title=_text(axes, "title"),
        lattice=lattice,
        angles=angles,
        offset=_numbers(projection, "offset", 4) if "offset" in projection else np.zeros(4),
        projection=matrix,
        lengths=lengths,
        labels=_labels(axes, projection),
        integrated=tuple(
            (i, float(ranges[i - 1, 0]), float(ranges[i - 1, 1])) for i in (1, 2, 3, 4) if i not in plotted
        ),
        plotted=plotted,
        edges=tuple(
            np.linspace(ranges[i - 1, 0], ranges[i - 1, 1], shape[j] + 1) for j, i in enumerate(plotted)
        ),
        display=order if sorted(order) == list(range(1, ndim + 1)) else tuple(range(1, ndim + 1)),
        s=arrays[0],
        e=arrays[1],
        npix=arrays[2],
        version=version,
        is_sqw=is_sqw,
        incident_energy=_incident_energy(stream, blocks),
    )


def _table(stream: Stream) -> dict[tuple[str, str], tuple[int, int]]:
    size = stream.count("I", "The size of the table of blocks", high=stream.left - 4)
    end = stream.position + size
    places = {}
    for _ in range(stream.count("I", "The number of blocks", high=min(MAX_BLOCKS, size // 28))):
        _, first, second = (stream.text("a block's name") for _ in range(3))
        position, length = stream.numbers("QQ", "The place of a block")
        if stream.position > end or position + length > stream.size:
            raise damaged(f"A block of {length} bytes lies at byte {position}, beyond the end.")
        places[first.decode("latin-1"), second.decode("latin-1")] = (position, length)
    return places


def _arrays(stream: Stream, place: tuple[int, int], ndim: int) -> tuple[tuple[int, ...], list[Any]]:
    stream.seek(place[0], "The image")
    stored = stream.count("I", "The number of dimensions", low=1, high=16)
    sizes = [int(n) for n in stream.numbers(f"{stored}I", "The shape of the image")]
    shape = tuple(sizes[:ndim]) + (1,) * (ndim - stored)
    if any(n != 1 for n in sizes[ndim:]):  # MATLAB adds and drops trailing ones at will
        raise damaged(f"The image of shape {tuple(sizes)} has not the {ndim} dimensions of the header.")
    size = math.prod(shape)
    if size == 0 or 24 * size > place[1]:
        raise damaged(f"An image of shape {shape} does not fit its block of {place[1]} bytes.")
    codes = {"s": "<f8", "e": "<f8", "npix": "<u8"}
    arrays = [stream.array(code, size, name).reshape(shape, order="F") for name, code in codes.items()]
    if np.any(arrays[2] > np.iinfo(np.int64).max):
        raise damaged("A number of pixels is above 2^63.")
    return shape, arrays


class _Reader:
    """Reads Horace's serialised values: bytes for text, arrays, lists for cells, dicts for structs."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.items = 0

    def block(self, place: tuple[int, int]) -> Any:
        self.stream.seek(place[0], "A block")
        return self.value(0)

    def value(self, depth: int) -> Any:
        self.items += 1
        if depth > MAX_DEPTH or self.items > MAX_ITEMS:
            raise damaged("A serialised value is nested too deep or has too many parts.")
        code = self.stream.numbers("B", "A type")[0]
        if code == _SELF:
            return self.value(depth + 1)
        ndim = self.stream.count("B", "A number of dimensions", high=16)
        shape = self.stream.numbers(f"{ndim}I", "A shape")
        count = math.prod(shape) if ndim else 0
        if code == _CHAR:
            return self.stream.raw(count, "A text")
        if code in _CODES:
            return self.stream.array(_CODES[code], count, "Numbers")
        if code == _CELL:
            self.stream.need(2 * count, "A cell")
            return [self.value(depth + 1) for _ in range(count)]
        if code == _STRUCT:
            return self.struct(count, depth)
        raise damaged(f"A serialised value is of type {code}.")

    def struct(self, count: int, depth: int) -> Any:
        if count == 0:
            return {}
        number = self.stream.count("I", "A number of fields", high=min(4096, self.stream.left // 4))
        sizes = self.stream.numbers(f"{number}I", "The lengths of the names")
        names = [self.stream.raw(size, "A name").decode("latin-1") for size in sizes]
        if not names:
            return {}
        values = self.value(depth + 1)
        if not isinstance(values, list) or len(values) != count * len(names):
            raise damaged("A struct has not one value for each field.")
        step = len(names)
        parts = [dict(zip(names, values[i * step : (i + 1) * step], strict=True)) for i in range(count)]
        return parts[0] if count == 1 else parts


def _struct(value: Any, key: str) -> dict[str, Any]:
    struct = value.get(key) if isinstance(value, dict) else None
    if not isinstance(struct, dict):
        raise damaged(f"The description of the image has no {key}.")
    return struct


def _numbers(struct: dict[str, Any], key: str, size: int | None) -> Floats:
    value = struct.get(key)
    is_wrong = not isinstance(value, np.ndarray) or value.size == 0
    if is_wrong or not isinstance(value, np.ndarray) or (size is not None and value.size != size):
        raise damaged(f"The description of the image has no {key} of {size} numbers.")
    return value.astype(np.float64)


def _text(struct: dict[str, Any], key: str) -> bytes:
    value = struct.get(key, b"")
    return value if isinstance(value, bytes) else b""


def _by_flags(axes: dict[str, Any], bins: Floats, ndim: int) -> tuple[int, ...]:
    """The plotted axes where one of them has a single bin."""
    if ndim == 4:
        return (1, 2, 3, 4)
    flags = axes.get("single_bin_defines_iax")
    if isinstance(flags, np.ndarray) and flags.size == 4:
        plotted = tuple(i + 1 for i in range(4) if bins[i] > 1 or not flags[i])
        if len(plotted) == ndim:
            return plotted
    raise damaged(f"{ndim} axes are plotted and the numbers of bins are {bins.tolist()}.")


def _labels(axes: dict[str, Any], projection: dict[str, Any]) -> tuple[bytes, ...]:
    kind = _text(axes, "serial_name") + _text(projection, "serial_name")
    if b"sphere" in kind:
        return (b"|Q|", b"theta", b"phi", b"E")
    if b"cylinder" in kind:
        return (b"Q_tr", b"phi", b"Q_||", b"E")
    labels = axes.get("label")
    if not isinstance(labels, list) or len(labels) != 4 or not all(isinstance(x, bytes) for x in labels):
        return LABELS
    return tuple(labels)


def _projection(
    projection: dict[str, Any], axes: dict[str, Any], lattice: Floats, angles: Floats
) -> tuple[Floats, Floats]:
    """The projection axes as columns in (h, k, l, E), and their lengths in Å⁻¹, from u, v, w and type.

    Orthogonal axes: along u, along v's part across u, and along u × v; their lengths are stored with the
    axes, else the type says them (a: 1 Å⁻¹; r: largest component 1; p: as long as u, v, w).
    """
    matrix, lengths = np.eye(4), np.ones(4)
    if not {"u", "v"} <= projection.keys():  # spheres and cylinders
        return matrix, lengths
    if not np.all(np.isfinite([*lattice, *angles])) or min(*lattice, *angles) <= 0:
        raise damaged(f"The lattice is {lattice.tolist()}, {angles.tolist()}.")
    b = b_matrix(lattice, angles)
    u, v = b @ _numbers(projection, "u", 3), b @ _numbers(projection, "v", 3)
    third = projection.get("w")
    has_w = isinstance(third, np.ndarray) and third.size == 3
    w = b @ np.asarray(third, dtype=np.float64) if has_w else np.cross(u, v)
    named = (u, v, w)
    flag = projection.get("nonorthogonal")
    across = v - u * (u @ v) / (u @ u) if u @ u > 0 else v
    slanted = isinstance(flag, np.ndarray) and flag.size == 1 and bool(flag[0])
    columns = named if slanted else (u, across, np.cross(u, v))
    sizes = [float(np.linalg.norm(column)) for column in columns]
    if not np.all(np.isfinite(sizes)) or min(sizes) == 0:
        raise damaged("The projection axes u and v are parallel or zero.")
    if not slanted and columns[2] @ w < 0:
        columns = (columns[0], columns[1], -columns[2])
    inverse = np.linalg.inv(b)
    stored = next((axes[key] for key in ("ulen", "img_scales") if key in axes), None)
    kinds = _text(projection, "type").decode("latin-1")
    for i, column in enumerate(columns):
        direction = column / sizes[i]
        if isinstance(stored, np.ndarray) and stored.size >= 3:
            lengths[i] = float(stored[i])
        else:
            lengths[i] = _length(kinds[i : i + 1], inverse @ direction, float(abs(direction @ named[i])))
        matrix[:3, i] = inverse @ direction * lengths[i]
    if not np.all(np.isfinite(matrix)):
        raise damaged("The projection axes are not finite.")
    return matrix, lengths


def _length(kind: str, direction: Floats, along: float) -> float:
    if kind == "p":
        return along
    return 1.0 / float(np.max(np.abs(direction))) if kind == "r" else 1.0


def _incident_energy(stream: Stream, blocks: dict[tuple[str, str], tuple[int, int]]) -> float | None:
    """The incident energy from the runs of an sqw file of direct geometry, where they can be read."""
    place = blocks.get(("experiment_info", "expdata"))
    if place is None:
        return None
    energies: list[float] = []
    with contextlib.suppress(Exp2SimError):
        _collect(_Reader(stream).block(place), energies)
    return common_energy(energies)


def _collect(value: Any, energies: list[float]) -> None:
    if isinstance(value, list):
        for item in value:
            _collect(item, energies)
    elif isinstance(value, dict):
        energy, mode = value.get("efix"), value.get("emode")
        if isinstance(energy, np.ndarray) and energy.size == 1:
            direct = not isinstance(mode, np.ndarray) or mode.size != 1 or mode[0] == 1
            energies.extend([float(energy[0])] if direct else [])
        for item in value.values():
            _collect(item, energies)
