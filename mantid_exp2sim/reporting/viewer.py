"""Volumes as data for the canvases of a page: slices in 254 steps of colour, and where their axes lie."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from mantid_exp2sim.histogram import Floats, Histogram
from mantid_exp2sim.mosaic import is_mosaic, split
from mantid_exp2sim.plotting.geometry import frame_of
from mantid_exp2sim.plotting.style import axis_label, axis_name, cut, range_words, unit_words

LARGEST = (128, 128, 64)
"""Bins of a slice to the right and upwards, and slices; beyond them neighbours are drawn as their mean."""
UNKNOWN = 255


def viewer_data(parts: Mapping[str, Histogram]) -> list[dict[str, Any]]:
    """Return what the page draws of histograms on the same bins, a dictionary for each volume.

    ``parts`` by their names; "residual" is drawn on a scale symmetric about 0, "before" and "after" share
    theirs. Empty for lines.
    """
    first = next(iter(parts.values()))
    if not is_mosaic(first):
        pieces = {name: cut(histogram)[0] for name, histogram in parts.items()}
        return [_volume("", pieces)] if cut(first)[0].ndim > 1 else []
    mosaics = {name: split(histogram) for name, histogram in parts.items()}
    volumes = []
    for number, volume in enumerate(split(first)):
        if not volume.mask.all():
            title = f"Ei {volume.metadata['incident_energy']:g} meV"
            volumes.append(_volume(title, {name: whole[number] for name, whole in mosaics.items()}))
    return volumes


def script_json(data: Any) -> str:
    """Write JSON that can stand in a script element: nothing in it ends the element.

    >>> script_json("</script>")
    '"\\\\u003c/script>"'
    """
    return json.dumps(data, allow_nan=False, ensure_ascii=False).replace("<", "\\u003c")


def colours(name: str) -> str:
    """Return 255 colours of a map, RGB bytes in base64.

    >>> len(base64.b64decode(colours("viridis")))
    765
    """
    table = (colormaps[name](np.linspace(0, 1, UNKNOWN))[:, :3] * 255).round().astype(np.uint8)
    return base64.b64encode(table.tobytes()).decode()


def _volume(title: str, parts: Mapping[str, Histogram]) -> dict[str, Any]:
    first = next(iter(parts.values()))
    order = _order(first)
    x, y = (first.axes[place] for place in order[:2])
    frame = frame_of(first, x, y)
    arrays = {name: np.transpose(h.intensity, order).reshape(*_three(h, order)) for name, h in parts.items()}
    steps = [-(-size // most) for size, most in zip(next(iter(arrays.values())).shape, LARGEST, strict=True)]
    coarse = {name: _means(array, steps) for name, array in arrays.items()}
    return {
        "title": title,
        "x": _axis(x),
        "y": _axis(y),
        "ratio": None if frame is None else frame.ratio,
        "cosine": 0.0 if frame is None else frame.cosine,
        "slices": _slices(first, order, steps[2]),
        "along": axis_name(first.axes[order[2]]) if len(order) > 2 else "",
        "shape": list(next(iter(coarse.values())).shape),
        "parts": [_part(name, array, _scale(name, coarse)) for name, array in coarse.items()],
    }


def _order(histogram: Histogram) -> list[int]:
    """Positions of the axes to the right, upwards and of the slices: energy goes upwards, or over slices."""
    energy = histogram.find_axis("energy")
    others = [place for place in range(histogram.ndim) if place != energy]
    return others if energy is None else [*others, energy]


def _three(histogram: Histogram, order: Sequence[int]) -> tuple[int, int, int]:
    sizes = [histogram.shape[place] for place in order] + [1]
    return sizes[0], sizes[1], sizes[2]


def _axis(axis: Any) -> dict[str, Any]:
    return {"label": axis_label(axis), "low": float(axis.edges[0]), "high": float(axis.edges[-1])}


def _slices(histogram: Histogram, order: Sequence[int], step: int) -> list[str]:
    if len(order) < 3:
        return [""]
    axis = histogram.axes[order[2]]
    starts = range(0, axis.size, step)
    ends = [(float(axis.edges[i]), float(axis.edges[min(i + step, axis.size)])) for i in starts]
    return [f"{range_words(*pair)} {unit_words(axis)}".rstrip() for pair in ends]


def _means(array: Floats, steps: Sequence[int]) -> Floats:
    """Return the means of blocks of measured bins, NaN where there is none."""
    if max(steps) == 1:
        return array
    padding = [(0, -size % step) for size, step in zip(array.shape, steps, strict=True)]
    padded = np.pad(array, padding, constant_values=np.nan)
    shape = [n for size, step in zip(padded.shape, steps, strict=True) for n in (size // step, step)]
    blocks = padded.reshape(shape)
    known = np.isfinite(blocks)
    count, total = (np.sum(part, axis=(1, 3, 5)) for part in (known, np.where(known, blocks, 0.0)))
    return np.asarray(np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0))


def _scale(name: str, arrays: Mapping[str, Floats]) -> tuple[float, float]:
    shared = [n for n in ("before", "after") if n in arrays]
    values = np.concatenate(
        [arrays[n][np.isfinite(arrays[n])] for n in (shared if name in shared else [name])]
    )
    if values.size == 0:
        return 0.0, 1.0
    if name == "residual":
        size = float(np.quantile(np.abs(values), 0.995)) or 1.0
        return -size, size
    low, high = (float(v) for v in np.quantile(values, [0.005, 0.995]))
    return min(0.0, low), high if high > min(0.0, low) else min(0.0, low) + 1.0


def _part(name: str, array: Floats, scale: tuple[float, float]) -> dict[str, Any]:
    low, high = scale
    steps: NDArray[np.uint8] = np.full(array.shape, UNKNOWN, dtype=np.uint8)
    known = np.isfinite(array)
    steps[known] = np.clip((array[known] - low) / (high - low) * (UNKNOWN - 1), 0, UNKNOWN - 1).round()
    data = np.ascontiguousarray(steps.transpose(2, 1, 0))
    return {
        "name": name,
        "low": low,
        "high": high,
        "colours": "RdBu_r" if name == "residual" else "viridis",
        "data": base64.b64encode(data.tobytes()).decode(),
    }
