"""MATLAB files of version 5 (also 6 and 7), read with every size checked before anything is allocated.

The reader of scipy believes the sizes that a file states; a damaged one makes it allocate without bounds.
Format: MathWorks, *MAT-File Format* (R2023b), chapter "Level 5".
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.io.files import damaged, reading
from mantid_exp2sim.io.limits import Budget, packed_budget
from mantid_exp2sim.io.matlab.values import MAX_DEPTH, MAX_ITEMS, Cell, Opaque

_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15
_TEXTS = {16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE, _FUNCTION, _OPAQUE = 1, 2, 3, 4, 5, 16, 17
_COMPLEX = 0x08


def read(path: Path) -> dict[str, Any]:
    """Read all variables of a MATLAB 5 file."""
    with reading(path, struct.error, ValueError, OverflowError, UnicodeError):
        budget = packed_budget(path)
        budget.take(path.stat().st_size, str(path))
        return _variables(path.read_bytes(), budget)


def _variables(content: bytes, budget: Budget) -> dict[str, Any]:
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise damaged("It is no MATLAB file of version 5.")
    reader = _Reader(order, budget)
    variables: dict[str, Any] = {}
    position = 128
    while position + 8 <= len(content):
        kind, body, position = reader.element(memoryview(content), position)
        if kind == _COMPRESSED:
            kind, body, _ = reader.element(memoryview(reader.inflate(body)), 0)
        if kind == _MATRIX:
            name, value = reader.matrix(body, 0)
            if name:  # the one without a name is where MATLAB keeps its objects
                variables[name] = value
    return variables


class _Reader:
    def __init__(self, order: str, budget: Budget) -> None:
        self.order = order
        self.budget = budget
        self.items = 0

    def element(self, data: memoryview, position: int) -> tuple[int, memoryview, int]:
        """Return type and content of the element at `position`, and where the next one begins."""
        kind, size = struct.unpack_from(self.order + "II", data, position)
        if kind >> 16:
            size, kind = kind >> 16, kind & 0xFFFF
            if size > 4:
                raise damaged(f"A short element claims {size} bytes.")
            return kind, data[position + 4 : position + 4 + size], position + 8
        start = position + 8
        if size > len(data) - start:
            raise damaged(f"An element of {size} bytes begins at byte {position} of {len(data)}.")
        end = start + size
        return kind, data[start:end], end if kind == _COMPRESSED else end + (-end) % 8

    def inflate(self, body: memoryview) -> bytes:
        limit = self.budget.limit - self.budget.used
        try:
            content = zlib.decompressobj().decompress(body, limit + 1)
        except zlib.error as error:
            raise damaged(f"A variable cannot be unpacked: {error}.") from error
        self.budget.take(len(content), "A variable", stored=len(body))
        return content

    def matrix(self, data: memoryview, depth: int) -> tuple[str, Any]:
        """Return the name and the value of an array of any class."""
        self.items += 1
        if depth > MAX_DEPTH or self.items > MAX_ITEMS:
            raise damaged(f"It nests deeper than {MAX_DEPTH} or has more than {MAX_ITEMS} parts.")
        if not data:
            return "", np.zeros((0, 0))
        _, flags, position = self.element(data, 0)
        word = struct.unpack_from(self.order + "I", flags, 0)[0]
        kind, is_complex = word & 0xFF, bool(word >> 8 & _COMPLEX)
        if kind == _OPAQUE:
            texts = []
            for _ in range(3):
                _, text, position = self.element(data, position)
                texts.append(bytes(text).decode("latin-1"))
            return texts[0], Opaque(texts[2])
        _, dims, position = self.element(data, position)
        shape = struct.unpack(f"{self.order}{len(dims) // 4}i", dims[: len(dims) // 4 * 4])
        if not 1 <= len(shape) <= 32 or any(n < 0 for n in shape):
            raise damaged(f"An array is of shape {shape}.")
        _, text, position = self.element(data, position)
        return bytes(text).decode("latin-1"), self.value(kind, shape, is_complex, data, position, depth)

    def value(
        self, kind: int, shape: tuple[int, ...], is_complex: bool, data: memoryview, position: int, depth: int
    ) -> Any:
        if kind == _CELL:
            return Cell(shape, tuple(self.children(data, position, math.prod(shape), depth)[0]))
        if kind == _STRUCT:
            return self.struct(shape, data, position, depth)
        if kind == _OBJECT:
            return Opaque(bytes(self.element(data, position)[1]).decode("latin-1"))
        if kind in (_FUNCTION, _SPARSE):
            return Opaque("function_handle" if kind == _FUNCTION else "sparse")
        if kind == _CHAR:
            return self.text(data, position)
        if not 6 <= kind <= 15:
            raise damaged(f"An array is of class {kind}.")
        real, position = self.numbers(data, position, shape)
        if not is_complex:
            return real
        imaginary, _ = self.numbers(data, position, shape)
        self.budget.take(16 * real.size, "A complex array")
        return real + 1j * imaginary

    def children(self, data: memoryview, position: int, count: int, depth: int) -> tuple[list[Any], int]:
        if count > (len(data) - position) // 8:
            raise damaged(f"A cell or struct claims {count} parts.")
        values = []
        for _ in range(count):
            kind, body, position = self.element(data, position)
            if kind != _MATRIX:
                raise damaged(f"A cell or struct holds an element of type {kind}.")
            values.append(self.matrix(body, depth + 1)[1])
        return values, position

    def struct(self, shape: tuple[int, ...], data: memoryview, position: int, depth: int) -> Any:
        _, width, position = self.element(data, position)
        length = struct.unpack_from(self.order + "i", width, 0)[0]
        _, names, position = self.element(data, position)
        if not 1 <= length <= 1024:
            raise damaged(f"The names of fields are {length} long.")
        texts = [bytes(names[i : i + length]) for i in range(0, len(names) // length * length, length)]
        keys = [text.split(b"\0")[0].decode("latin-1") for text in texts]
        count = math.prod(shape)
        if not keys:
            return {}
        values, _ = self.children(data, position, count * len(keys), depth)
        step = len(keys)
        parts = tuple(dict(zip(keys, values[i * step : (i + 1) * step], strict=True)) for i in range(count))
        return parts[0] if count == 1 else Cell(shape, parts)

    def numbers(
        self, data: memoryview, position: int, shape: tuple[int, ...]
    ) -> tuple[npt.NDArray[Any], int]:
        kind, body, position = self.element(data, position)
        code = _NUMBERS.get(kind)
        if code is None:
            raise damaged(f"Numbers are of type {kind}.")
        dtype = np.dtype(self.order + code)
        if math.prod(shape) * dtype.itemsize != len(body):
            raise damaged(f"An array of shape {shape} is stored in {len(body)} bytes of {dtype}.")
        return np.frombuffer(body, dtype=dtype).reshape(shape, order="F"), position

    def text(self, data: memoryview, position: int) -> str:
        kind, body, _ = self.element(data, position)
        if kind in _TEXTS or kind == 4:
            code = _TEXTS.get(kind, "utf-16")
            suffix = "" if code == "utf-8" else ("-le" if self.order == "<" else "-be")
            return bytes(body).decode(code + suffix, errors="replace")
        return bytes(body).decode("latin-1")
