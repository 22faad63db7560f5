"""One file of a user as one shard of a data set: its volumes on the model's axes, chunked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.storage.atomic import atomic_path
from mantid_exp2sim.training.datasets.from_files.axes import ModelAxes, Volume, volumes_on
from mantid_exp2sim.training.datasets.from_files.files import Entry
from mantid_exp2sim.training.datasets.from_files.recipe import ExportRecipe

CHUNK = 40
"""Largest chunk along h, k and E: a patch of a large volume is read without the rest."""
ABOUT = "about"


@dataclass(frozen=True, slots=True)
class About:
    """What is known of one volume of a shard."""

    incident_energy: float
    exact: bool
    measured: float
    """Share of the bins."""
    mean: float
    """Intensity over the measured bins."""
    minimum: float
    maximum: float
    notes: tuple[str, ...]
    """What the reader had to assume, or left out."""


def shard_name(kind: str, number: int) -> str:
    """Name of a shard, from its number alone.

    >>> shard_name("convolved", 7)
    'convolved-00007.h5'
    """
    return f"{kind}-{number:05d}.h5"


def make_shard(entry: Entry, path: Path, recipe: ExportRecipe, axes: ModelAxes, folder: Path) -> list[About]:
    """Read a file and write its volumes, unless that has been done before; `Exp2SimError` refuses it.

    ``folder`` is that of the recipe.
    """
    fingerprint = _fingerprint(entry, recipe)
    done = _done(path, fingerprint)
    if done is not None:
        return done
    volumes = read_volumes(entry, recipe, axes, folder)
    about = [_about(volume) for volume in volumes]
    _write(path, volumes, {"fingerprint": fingerprint, "volumes": [_plain(a) for a in about]})
    return about


def read_volumes(entry: Entry, recipe: ExportRecipe, axes: ModelAxes, folder: Path) -> list[Volume]:
    """The volumes of a file on the model's axes."""
    from mantid_exp2sim.io import load

    source = entry.source
    lattice = None
    if source.lattice is not None and entry.path.suffix.lower() == ".nxspe":
        lattice = source.lattice[0], source.lattice[1]
    mask = None if source.mask is None else folder / source.mask.expanduser()
    twins = source.twins if entry.path.suffix.lower() == ".mat" else None
    histogram = load(entry.path, mask=mask, lattice=lattice, twins=twins)
    if source.scale != 1:
        histogram = histogram.replace(
            intensity=histogram.intensity * source.scale, variance=histogram.variance * source.scale**2
        )
    if source.values != "mean":
        _require_sums(histogram)
    if source.values == "energy_sum":
        histogram = _per_energy(histogram)
    values = "sum" if source.values == "sum" else "mean"
    return volumes_on(
        histogram,
        axes,
        recipe.rebin,
        projection=recipe.projection,
        incident_energy=source.incident_energy,
        values=values,
    )


def _require_sums(histogram: Histogram) -> None:
    if histogram.metadata.get("format") == "spinw":
        raise Exp2SimError(
            "Its intensities are per meV.",
            reason="The sums of SpinW are divided by the width of their bins when they are read.",
            fix='Leave values out, or set values = "mean".',
        )


def _per_energy(histogram: Histogram) -> Histogram:
    """Divide sums over energy bins by the widths of the bins."""
    position = histogram.find_axis("energy")
    if position is None:
        raise Exp2SimError(
            "It has no axis of energy transfer.",
            reason='values = "energy_sum" divides by the widths of its bins.',
            fix='Set values = "mean" for these files.',
        )
    widths = histogram.axes[position].widths.reshape(-1, *(1,) * (histogram.ndim - position - 1))
    return histogram.replace(intensity=histogram.intensity / widths, variance=histogram.variance / widths**2)


def _fingerprint(entry: Entry, recipe: ExportRecipe) -> str:
    """Changes with the file and with all that decides what becomes of it."""
    stat = entry.path.stat()
    text = json.dumps(
        [
            entry.path.name,
            stat.st_size,
            stat.st_mtime_ns,
            entry.kind,
            entry.source.model_dump(mode="json", exclude={"files"}),
            recipe.axes.model_dump(mode="json"),
            asdict(recipe.projection),
            recipe.rebin.model_dump(mode="json"),
        ]
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _done(path: Path, fingerprint: str) -> list[About] | None:
    import h5py

    if not path.is_file():
        return None
    try:
        with h5py.File(path, "r") as file:
            stored = json.loads(file.attrs[ABOUT])
        if stored["fingerprint"] != fingerprint:
            return None
        return [About(**entry) for entry in stored["volumes"]]
    except (OSError, KeyError, TypeError, ValueError):
        return None


def _about(volume: Volume) -> About:
    values = volume.binned.intensity[~volume.binned.mask]
    return About(
        incident_energy=volume.incident_energy,
        exact=volume.exact,
        measured=1 - float(volume.binned.mask.mean()),
        mean=float(values.mean()),
        minimum=float(values.min()),
        maximum=float(values.max()),
        notes=volume.notes,
    )


def _plain(about: About) -> dict[str, Any]:
    return {name: getattr(about, name) for name in About.__slots__}


def _write(path: Path, volumes: list[Volume], about: dict[str, Any]) -> None:
    from mantid_exp2sim.io.hdf5 import add_chunked, created

    stacks = {
        name: np.stack([getattr(volume.binned, field)[None] for volume in volumes]).astype(dtype)
        for name, field, dtype in (
            ("values", "intensity", np.float32),
            ("variance", "variance", np.float32),
            ("mask", "mask", np.uint8),
        )
    }
    with atomic_path(path) as temporary, created(temporary) as file:
        for name, data in stacks.items():
            chunks = (1, 1, *(min(CHUNK, n) for n in data.shape[2:]))
            packing = "lzf" if name == "mask" else None
            add_chunked(file, name, data, chunks, packing)
        file.attrs[ABOUT] = json.dumps(about)
