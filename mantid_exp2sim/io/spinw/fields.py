"""Fields of a result of SpinW: numbers, twins in cells, and grids of points as lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.io.matlab import SPINW_EXPORT
from mantid_exp2sim.io.matlab.values import Cell


def read_array(spectrum: dict[str, Any], key: str) -> npt.NDArray[Any]:
    """Return a field of numbers, as floats or complex numbers."""
    value = spectrum.get(key)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biufc":
        raise wrong(f"{key} is missing or holds no numbers.")
    return value.astype(np.float64) if value.dtype.kind in "biu" else value


def points_last(values: npt.NDArray[Any], lead: int) -> npt.NDArray[Any]:
    """Lay out a grid of points (…, n1, n2, n3) as a list, after `lead` other axes; the first runs fastest."""
    return values.reshape(*values.shape[:lead], -1, order="F") if values.size else values


def wrong(summary: str) -> Exp2SimError:
    """Return the error of a result that SpinW did not leave like this."""
    return Exp2SimError(summary, fix=f"Calculate and save it again. {SPINW_EXPORT}")


def sum_twins(
    spectrum: dict[str, Any], key: str, twins: Sequence[float] | None, metadata: dict[str, Any]
) -> Floats:
    """Return a field as real numbers, the first component of several, summed over the twins by volume.

    ``sw_egrid`` leaves several components and twins as a cell (components, twins).
    """
    value = spectrum[key]
    if not isinstance(value, Cell):
        twin_weights(spectrum, 1, twins, metadata)
        return read_array(spectrum, key).real.astype(np.float64)
    if not value.items or len(value.shape) != 2:
        raise wrong(f"{key} is a cell of shape {value.shape}, not (components, twins).")
    components, count = value.shape
    if components > 1:
        names = spectrum.get("component")
        component = names.items[0] if isinstance(names, Cell) and names.items else None
        metadata["component"] = component if isinstance(component, str) else "the first"
    arrays = [read_array({key: part}, key).real for part in value.items[::components]]
    if len({array.shape for array in arrays}) != 1:
        raise Exp2SimError(
            f"The twins in {key} are of different shapes.",
            reason="sw_egrid with sumtwin = false leaves all but the first empty.",
            fix="In MATLAB: spec = sw_egrid(spec), which sums the twins by volume.",
        )
    weights = twin_weights(spectrum, count, twins, metadata)
    return np.asarray(sum(w * array for w, array in zip(weights, arrays, strict=True)), dtype=np.float64)


def twin_weights(
    spectrum: dict[str, Any], count: int, twins: Sequence[float] | None, metadata: dict[str, Any]
) -> Floats:
    """Return the volumes of the twins as parts of 1: those that are given, of the file, or equal ones.

    Equal ones are said to be assumed, in the metadata.
    """
    volumes = _shares(np.asarray(twins, dtype=np.float64), count) if twins is not None else None
    if twins is not None and (count == 1 or volumes is None):
        holds = "one spectrum: its twins are summed already" if count == 1 else f"{count} twins"
        raise Exp2SimError(
            f"{len(twins)} volumes of twins are given.",
            reason=f"The file holds {holds}.",
            fix="Leave the volumes out." if count == 1 else f"Give {count} numbers from 0, one above it.",
        )
    volumes = _told_volumes(spectrum, count) if volumes is None else volumes
    if count > 1:
        metadata["twins"] = np.full(count, 1 / count).tolist() if volumes is None else volumes.tolist()
        if volumes is None:
            note = "volumes of the twins: equal ones are assumed"
            metadata["left_out"] = [*metadata.get("left_out", []), note]
    return np.full(count, 1 / count) if volumes is None else volumes


def _told_volumes(spectrum: dict[str, Any], count: int) -> Floats | None:
    node: Any = spectrum.get("obj")
    for key in ("twin", "vol"):
        node = node.get(key) if isinstance(node, dict) else None
    if isinstance(node, np.ndarray) and node.dtype.kind in "iuf":
        return _shares(node.astype(np.float64).reshape(-1), count)
    return None


def _shares(volumes: Floats, count: int) -> Floats | None:
    usable = volumes.shape == (count,) and bool(np.all(np.isfinite(volumes) & (volumes >= 0)))
    return np.asarray(volumes / volumes.sum()) if usable and volumes.sum() > 0 else None
