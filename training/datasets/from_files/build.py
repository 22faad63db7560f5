"""``exp2sim data build``: from files to a data set that the training reads.

The folder holds ``shards/KIND-NNNNN.h5``, one for each file that could be read, and ``dataset.json``, written
last: the data set is whole or not there. A build that was stopped goes on with the files that are missing.
Names of files are kept as names only; nothing that is read from a data set is ever used as a path.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import CELL
from mantid_exp2sim.simulation.instrument import load_instrument
from mantid_exp2sim.storage.atomic import atomic_path, is_temporary, make_folder, sweep
from mantid_exp2sim.storage.locks import LOCK, locked
from mantid_exp2sim.training.datasets.description import (
    FILE,
    DatasetDescription,
    Item,
    Items,
    RefusedFile,
    Split,
)
from mantid_exp2sim.training.datasets.from_files.axes import axes_of_recipe
from mantid_exp2sim.training.datasets.from_files.files import Entry, entries
from mantid_exp2sim.training.datasets.from_files.labels import Label, Labels
from mantid_exp2sim.training.datasets.from_files.recipe import KINDS, ExportRecipe, read_recipe
from mantid_exp2sim.training.datasets.from_files.shards import About, make_shard, shard_name
from mantid_exp2sim.training.datasets.from_files.split import assign, parameter_sets

FORMAT = 2
SAME_ENERGY = 0.05
"""Incident energies of a pair differ by less than this share."""
_BUILD = "build.json"


@dataclass(slots=True)
class _Item:
    """One volume on its way into ``dataset.json``."""

    entry: Entry
    label: Label
    shard: int
    row: int
    about: About
    group: int = -1
    split: Split = "train"
    pair: int = -1


def build_dataset(
    recipe_path: Path, out: Path | None = None, *, progress: Callable[[int, int, str], None] | None = None
) -> Path:
    """Build the data set of a recipe in ``out`` (default ``data/NAME``), or finish one that was stopped.

    ``progress(done, total, name)`` counts files. Returns the folder.

    Raises
    ------
    Exp2SimError
        If the recipe cannot be used, a pattern stands for no file, ``out`` holds something else, or no file
        of a domain fits. Single files that do not fit are refused, and recorded with the reason.
    """
    recipe = read_recipe(recipe_path)
    folder = recipe_path.resolve().parent
    files = entries(recipe, folder)
    instrument = load_instrument(recipe.instrument, folder).settings() if recipe.instrument else {}
    out = Path("data") / recipe.name if out is None else out
    with locked(out, "data set"):
        _start(recipe, out)
        items, refused = _convert(recipe, files, out, folder, progress)
        _check_found(recipe, items, refused)
        _complete(recipe, items)
        description = _describe(recipe, items, refused, instrument)
        description.write(out, end="\n")
        _tidy(out, items)
    return out


def _start(recipe: ExportRecipe, out: Path) -> None:
    """Make the folder, or check that it is one of this recipe's."""
    path = out / _BUILD
    mine = {"name": recipe.name, "seed": recipe.seed}
    others = [inner for inner in out.iterdir() if inner.name != LOCK and not is_temporary(inner)]
    if not path.is_file() and others:
        raise Exp2SimError(
            f"{out} exists and is no data set of `exp2sim data build`.", fix="Choose another --out."
        )
    make_folder(out / "shards")
    sweep(out)
    sweep(out / "shards")
    try:
        if path.is_file() and json.loads(path.read_bytes()) != mine:
            raise Exp2SimError(
                f"{out} holds the data set of another recipe.", fix="Choose another --out, or delete it."
            )
    except (OSError, ValueError) as error:
        raise Exp2SimError(f"{out} cannot be used: {error}.", fix="Choose another --out.") from error
    (out / FILE).unlink(missing_ok=True)  # not whole until the end
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(mine), encoding="utf-8")


def _convert(
    recipe: ExportRecipe,
    files: list[Entry],
    out: Path,
    folder: Path,
    progress: Callable[[int, int, str], None] | None,
) -> tuple[list[_Item], list[dict[str, str]]]:
    labels, axes = Labels(recipe.labels, folder), axes_of_recipe(recipe.axes)
    items: list[_Item] = []
    refused: list[dict[str, str]] = []
    numbers = dict.fromkeys(KINDS, 0)
    for done, entry in enumerate(files):
        if progress is not None:
            progress(done, len(files), entry.path.name)
        number = numbers[entry.kind]
        numbers[entry.kind] += 1
        try:
            label = labels.of(entry.path) if entry.source.labelled else Label()
            if entry.source.label is not None:
                label = Label(entry.source.label, label.group, label.pair, label.parameters)
            _check_class(label, recipe)
            shard = out / "shards" / shard_name(entry.kind, number)
            about = make_shard(entry, shard, recipe, axes, folder)
        except Exp2SimError as error:
            reason = str(error).replace(str(entry.path), entry.path.name)
            refused.append({"file": entry.path.name, "kind": entry.kind, "reason": reason})
            continue
        items += [_Item(entry, label, number, row, volume) for row, volume in enumerate(about)]
    if progress is not None:
        progress(len(files), len(files), "")
    return items, refused


def _check_class(label: Label, recipe: ExportRecipe) -> None:
    from pydantic import TypeAdapter, ValidationError

    from mantid_exp2sim.model.card import ClassName

    if label.name is None:
        return
    if recipe.classes and label.name not in recipe.classes:
        raise Exp2SimError(
            f"Its class {label.name!r} is none of {', '.join(recipe.classes)}.",
            fix="Name it in classes, or leave classes out.",
        )
    try:
        TypeAdapter(ClassName).validate_python(label.name)
    except ValidationError as error:
        raise Exp2SimError(
            f"Its class {label.name!r} is no name of a class.",
            fix="Begin it with a letter; take up to 40 letters, digits, spaces, dots, _ and -.",
        ) from error


def _check_found(recipe: ExportRecipe, items: list[_Item], refused: list[dict[str, str]]) -> None:
    for kind in KINDS:
        if recipe.sources(kind) and not any(item.entry.kind == kind for item in items):
            first = next(entry for entry in refused if entry["kind"] == kind)
            count = sum(entry["kind"] == kind for entry in refused)
            raise Exp2SimError(
                f"None of the {count} files of {kind!r} can be used. {first['file']}: {first['reason']}",
                fix="Mend the files, or change the recipe to what they hold.",
            )


def _complete(recipe: ExportRecipe, items: list[_Item]) -> None:
    """Parameter sets, splits, order and pairs."""
    numbers = parameter_sets([item.entry.path.stem for item in items], [item.label for item in items])
    sets: dict[int, tuple[str, str]] = {}
    for item, number in zip(items, numbers, strict=True):
        item.group = number
        name, label = item.label.group or item.entry.path.stem, item.label.name or ""
        before = sets.setdefault(number, (label, name))
        sets[number] = (before[0] or label, min(before[1], name))
    splits = assign(sets, recipe.split, recipe.seed)
    for item in items:
        item.split = splits[item.group]
    if recipe.pairs:
        _pair(items)


def _pair(items: list[_Item]) -> None:
    """Find for each volume the one of the other domain with the same stem (or pair), class and energy."""
    sides = [[item for item in items if item.entry.kind == kind] for kind in KINDS]
    by_name: dict[str, list[int]] = {}
    for place, item in enumerate(sides[1]):
        by_name.setdefault(_pair_name(item), []).append(place)
    for place, item in enumerate(sides[0]):
        partners = [i for i in by_name.get(_pair_name(item), ()) if _fit(item, sides[1][i])]
        if len(partners) > 1 or (partners and sides[1][partners[0]].pair >= 0):
            raise Exp2SimError(
                f"{item.entry.path.name} has more than one counterpart.",
                reason="Several files have its stem, class and incident energy.",
                fix="Name the pairs in the column 'pair' of a label file.",
            )
        if partners:
            item.pair, sides[1][partners[0]].pair = partners[0], place
    if not any(item.pair >= 0 for item in items):
        raise Exp2SimError(
            "No file has a counterpart in the other domain.",
            reason="pairs = true asks for files of the same stem, or named in a label file.",
            fix="Name them so, or set pairs = false.",
        )


def _pair_name(item: _Item) -> str:
    return f"pair {item.label.pair}" if item.label.pair is not None else item.entry.path.stem


def _fit(item: _Item, other: _Item) -> bool:
    names = {item.label.name, other.label.name} - {None}
    energies = item.about.incident_energy, other.about.incident_energy
    return len(names) <= 1 and abs(energies[0] - energies[1]) <= SAME_ENERGY * energies[0]


def _describe(
    recipe: ExportRecipe, items: list[_Item], refused: list[dict[str, str]], instrument: dict[str, Any]
) -> DatasetDescription:
    axes = axes_of_recipe(recipe.axes)
    names = sorted({item.label.name for item in items if item.label.name is not None})
    classes = recipe.classes or tuple(names) or ("unknown",)
    kinds = tuple(kind for kind in KINDS if recipe.sources(kind))
    return DatasetDescription(
        format=FORMAT,
        recipe=_public(recipe),
        seed=recipe.seed,
        classes=classes,
        kinds=kinds,
        shape=(1, *(len(axis.edges) - 1 for axis in axes)),
        incident_energies=tuple(sorted({round(item.about.incident_energy, 6) for item in items})),
        projection=recipe.projection,
        lattice=_lattice(items),
        instrument=instrument,
        axes=tuple(axis.rule(recipe.projection) for axis in axes),
        edges={axis.kind: tuple(axis.edges.tolist()) for axis in axes},
        units=recipe.units,
        count=len(items),
        pairs=recipe.pairs,
        splits={},
        refused=tuple(RefusedFile(**entry) for entry in refused),
        domains={
            kind: Items(items=tuple(_stored(item, classes) for item in items if item.entry.kind == kind))
            for kind in kinds
        },
    )


def _lattice(items: list[_Item]) -> dict[str, float]:
    """The lattice constants that the first file of either kind tells."""
    from mantid_exp2sim.io import load

    firsts = {item.entry.kind: item.entry.path for item in reversed(items)}
    for path in firsts.values():
        cell = load(path).metadata.get("lattice")
        if isinstance(cell, dict) and set(CELL) <= set(cell):
            return {name: float(cell[name]) for name in CELL}
    return {}


def _stored(item: _Item, classes: Sequence[str]) -> Item:
    return Item(
        file=item.entry.path.name,
        shard=item.shard,
        row=item.row,
        label=-1 if item.label.name is None else classes.index(item.label.name),
        group=item.group,
        split=item.split,
        pair=item.pair,
        measurement=item.entry.source.measurement,
        **asdict(item.about),
    )


def _public(recipe: ExportRecipe) -> dict[str, Any]:
    """The recipe with the last part of every path only."""
    dumped = recipe.model_dump(mode="json", exclude_none=True)
    if recipe.labels.file is not None:
        dumped["labels"]["file"] = recipe.labels.file.name
    for kind in KINDS:
        for source in dumped[kind]:
            source["files"] = [Path(pattern).name for pattern in source["files"]]
            if "mask" in source:
                source["mask"] = Path(source["mask"]).name
    return dumped


def _tidy(out: Path, items: list[_Item]) -> None:
    """Remove shards of files that are no longer part of the data set, and what was left half-written."""
    names = {shard_name(item.entry.kind, item.shard) for item in items}
    for path in (out / "shards").iterdir():
        if path.suffix == ".h5" and path.name not in names:
            path.unlink()
