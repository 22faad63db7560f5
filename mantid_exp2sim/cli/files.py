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


def check_picture(path: Path | None) -> None:
    """Refuse a name that no picture can have; None is no picture."""
    if path is not None:
        check_ending(path, PICTURES, "a picture")


def check_ending(path: Path, endings: Sequence[str], what: str) -> str:
    """Return the ending of a file that is to be written; refuse another one.

    >>> check_ending(Path("out.doc"), PICTURES, "a picture")
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: out.doc is no name of a picture. Let it end in .png, .pdf or .svg.
    """
    suffix = path.suffix.lower()
    if suffix not in endings:
        choices = " or ".join(filter(None, (", ".join(endings[:-1]), endings[-1])))
        raise Exp2SimError(f"{path} is no name of {what}.", fix=f"Let it end in {choices}.")
    return suffix


def check_places(
    args: argparse.Namespace,
    *,
    spectra: Mapping[str, str | Path | None] | None = None,
    others: Mapping[str, str | Path | None] | None = None,
) -> None:
    """Refuse before the work what cannot be written after it.

    ``spectra`` and ``others`` (pictures, tables) are outputs by their option, None where it is not used.
    None may take the place of another one, of what is read or of any file, except with ``--overwrite``:
    then it may be that of a file that is there, and ``OUT`` the input itself.
    """
    from mantid_exp2sim.io import ENDINGS, require_output
    from mantid_exp2sim.storage.atomic import require_place

    data, pictures = _used(spectra), _used(others)
    for path in data.values():
        check_ending(Path(path), tuple(ENDINGS), "a spectrum")
    _check_clashes(args, {**data, **pictures})
    for path in data.values():
        require_output(path, overwrite=args.overwrite)
    for path in pictures.values():
        require_place(path, overwrite=args.overwrite)


def check_formats(histogram: Histogram, *outputs: str | Path | None) -> None:
    """Refuse formats that have no place for data with the axes of ``histogram``."""
    from mantid_exp2sim.io import require_output

    for path in outputs:
        if path is not None:
            require_output(path, like=histogram, overwrite=True)  # `check_places` has looked at the place


def _used(outputs: Mapping[str, str | Path | None] | None) -> dict[str, str | Path]:
    return {name: path for name, path in (outputs or {}).items() if path is not None}


def _check_clashes(args: argparse.Namespace, outputs: Mapping[str, str | Path]) -> None:
    """Refuse outputs on the place of each other or of what is read."""
    parts = getattr(args, "parts", None) or [getattr(args, "input", None)]
    inputs = {"IN" if not n else f"IN {n + 1}": part for n, part in enumerate(parts)}
    inputs["--mask"] = getattr(args, "mask", None)
    options: dict[Path, str] = {}
    for name, path in {**_used(inputs), **outputs}.items():
        place = Path(path).expanduser().resolve()
        pair = (name, options.get(place))
        if place in options and not (pair == ("OUT", "IN") and args.overwrite):
            say = ", or say --overwrite" if pair == ("OUT", "IN") else ""
            raise Exp2SimError(
                f"{name} and {options[place]} are the same file, {path}.",
                fix=f"Give {name} another name{say}.",
            )
        options.setdefault(place, name)


def draw(stack: ExitStack, path: Path, histograms: dict[str, Histogram], title: str) -> None:
    """Draw histograms side by side; the picture appears when the stack closes, if nothing went wrong."""
    from mantid_exp2sim.plotting import compare
    from mantid_exp2sim.storage.atomic import atomic_path

    compare(histograms, stack.enter_context(atomic_path(path)), title=title)
