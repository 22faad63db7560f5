"""HDF5 files as trees of values, byte for byte, and back.

Values are read in the file's own datatype wherever the content is of fixed size, so that writing the tree
gives the same bytes again: strings keep their padding, compounds their layout. Nothing outside the file is
ever opened: external links, external storage and virtual datasets are left out, and links inside the file
are kept as links.
"""

from __future__ import annotations

import io
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from mantid_exp2sim.io.files import damaged, reading
from mantid_exp2sim.io.limits import Budget
from mantid_exp2sim.nexus import Link, NexusTree, Value

MAX_DEPTH = 32
MAX_NODES = 200_000


def read_tree(path: Path, budget: Budget | None = None) -> tuple[NexusTree, tuple[str, ...]]:
    """Read a whole HDF5 file; return the tree and the paths of what could not be carried.

    Raises
    ------
    Exp2SimError
        If the file is damaged, or asks for more memory than `budget`.
    """
    with opened(path) as file:
        reader = _Reader(budget or Budget())
        return reader.group(file["/"], "/", 0), tuple(reader.left_out)


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file to read; whatever a damaged one makes h5py raise inside the block is an `Exp2SimError`."""
    with reading(path, Exception), h5py.File(path, "r", locking=False) as file:
        yield file


@contextmanager
def created(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file to write.

    Raises
    ------
    OSError
        If the disk is full. HDF5 by itself may crash the process there, so what cannot be written is
        swallowed until the file is closed, and told then.
    """
    with path.open("w+b", buffering=0) as raw:
        sink = _Sink(raw)
        try:
            with h5py.File(sink, "w") as file:
                yield file
        except Exception as error:
            if sink.error is not None:
                raise sink.error from error
            raise
        if sink.error is not None:
            raise sink.error


def add_chunked(
    file: h5py.File,
    name: str,
    data: npt.NDArray[Any],
    chunks: tuple[int, ...],
    compression: str | None = None,
) -> None:
    """Add an array in chunks, which are written now.

    Otherwise they are when Python lets the data set go, which may be as late as the end of the file: then the
    same content has other bytes.
    """
    file.create_dataset(name, data=data, chunks=chunks, compression=compression)
    file.flush()


class _Sink:
    """A file for h5py that keeps the first exception (a refusal of the system, a signal) for later."""

    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw
        self.error: BaseException | None = None
        self.read, self.seek, self.tell = raw.read, raw.seek, raw.tell

    def write(self, data: Any) -> int:
        try:
            view = memoryview(data).cast("B")
            while view and self.error is None:
                view = view[self._raw.write(view) :]
        except BaseException as error:
            self.error = error
        return len(data)

    def truncate(self, size: int) -> int:
        try:
            self._raw.truncate(size)
        except BaseException as error:
            self.error = self.error or error
        return size

    def readinto(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        got = self._raw.readinto(view)
        view[got:] = bytes(len(view) - got)
        return len(view)

    def flush(self) -> None:
        """Nothing is held back."""


def write_tree(path: Path, tree: NexusTree) -> None:
    """Write a tree as an HDF5 file."""
    with created(path) as file:
        links: list[tuple[str, Link]] = []
        _write_group(file["/"], "/", tree, links)
        for where, link in links:
            file[where] = h5py.SoftLink(link.target) if link.kind == "soft" else file[link.target]


def array_value(
    array: npt.NDArray[Any],
    *,
    attributes: Mapping[str, Value] | None = None,
    chunks: tuple[int, ...] | None = None,
) -> Value:
    """Make the `Value` of an array of numbers."""
    code = bytes(h5py.h5t.py_create(array.dtype, logical=True).encode())
    return Value(array, array.shape, code, chunks, dict(attributes or {}))


def text_value(text: str, *, shape: tuple[int, ...] = ()) -> Value:
    """Make the `Value` of a text as NeXus writes it: fixed length, zero terminated."""
    content = text.encode()
    size = max(len(content), 1)
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(size)
    return Value(np.full(shape, content, dtype=f"S{size}"), shape, bytes(kind.encode()))


class _Reader:
    """Walks a file, counting bytes and objects."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.left_out: list[str] = []
        self.places: dict[Any, str] = {}
        self.nodes = 0

    def group(self, group: Any, where: str, depth: int) -> NexusTree:
        if depth > MAX_DEPTH:
            raise damaged(f"{where} lies more than {MAX_DEPTH} groups deep.")
        self.places[h5py.h5o.get_info(group.id).addr] = where
        children: dict[str, NexusTree | Value | Link] = {}
        for name in group:
            _check_name(name, where)
            child = self.child(group, name, posixpath.join(where, name), depth)
            if child is None:
                self.left_out.append(posixpath.join(where, name))
            else:
                children[name] = child
        return NexusTree(self.attributes(group, where), children)

    def child(self, group: Any, name: str, where: str, depth: int) -> NexusTree | Value | Link | None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise damaged(f"The file holds more than {MAX_NODES} objects.")
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            return Link("soft", str(link.path))
        if not isinstance(link, h5py.HardLink):
            return None
        item = group[name]
        address = h5py.h5o.get_info(item.id).addr
        if address in self.places:
            return Link("hard", self.places[address])
        if isinstance(item, h5py.Group):
            return self.group(item, where, depth + 1)
        self.places[address] = where
        return self.dataset(item, where) if isinstance(item, h5py.Dataset) else None

    def dataset(self, item: Any, where: str) -> Value | None:
        plan = item.id.get_create_plist()
        if plan.get_layout() == h5py.h5d.VIRTUAL or plan.get_external_count() > 0:
            return None
        stored = item.id.get_storage_size() if item.chunks is not None else None
        value = self.value(item.id, where, stored)
        if value is None:
            return None
        return Value(value.data, value.shape, value.type_code, item.chunks, self.attributes(item, where))

    def attributes(self, item: Any, where: str) -> dict[str, Value]:
        attributes = {}
        for name in item.attrs:
            _check_name(name, where)
            value = self.value(item.attrs.get_id(name), f"{where}@{name}", None)
            if value is None:
                self.left_out.append(f"{where}@{name}")
            else:
                attributes[name] = value
        return attributes

    def value(self, item: Any, where: str, stored: int | None) -> Value | None:
        kind = item.get_type()
        space = item.get_space()
        variable = isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str()
        if not variable and not _fixed(kind):
            return None
        if space.get_simple_extent_type() == h5py.h5s.NULL:
            return Value(np.zeros(0), None, bytes(kind.encode()))
        shape = tuple(int(n) for n in space.get_simple_extent_dims())
        size = int(space.get_simple_extent_npoints()) * int(kind.get_size())
        self.budget.take(size, where, stored=stored)
        return Value(_read(item, kind, shape, variable), shape, bytes(kind.encode()))


def _check_name(name: Any, where: str) -> None:
    if not isinstance(name, str) or not name or "\0" in name:
        raise damaged(f"{where} holds the name {name!r}.")


def _fixed(kind: Any) -> bool:
    """Whether values of this HDF5 type are bytes of fixed size with no reference to elsewhere."""
    if isinstance(kind, h5py.h5t.TypeStringID):
        return not kind.is_variable_str()
    if isinstance(kind, h5py.h5t.TypeCompoundID):
        return all(_fixed(kind.get_member_type(i)) for i in range(kind.get_nmembers()))
    if isinstance(kind, h5py.h5t.TypeArrayID):
        return _fixed(kind.get_super())
    return kind.get_class() in (
        h5py.h5t.INTEGER,
        h5py.h5t.FLOAT,
        h5py.h5t.ENUM,
        h5py.h5t.BITFIELD,
        h5py.h5t.OPAQUE,
    )


def _memory_dtype(kind: Any) -> np.dtype[Any]:
    """The numpy type with the same bytes as an HDF5 type: numbers, S for strings, V for the rest."""
    if kind.get_class() in (h5py.h5t.INTEGER, h5py.h5t.FLOAT):
        dtype: np.dtype[Any] = np.dtype(kind.dtype)
        if dtype.itemsize == kind.get_size():
            return dtype
    letter = "S" if isinstance(kind, h5py.h5t.TypeStringID) else "V"
    return np.dtype(f"{letter}{kind.get_size()}")


def _read(item: Any, kind: Any, shape: tuple[int, ...], variable: bool) -> npt.NDArray[Any]:
    is_attribute = isinstance(item, h5py.h5a.AttrID)
    if variable:
        array = np.empty(shape, dtype=h5py.string_dtype("utf-8"))
        if array.size and is_attribute:
            item.read(array)
        elif array.size:
            item.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
        return array
    array = np.zeros(shape, dtype=_memory_dtype(kind))
    if array.size and is_attribute:
        item.read(array, mtype=kind)
    elif array.size:
        item.read(h5py.h5s.ALL, h5py.h5s.ALL, array, mtype=kind)
    return array


def _write_group(group: Any, where: str, tree: NexusTree, links: list[tuple[str, Link]]) -> None:
    for name, value in tree.attributes.items():
        _write_attribute(group, name, value)
    for name, child in tree.children.items():
        path = posixpath.join(where, name)
        if isinstance(child, NexusTree):
            _write_group(group.create_group(name), path, child, links)
        elif isinstance(child, Value):
            _write_dataset(group, name, child)
        else:
            links.append((path, child))


def _space(value: Value) -> Any:
    if value.shape is None:
        return h5py.h5s.create(h5py.h5s.NULL)
    if value.shape == ():
        return h5py.h5s.create(h5py.h5s.SCALAR)
    return h5py.h5s.create_simple(value.shape)


def _is_text(kind: Any) -> bool:
    return isinstance(kind, h5py.h5t.TypeStringID) and bool(kind.is_variable_str())


def _write_attribute(item: Any, name: str, value: Value) -> None:
    kind = h5py.h5t.decode(value.type_code)
    attribute = h5py.h5a.create(item.id, name.encode(), kind, _space(value))
    if value.shape is not None and value.data.size:
        data = np.ascontiguousarray(value.data).reshape(value.shape)
        attribute.write(data) if _is_text(kind) else attribute.write(data, mtype=kind)


def _write_dataset(group: Any, name: str, value: Value) -> None:
    kind = h5py.h5t.decode(value.type_code)
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    if value.chunks is not None and value.shape:
        plan.set_chunk(value.chunks)
        plan.set_deflate(6)
    item = h5py.h5d.create(group.id, name.encode(), kind, _space(value), plan)
    if value.shape is not None and value.data.size:
        data = np.ascontiguousarray(value.data).reshape(value.shape)
        if _is_text(kind):
            item.write(h5py.h5s.ALL, h5py.h5s.ALL, data)
        else:
            item.write(h5py.h5s.ALL, h5py.h5s.ALL, data, mtype=kind)
    for key, attribute in value.attributes.items():
        _write_attribute(h5py.Dataset(item), key, attribute)
