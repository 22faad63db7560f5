"""Commands that change the bins of data: rebin, cut."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mantid_exp2sim.cli.files import check_places
from mantid_exp2sim.cli.options import READ, WRITTEN, add_command, add_overwrite, add_reading, read
from mantid_exp2sim.cli.output import emit
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram.rebinning import MINIMUM_MEASURED

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Histogram

_FILES = f"""\
IN    {READ}
OUT   {WRITTEN}, whole or not at all
NAME  an axis by its name ('exp2sim info IN' lists them), or h, k, l, energy or modQ

"""
_REBIN = f"""\
{_FILES}\
Bins start at LOW, or where the axis starts; the last one reaches HIGH or beyond it. The intensity of a bin is
the mean over what was measured of it. Bins can become wider or be shifted, not finer.

examples:
  exp2sim rebin cut.nxs wide.nxs --axis energy:2
  exp2sim rebin cut.d3d wide.npz --axis "[H,0,0]:-1,0.05,1" --axis k:0.05 --json
  exp2sim rebin cut.nxs wide.nxs --axis DeltaE:0,2.5,50 --minimum-measured 0.9
"""
_CUT = f"""\
{_FILES}\
The result is the mean over the ranges, without their axes; with --keep the bins within the ranges stay. A
range may reach beyond the data, up to -inf,inf.

examples:
  exp2sim cut volume.nxs slice.nxs --axis k:-0.1,0.1
  exp2sim cut volume.nxs line.d1d --axis k:-0.1,0.1 --axis energy:10,15
  exp2sim cut volume.nxs smaller.nxs --axis energy:5,60 --keep --json
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    rebin = add_command(subparsers, "rebin", "bring data onto wider or shifted bins", _REBIN)
    cut = add_command(subparsers, "cut", "average data over ranges of axes, or cut them down to these", _CUT)
    for parser, bins in ((rebin, "NAME:WIDTH|LOW,WIDTH,HIGH"), (cut, "NAME:LOW,HIGH")):
        parser.add_argument("input", metavar="IN", help="file to read")
        parser.add_argument("output", metavar="OUT", help="file to write; its ending chooses the format")
        parser.add_argument(
            "--axis",
            dest="axes",
            metavar=bins,
            action="append",
            required=True,
            help="an axis and its bins or range, in its unit; repeat it for more axes",
        )
        add_reading(parser)
        add_overwrite(parser)
        parser.add_argument(
            "--minimum-measured",
            type=float,
            default=MINIMUM_MEASURED,
            metavar="SHARE",
            help="share of a bin that must have been measured, else it is masked "
            f"(default {MINIMUM_MEASURED:g})",
        )
    rebin.set_defaults(run=_rebin)
    cut.add_argument("--keep", action="store_true", help="keep the bins within the ranges, and their axes")
    cut.set_defaults(run=_cut)


def _rebin(args: argparse.Namespace) -> int:
    _check(args)
    bins = axis_numbers(args.axes, "WIDTH or LOW,WIDTH,HIGH")
    histogram = read(args.input, args)
    return _write(args, "rebin", histogram.rebin(bins, minimum_measured=args.minimum_measured))


def _cut(args: argparse.Namespace) -> int:
    _check(args)
    ranges = axis_numbers(args.axes, "LOW,HIGH")
    histogram = read(args.input, args)
    return _write(args, "cut", histogram.cut(ranges, keep=args.keep, minimum_measured=args.minimum_measured))


def axis_numbers(texts: Sequence[str], takes: str, option: str = "--axis") -> dict[str, list[float]]:
    """Read ``NAME:NUMBER,…`` for several axes; ``takes`` says which numbers there are.

    >>> axis_numbers(["[H,0,0]:-1,0.05,1", "energy:2"], "LOW,WIDTH,HIGH")
    {'[H,0,0]': [-1.0, 0.05, 1.0], 'energy': [2.0]}
    """
    axes: dict[str, list[float]] = {}
    for text in texts:
        name, _, numbers = text.rpartition(":")
        fix = f"Write the name of an axis, a colon and {takes}, such as energy:{takes.split()[-1]}."
        if name in axes:
            raise Exp2SimError(f"{option} names {name!r} twice.", fix="Name it once.")
        try:
            axes[name] = [float(number) for number in numbers.split(",")]
        except ValueError as error:
            raise Exp2SimError(f"{option} {text!r} cannot be read.", fix=fix) from error
        if not name:
            raise Exp2SimError(f"{option} {text!r} names no axis.", fix=fix)
    return axes


def _check(args: argparse.Namespace) -> None:
    check_places(args, spectra={"OUT": args.output})


def _write(args: argparse.Namespace, command: str, histogram: Histogram) -> int:
    from mantid_exp2sim.io import save

    measured = int((~histogram.mask).sum())
    if not measured:
        raise Exp2SimError(
            "No bin of the result would be measured.",
            reason=f"Of every bin less than {args.minimum_measured:g} was measured.",
            fix="Take wider bins or another range, or lower --minimum-measured.",
        )
    save(histogram, args.output, overwrite=args.overwrite)
    report = {
        "command": command,
        "input": str(args.input),
        "output": str(args.output),
        "shape": list(histogram.shape),
        "axes": [
            {
                "name": axis.name,
                "unit": axis.unit,
                "bins": axis.size,
                "from": float(axis.edges[0]),
                "to": float(axis.edges[-1]),
            }
            for axis in histogram.axes
        ],
        "integrated": histogram.metadata.get("integrated", []),
        "measured_bins": measured,
        "masked_fraction": float(histogram.mask.mean()),
        "history": histogram.metadata["history"][-1],
    }
    size = " × ".join(f"{axis.size} {axis.name}" for axis in histogram.axes)
    emit(args, report, f"{args.output}: {size} bins, {100 * histogram.mask.mean():.1f} % not measured")
    return 0
