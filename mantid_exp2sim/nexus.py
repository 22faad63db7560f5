"""What a NeXus/HDF5 file held beside the histogram, kept byte for byte.

The types here know nothing of h5py: reading and writing is in `mantid_exp2sim.io.hdf5`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """The content of one HDF5 dataset or attribute.

    Parameters
    ----------
    data
        The values as numpy sees them: numbers, fixed bytes, or objects (``bytes``) for strings of variable
        length.
    shape
        The shape; ``()`` for a scalar and ``None`` for an empty (null) dataspace.
    type_code
        The HDF5 datatype in HDF5's own encoding, so that it can be written again unchanged.
    chunks
        The chunk shape, or None where the data were stored in one piece. A chunked dataset is written with
        gzip.
    attributes
        The attributes of a dataset.
    """

    data: np.ndarray[Any, Any]
    shape: tuple[int, ...] | None
    type_code: bytes
    chunks: tuple[int, ...] | None = None
    attributes: Mapping[str, Value] = field(default_factory=dict)

    def text(self) -> str:
        """Return the value as text: the first string, or the first number written out."""
        if self.data.size == 0:
            return ""
        first = self.data.reshape(-1)[0]
        if isinstance(first, bytes | np.bytes_):
            return bytes(first).split(b"\0")[0].decode("utf-8", errors="replace")
        return str(first)


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """A second name for something in the same file (HDF5 hard or soft link); `target` is an absolute path."""

    kind: Literal["hard", "soft"]
    target: str


@dataclass(frozen=True, slots=True, eq=False)
class NexusTree:
    """A group of a NeXus file: attributes and children by name, in the order of the file.

    Parameters
    ----------
    attributes
        The attributes of the group.
    children
        Groups (`NexusTree`), datasets (`Value`) and links (`Link`).

    Examples
    --------
    >>> tree = NexusTree({}, {"logs": NexusTree({}, {})})
    >>> tree.get("logs/Ei") is None, isinstance(tree.get("logs"), NexusTree)
    (True, True)
    """

    attributes: Mapping[str, Value] = field(default_factory=dict)
    children: Mapping[str, NexusTree | Value | Link] = field(default_factory=dict)

    def get(self, path: str) -> NexusTree | Value | Link | None:
        """Return what lies at `path` ("experiment0/logs/Ei"), or None."""
        node: NexusTree | Value | Link | None = self
        for name in path.strip("/").split("/"):
            if not isinstance(node, NexusTree):
                return None
            node = node.children.get(name)
        return node

    def value(self, path: str) -> Value | None:
        """Return the dataset at `path`, or None."""
        node = self.get(path)
        return node if isinstance(node, Value) else None

    def number(self, path: str) -> float | None:
        """Return the first number of the dataset at `path`, or None."""
        node = self.value(path)
        if node is None or node.data.size == 0 or node.data.dtype.kind not in "iufb":
            return None
        return float(node.data.reshape(-1)[0])

    def with_children(self, changed: Mapping[str, NexusTree | Value | Link]) -> NexusTree:
        """Return a group with some children replaced or added."""
        return NexusTree(self.attributes, {**self.children, **changed})


def experiments_of(tree: NexusTree | None) -> NexusTree | None:
    """Return what a Mantid file says of its runs (sample, lattice, logs), without its bins; None if nothing.

    Links are left out, because what they point to may be.

    >>> tree = NexusTree({}, {"W": NexusTree({}, {"experiment0": NexusTree(), "data": NexusTree()})})
    >>> list(experiments_of(tree).get("W").children)
    ['experiment0']
    """
    entries = {}
    for name, entry in ({} if tree is None else tree.children).items():
        groups = entry.children if isinstance(entry, NexusTree) else {}
        experiments = {key: group for key, group in groups.items() if re.fullmatch("experiment[0-9]+", key)}
        if experiments:
            entries[name] = _without_links(NexusTree({}, experiments))
    return NexusTree({}, entries) if entries else None


def _without_links(tree: NexusTree) -> NexusTree:
    children = {
        name: _without_links(child) if isinstance(child, NexusTree) else child
        for name, child in tree.children.items()
        if not isinstance(child, Link)
    }
    return NexusTree(tree.attributes, children)
