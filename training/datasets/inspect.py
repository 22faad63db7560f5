"""``exp2sim data inspect``: what is in a data set, in words and as a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim.model.card import AcceptedAxis
from mantid_exp2sim.networks.layout import AXES
from mantid_exp2sim.storage.atomic import atomic_path
from mantid_exp2sim.training.datasets.dataset import (
    DataSet,
    FileSet,
    Integers,
    open_dataset,
)
from mantid_exp2sim.training.datasets.description import SPLITS, Item

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOOKED_AT = 40
"""Samples of a simulated set whose intensities are read."""
COLUMNS = 6
NO_CLASS = "no class"


def inspect_dataset(folder: Path) -> dict[str, Any]:
    """Describe a data set, in JSON: counts per domain, split and class, intensities, coverage, refusals.

    Raises `Exp2SimError` where the folder holds none.
    """
    dataset = open_dataset(folder)
    description = dataset.description
    return {
        "folder": str(folder),
        "name": description.name,
        "format": description.format,
        "classes": list(description.classes),
        "shape": list(description.shape),
        "incident_energies": list(description.incident_energies),
        "axes": _axes(dataset),
        "units": description.units,
        "pairs": description.format == 1 or description.pairs,
        "domains": {kind: _domain(dataset, kind) for kind in description.kinds},
        "refused": [entry.model_dump() for entry in description.refused],
    }


def _axes(dataset: DataSet) -> list[dict[str, Any]]:
    rules: dict[str, AcceptedAxis] = {rule.kind: rule for rule in dataset.description.axes}
    entries: list[dict[str, Any]] = []
    for kind, size in zip(AXES, dataset.description.shape[1:], strict=True):
        entry: dict[str, Any] = {"kind": kind, "bins": size}
        rule = rules.get(kind)
        if rule is not None:
            entry["width"] = rule.width
            entry["relative_to_incident_energy"] = rule.relative_to_incident_energy
            entry["integrated"] = size == 1 and rule.integrated is not None
            if rule.edges:
                entry |= {"from": rule.edges[0], "to": rule.edges[-1]}
        entries.append(entry)
    return entries


def _domain(dataset: DataSet, kind: str) -> dict[str, Any]:
    indices = {split: dataset.split(split, kind=kind) for split in SPLITS if _has(dataset, split)}
    every = np.concatenate([*indices.values(), np.zeros(0, dtype=np.int64)])
    report: dict[str, Any] = {
        "samples": len(every),
        "parameter_sets": len(np.unique(dataset.groups(every, kind))),
        "splits": {split: _counts(dataset, kind, some) for split, some in indices.items()},
    }
    if isinstance(dataset, FileSet):
        items = dataset.items(kind)
        weight = np.array([item.measured for item in items])
        return report | {
            "intensity": {
                "minimum": min(item.minimum for item in items),
                "mean": float(np.average([item.mean for item in items], weights=weight)),
                "maximum": max(item.maximum for item in items),
            },
            "coverage": {
                "minimum": float(weight.min()),
                "mean": float(weight.mean()),
                "maximum": float(weight.max()),
            },
            "files": len({item.file for item in items}),
            "notes": Counter(
                note for _, note in {(item.file, note) for item in items for note in item.notes}
            ),
            "rebinned": sum(not item.exact for item in items),
            "measurements": sum(item.measurement for item in items),
            "paired": sum(item.pair >= 0 for item in items),
        }
    covered = 1 - float(dataset.mask.mean())
    some = every[:: max(1, len(every) // LOOKED_AT)][:LOOKED_AT]
    return report | {
        "intensity": _intensity(dataset, kind, some),
        "coverage": {"minimum": covered, "mean": covered, "maximum": covered},
    }


def _notes(items: Sequence[Item]) -> dict[str, int]:
    """Return what was assumed or left out, and of how many files."""
    pairs = {(note, item.file) for item in items for note in item.notes}
    return dict(Counter(note for note, _ in sorted(pairs)))


def _has(dataset: DataSet, split: str) -> bool:
    return isinstance(dataset, FileSet) or split in dataset.description.splits


def _counts(dataset: DataSet, kind: str, indices: Integers) -> dict[str, int]:
    counts = Counter(dataset.labels(indices, kind).tolist())
    names = {**dict(enumerate(dataset.description.classes)), -1: NO_CLASS}
    return {"all": len(indices)} | {names[number]: counts[number] for number in sorted(counts)}


def _intensity(dataset: DataSet, kind: str, indices: Integers) -> dict[str, float]:
    """Of a simulated set, from some of its samples, one at a time."""
    low, high, total, bins = np.inf, -np.inf, 0.0, 0
    for index in indices:
        values = dataset.read(kind, np.array([index]))[:, ~dataset.mask]
        low, high = min(low, float(values.min())), max(high, float(values.max()))
        total, bins = total + float(values.sum(dtype=np.float64)), bins + values.size
    return {"minimum": float(low), "mean": total / max(bins, 1), "maximum": float(high)}


def words(report: dict[str, Any]) -> str:
    """A description for people."""
    size = " × ".join(str(n) for n in report["shape"][1:])
    lines = [
        f"{report['folder']}: {report['name']}, volumes of {size} bins (h, k, E)",
        f"  Ei           {_energies(report['incident_energies'])} meV",
        f"  classes      {', '.join(report['classes'])}",
    ]
    for axis in report["axes"]:
        if "width" in axis:
            unit = (
                "Ei"
                if axis["relative_to_incident_energy"]
                else "meV"
                if axis["kind"] == "energy"
                else "r.l.u."
            )
            span = f", {axis['from']:.4g} to {axis['to']:.4g}" if "from" in axis else ""
            how = "integrated over" if axis["integrated"] else f"{axis['bins']} bins of"
            lines.append(f"  {axis['kind']:12} {how} {axis['width']:.4g} {unit}{span}")
    for kind, domain in report["domains"].items():
        lines.append(f"  {kind}: {domain['samples']} samples, {domain['parameter_sets']} parameter sets")
        for split, counts in domain["splits"].items():
            classes = ", ".join(f"{name} {n}" for name, n in counts.items() if name != "all")
            lines.append(f"    {split:10} {counts['all']:6}  {classes}")
        values, cover = domain["intensity"], domain["coverage"]
        lines.append(
            f"    intensity  {values['minimum']:.4g} to {values['maximum']:.4g}, mean {values['mean']:.4g} "
            f"{report['units']}".rstrip()
        )
        lines.append(
            f"    measured   {100 * cover['mean']:.1f} % of the bins "
            f"({100 * cover['minimum']:.1f} to {100 * cover['maximum']:.1f})"
        )
        if "files" in domain:
            lines.append(
                f"    files      {domain['files']}; rebinned {domain['rebinned']} volumes, paired "
                f"{domain['paired']}, real measurements {domain['measurements']}"
            )
        for note, count in sorted(domain.get("notes", {}).items()):
            lines.append(f"    note       {note} (files: {count})")
    for entry in report["refused"]:
        lines.append(f"  refused      {entry['file']} ({entry['kind']}): {entry['reason']}")
    return "\n".join(lines)


def _energies(values: list[float]) -> str:
    text = ", ".join(f"{value:g}" for value in values[:8])
    return text if len(values) <= 8 else f"{text} and {len(values) - 8} more"


def draw(folder: Path, path: Path) -> Figure:
    """Draw some samples: the same bins of each kind below each other, on one scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    dataset = open_dataset(folder)
    kinds = dataset.description.kinds
    samples = _shown(dataset)
    figure = Figure(figsize=(2.3 * len(samples) + 0.6, 2.1 * len(kinds) + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    grid: Any = figure.subplots(len(kinds), len(samples), squeeze=False)
    for column, (energy, indices) in enumerate(samples):
        _column(grid[:, column], dataset, indices, energy)
    for axes, kind in zip(grid[:, 0], kinds, strict=True):
        axes.set_ylabel(f"{kind}\n{axes.get_ylabel()}")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
    return figure


def _shown(dataset: DataSet) -> list[tuple[int, dict[str, int]]]:
    """An incident energy and a sample of each kind for every column: pairs, where the set has such."""
    kinds = dataset.description.kinds
    choices = {kind: _chosen(dataset, kind) for kind in kinds}
    columns = []
    for place, (index, energy) in enumerate(choices[kinds[0]]):
        indices = {kinds[0]: index}
        for kind in kinds[1:]:
            partner = int(dataset.counterparts(np.array([index]), kinds[0])[0])
            others = choices[kind]
            if partner >= 0 or others:
                indices[kind] = partner if partner >= 0 else others[place % len(others)][0]
        columns.append((energy, indices))
    return columns


def _chosen(dataset: DataSet, kind: str) -> list[tuple[int, int]]:
    """Samples over all the domain, with energies that go round."""
    parts = [dataset.split(split, kind=kind) for split in SPLITS if _has(dataset, split)]
    every = np.concatenate([*parts, np.zeros(0, dtype=np.int64)])
    places = np.unique(np.linspace(0, len(every) - 1, COLUMNS).round().astype(int))
    energies = dataset.description.shape[0]
    return [(int(every[place]), number % energies) for number, place in enumerate(places)]


def _column(column: Sequence[Any], dataset: DataSet, indices: Mapping[str, int], energy: int) -> None:
    """Draw one sample of each kind: the same bins, on the same scale."""
    hidden = {kind: dataset.mask_part(kind, index, energy) for kind, index in indices.items()}
    values = {
        kind: np.where(hidden[kind], np.nan, dataset.part(kind, index, energy))
        for kind, index in indices.items()
    }
    sizes = {kind: array.shape for kind, array in values.items()}
    first = next(iter(values))
    thin = int(np.argmin(sizes[first][:2])) if min(sizes[first][:2]) == 1 else 2
    place = 0 if thin < 2 else _fullest(hidden[first])
    cuts = {
        kind: np.take(array, min(place, array.shape[thin] - 1), axis=thin) for kind, array in values.items()
    }
    measured = np.concatenate([cut[np.isfinite(cut)] for cut in cuts.values()])
    top = float(np.percentile(measured, 99)) if measured.size else 1.0
    names = [name for number, name in enumerate(("h", "k", "E")) if number != thin]
    for axes, kind in zip(column, dataset.description.kinds, strict=True):
        axes.set(xticks=[], yticks=[], facecolor="0.8", xlabel=names[0], ylabel=names[1])
        if kind not in cuts:
            axes.set_axis_off()
            continue
        scale = {"vmin": min(0.0, top), "vmax": max(top, 1e-30)}
        image = axes.imshow(cuts[kind].T, origin="lower", aspect="auto", **scale)
        ei = float(dataset.energies_of(kind, np.array([indices[kind]]))[0, energy])
        label = int(dataset.labels(np.array([indices[kind]]), kind)[0])
        name = dataset.description.classes[label] if label >= 0 else NO_CLASS
        bins = f", E bin {place}" if thin == 2 else ""
        axes.set_title(f"{name}, Ei {ei:g} meV{bins}", fontsize=8)
    column[0].figure.colorbar(image, ax=list(column), location="bottom", aspect=12, label="intensity")


def _fullest(hidden: Any) -> int:
    """The energy bin nearest to the middle among those with the most measured bins."""
    counts = (~hidden).sum(axis=(0, 1))
    best = np.flatnonzero(counts >= 0.95 * counts.max())
    return int(best[np.argmin(np.abs(best - len(counts) / 2))])
