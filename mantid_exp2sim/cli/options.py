"""What the commands' parsers share: how a command is added, and how its input file is named and read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Histogram


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


def read(path: str, args: argparse.Namespace) -> Histogram:
    """Load a file with the options of `add_reading`."""
    from mantid_exp2sim.formats import load

    try:
        index = None if args.index is None else tuple(int(part) for part in args.index.split(","))
    except ValueError as error:
        raise Exp2SimError(
            f"--index {args.index!r} is not one or more numbers.", why="Such as 3 or 3,0."
        ) from error
    return load(path, mask=args.mask, index=index)
