"""What the commands' parsers share: how a command is added, its input named and read, and a model chosen."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mantid_exp2sim.cli.output import complain
from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    from mantid_exp2sim.application.model import Model
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.inference.options import TranslationOptions
    from mantid_exp2sim.inference.prepare import Prepared

READ = """\
Mantid MDHisto (.nxs), Horace (.sqw, .d1d … .d4d), SpinW results (.mat), NXSPE
     (.nxspe), the published arrays (.npy) or this package's .npz; told apart by what is in them"""
"""Formats that are read, for the help."""
WRITTEN = """\
.nxs (Mantid MDHisto), .sqw or .d1d … .d4d (Horace), .npy (a mosaic's picture alone, without errors)
     or .npz (everything)"""
"""Formats that are written, for the help."""


def add_command(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    about: str,
    epilog: str,
    *,
    description: str = "",
) -> argparse.ArgumentParser:
    """Add a command with ``--json``; ``about`` is its line in the list, ``epilog`` its examples.

    ``description`` is the first paragraph of its help, by default ``about``.
    """
    parser = subparsers.add_parser(
        name,
        help=about,
        description=description or about[0].upper() + about[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")
    return parser


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Add ``--overwrite``, without which no file is replaced."""
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that are there (without: that is an error)"
    )


def require_numbers(args: argparse.Namespace, least: int, *names: str) -> None:
    """Refuse options whose number is below ``least`` or not finite; None is no number."""
    for name in names:
        value = getattr(args, name)
        if value is not None and not least <= value < float("inf"):
            raise Exp2SimError(f"--{name} is {value}.", fix=f"Give a number from {least}.")


def add_setting(parser: argparse.ArgumentParser) -> None:
    """Add ``--frequency``, ``--package`` and ``--width-scale``, the setting of an instrument."""
    parser.add_argument(
        "--frequency", type=float, metavar="HZ", help="of the chopper (default: the instrument's table)"
    )
    parser.add_argument("--package", metavar="NAME", help="slit package (default: the instrument's)")
    parser.add_argument(
        "--width-scale", type=float, default=1.0, metavar="X", help="factor on all widths of the resolution"
    )


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add the options of `read`."""
    parser.add_argument("--mask", metavar="FILE", type=Path, help="what was not measured (.npy or .mat)")
    parser.add_argument(
        "--index", metavar="I[,J]", help="which entry of a published array that holds several spectra"
    )
    parser.add_argument(
        "--lattice",
        type=float,
        nargs="+",
        metavar="X",
        help="a b c in Å, and α β γ in degrees where they are not 90: an NXSPE file becomes h–k–E with c "
        "along the beam (without: |Q|–E)",
    )
    parser.add_argument(
        "--twins",
        type=float,
        nargs="+",
        metavar="V",
        help="volumes of the twins in a SpinW result (without: those of the file, else equal ones)",
    )


def read(path: str, args: argparse.Namespace) -> Histogram:
    """Load a file with the options of `add_reading`, or the files of ``--as-one`` together."""
    if getattr(args, "parts", None) is None:
        return _read(path, args)
    from mantid_exp2sim.application.one_measurement import join_measurement
    from mantid_exp2sim.model.bundle import open_bundle
    from mantid_exp2sim.model.registry import DEFAULT_MODEL

    card = open_bundle(args.model or DEFAULT_MODEL).card
    return join_measurement([_read(part, args) for part in args.parts], card)


def _read(path: str, args: argparse.Namespace) -> Histogram:
    from mantid_exp2sim.io import load
    from mantid_exp2sim.io.spinw import notes_of

    try:
        index = None if args.index is None else tuple(int(part) for part in args.index.split(","))
    except ValueError as error:
        raise Exp2SimError(
            f"--index {args.index!r} is not one or more numbers.",
            reason="Such as 3 or 3,0.",
            fix="Give whole numbers with commas between them.",
        ) from error
    lattice = None if args.lattice is None else _lattice(args.lattice)
    if getattr(args, "method", "network") != "network" and Path(path).suffix.lower() != ".nxspe":
        lattice = None  # what is said of other files is for the resolution
    histogram = load(path, mask=args.mask, index=index, lattice=lattice, twins=args.twins)
    for note in notes_of(histogram):
        complain(f"note: {path}: {note}")
    return histogram


def _lattice(constants: list[float]) -> tuple[float, float]:
    """The constants along the two axes of a volume."""
    if len(constants) not in (3, 6):
        raise Exp2SimError(
            f"--lattice has {len(constants)} numbers.",
            fix="Give a, b and c in Å, or these and α, β and γ in degrees.",
        )
    return constants[0], constants[1]


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that reads data for a model."""
    from mantid_exp2sim.model.registry import DEFAULT_MODEL

    parser.add_argument(
        "--model", metavar="NAME|DIR", default=DEFAULT_MODEL, help=f"the model (default {DEFAULT_MODEL})"
    )
    add_reading(parser)
    parser.add_argument(
        "--tile", type=int, metavar="N", help="bins of a tile, 16 or more (default: whole images if small)"
    )
    parser.add_argument(
        "--scale",
        type=read_scale,
        default=1.0,
        help="factor from the data's intensity unit to the model's, or 'auto' (default 1); volumes need none",
    )
    parser.add_argument(
        "--absolute",
        action="store_true",
        help="the intensities are in the model's unit: do not bring them to the level of its training data",
    )
    parser.add_argument(
        "--no-symmetry",
        dest="symmetrise",
        action="store_false",
        help="do not average results over the symmetries on the model's card",
    )
    parser.add_argument(
        "--all-bins",
        action="store_true",
        help="take also regions of zeros that were not measured, and edges of gaps that contradict their "
        "symmetry partners",
    )
    parser.add_argument(
        "--incident-energy", type=float, metavar="MEV", help="incident energy, in place of what the file says"
    )
    parser.add_argument(
        "--device", default="cpu", help="where the networks run: cpu (default), cuda, cuda:1, mps, …"
    )


def prepare(
    model: Model, histogram: Histogram, args: argparse.Namespace, options: TranslationOptions
) -> Prepared:
    """Prepare the input of a command for a model, and say which bins are left out."""
    prepared = model.prepare(histogram, options)
    for note in prepared.notes:
        complain(f"note: {args.input}: {note} (--all-bins takes them)")
    return prepared


def add_method_options(parser: argparse.ArgumentParser, direction: str) -> None:
    """Add the choice between a network and the known resolution, and what the latter needs to know."""
    methods = {
        "deconvolve": ("network", "chopper-any", "richardson-lucy", "auto"),
        "convolve": ("network", "resolution", "auto"),
    }
    group = parser.add_argument_group(
        "the known resolution", "without a model, for any material (what the file tells need not be said)"
    )
    group.add_argument(
        "--method",
        choices=methods[direction],
        help=f"the model's network; {' or '.join(methods[direction][1:-1])}, with the known resolution; or "
        "auto: the network where the data are in its domain, else one of the others "
        + ("(default; network if a model is named)" if direction == "deconvolve" else "(default: network)"),
    )
    group.add_argument("--instrument", metavar="NAME|TOML", help="of the data (`exp2sim resolution --help`)")
    group.add_argument("--frequency", type=float, metavar="HZ", help="of the chopper")
    group.add_argument("--package", metavar="NAME", help="slit package")
    group.add_argument("--width-scale", type=float, default=1.0, metavar="X", help="factor on all widths")
    for name, about in (("beam", "along the beam of a crystal at rest"), ("vertical", "it was turned about")):
        group.add_argument(
            f"--{name}", type=float, nargs=3, metavar=("H", "K", "L"), help=f"direction {about}"
        )
    if direction == "deconvolve":
        group.add_argument(
            "--background",
            choices=("none", "constant", "smooth"),
            default="none",
            help="what is taken off first, not to be sharpened: a constant, or one at each energy transfer",
        )


def add_parts_options(parser: argparse.ArgumentParser) -> None:
    """Add the outputs for what a deconvolution takes out."""
    group = parser.add_argument_group(
        "what is taken out", "the sharp spectrum with the resolution, these two add up to the measurement"
    )
    group.add_argument(
        "--removed", type=Path, metavar="FILE", help="also write the background that was taken out"
    )
    group.add_argument("--residual", type=Path, metavar="FILE", help="also write what is left of the data")
    group.add_argument(
        "--keep-background", action="store_true", help="leave the background in the result, not sharpened"
    )


def add_classifier_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that reads data for a classifier."""
    add_model_options(parser)
    parser.add_argument("--deconvolve", action="store_true", help="deconvolve first")
    parser.add_argument(
        "--data-kind",
        choices=("auto", "integrated", "centre", "convolved"),
        default="auto",
        help="which classifier, by the kind of data it was trained on (default: what the data look like)",
    )


def translation_options(args: argparse.Namespace) -> TranslationOptions:
    """Return the options of a translation that a command has; the others have their defaults."""
    from dataclasses import fields

    from mantid_exp2sim.inference.options import TranslationOptions

    names = [field.name for field in fields(TranslationOptions) if field.name in args]
    return TranslationOptions(**{name: getattr(args, name) for name in names})


def read_scale(text: str) -> float | str:
    """Read a number or "auto"; `argparse.ArgumentTypeError` for anything else."""
    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor 'auto'") from None
