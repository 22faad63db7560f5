"""Real measurements as the experimental domain: files, brought onto the axes of a data set, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Projection
from mantid_exp2sim.training.config import MeasuredSettings, TranslatorConfig
from mantid_exp2sim.training.datasets.dataset import (
    WHOLE,
    DataSet,
    FileSet,
    Floats,
    Integers,
    Mask,
    Region,
)
from mantid_exp2sim.training.datasets.description import FILE, DatasetDescription, Item, Items
from mantid_exp2sim.training.datasets.from_files.axes import (
    ModelAxes,
    Volume,
    axes_of_description,
    volumes_on,
)
from mantid_exp2sim.training.datasets.from_files.files import expand
from mantid_exp2sim.training.datasets.from_files.recipe import RebinRecipe

KIND = "convolved"


class MeasuredSet(FileSet):
    """Volumes (h, k, E) in memory, each of its own shape, of no class."""

    in_memory = True

    def __init__(self, volumes: Sequence[Volume], names: Sequence[str], scale: float = 1.0) -> None:
        self.values = [(scale * v.binned.intensity).astype(np.float32) for v in volumes]
        self.hidden = [v.binned.mask for v in volumes]
        shape = tuple(int(n) for n in np.max([v.shape for v in self.values], axis=0))
        items = tuple(
            Item(file=name, shard=0, row=row, group=row, incident_energy=v.incident_energy, split="train")
            for row, (name, v) in enumerate(zip(names, volumes, strict=True))
        )
        description = DatasetDescription(
            format=2,
            classes=("unknown",),
            kinds=(KIND,),
            shape=(1, *shape),
            incident_energies=tuple(sorted({item.incident_energy for item in items})),
            count=len(items),
            splits={},
            domains={KIND: Items(items=items)},
        )
        super().__init__(Path("the measurement"), description)

    @property
    def bins(self) -> int:
        """Number of measured bins."""
        return int(sum(np.sum(~mask) for mask in self.hidden))

    def masks(self, kind: str, indices: Integers) -> Mask:
        """See :class:`DataSet`; only where all are of one shape."""
        return np.stack([self.hidden[i] for i in indices])[:, None]

    def mask_part(self, kind: str, index: int, energy: int, region: Region = WHOLE) -> Mask:
        """See :class:`DataSet`."""
        return self.hidden[index][region]

    def part(self, kind: str, index: int, energy: int, region: Region = WHOLE) -> Floats:
        """See :class:`DataSet`."""
        return self.values[index][region]

    def volume_shape(self, kind: str, index: int) -> tuple[int, int, int]:
        """See :class:`DataSet`."""
        h, k, e = self.values[index].shape
        return h, k, e


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """Measurements as a data set, and what the card says of them."""

    dataset: DataSet
    indices: Integers
    about: dict[str, Any]


def open_measurement(
    config: TranslatorConfig, recipe: Path, dataset: DataSet, mean_simulated: float | None
) -> Measurement | None:
    """The measurements of ``[data] measured`` on the axes of the data set; None where there are none.

    With patches a volume keeps its own extent along the axes that the network slides over; else it has that
    of the data set. ``mean_simulated`` is what ``scale = "auto"`` aims at.

    Raises `Exp2SimError` if a file cannot be read, does not fit the axes, or (with ``scale = "auto"``) has no
    positive mean.
    """
    settings = config.data.measured
    if settings is None:
        return None
    base = _base(settings.files, recipe)
    axes = axes_of_description(dataset.description, str(dataset.folder / FILE))
    extend = () if config.data.patch is None else config.network.layout.spatial
    names, volumes = _read(settings, base, axes, dataset.description.projection, extend)
    scale = _scale(settings, volumes, mean_simulated)
    measured = MeasuredSet(volumes, names, scale)
    return Measurement(
        measured,
        measured.split("train"),
        {
            "files": list(dict.fromkeys(names)),
            "volumes": len(volumes),
            "measured_bins": measured.bins,
            "incident_energies": list(measured.description.incident_energies),
            "rebinned": not all(volume.exact for volume in volumes),
            "scale": scale,
            "share": settings.share,
        },
    )


def _base(files: Sequence[str], recipe: Path) -> Path:
    """The folder that the names are relative to: the working directory, else that of the recipe."""
    for folder in (Path(), recipe.parent):
        try:
            expand(files, folder)
        except Exp2SimError:
            continue
        return folder
    return recipe.parent


def _read(
    settings: MeasuredSettings,
    base: Path,
    axes: ModelAxes,
    projection: Projection,
    extend: tuple[str, ...],
) -> tuple[list[str], list[Volume]]:
    from mantid_exp2sim.io import load

    names: list[str] = []
    volumes: list[Volume] = []
    mask = None if settings.mask is None else expand([settings.mask], base)[0]
    for path in expand(settings.files, base):
        histogram = load(path, mask=mask)
        try:
            parts = volumes_on(histogram, axes, RebinRecipe(), projection=projection, extend=extend)
        except Exp2SimError as error:
            raise Exp2SimError(
                f"The measurement {path.name}: {error.summary}", reason=error.reason, fix=error.fix
            ) from error
        names += [path.name] * len(parts)
        volumes += parts
    return names, volumes


def _scale(settings: MeasuredSettings, volumes: list[Volume], mean_simulated: float | None) -> float:
    if settings.scale != "auto":
        return float(settings.scale)
    total = sum(float(v.binned.intensity.sum()) for v in volumes)
    bins = sum(int(np.sum(~v.binned.mask)) for v in volumes)
    if mean_simulated is None or not total > 0:
        raise Exp2SimError(
            'scale = "auto" needs a simulated domain A and a measurement of positive mean.',
            fix="Set scale to a number in [data.measured].",
        )
    return mean_simulated * bins / total


def sentence(measurement: Mapping[str, Any] | None) -> str:
    """What the card's description says of a measurement."""
    if measurement is None:
        return ""
    files = measurement["files"]
    names = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    return (
        f"Trained with a real measurement: {100 * measurement['share']:.0f} % of the measurement-like "
        f"samples are from {names} ({measurement['volumes']} volumes, {measurement['measured_bins']} "
        "measured bins)."
    )
