"""The histogram: intensity in bins, with variance, mask and axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError, require
from mantid_exp2sim.histogram.arithmetic import (
    Operation,
    Operators,
    combine,
    require_number,
    require_same_axes,
)
from mantid_exp2sim.histogram.axis import Axis, AxisKind, Booleans, Floats
from mantid_exp2sim.histogram.checks import checked_metadata, frozen_copy, masked_copy
from mantid_exp2sim.histogram.direction import read_direction
from mantid_exp2sim.histogram.exchange import Exchange
from mantid_exp2sim.histogram.history import with_step
from mantid_exp2sim.histogram.rebinning import (
    MINIMUM_MEASURED,
    integrated_name,
    match_edges,
    range_edges,
    read_numbers,
    rebin,
    regular_edges,
)
from mantid_exp2sim.histogram.uncertainty import find_spoiling
from mantid_exp2sim.nexus import NexusTree, experiments_of

_OF_FILE = ("format", "coordinate_system", "visual_normalization", "horace", "left_out")
"""Metadata that speak of the file's own bins; they go with these."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Histogram(Operators, Exchange):
    """Intensity in bins, with variance, mask and axes.

    The arrays are copied and made read-only; bins under the mask become NaN. An array that owns its memory
    and is read-only already (such as that of another histogram) is taken as it is, if it holds NaN there.

    Parameters
    ----------
    intensity
        float64 (n0, n1, …), in the user's unit; NaN where not measured.
    variance
        float64, same shape, square of that unit; 0 where the error is not known, NaN where not measured.
    mask
        bool, same shape; True = not measured.
    axes
        One `Axis` per dimension, in the order of the array.
    metadata
        Names to JSON values: ``layout`` ("mosaic"), ``incident_energy`` (meV), ``title``,
        ``history`` (list of dicts).
    nexus
        Everything else the file held, kept for the way back.

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
    nexus: NexusTree | None = None

    def __post_init__(self) -> None:
        mask = frozen_copy(self.mask, np.bool_, "The mask")
        intensity = masked_copy(self.intensity, mask, "The intensity")
        variance = masked_copy(self.variance, mask, "The variance")
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
        object.__setattr__(self, "metadata", checked_metadata(self.metadata))

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

    def position(self, name: str) -> int:
        """Return the position of the axis of a name, direction or kind (h, k, l, energy or modQ).

        Raises
        ------
        Exp2SimError
            If no axis, or more than one, is called so.
        """
        names = [axis.name for axis in self.axes]
        if names.count(name) == 1:
            return names.index(name)
        kinds = [axis.kind for axis in self.axes]
        if name not in names and kinds.count(name) == 1:  # type: ignore[arg-type]
            return kinds.index(name)  # type: ignore[arg-type]
        lines = [None if axis.direction is None else (axis.direction, axis.offset) for axis in self.axes]
        if name not in names and lines.count(line := read_direction(name)) == 1 and line is not None:
            return lines.index(line)
        listed = ", ".join(repr(text) for text in dict.fromkeys([*names, *filter(None, kinds)]))
        raise Exp2SimError(
            f"There is not one axis {name!r}.", reason=f"The data have {listed}.", fix="Name one of these."
        )

    def rebin(
        self,
        bins: Mapping[str, npt.ArrayLike],
        *,
        minimum_measured: float = MINIMUM_MEASURED,
    ) -> Histogram:
        """Return the histogram on wider or shifted bins.

        The intensity of a bin is the mean over what was measured of it, not the sum; a bin of which less
        than ``minimum_measured`` was measured is masked. Bins that overlap in part count by their overlap.
        The variance is that of the mean of independent bins; a bin that is shared out gives each part its
        share of the counts, and of their variance.

        Parameters
        ----------
        bins
            By axis (as `position` finds it) the width of its bins, or (low, width, high). Bins start at low;
            the last one reaches high or beyond it. Other axes stay as they are.
        minimum_measured
            Share of a bin, above 0, at most 1.

        Raises
        ------
        Exp2SimError
            If an axis is missing, or its bins are finer than those of the data or outside them.

        Examples
        --------
        >>> h = Histogram.from_arrays([1.0, 3.0, 5.0, np.nan], [Axis("DeltaE", np.arange(5.0))], np.ones(4))
        >>> wide = h.rebin({"DeltaE": 2.0})
        >>> wide.intensity, wide.variance, wide.axes[0].edges
        (array([2., 5.]), array([0.5, 1. ]), array([0., 2., 4.]))
        """
        edges = {}
        for position, value in self._by_position(bins).items():
            axis = self.axes[position]
            numbers = read_numbers(axis, value, (1, 3), "WIDTH or LOW,WIDTH,HIGH")
            low, width, high = numbers if len(numbers) == 3 else (None, numbers[0], None)
            edges[position] = regular_edges(axis, width, low, high)
        return self._onto(edges, "rebin", minimum_measured)

    def cut(
        self,
        ranges: Mapping[str, npt.ArrayLike],
        *,
        keep: bool = False,
        minimum_measured: float = MINIMUM_MEASURED,
    ) -> Histogram:
        """Return the mean over ranges of axes, which go; with ``keep`` the bins of the ranges, which stay.

        Bins that lie in a range in part count by their overlap. Where an axis goes, the metadata
        ``integrated`` say over which range. A range may reach beyond the data, up to infinity; what is
        recorded is the part with data. Mean, mask and variance are as in `rebin`.

        Examples
        --------
        >>> axes = [Axis("[H,0,0]", np.arange(3.0)), Axis("DeltaE", np.arange(4.0))]
        >>> h = Histogram.from_arrays([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], axes)
        >>> line = h.cut({"energy": (1, 3)})
        >>> line.intensity, line.metadata["integrated"]
        (array([2.5, 5.5]), [{'axis': 'DeltaE', 'range': [1.0, 3.0]}])
        """
        edges = {}
        for position, value in self._by_position(ranges).items():
            low, high = read_numbers(self.axes[position], value, (2,), "LOW,HIGH")
            edges[position] = range_edges(self.axes[position], low, high, keep=keep)
        narrowed = self._onto(edges, "cut", minimum_measured, keep=keep)
        return narrowed if keep else narrowed._without(tuple(edges))

    def integrate(self, *names: str, minimum_measured: float = MINIMUM_MEASURED) -> Histogram:
        """Return the mean over the whole length of some axes, which go: `cut` from end to end."""
        return self.cut(dict.fromkeys(names, (-np.inf, np.inf)), minimum_measured=minimum_measured)

    def transpose(self, *names: str) -> Histogram:
        """Return the histogram with its axes in another order: that of their names, or the reverse.

        >>> axes = [Axis("[H,0,0]", np.arange(3.0)), Axis("DeltaE", np.arange(4.0))]
        >>> Histogram.from_arrays(np.ones((2, 3)), axes).transpose("energy", "h").shape
        (3, 2)
        """
        self._refuse_mosaic()
        order = [self.position(name) for name in names] or list(reversed(range(self.ndim)))
        if sorted(order) != list(range(self.ndim)):
            raise Exp2SimError(
                f"{', '.join(names)} are not the axes of the data.",
                reason=f"They have {', '.join(axis.name for axis in self.axes)}.",
                fix="Name every axis once.",
            )
        axes = tuple(self.axes[i] for i in order)
        metadata = self._metadata("transpose", {"axes": [axis.name for axis in axes]})
        return self._rearranged(lambda array: np.transpose(array, order), axes, metadata)

    def _by_position(self, values: Mapping[str, npt.ArrayLike]) -> dict[int, npt.ArrayLike]:
        positions = [self.position(name) for name in values]
        if not positions or len(set(positions)) != len(positions):
            raise Exp2SimError(
                f"The axes {list(values)} are none, or name one axis twice.",
                fix="Name at least one axis, and each of them once.",
            )
        return dict(zip(positions, values.values(), strict=True))

    def _onto(
        self, edges: Mapping[int, Floats], command: str, minimum_measured: float, **options: Any
    ) -> Histogram:
        """Rebin onto new edges of some axes."""
        self._refuse_mosaic()
        if not (isinstance(minimum_measured, Real) and 0 < minimum_measured <= 1):
            raise Exp2SimError(
                f"The share minimum_measured is {minimum_measured!r}.", fix="Give a share above 0, at most 1."
            )
        axes = tuple(replace(axis, edges=edges.get(i, axis.edges)) for i, axis in enumerate(self.axes))
        places, front = list(edges), list(range(len(edges)))
        with np.errstate(all="ignore"):  # sums that are too large are masked
            binned = rebin(
                np.moveaxis(self.intensity, places, front),
                np.moveaxis(self.variance, places, front),
                np.moveaxis(self.mask, places, front),
                [match_edges(self.axes[i].edges, axes[i].edges) for i in places],
                [axes[i].edges for i in places],
                minimum_measured=minimum_measured,
            )
        overflow = ~(np.isfinite(binned.intensity) & np.isfinite(binned.variance))
        ranges = [
            {"axis": axes[i].name, "range": axes[i].edges[[0, -1]].tolist(), "bins": axes[i].size}
            for i in edges
        ]
        entry = {"axes": ranges, "minimum_measured": minimum_measured, **options}
        return Histogram(
            np.moveaxis(binned.intensity, front, places),
            np.moveaxis(binned.variance, front, places),
            np.moveaxis(binned.mask | overflow, front, places),
            axes,
            self._metadata(command, entry),
            experiments_of(self.nexus),
        )

    def _without(self, positions: tuple[int, ...]) -> Histogram:
        """Take axes of one bin away, and say in the metadata over what they were integrated."""
        axes = tuple(axis for i, axis in enumerate(self.axes) if i not in positions)
        if not axes:
            raise Exp2SimError("No axis would be left.", fix="Leave one axis out, or keep the axes.")
        entries = [
            {"axis": integrated_name(self.axes[i]), "range": self.axes[i].edges.tolist()} for i in positions
        ]
        earlier = self.metadata.get("integrated")
        integrated = [*(earlier if isinstance(earlier, list) else ()), *entries]
        metadata = {**self.metadata, "integrated": integrated}
        return self._rearranged(lambda array: np.squeeze(array, positions), axes, metadata)

    def _rearranged(
        self, arrange: Callable[[Any], Any], axes: tuple[Axis, ...], metadata: dict[str, Any]
    ) -> Histogram:
        arrays = arrange(self.intensity), arrange(self.variance), arrange(self.mask)
        return Histogram(*arrays, axes, metadata, experiments_of(self.nexus))

    def _combined(self, operation: Operation, other: Any, *, reflected: bool = False) -> Histogram:
        options: dict[str, Any]
        value: Any
        variance: Any
        spoiling = find_spoiling(self.intensity, self.variance, self.mask)
        if isinstance(other, Histogram):
            require_same_axes(self.axes, other.axes, operation)
            value, variance, mask = other.intensity, other.variance, self.mask | other.mask
            spoiling = spoiling | find_spoiling(value, variance, other.mask)
            options = {"right": {key: other.metadata.get(key) for key in ("title", "history")}}
            differing = {
                k for k in self.metadata if k in other.metadata and self.metadata[k] != other.metadata[k]
            }
        elif isinstance(other, Real) and not isinstance(other, bool | np.bool_):
            number = require_number(other, operation, divides=not reflected)
            value, variance, mask = np.float64(number), np.float64(0.0), self.mask
            options, differing = {"left" if reflected else "right": number}, set()
        else:
            return NotImplemented  # type: ignore[no-any-return]
        values, variances = (self.intensity, value), (self.variance, variance)
        if reflected:
            values, variances = (value, self.intensity), (variance, self.variance)
        result, spread = combine(operation, values, variances)
        spread = np.where(spoiling & np.isfinite(spread), 0.0, spread)
        metadata = with_step(
            {k: v for k, v in self.metadata.items() if k not in differing - {"title", "history"}},
            operation,
            options,
        )
        mask = mask | ~np.isfinite(result) | ~np.isfinite(spread)
        nexus = None if differing & {"incident_energy", "lattice"} else self.nexus
        return Histogram(result, spread, mask, self.axes, metadata, nexus)

    def _metadata(self, command: str, options: dict[str, Any]) -> dict[str, Any]:
        """The metadata after a step that changes the axes; what speaks of the file's own bins goes."""
        metadata = {key: value for key, value in self.metadata.items() if key not in _OF_FILE}
        return with_step(metadata, command, options)

    def _refuse_mosaic(self) -> None:
        if self.metadata.get("layout") == "mosaic":
            raise Exp2SimError(
                "The bins of a mosaic cannot be changed.",
                reason="Its rows and columns are panels, not axes.",
                fix="Take its volumes: mantid_exp2sim.mosaic.split(histogram).",
            )


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
