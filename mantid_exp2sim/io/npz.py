"""The package's own file: a whole `Histogram` in one ``.npz`` without pickles.

Members: ``intensity``, ``variance`` (float64), ``mask`` (bool), ``edges_0`` … (float64) and ``about``
(UTF-8 JSON as bytes: format number, axes, metadata). What a NeXus file held beside the histogram is not in
it: ``.nxs`` keeps that.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.io.arrays import read_stream
from mantid_exp2sim.io.files import damaged, reading
from mantid_exp2sim.io.limits import Budget
from mantid_exp2sim.storage.atomic import atomic_path

FORMAT = 1
MAX_MEMBERS = 64


def read(path: Path) -> Histogram:
    """Read a histogram.

    Raises
    ------
    Exp2SimError
        If the file is damaged, is another kind of ``.npz``, or comes from a newer version.
    """
    with reading(path, Exception):  # a damaged archive makes zipfile raise nearly anything
        members = _members(path)
        about = _about(members)
        axes = tuple(
            Axis(str(a["name"]), members[f"edges_{i}"], str(a["unit"]), str(a["frame"]), str(a["label"]))
            for i, a in enumerate(about["axes"])
        )
        arrays = (members["intensity"], members["variance"], members["mask"])
        return Histogram(*arrays, axes, dict(about["metadata"]))


def write(histogram: Histogram, path: Path) -> None:
    """Write a histogram; the same histogram gives the same bytes."""
    axes = [{"name": a.name, "unit": a.unit, "frame": a.frame, "label": a.label} for a in histogram.axes]
    about = {"format": FORMAT, "axes": axes, "metadata": dict(histogram.metadata)}
    members = {
        "intensity": histogram.intensity,
        "variance": histogram.variance,
        "mask": histogram.mask,
        **{f"edges_{i}": axis.edges for i, axis in enumerate(histogram.axes)},
        "about": np.frombuffer(json.dumps(about, sort_keys=True).encode(), dtype=np.uint8),
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **members)  # type: ignore[arg-type]


def _members(path: Path) -> dict[str, npt.NDArray[Any]]:
    budget = Budget()
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS:
            raise damaged(f"{path} has {len(infos)} members.", reason=f"At most {MAX_MEMBERS} are taken.")
        members = {}
        for info in infos:
            budget.take(info.file_size, info.filename, stored=info.compress_size)
            with archive.open(info) as file:
                stream: Any = file
                array = read_stream(stream, info.file_size, info.filename, budget)
                members[info.filename.removesuffix(".npy")] = array
    return members


def _about(members: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
    if "about" not in members:
        raise Exp2SimError(
            "It is no file of mantid_exp2sim.",
            reason=f"It holds {sorted(members)}.",
            fix="Build a Histogram from the arrays in Python, and save that.",
        )
    about = json.loads(members["about"].tobytes().decode())
    if not isinstance(about, dict) or not isinstance(about.get("format"), int) or about["format"] > FORMAT:
        raise Exp2SimError(
            "It has a format that is not known here.",
            reason=f"Formats up to {FORMAT} are read.",
            fix="Update mantid_exp2sim.",
        )
    return about
