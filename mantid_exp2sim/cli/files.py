"""Where commands write: places that are refused before the long work, and pictures."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Histogram


PICTURES = (".png", ".pdf", ".svg")
"""Endings that a picture can have."""


def check_output(path: Path) -> str:
    """Return the ending of a spectrum's file; refuse one that is not written, or a missing folder."""
    from mantid_exp2sim.io import ENDINGS

    return check_ending(path, tuple(ENDINGS), "a spectrum")


def check_picture(path: Path | None) -> None:
    """Refuse a name that no picture can have, or a missing folder; None is no picture."""
    if path is not None:
        check_ending(path, PICTURES, "a picture")


def check_ending(path: Path, endings: Sequence[str], what: str) -> str:
    """Return the ending of a file that is to be written; refuse another one, or a missing folder.

    >>> check_ending(Path("out.doc"), PICTURES, "a picture")
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: out.doc is no name of a picture. Let it end in .png, .pdf or .svg.
    """
    suffix = path.suffix.lower()
    if suffix not in endings:
        choices = " or ".join(filter(None, (", ".join(endings[:-1]), endings[-1])))
        raise Exp2SimError(f"{path} is no name of {what}.", fix=f"Let it end in {choices}.")
    folder = path.expanduser().resolve().parent
    if not folder.is_dir():
        raise Exp2SimError(f"The folder {folder} does not exist.", fix="Create it first.")
    return suffix


def check_places(args: argparse.Namespace, outputs: Mapping[str, str | Path | None]) -> None:
    """Refuse outputs on the place of each other or of what is read; ``OUT`` alone may be the input itself.

    ``outputs`` by the option, None where it is not used.
    """
    options: dict[Path, str] = {}
    for name, path in {"IN": args.input, "--mask": args.mask, **outputs}.items():
        if path is None:
            continue
        place = Path(path).expanduser().resolve()
        if place in options and (name, options[place]) != ("OUT", "IN"):
            raise Exp2SimError(
                f"{name} and {options[place]} are the same file, {path}.", fix=f"Give {name} another name."
            )
        options.setdefault(place, name)


def draw(stack: ExitStack, path: Path, histograms: dict[str, Histogram], title: str) -> None:
    """Draw histograms side by side; the picture appears when the stack closes, if nothing went wrong."""
    from mantid_exp2sim.plotting import compare
    from mantid_exp2sim.storage.atomic import atomic_path

    compare(histograms, stack.enter_context(atomic_path(path)), title=title)
