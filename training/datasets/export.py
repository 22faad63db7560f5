"""``exp2sim data export``: the samples of a simulated data set as files of Mantid, Horace and SpinW.

One file for each sample, kind and incident energy, and ``labels.csv`` beside them, which
``exp2sim data build`` takes as a label file. The formats of a domain take turns, so that a folder holds
exports as different programs write them.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.storage.atomic import atomic_path, make_folder
from mantid_exp2sim.training.datasets.bins import volume
from mantid_exp2sim.training.datasets.dataset import SimulatedSet, open_dataset
from mantid_exp2sim.training.datasets.description import MAKE_AGAIN, DatasetDescription
from mantid_exp2sim.training.datasets.from_files.recipe import KINDS

FORMATS = ("nxs", "d3d", "mat", "npz")
"""Mantid's MDHisto, Horace's dnd, a result of SpinW's ``sw_egrid``, and this package's own."""
LABELS = "labels.csv"
DEFAULTS: dict[str, tuple[str, ...]] = {"convolved": ("nxs", "d3d"), "integrated": ("mat",)}


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a simulated set: a row of a shard."""

    name: str
    label: str
    shard: str
    row: int
    parameters: dict[str, float]


def export_dataset(
    folder: Path,
    out: Path,
    *,
    formats: dict[str, Sequence[str]] | None = None,
    limit: int | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Write the first ``limit`` samples (default all) of a simulated set into ``out``.

    ``formats`` maps ``convolved`` and ``integrated`` to endings of `FORMATS`. What no detector reaches is
    masked in measurement-like files, and known in simulation-like ones. Files that are there are written
    anew. Returns the number of files per kind, and the name of the label file.

    Raises `Exp2SimError` if the folder holds no simulated set, a format is unknown, or ``out`` holds an
    export.
    """
    endings = {**DEFAULTS, **(formats or {})}
    for name in {name for group in endings.values() for name in group} - set(FORMATS):
        raise Exp2SimError(f"{name!r} is no format of an export.", fix=f"Take {', '.join(FORMATS)}.")
    data = open_dataset(folder)
    if not isinstance(data, SimulatedSet):
        raise Exp2SimError(f"{folder} is built from files already.", fix="Export a simulated data set.")
    if (out / LABELS).exists():
        raise Exp2SimError(
            f"{out} holds an export already.",
            reason="Files of both would lie together, and the labels be those of one.",
            fix="Choose another folder.",
        )
    samples = list(_samples(data))[:limit]
    energies = data.description.incident_energies
    edges = data.description.bin_edges(energies[0])
    if edges is None:
        raise Exp2SimError(f"The data set {folder} does not tell the edges of its bins.", fix=MAKE_AGAIN)
    kinds, about = [kind for kind in KINDS if kind in data.description.kinds], _about(data.description)
    rows: list[dict[str, Any]] = []
    turns: Counter[str] = Counter()  # within each class, so that no format belongs to one
    for done, sample in enumerate(samples):
        for number, energy in enumerate(energies):
            stem = sample.name if len(energies) == 1 else f"{sample.name}-{energy:g}meV"
            rows.append({"file": stem, "class": sample.label, "group": sample.name, **sample.parameters})
            for kind in kinds:
                values = data.shards.read(
                    sample.shard, kind, (sample.row, number), data.description.shape
                ).astype(np.float64)
                mask = data.mask[number] if kind == "convolved" else None
                ending = endings[kind][turns[sample.label] % len(endings[kind])]
                make_folder(out / kind)
                metadata = {"title": sample.name, "incident_energy": float(energy), **about}
                variance = np.zeros_like(values)
                histogram = volume(data, edges, energy, values, variance, mask, metadata=metadata)
                _write(histogram, out / kind / f"{stem}.{ending}")
        turns[sample.label] += 1
        if progress is not None:
            progress(done + 1, len(samples), "write")
    _write_labels(rows, out / LABELS)
    return {
        "folder": str(out),
        "samples": len(samples),
        "files": dict.fromkeys(kinds, len(rows)),
        "labels": LABELS,
    }


def _samples(data: SimulatedSet) -> Iterator[Sample]:
    """All samples, each split's in order."""
    from mantid_exp2sim.simulation.manganite import PARAMETERS

    named: Mapping[str, Sequence[str]] = data.description.parameters or {
        str(model): names for model, names in PARAMETERS.items()
    }
    size, classes = data.description.shard_size, data.description.classes
    for shard in range(-(-data.description.count // size)):
        file = f"{shard:05d}.h5"
        labels = data.shards.read(file, "label", slice(None), ())
        numbers = data.shards.read(file, "parameters", slice(None), (max(map(len, named.values())),))
        for row, (label, values) in enumerate(zip(labels, numbers, strict=True)):
            name = classes[int(label)]
            parameters = dict(zip(named.get(name, ()), map(float, values), strict=False))
            yield Sample(f"{name}-{shard * size + row:05d}", name, file, row, parameters)


def _about(description: DatasetDescription) -> dict[str, Any]:
    """What every file of an export tells: the lattice, and over what a scan was integrated."""
    about: dict[str, Any] = {"lattice": description.lattice} if description.lattice else {}
    projection = description.projection
    if projection.over is not None:
        about["integrated"] = [{"axis": projection.third_name, "range": list(projection.over)}]
    return about


def _write(histogram: Histogram, path: Path) -> None:
    from mantid_exp2sim.io import save

    if path.suffix == ".mat":
        write_spinw(histogram, path)
    else:
        save(histogram, path, overwrite=True)


def write_spinw(histogram: Histogram, path: Path) -> None:
    """Write a volume (h, k, E) without gaps as ``sw_egrid`` of SpinW leaves it: MATLAB version 5.

    ``spec.swConv`` (energies, points), the sums in the bins ``spec.Evect``, at the points ``spec.hkl``
    (3, points); of a powder at ``spec.hklA`` (1, points), as ``powspec`` does.

    >>> import tempfile
    >>> from mantid_exp2sim.histogram import Axis
    >>> from mantid_exp2sim.io import load
    >>> edges = np.array([0.0, 0.5, 1.0])
    >>> axes = [Axis(n, edges, unit="r.l.u.", frame="HKL") for n in ("[H,0,0]", "[0,K,0]")]
    >>> energy = Axis("DeltaE", np.array([1.0, 2.0, 3.0, 5.0]), unit="meV", frame="General Frame")
    >>> volume = Histogram.from_arrays(np.arange(12.0).reshape(2, 2, 3), [*axes, energy])
    >>> path = Path(tempfile.mkdtemp()) / "volume.mat"
    >>> write_spinw(volume, path)
    >>> bool(np.array_equal(load(path).intensity, volume.intensity))
    True
    """
    from scipy.io import savemat

    h, k, energy = histogram.axes
    middle = [0.5 * (axis.edges[1:] + axis.edges[:-1]) for axis in (h, k)]
    steps = [axis.direction for axis in (h, k)]
    coordinates = np.stack([grid.ravel() for grid in np.meshgrid(*middle, indexing="ij")])
    points = {"hklA": middle[0]}
    if steps[0] is not None and steps[1] is not None:
        points = {"hkl": np.array(steps).T @ coordinates}
    spectrum = {
        **points,
        "swConv": (histogram.intensity * energy.widths).reshape(-1, energy.size).T,
        "Evect": energy.edges,
        "component": "Sperp",
        "formfact": True,
    }
    with atomic_path(path) as temporary:
        savemat(str(temporary), {"spec": spectrum}, appendmat=False)


def _write_labels(rows: list[dict[str, Any]], path: Path) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    with atomic_path(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
