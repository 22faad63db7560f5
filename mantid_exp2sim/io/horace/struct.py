"""Horace's images saved from MATLAB as plain numbers: fields s, e, npix, p, iint and, better, pax."""

from __future__ import annotations

from typing import Any

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Floats, Histogram
from mantid_exp2sim.histogram.axis import INVERSE_ANGSTROM
from mantid_exp2sim.io.axes import energy_axis, momentum_axis
from mantid_exp2sim.io.horace.image import origin
from mantid_exp2sim.io.matlab import HORACE_EXPORT, structs
from mantid_exp2sim.io.matlab.values import Cell


def find(variables: dict[str, Any]) -> Histogram | None:
    """The image among the variables of a MATLAB file, or None.

    Without ``u_to_rlu`` the momentum axes have no direction, and without ``pax`` no axis is known.

    Examples
    --------
    >>> edges = Cell((1, 1), (np.array([[0.0], [1.0], [2.0]]),))
    >>> fields = {"s": np.array([[1.0], [2.0]]), "e": np.ones((2, 1)), "npix": np.array([[3], [0]])}
    >>> h = find({**fields, "p": edges, "pax": np.array([[4]])})
    >>> h.axes[0].kind, h.mask
    ('energy', array([False,  True]))
    """
    for _, struct in structs(variables):
        if {"s", "e", "npix", "p"} <= struct.keys():
            return _histogram(struct)
    return None


def _histogram(struct: dict[str, Any]) -> Histogram:
    edges = struct["p"].items if isinstance(struct["p"], Cell) else (struct["p"],)
    if not 1 <= len(edges) <= 4:
        raise Exp2SimError(f"The image has {len(edges)} axes, not 1 to 4.", fix=HORACE_EXPORT)
    numbers = [_numbers(part, "p").reshape(-1) for part in edges]
    shape = tuple(part.size - 1 for part in numbers)
    arrays = []
    for key in ("s", "e", "npix"):
        values = _numbers(struct[key], key)
        if values.size != int(np.prod(shape, dtype=object)):
            summary = f"{key} is of shape {values.shape} and the edges ask for {shape}."
            raise Exp2SimError(summary, fix=HORACE_EXPORT)
        arrays.append(values.reshape(shape, order="F"))
    s, e, npix = arrays
    plotted = _plotted(struct, len(numbers))
    matrix = struct.get("u_to_rlu")
    start = _origin(struct)
    axes = [
        _axis(i, part + (start[i - 1] if i else 0.0), matrix)
        for i, part in zip(plotted, numbers, strict=True)
    ]
    mask = (npix == 0) | ~np.isfinite(s) | ~np.isfinite(e) | ~np.isfinite(npix)
    return Histogram.from_arrays(s, axes, e, mask, metadata={"format": "horace"})


def _plotted(struct: dict[str, Any], count: int) -> list[int]:
    value = struct.get("pax")
    if isinstance(value, np.ndarray) and value.size == count and value.dtype.kind in "biuf":
        return [int(i) if 1 <= i <= 4 else 0 for i in value.reshape(-1)]
    return [0] * count


def _origin(struct: dict[str, Any]) -> Floats:
    """Where the numbers along the four axes count from."""
    offset = _numbers(struct["uoffset"], "uoffset").reshape(-1) if "uoffset" in struct else np.zeros(4)
    if offset.size != 4:
        raise Exp2SimError(f"uoffset has {offset.size} numbers, not four.", fix=HORACE_EXPORT)
    matrix = struct.get("u_to_rlu")
    whole = np.eye(4)
    if isinstance(matrix, np.ndarray) and matrix.ndim == 2 and min(matrix.shape) >= 3:
        whole[:3, :3] = _numbers(matrix, "u_to_rlu")[:3, :3]
    elif np.any(offset[:3]):
        raise Exp2SimError(
            f"The axes count from {offset[:3].tolist()} r.l.u.",
            reason="Without u_to_rlu it is not known along which axes.",
            fix="Save the field u_to_rlu as well.",
        )
    return origin(offset, whole)


def _axis(index: int, edges: Floats, matrix: Any) -> Axis:
    if index == 4:
        return energy_axis(edges)
    if index and isinstance(matrix, np.ndarray) and matrix.ndim == 2 and min(matrix.shape) >= 3:
        vector = _numbers(matrix[:3, index - 1], "u_to_rlu")
        if abs(float(np.max(np.abs(vector))) - 1) < 1e-4:
            return momentum_axis(vector, edges)
        return Axis(f"Q{index}", edges, unit=INVERSE_ANGSTROM, frame="QSample")
    return Axis(f"Q{index}" if index else "unknown", edges)


def _numbers(value: Any, key: str) -> Floats:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf" or value.size == 0:
        raise Exp2SimError(f"{key} holds no real numbers.", fix=HORACE_EXPORT)
    return value.astype(np.float64)
