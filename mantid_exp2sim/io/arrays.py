"""Numpy's files, read with every size checked first and never with a pickle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.io.files import damaged
from mantid_exp2sim.io.limits import Budget

MAGIC = b"\x93NUMPY"


def drop_ones(shape: Sequence[int]) -> tuple[int, ...]:
    """Return a shape without its dimensions of length 1, which MATLAB adds and drops at will.

    >>> drop_ones((21, 1)), drop_ones((1, 4, 3, 1))
    ((21,), (4, 3))
    """
    return tuple(n for n in shape if n != 1)


def header(file: BinaryIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of a ``.npy`` stream (shape, Fortran order, dtype), up to where the data begin.

    Raises
    ------
    Exp2SimError
        If the header is damaged, or the array holds Python objects (a pickle) or anything but real numbers.
    """
    try:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(file)
    except Exception as error:  # the header is a Python literal: a damaged one fails in many ways
        raise damaged(f"{name} has no readable numpy header: {error}.") from error
    if dtype.hasobject:
        raise Exp2SimError(
            f"{name} holds Python objects.",
            reason="Reading them would run code from the file.",
            fix="Save it as numbers: numpy.save(path, array.astype(float), allow_pickle=False).",
        )
    if dtype.kind not in "biuf" or any(n < 0 for n in shape):
        raise Exp2SimError(
            f"{name} holds {dtype} of shape {shape}.",
            reason="It takes real numbers.",
            fix="Save it as numbers: numpy.save(path, array.astype(float), allow_pickle=False).",
        )
    return tuple(int(n) for n in shape), bool(fortran), dtype


def map_npy(path: Path) -> npt.NDArray[Any]:
    """Map a ``.npy`` file into memory, read-only, after checking that the whole array is there."""
    with path.open("rb") as file:
        shape, fortran, dtype = header(file, str(path))
        start = file.tell()
    need, size = math.prod(shape) * dtype.itemsize, path.stat().st_size - start
    if need != size:
        reason = f"An array of shape {shape} and type {dtype} takes {need}: it is damaged or incomplete."
        raise damaged(f"{path} holds {size} bytes of data.", reason=reason)
    if need == 0:
        return np.zeros(shape, dtype=dtype)
    order: Any = "F" if fortran else "C"
    return np.memmap(path, dtype=dtype, mode="r", offset=start, shape=shape, order=order)


def read_stream(file: BinaryIO, size: int, name: str, budget: Budget) -> npt.NDArray[Any]:
    """Read a ``.npy`` stream of `size` bytes in all, such as a member of a ``.npz`` file."""
    shape, fortran, dtype = header(file, name)
    need = math.prod(shape) * dtype.itemsize
    if need > size:
        raise damaged(f"{name} claims {need} bytes of data and the file holds {size}.")
    budget.take(need, name)
    data = file.read(need)
    if len(data) != need:
        raise damaged(f"{name} ends after {len(data)} of {need} bytes.")
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran else "C")
