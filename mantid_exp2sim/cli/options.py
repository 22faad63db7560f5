"""What the commands' parsers share: how a command is added, and how its input file is named and read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Histogram


READ = """\
Mantid MDHisto (.nxs), Horace (.sqw, .d1d … .d4d), SpinW results (.mat), NXSPE
     (.nxspe), the published arrays (.npy) or this package's .npz; told apart by what is in them"""
"""Formats that are read, for the help."""
WRITTEN = """\
.nxs (Mantid MDHisto), .sqw or .d1d … .d4d (Horace), .npy (a mosaic's picture alone, without errors)
     or .npz (everything)"""
"""Formats that are written, for the help."""
PICTURES = (".png", ".pdf", ".svg")
"""Endings that a picture can have."""


def add_command(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], name: str, about: str, epilog: str
) -> argparse.ArgumentParser:
    """Add a command with ``--json``; ``about`` is its line in the list, ``epilog`` its examples."""
    parser = subparsers.add_parser(
        name,
        help=about,
        description=about[0].upper() + about[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")
    return parser


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add the options of `read`."""
    parser.add_argument("--mask", metavar="FILE", type=Path, help="what was not measured (.npy or .mat)")
    parser.add_argument(
        "--index", metavar="I[,J]", help="which entry of a published array that holds several spectra"
    )
    parser.add_argument(
        "--lattice",
        type=float,
        nargs=3,
        metavar=("A", "B", "C"),
        help="lattice constants in Å: an NXSPE file becomes h–k–E with c along the beam (without: |Q|–E)",
    )


def read(path: str, args: argparse.Namespace) -> Histogram:
    """Load a file with the options of `add_reading`."""
    from mantid_exp2sim.io import load

    try:
        index = None if args.index is None else tuple(int(part) for part in args.index.split(","))
    except ValueError as error:
        raise Exp2SimError(
            f"--index {args.index!r} is not one or more numbers.", reason="Such as 3 or 3,0."
        ) from error
    lattice = None if args.lattice is None else (args.lattice[0], args.lattice[1])
    return load(path, mask=args.mask, index=index, lattice=lattice)


def check_picture(path: Path | None) -> None:
    """Refuse, before the work, a name that no picture can have.

    >>> check_picture(Path("a.doc"))
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: a.doc is no name of a picture. Let it end in .png, .pdf or .svg.
    """
    if path is not None and path.suffix.lower() not in PICTURES:
        raise Exp2SimError(f"{path} is no name of a picture.", fix="Let it end in .png, .pdf or .svg.")
