"""A binary file read piece by piece, every count checked against what is left of the file."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.io.files import damaged
from mantid_exp2sim.io.limits import Budget

MAX_TEXT = 1 << 20


class Stream:
    """Little-endian numbers and strings from a file; used as a context manager.

    Parameters
    ----------
    source
        The file, or the bytes themselves.
    budget
        How many bytes the arrays may take.

    Raises
    ------
    Exp2SimError
        From every method, where the file ends too early or a count makes no sense.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.bin"
    >>> _ = path.write_bytes(struct.pack("<i3sd", 3, b"abc", 0.5))
    >>> with Stream(path) as stream:
    ...     stream.text("name"), stream.numbers("d", "value"), stream.left
    (b'abc', (0.5,), 0)
    """

    def __init__(self, source: Path | bytes, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self._file: BinaryIO = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        self.size = len(source) if isinstance(source, bytes) else source.stat().st_size

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def position(self) -> int:
        """Where the next byte comes from."""
        return self._file.tell()

    @property
    def left(self) -> int:
        """Bytes up to the end of the file."""
        return self.size - self._file.tell()

    def seek(self, position: int, what: str) -> None:
        """Go to a position in the file."""
        if not 0 <= position <= self.size:
            raise damaged(f"{what} lies at byte {position}.", reason=f"The file has {self.size} bytes.")
        self._file.seek(position)

    def need(self, size: int, what: str) -> None:
        """Make sure that `size` more bytes are there."""
        if not 0 <= size <= self.left:
            reason = f"At byte {self.position} {self.left} are left: the file is damaged or incomplete."
            raise damaged(f"{what} takes {size} bytes.", reason=reason)

    def skip(self, size: int, what: str) -> None:
        """Leave out `size` bytes."""
        self.need(size, what)
        self._file.seek(size, 1)

    def raw(self, size: int, what: str) -> bytes:
        """Read `size` bytes."""
        self.need(size, what)
        self.budget.take(size, what)
        content = self._file.read(size)
        if len(content) != size:
            raise damaged(f"{what} could not be read whole.")
        return content

    def numbers(self, code: str, what: str) -> tuple[Any, ...]:
        """Read numbers by a code of `struct`."""
        return struct.unpack("<" + code, self.raw(struct.calcsize("<" + code), what))

    def count(self, code: str, what: str, *, low: int = 0, high: int) -> int:
        """Read one integer that has to lie between `low` and `high`."""
        number = int(self.numbers(code, what)[0])
        if not low <= number <= high:
            reason = f"Between {low} and {high} is possible: the file is damaged, or of another kind."
            raise damaged(f"{what} is {number} at byte {self.position}.", reason=reason)
        return number

    def text(self, what: str) -> bytes:
        """Read a string: its length as a 4-byte integer, and the characters."""
        return self.raw(self.count("i", f"The length of {what}", high=min(MAX_TEXT, self.left)), what)

    def array(self, dtype: str, count: int, what: str) -> npt.NDArray[Any]:
        """Read `count` numbers of one type, (count,)."""
        kind = np.dtype(dtype)
        return np.frombuffer(self.raw(count * kind.itemsize, what), dtype=kind)
