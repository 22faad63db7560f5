"""What is in a MATLAB file, as values of Python, and how much of it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 24
"""Cells and structs inside each other."""
MAX_ITEMS = 50_000
"""Arrays, cells and structs in one file."""


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A cell, or an array of structs: its shape, and its items with the first axis fastest."""

    shape: tuple[int, ...]
    items: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Opaque:
    """An object of a MATLAB class, or a function handle, which is not read."""

    class_name: str
