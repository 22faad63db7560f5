"""Classes, parameters, parameter sets and pairs of files: from folders, SpinW files or a CSV file."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.training.datasets.from_files.recipe import LabelRecipe

MAX_CSV_BYTES = 64 * 2**20
KNOWN = ("file", "class", "group", "pair")
_HDF5 = b"\x89HDF"


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of a file. ``name`` is its class; equal ``group`` or parameters: one parameter set."""

    name: str | None = None
    group: str | None = None
    pair: str | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)


class Labels:
    """The labels of a recipe; ``folder`` is that of the recipe."""

    def __init__(self, recipe: LabelRecipe, folder: Path) -> None:
        self.recipe = recipe
        self.rows = read_table(folder / recipe.file) if recipe.file is not None else {}

    def of(self, path: Path) -> Label:
        """The label of a file; one that has none is of no class.

        Raises `Exp2SimError` where the label file does not name it, or its SpinW file cannot be read.
        """
        source = self.recipe.source
        if source == "folder":
            return Label(name=path.parent.name)
        if source == "file":
            row = self.rows.get(path.name) or self.rows.get(path.stem)
            if row is None:
                raise Exp2SimError("The label file does not name it.", fix="Add a line for it.")
            return self._classified(row)
        if source == "spinw" and path.suffix.lower() == ".mat":
            return self._classified(spinw_label(path))
        return Label()

    def _classified(self, label: Label) -> Label:
        """With the class whose ranges the parameters are in, where none is given."""
        if label.name is not None:
            return label
        for name, ranges in self.recipe.classes.items():
            if all(low <= label.parameters.get(key, math.nan) <= high for key, (low, high) in ranges.items()):
                return Label(name, label.group, label.pair, label.parameters)
        return label


def read_table(path: Path) -> dict[str, Label]:
    """Read a label file: CSV with a header; the column ``file`` holds names with or without their ending.

    Columns besides file, class, group and pair are parameters.
    """
    try:
        if path.stat().st_size > MAX_CSV_BYTES:
            raise Exp2SimError(
                f"The label file {path.name} is larger than {MAX_CSV_BYTES} bytes.", fix="Split it."
            )
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Exp2SimError(
            f"Cannot read the label file {path}: {error}.", fix="Name a CSV file in UTF-8 in [labels]."
        ) from error
    rows: dict[str, Label] = {}
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    if "file" not in (reader.fieldnames or ()):
        raise Exp2SimError(
            f"The label file {path.name} has no column 'file'.", fix="Begin it with file,class,group."
        )
    for row in reader:
        name = (row.get("file") or "").strip()
        if not name:
            continue
        if name in rows:
            raise Exp2SimError(f"The label file {path.name} names {name!r} twice.", fix="Keep one row.")
        texts = {key: (row.get(key) or "").strip() or None for key in KNOWN}
        rows[name] = Label(texts["class"], texts["group"], texts["pair"], _numbers(row, path, name))
    return rows


def _numbers(row: Mapping[str, Any], path: Path, name: str) -> dict[str, float]:
    parameters = {}
    for key, text in row.items():
        if key in KNOWN or not isinstance(key, str) or not isinstance(text, str) or not text.strip():
            continue
        try:
            parameters[key.strip()] = float(text)
        except ValueError as error:
            raise Exp2SimError(
                f"The label file {path.name} has {key} = {text[:40]!r} for {name!r}.",
                fix="Give numbers in columns besides file, class, group and pair.",
            ) from error
    return parameters


def spinw_label(path: Path) -> Label:
    """What a SpinW file tells: parameters, and a text ``class``.

    Parameters are the numbers of a struct ``parameters``, else the matrices of ``obj`` (a struct, as
    ``struct(obj)`` gives it), each by its entry of the largest size.
    """
    from mantid_exp2sim.io.matlab import read_variables, structs

    with path.open("rb") as file:
        head = file.read(520)
    is_hdf5 = head.startswith(_HDF5) or head[512:516] == _HDF5
    every = [struct for _, struct in structs(read_variables(path, is_hdf5=is_hdf5))]
    name = next((s["class"] for s in every if isinstance(s.get("class"), str)), None)
    parameters = next((s["parameters"] for s in every if isinstance(s.get("parameters"), dict)), None)
    if parameters is not None:
        values = {key: _number(value) for key, value in parameters.items()}
        numbers = {key: value for key, value in values.items() if value is not None}
    else:
        numbers = next((m for s in every if (m := _matrices(s.get("matrix")))), {})
    return Label(name=name, parameters=numbers)


def _number(value: Any) -> float | None:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf" or value.size != 1:
        return None
    return float(value.reshape(-1)[0])


def _matrices(node: Any) -> dict[str, float]:
    if not isinstance(node, dict) or not isinstance(node.get("mat"), np.ndarray):
        return {}
    matrices, labels = node["mat"], getattr(node.get("label"), "items", ())
    if matrices.dtype.kind not in "iuf" or matrices.ndim not in (2, 3) or matrices.shape[:2] != (3, 3):
        return {}
    matrices = matrices.reshape(9, -1)
    if len(labels) != matrices.shape[1] or not all(isinstance(label, str) for label in labels):
        return {}
    largest = np.abs(matrices).argmax(axis=0)
    return {
        label: float(matrices[row, i]) for i, (label, row) in enumerate(zip(labels, largest, strict=True))
    }
