"""The data block of Horace's dnd files of version 2, in memory and as bytes, and its axes."""

from __future__ import annotations

import dataclasses
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import CELL, Axis, Floats, Histogram
from mantid_exp2sim.histogram.axis import INVERSE_ANGSTROM
from mantid_exp2sim.io.axes import (
    energy_axis,
    integrated_axis,
    modulus_axis,
    momentum_axis,
)
from mantid_exp2sim.io.binary import Stream
from mantid_exp2sim.io.files import damaged

LABELS = (b"Q_\\zeta", b"Q_\\xi", b"Q_\\eta", b"E")
_NONE: npt.NDArray[Any] = np.zeros(0)


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """What a dnd file holds, in the file's own terms; axes count from 1 as in Horace.

    ``projection`` (4, 4) has the projection axes as columns in (h, k, l, E) and ``lengths`` (4,) their
    lengths in Å⁻¹ and meV. ``integrated`` lists (axis, low, high), ``edges`` has one array per axis of
    ``plotted``. ``s``, ``e`` and ``npix`` have one dimension for each of these. Edges and ranges count from
    ``offset`` (4,) in (h, k, l, E), which `axes_of` and `ranges_of` add.
    """

    filename: bytes
    filepath: bytes
    title: bytes
    lattice: Floats
    angles: Floats
    offset: Floats
    projection: Floats
    lengths: Floats
    labels: tuple[bytes, ...]
    integrated: tuple[tuple[int, float, float], ...]
    plotted: tuple[int, ...]
    edges: tuple[Floats, ...]
    display: tuple[int, ...]
    s: npt.NDArray[Any] = field(default_factory=lambda: _NONE)
    e: npt.NDArray[Any] = field(default_factory=lambda: _NONE)
    npix: npt.NDArray[Any] = field(default_factory=lambda: _NONE)
    version: float = 2.0
    is_sqw: bool = False
    incident_energy: float | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of bins along each plotted axis."""
        return tuple(len(edges) - 1 for edges in self.edges)

    def with_data(self, s: Any, e: Any, npix: Any) -> Image:
        """The same image with other numbers."""
        return dataclasses.replace(self, s=s, e=e, npix=npix)


# ------------------------------------------------------------------------------------------------- axes


MODULUS = ("|q|", "modq", "|\\bfq|")
CURVED = {"theta": "degree", "phi": "degree", "q_tr": INVERSE_ANGSTROM, "q_||": INVERSE_ANGSTROM}
"""Other axes of spheres and cylinders; they have no direction in reciprocal space."""


def axes_of(image: Image) -> tuple[Axis, ...]:
    """The axes of an image, with names, units and frames."""
    start = origin(image.offset, image.projection)
    pairs = zip(image.plotted, image.edges, strict=True)
    return tuple(_axis(image, index, edges.astype(np.float64), start) for index, edges in pairs)


def ranges_of(image: Image) -> list[tuple[str, float, float]]:
    """Name and range of each axis that is not plotted."""
    start = origin(image.offset, image.projection)
    ranges = []
    for index, low, high in image.integrated:
        axis = _axis(image, index, np.array([0.0, 1.0]), start)
        ranges.append((axis.name, low + float(axis.edges[0]), high + float(axis.edges[0])))
    return ranges


def origin(offset: Floats, projection: Floats) -> Floats:
    """Where the numbers along the four axes count from: an offset (4,) in (h, k, l, E), along these axes.

    >>> origin(np.array([2.0, 0, 0, 5]), np.diag([0.5, 1, 1, 1]))
    array([4., 0., 0., 5.])
    """
    return np.asarray(np.linalg.solve(projection, offset)) if np.any(offset) else np.zeros(4)


def _axis(image: Image, index: int, edges: Floats, start: Floats) -> Axis:
    if index == 4:
        return energy_axis(edges + start[3])
    label = image.labels[index - 1].decode("utf-8", errors="replace").strip()
    if label.lower() in MODULUS:
        if not np.any(image.offset[:3]):
            return modulus_axis(edges)
        place = ",".join(f"{value:g}" for value in image.offset[:3])
        return Axis(f"|Q-({place})|", edges, unit=INVERSE_ANGSTROM, frame="QSample")
    if label.lower() in CURVED:
        return Axis(label, edges, unit=CURVED[label.lower()])
    edges = edges + start[index - 1]
    vector = image.projection[:3, index - 1]
    length = float(image.lengths[index - 1])
    size = float(np.max(np.abs(vector)))
    is_unit = abs(size - 1) < 1e-4
    if np.isfinite(size) and size > 0 and (is_unit or abs(length - 1) > 1e-4):
        return momentum_axis(vector, edges)
    return Axis(label or f"Q{index}", edges, unit=INVERSE_ANGSTROM, frame="QSample")


def image_of(histogram: Histogram) -> Image:
    """An image of a histogram that came from elsewhere.

    Momentum axes of the file are those of the reciprocal lattice (or of |Q|), the fourth is the energy.
    """
    slots = _slots(histogram)
    lattice = histogram.metadata.get("lattice")
    cell = lattice if isinstance(lattice, dict) else {}
    try:
        numbers = [float(cell.get(key, default)) for key, default in _CELL.items()]
    except (TypeError, ValueError) as error:
        raise Exp2SimError(
            f"The metadata 'lattice' is {lattice!r}.", fix=f"Give six numbers: {', '.join(CELL)}."
        ) from error
    projection, labels = np.eye(4), list(LABELS)
    for slot, axis in zip(slots, histogram.axes, strict=True):
        if axis.kind == "modQ":
            labels[slot - 1] = b"|Q|"
        elif slot < 4:
            projection[:3, slot - 1] = axis.direction or projection[:3, slot - 1]
    others = tuple(i for i in (1, 2, 3, 4) if i not in slots)
    order = sorted(range(histogram.ndim), key=lambda i: slots[i])
    measured = ~histogram.mask.transpose(order)
    return Image(
        filename=b"",
        filepath=b"",
        title=str(histogram.metadata.get("title", "")).encode(),
        lattice=np.array(numbers[:3]),
        angles=np.array(numbers[3:]),
        offset=np.zeros(4),
        projection=projection,
        lengths=_lengths(projection, np.array(numbers)),
        labels=tuple(labels),
        integrated=tuple((i, *_range(histogram, i)) for i in others),
        plotted=tuple(slots[i] for i in order),
        edges=tuple(_single(histogram.axes[i]) for i in order),
        display=tuple(order.index(i) + 1 for i in range(histogram.ndim)),
        s=np.where(measured, histogram.intensity.transpose(order), 0),
        e=np.where(measured, histogram.variance.transpose(order), 0),
        npix=measured.astype(np.int64),
    )


_CELL = dict(zip(CELL, [2 * np.pi] * 3 + [90] * 3, strict=True))


def _range(histogram: Histogram, slot: int) -> tuple[float, float]:
    """The range that an absent axis was integrated over, where the metadata tell it; else all."""
    axis = integrated_axis(histogram, ("h", "k", "l", "energy")[slot - 1])
    return (-np.inf, np.inf) if axis is None else (float(axis.edges[0]), float(axis.edges[1]))


def _slots(histogram: Histogram) -> list[int]:
    """Which of Horace's four axes each axis becomes."""
    slots = [
        {"h": 1, "k": 2, "l": 3, "energy": 4, "modQ": 1}.get(axis.kind or "", 0) for axis in histogram.axes
    ]
    for i, axis in enumerate(histogram.axes):
        if slots[i] == 0 and axis.direction is None:
            raise Exp2SimError(
                f"Axis {axis.name!r} ({axis.unit or 'no unit'}) is no direction in reciprocal space, "
                "nor |Q| or an energy.",
                reason="A dnd file has no other axes.",
                fix="Write .nxs or .npz, or name the axis like [H,H,0].",
            )
        if slots[i] == 0:
            slots[i] = next((free for free in (1, 2, 3) if free not in slots), 0)
    if len(set(slots)) != len(slots) or 0 in slots:
        names = ", ".join(repr(axis.name) for axis in histogram.axes)
        raise Exp2SimError(
            f"The axes {names} do not fit Horace's.",
            reason="It has three momentum axes and one energy.",
            fix="Write .nxs or .npz.",
        )
    return slots


def _lengths(projection: Floats, cell: Floats) -> Floats:
    """Lengths of the projection axes in Å⁻¹ (and 1 meV)."""
    b = b_matrix(cell[:3], cell[3:])
    return np.append(np.linalg.norm(b @ projection[:3, :3], axis=0), 1.0)


def b_matrix(lattice: Floats, angles: Floats) -> Floats:
    """Busing and Levy's B (3, 3) with 2π: (h, k, l) to Å⁻¹.

    W. R. Busing, H. A. Levy, Acta Crystallographica 22, 457 (1967).

    Examples
    --------
    >>> np.round(b_matrix(np.full(3, 2 * np.pi), np.full(3, 90.0)), 12) + 0.0
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])
    """
    cosines = np.cos(np.radians(angles))
    metric = np.outer(lattice, lattice) * np.array(
        [[1, cosines[2], cosines[1]], [cosines[2], 1, cosines[0]], [cosines[1], cosines[0], 1]]
    )
    try:
        return np.asarray(2 * np.pi * np.linalg.cholesky(np.linalg.inv(metric)).T)
    except np.linalg.LinAlgError as error:
        raise Exp2SimError(
            f"The lattice {lattice.tolist()}, {angles.tolist()} spans no volume.",
            fix="Give lengths above 0 in Å and angles in degrees that a cell can have.",
        ) from error


def _single(axis: Axis) -> Floats:
    edges = axis.edges.astype(np.float32)
    if not np.all(np.isfinite(edges)) or not np.all(np.diff(edges) > 0):
        raise Exp2SimError(
            f"The edges of axis {axis.name!r} are not increasing in Horace's single precision.",
            fix="Write .nxs or .npz.",
        )
    return edges.astype(np.float64)


# ------------------------------------------------------------------------------------------------ bytes


def pack(image: Image) -> bytes:
    """The bytes of a dnd file of version 2."""
    head = struct.pack("<i6sdii", 6, b"horace", 2.0, 0, len(image.plotted))
    arrays = [image.s.astype("<f4"), image.e.astype("<f4"), image.npix.astype("<i8")]
    if not np.all(np.isfinite(arrays[0]) | ~np.isfinite(image.s)) or not np.all(
        np.isfinite(arrays[1]) | ~np.isfinite(image.e)
    ):
        raise Exp2SimError(
            "An intensity or variance is beyond Horace's single precision (3.4e38).",
            fix="Write .nxs or .npz.",
        )
    return head + pack_header(image) + b"".join(array.tobytes(order="F") for array in arrays)


def pack_header(image: Image) -> bytes:
    """The bytes of the data block up to the arrays."""
    width = max(len(label) for label in image.labels)
    letters = b"".join(
        label[i : i + 1] for i in range(width) for label in (text.ljust(width) for text in image.labels)
    )
    parts = [_text(image.filename), _text(image.filepath), _text(image.title)]
    for values in (image.lattice, image.angles, image.offset, image.projection, image.lengths):
        parts.append(np.asarray(values, dtype="<f4").tobytes(order="F"))
    parts += [struct.pack("<ii", len(image.labels), width), letters, struct.pack("<i", len(image.plotted))]
    parts += [struct.pack("<i", index) for index, _, _ in image.integrated]
    parts += [struct.pack("<ff", low, high) for _, low, high in image.integrated]
    parts += [struct.pack("<i", index) for index in image.plotted]
    for edges in image.edges:
        parts += [struct.pack("<i", len(edges)), edges.astype("<f4").tobytes()]
    parts += [struct.pack("<i", index) for index in image.display]
    return b"".join(parts)


def _text(content: bytes) -> bytes:
    return struct.pack("<i", len(content)) + content


def unpack_header(content: bytes) -> Image:
    """The inverse of `pack_header`."""
    with Stream(content) as stream:
        return read_header(stream)


def read_header(stream: Stream) -> Image:
    """Read the data block up to the arrays."""
    texts = [stream.text(what) for what in ("the file name", "the file path", "the title")]
    numbers = stream.array("<f4", 30, "The projection").astype(np.float64)
    rows = stream.count("i", "The number of labels", low=4, high=4)
    width = stream.count("i", "The length of the labels", high=1024)
    letters = np.frombuffer(stream.raw(rows * width, "The labels"), dtype=np.uint8)
    labels = tuple(bytes(row.tobytes()) for row in letters.reshape(rows, width, order="F"))
    npax = stream.count("i", "The number of axes", low=1, high=4)
    others = stream.numbers(f"{4 - npax}i", "The integrated axes")
    ranges = stream.array("<f4", 2 * (4 - npax), "The ranges of integration").astype(float).reshape(-1, 2)
    plotted = stream.numbers(f"{npax}i", "The axes")
    if sorted((*others, *plotted)) != [1, 2, 3, 4]:
        raise damaged(
            f"The axes are {plotted} and the integrated ones {others}.", reason="They are to be four."
        )
    edges = []
    for index in plotted:
        count = stream.count("i", f"The number of edges of axis {index}", low=2, high=stream.left // 4)
        edges.append(stream.array("<f4", count, f"The edges of axis {index}").astype(np.float64))
    display = stream.numbers(f"{npax}i", "The order of display")
    return Image(
        filename=texts[0],
        filepath=texts[1],
        title=texts[2],
        lattice=numbers[:3],
        angles=numbers[3:6],
        offset=numbers[6:10],
        projection=numbers[10:26].reshape(4, 4, order="F"),
        lengths=numbers[26:],
        labels=labels,
        integrated=tuple((int(i), float(a), float(b)) for i, (a, b) in zip(others, ranges, strict=True)),
        plotted=tuple(int(i) for i in plotted),
        edges=tuple(edges),
        display=tuple(int(i) for i in display),
    )
