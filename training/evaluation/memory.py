"""Memory of long runs."""

from __future__ import annotations

import ctypes
import sys


def return_freed_memory() -> None:
    """Give the system what was freed; nothing where the C library cannot.

    glibc keeps freed blocks below the last living one, so a loop that keeps a few small results of each large
    batch would grow by the batches: 11 MB per mosaic in `exp2sim evaluate`.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
