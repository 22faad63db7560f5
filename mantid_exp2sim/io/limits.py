"""How much a file may ask for, checked before anything is allocated."""

from __future__ import annotations

import os
from pathlib import Path

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.io.files import damaged

SMALL_BYTES = 256 * 2**20
"""What a small packed file may unpack to, whatever its size."""
MAX_RATIO = 1100
"""More than this ratio of unpacked to stored bytes is no honest compression (deflate reaches 1032)."""
FREE_BYTES = 64 * 2**20
"""Below this size the ratio is not looked at."""


class Budget:
    """Counts the bytes that reading a file takes.

    Parameters
    ----------
    limit
        Most bytes in all; by default 8 GiB or the environment variable ``EXP2SIM_MAX_BYTES``.

    Examples
    --------
    >>> Budget(100).take(101, "signal")
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: ... EXP2SIM_MAX_BYTES...
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = _default_limit() if limit is None else limit
        self.used = 0

    def take(self, size: int, what: str, *, stored: int | None = None) -> None:
        """Count `size` bytes, `stored` bytes in the file; raise `Exp2SimError` if they are too many."""
        if stored is not None and size > FREE_BYTES + MAX_RATIO * stored:
            raise damaged(
                f"{what} unpacks {stored} bytes to {size}.",
                reason="No real data compress like that: it is damaged.",
            )
        self.used += size
        if self.used > self.limit:
            raise Exp2SimError(
                f"Reading {what} would take {self.used} bytes of memory; the limit is {self.limit}.",
                fix="If the file is genuine, raise the environment variable EXP2SIM_MAX_BYTES.",
            )


def _default_limit() -> int:
    text = os.environ.get("EXP2SIM_MAX_BYTES", "")
    return int(text) if text.isdigit() else 8 * 2**30


def packed_budget(path: Path) -> Budget:
    """The budget of a file that may be packed: 16 times its size or 256 MiB, unless the user names a limit.

    Examples
    --------
    >>> import tempfile
    >>> packed_budget(Path(tempfile.mkdtemp())).limit >= SMALL_BYTES
    True
    """
    if os.environ.get("EXP2SIM_MAX_BYTES", "").isdigit():
        return Budget()
    return Budget(min(max(SMALL_BYTES, 16 * path.stat().st_size), Budget().limit))
