"""Shards of a data set: HDF5 files that are read in parts."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.io.limits import Budget
from mantid_exp2sim.training.datasets.description import MAKE_AGAIN

if TYPE_CHECKING:
    import h5py

OPEN_FILES = 16
"""Shards that are kept open."""


@dataclass(slots=True, eq=False)
class Shards:
    """HDF5 files of a folder, the last few used kept open; several threads may read."""

    folder: Path
    _open: OrderedDict[str, tuple[h5py.File, dict[str, Any]]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def _table(self, shard: str, name: str) -> Any:
        """An HDF5 dataset of a shard."""
        import h5py

        if shard not in self._open:
            while len(self._open) >= OPEN_FILES:
                self._open.popitem(last=False)[1][0].close()
            self._open[shard] = (h5py.File(self.folder / shard, "r"), {})
        self._open.move_to_end(shard)
        file, tables = self._open[shard]
        if name not in tables:
            tables[name] = _table_of_numbers(file, name)
        return tables[name]

    def read(self, shard: str, name: str, where: Any, shape: tuple[int, ...]) -> NDArray[Any]:
        """Part of an HDF5 dataset whose rows are of a shape; `Exp2SimError` where it cannot be read."""
        try:
            with self._lock:  # none is closed while it is read
                table = self._table(shard, name)
                if table.shape[1:] == shape:
                    return np.asarray(table[where])
        except Exp2SimError:
            raise
        except Exception as error:  # a damaged file makes h5py raise nearly anything
            raise Exp2SimError(
                f"Cannot read {name} from the shard {self.folder / shard}: {error}.",
                fix=MAKE_AGAIN,
            ) from error
        raise Exp2SimError(
            f"{self.folder / shard} has {name} of shape {table.shape[1:]}, not {shape}.", fix=MAKE_AGAIN
        )


def _table_of_numbers(file: h5py.File, name: str) -> Any:
    """A table of numbers that lies in the file itself; sizes that it cannot hold are refused."""
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise KeyError(f"{name} is missing, or a link")
    table = file[name]
    if not isinstance(table, h5py.Dataset) or table.is_virtual or table.external:
        raise ValueError("it is no table of its own")
    if table.dtype.kind not in "biuf":
        raise ValueError(f"it holds {table.dtype}, not numbers")
    Budget(2**63).take(int(table.nbytes), name, stored=int(table.id.get_storage_size()))
    return table
