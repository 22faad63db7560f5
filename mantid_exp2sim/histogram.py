"""The data that everything here takes and gives: a histogram with variance, mask and axes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError, require
from mantid_exp2sim.nexus import NexusTree

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
AxisKind = Literal["h", "k", "l", "energy", "modQ"]

_ENERGY_NAMES = {"deltae", "e", "en", "energy", "energy transfer", "energytransfer", "omega", "dele"}
_MODQ_NAMES = {"|q|", "modq", "q", "mod_q"}
_COMPONENTS = {"h", "k", "l", "zeta", "eta", "xi", "0", "1"}
_UNIT_VECTORS = {(1, 0, 0): "h", (0, 1, 0): "k", (0, 0, 1): "l"}


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """One dimension of a histogram, given by its bin edges.

    Parameters
    ----------
    name
        The dimension's name, such as ``[H,0,0]`` or ``DeltaE``.
    edges
        Bin edges, float64 (n + 1,), finite and strictly increasing.
    unit
        Unit of the edges, such as ``r.l.u.`` or ``meV``.
    frame
        Mantid's MD frame: ``HKL``, ``QSample``, ``QLab``, ``General Frame`` or ``Unknown frame``.
    label
        Text for pictures; empty means the name.

    Raises
    ------
    Exp2SimError
        If the edges are no increasing sequence of at least two finite numbers.

    Examples
    --------
    >>> axis = Axis("DeltaE", np.array([0.0, 1.0, 3.0]), unit="meV")
    >>> axis.size, axis.centres, axis.widths
    (2, array([0.5, 2. ]), array([1., 2.]))
    """

    name: str
    edges: Floats
    unit: str = ""
    frame: str = "Unknown frame"
    label: str = ""

    def __post_init__(self) -> None:
        edges = _frozen_copy(self.edges, np.float64, f"The edges of axis {self.name!r}")
        if edges.ndim != 1 or edges.size < 2:
            raise Exp2SimError(
                f"Axis {self.name!r} has edges of shape {edges.shape}.",
                fix="Give the n + 1 edges of n bins, n at least 1.",
            )
        if not np.all(np.isfinite(edges)) or not np.all(np.diff(edges) > 0):
            raise Exp2SimError(
                f"The edges of axis {self.name!r} are not finite and strictly increasing.",
                fix="Sort them, and leave out what is no number or stands twice.",
            )
        object.__setattr__(self, "edges", edges)

    @property
    def size(self) -> int:
        """Number of bins."""
        return int(self.edges.size) - 1

    @property
    def centres(self) -> Floats:
        """Bin centres, float64 (n,)."""
        return 0.5 * (self.edges[:-1] + self.edges[1:])

    @property
    def widths(self) -> Floats:
        """Bin widths, float64 (n,)."""
        return np.diff(self.edges)

    @property
    def kind(self) -> AxisKind | None:
        """What the axis measures, from its name, unit and frame, or None where that is unclear.

        A direction counts only where it is one of the reciprocal axes: ``[H,H,0]`` is None.
        """
        return _kind(self.name, self.unit, self.frame)


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Intensity in bins, with variance, mask and axes.

    Parameters
    ----------
    intensity
        float64 (n0, n1, …), in the user's unit; NaN where not measured.
    variance
        float64, same shape, square of that unit; NaN where not measured.
    mask
        bool, same shape; True = not measured.
    axes
        One `Axis` per dimension, in the order of the array.
    metadata
        Names to JSON values: ``layout`` ("mosaic"), ``incident_energy`` (meV), ``title``,
        ``history`` (list of dicts).
    nexus
        Everything else the file held, kept for the way back.

    The arrays are copied and made read-only; bins under the mask become NaN. An array that owns its memory
    and is read-only already (such as that of another histogram) is taken as it is, if it holds NaN there.

    Raises
    ------
    Exp2SimError
        If shapes differ, or a bin that is not masked has a non-finite intensity or variance, or a negative
        variance.

    Examples
    --------
    >>> h = Histogram.from_arrays([1.0, np.nan], [Axis("DeltaE", np.array([0.0, 1.0, 2.0]), unit="meV")])
    >>> h.mask, h.find_axis("energy")
    (array([False,  True]), 0)
    """

    intensity: Floats
    variance: Floats
    mask: Booleans
    axes: tuple[Axis, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    nexus: NexusTree | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        mask = _frozen_copy(self.mask, np.bool_, "The mask")
        intensity = _masked_copy(self.intensity, mask, "The intensity")
        variance = _masked_copy(self.variance, mask, "The variance")
        axes = tuple(self.axes)
        shape = tuple(axis.size for axis in axes)
        for what, array in (("intensity", intensity), ("variance", variance), ("mask", mask)):
            if array.shape != shape or not shape:
                raise Exp2SimError(
                    f"The {what} has shape {array.shape}.",
                    reason=f"The axes ask for {shape}.",
                    fix="Give one axis for each dimension, with one edge more than there are bins.",
                )
        if not np.all(np.isfinite(intensity) | mask):
            raise Exp2SimError(
                "The intensity is not finite in bins that are not masked.", fix="Mask those bins."
            )
        if not np.all((np.isfinite(variance) & (variance >= 0)) | mask):
            raise Exp2SimError(
                "The variance is negative or not finite in bins that are not masked.", fix="Mask those bins."
            )
        for name, value in (("intensity", intensity), ("variance", variance), ("mask", mask), ("axes", axes)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "metadata", _checked_metadata(self.metadata))

    @classmethod
    def from_arrays(
        cls,
        intensity: npt.ArrayLike,
        axes: list[Axis] | tuple[Axis, ...],
        variance: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> Histogram:
        """Build a histogram; without a variance it is 0, without a mask non-finite bins are masked."""
        values = np.asarray(intensity, dtype=np.float64)
        variances = np.zeros_like(values) if variance is None else np.asarray(variance, dtype=np.float64)
        unknown = ~np.isfinite(values) if mask is None else np.asarray(mask, dtype=bool)
        return cls(values, variances, unknown, tuple(axes), dict(metadata or {}))

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of bins along each axis."""
        return self.intensity.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.intensity.ndim

    def replace(
        self,
        *,
        intensity: npt.ArrayLike | None = None,
        variance: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Histogram:
        """Return a histogram with some parts exchanged; axes and what the file held stay."""
        return Histogram(
            self.intensity if intensity is None else np.asarray(intensity, dtype=np.float64),
            self.variance if variance is None else np.asarray(variance, dtype=np.float64),
            self.mask if mask is None else np.asarray(mask, dtype=bool),
            self.axes,
            self.metadata if metadata is None else metadata,
            self.nexus,
        )

    def find_axis(self, kind: AxisKind) -> int | None:
        """Return the position of the axis that measures `kind`, or None; two of them raise `Exp2SimError`."""
        positions = [i for i, axis in enumerate(self.axes) if axis.kind == kind]
        if len(positions) > 1:
            names = ", ".join(repr(self.axes[i].name) for i in positions)
            raise Exp2SimError(f"More than one axis could be {kind}: {names}.", fix="Rename one of them.")
        return positions[0] if positions else None


def require_histogram(value: object) -> None:
    """Raise `Exp2SimError` for anything but a histogram, and say how to get one.

    >>> require_histogram(np.ones((240, 400)))
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: Got a ndarray. It takes a Histogram: ...
    """
    require(
        value,
        Histogram,
        "a Histogram: values with their axes",
        fix="Read a file with mantid_exp2sim.load, or build one: Histogram.from_arrays(values, axes), "
        "or mantid_exp2sim.mosaic.mosaic_histogram(values) for a picture (240, 400).",
    )


def _masked_copy(values: Any, mask: Any, what: str) -> Any:
    """Read-only, and NaN under the mask where the shapes agree (which is checked later)."""
    array = _frozen_copy(values, np.float64, what)
    if array.shape == mask.shape and not np.all(np.isnan(array) | ~mask):
        array = np.array(array) if array is values else array
        array.flags.writeable = True
        array[mask] = np.nan
        array.flags.writeable = False
    return array


def _frozen_copy(values: Any, dtype: Any, what: str) -> Any:
    if (
        isinstance(values, np.ndarray)
        and values.dtype == dtype
        and values.base is None
        and values.flags.c_contiguous
        and not values.flags.writeable
    ):
        return values
    try:
        array = np.array(values, dtype=dtype, order="C", copy=True)
    except (TypeError, ValueError) as error:
        raise Exp2SimError(f"{what} cannot be read as numbers: {error}.", fix="Give numbers.") from error
    array.flags.writeable = False
    return array


def _checked_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(dict(metadata), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Exp2SimError(
            f"The metadata cannot be written as JSON: {error}.",
            fix="Use text, finite numbers, lists and dicts of these.",
        ) from error
    return dict(metadata)


def _kind(name: str, unit: str, frame: str) -> AxisKind | None:
    plain = name.strip().lower()
    if frame not in ("HKL", "QSample", "QLab") and (
        plain in _ENERGY_NAMES or (unit.strip() in ("meV", "DeltaE") and "q" not in plain)
    ):
        return "energy"
    if plain in _MODQ_NAMES and frame != "HKL":
        return "modQ"
    for text in (name, frame):
        vector = _direction(text)
        if vector in _UNIT_VECTORS:
            return _UNIT_VECTORS[vector]  # type: ignore[return-value]
    return plain if plain in ("h", "k", "l") else None  # type: ignore[return-value]


def _direction(text: str) -> tuple[int, ...] | None:
    """Read ``[H,0,0]``, ``[0 K 0]``, ``[H00]``, ``['zeta', 0, 0]`` or ``[1 0 0]``; None for anything else."""
    match = re.fullmatch(r"\[\s*([^\]]*?)\s*\]", text.strip())
    if match is None:
        return None
    content = match.group(1).replace("'", "").replace('"', "")
    parts = list(content) if re.fullmatch(r"[hkl01]{3}", content.lower()) else re.split(r"[\s,;]+", content)
    if len(parts) != 3 or any(part.lower() not in _COMPONENTS for part in parts):
        return None
    return tuple(0 if part == "0" else 1 for part in parts)
