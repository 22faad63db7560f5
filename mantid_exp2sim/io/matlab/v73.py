"""MATLAB files of version 7.3: HDF5 with references, read with sizes and cycles checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.io.files import damaged
from mantid_exp2sim.io.hdf5 import opened
from mantid_exp2sim.io.limits import Budget, packed_budget
from mantid_exp2sim.io.matlab.values import MAX_DEPTH, MAX_ITEMS, Cell, Opaque

_NUMBERS = {"double", "single", "logical", "int8", "int16", "int32", "int64"}
_NUMBERS |= {"uint8", "uint16", "uint32", "uint64"}


def read(path: Path) -> dict[str, Any]:
    """Read all variables of a MATLAB 7.3 file."""
    budget = packed_budget(path)
    with opened(path) as file:
        reader = _Reader(file, budget)
        return {str(name): reader.link(file, name, 0) for name in file if not str(name).startswith("#")}


class _Reader:
    def __init__(self, file: Any, budget: Budget) -> None:
        self.file = file
        self.budget = budget
        self.values: dict[Any, Any] = {}
        self.open: set[Any] = set()
        self.items = 0

    def link(self, group: Any, name: Any, depth: int) -> Any:
        """Read what `name` is; nothing outside the file is opened."""
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            return Opaque("a link")
        return self.item(group[name], depth)

    def item(self, item: Any, depth: int) -> Any:
        self.items += 1
        if depth > MAX_DEPTH or self.items > MAX_ITEMS:
            raise damaged(f"It nests deeper than {MAX_DEPTH} or has more than {MAX_ITEMS} parts.")
        address = h5py.h5o.get_info(item.id).addr
        if address in self.open:
            raise damaged("A cell or struct holds itself.")
        if address not in self.values:
            self.open.add(address)
            self.values[address] = self.fresh(item, depth)
            self.open.remove(address)
        return self.values[address]

    def fresh(self, item: Any, depth: int) -> Any:
        kind = _attribute(item, "MATLAB_class")
        if "MATLAB_object_decode" in item.attrs or kind == "function_handle":
            return Opaque(kind)
        if isinstance(item, h5py.Group):
            if kind not in ("struct", ""):
                return Opaque(kind)
            return {str(name): self.link(item, name, depth + 1) for name in item}
        if not isinstance(item, h5py.Dataset):
            return Opaque("a type")
        return self.dataset(item, kind, depth)

    def dataset(self, item: Any, kind: str, depth: int) -> Any:
        if "MATLAB_empty" in item.attrs:
            return "" if kind == "char" else Cell((0, 0), ()) if kind == "cell" else np.zeros((0, 0))
        plan = item.id.get_create_plist()
        if plan.get_layout() == h5py.h5d.VIRTUAL or plan.get_external_count() > 0:
            raise Exp2SimError(
                "An array is kept outside the file.",
                reason="Nothing else is opened.",
                fix="In MATLAB: load the file, and save its variables into a new one.",
            )
        shape = tuple(int(n) for n in reversed(item.shape or ()))
        dtype = item.dtype
        if dtype == h5py.ref_dtype:
            return self.cell(item, shape, depth)
        names = dtype.names
        if kind not in _NUMBERS | {"char", ""} or (dtype.kind not in "biuf" and names != ("real", "imag")):
            return Opaque(kind)
        count = int(np.prod(shape, dtype=object))
        stored = item.id.get_storage_size()
        self.budget.take(count * dtype.itemsize, item.name or "An array", stored=stored)
        values = np.asarray(item[()]).T
        if kind == "char":
            return "".join(chr(int(c)) for c in values.ravel(order="F")[:65536] if 0 <= int(c) < 0x110000)
        if names is None:
            return values
        if any(dtype[name].kind != "f" for name in names):
            return Opaque(kind)
        self.budget.take(16 * count, item.name or "A complex array")
        return values["real"] + 1j * values["imag"]

    def cell(self, item: Any, shape: tuple[int, ...], depth: int) -> Cell:
        count = int(np.prod(shape, dtype=object))
        if self.items + count > MAX_ITEMS:
            raise damaged(f"A cell claims {count} parts.", reason=f"At most {MAX_ITEMS} are read.")
        references = np.asarray(item[()]).reshape(-1)
        values = []
        for reference in references:
            target = self.file[reference] if reference else None
            values.append(np.zeros((0, 0)) if target is None else self.item(target, depth + 1))
        return Cell(shape, tuple(values))


def _attribute(item: Any, name: str) -> str:
    if name not in item.attrs:
        return ""
    space = item.attrs.get_id(name).get_space()
    if space.get_simple_extent_npoints() > 1:
        return ""
    value = item.attrs[name]
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
