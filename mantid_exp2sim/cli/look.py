"""Commands that show what there is: plot, info."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim.cli.files import check_picture, check_places
from mantid_exp2sim.cli.options import READ, add_command, add_overwrite, add_reading, read
from mantid_exp2sim.cli.output import emit
from mantid_exp2sim.cli.rebin import axis_numbers
from mantid_exp2sim.errors import Exp2SimError, did_you_mean
from mantid_exp2sim.histogram.uncertainty import find_unknown_errors

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Floats, Histogram
    from mantid_exp2sim.model.bundle import Bundle

_PLOT = f"""\
IN   {READ}

Lines get error bars, maps and mosaics a colour scale, volumes are drawn as slices; what was not measured is
grey.

examples:
  exp2sim plot measured.npy
  exp2sim plot measured.npy measured.png --mask nanmask.mat --title "PCSMO, 4 K"
  exp2sim plot measured.npz comparison.png --beside deconvolved.npz --beside truth.npz
  exp2sim plot measured.npz removed.png --difference deconvolved.npz
  exp2sim plot volume.nxs slice.png --slice energy:10,12 --vmin 0.1 --vmax 20 --log
  exp2sim plot volume.nxs line.png --cut energy --slice h:0.4,0.6 --slice k:0.4,0.6
"""
_INFO = f"""\
FILE   {READ}
MODEL  the name of an installed model or a model's folder

examples:
  exp2sim info cut.nxs
  exp2sim info measured.npy --mask nanmask.mat --json
  exp2sim info run.nxspe --lattice 5.4 5.4 19.2
  exp2sim info pcsmo-maps
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    parser = add_command(subparsers, "plot", "draw a spectrum", _PLOT)
    parser.add_argument("input", metavar="IN", help="file to read")
    parser.add_argument(
        "output",
        metavar="OUT.png",
        nargs="?",
        type=Path,
        help="picture to write (default: IN's name with .png, in this folder)",
    )
    add_reading(parser)
    _add_views(parser)
    parser.add_argument("--title", help="title of the picture")
    for end in ("lower", "upper"):
        parser.add_argument(
            "--vmin" if end == "lower" else "--vmax", type=float, help=f"{end} end of the scale of intensity"
        )
    parser.add_argument("--log", action="store_true", help="logarithmic scale of intensity")
    add_overwrite(parser)
    parser.set_defaults(run=_plot)
    parser = add_command(subparsers, "info", "say what is in a file or a model", _INFO)
    parser.add_argument("subject", metavar="FILE|MODEL", help="file, name of a model, or folder of a model")
    add_reading(parser)
    parser.set_defaults(run=_info)


def _add_views(parser: argparse.ArgumentParser) -> None:
    """Add what can be drawn beside the intensity, or in its place."""
    others = parser.add_mutually_exclusive_group()
    others.add_argument(
        "--beside", metavar="FILE", action="append", default=[], help="also draw this file, on the same scale"
    )
    others.add_argument("--difference", metavar="FILE", help="draw IN minus this file")
    others.add_argument("--ratio", metavar="FILE", help="draw IN over this file")
    parser.add_argument("--errors", action="store_true", help="draw the errors (1 σ), not the intensity")
    parser.add_argument(
        "--cut",
        metavar="NAME",
        help="draw a line along this axis, the mean over the others (or their --slice)",
    )
    parser.add_argument(
        "--slice",
        metavar="NAME:LOW,HIGH",
        action="append",
        default=[],
        help="draw the mean over this range of an axis, as `exp2sim cut` makes it; repeat it for more axes",
    )


def _plot(args: argparse.Namespace) -> int:
    output: Path = args.output or Path(Path(args.input).with_suffix(".png").name)
    check_picture(output)
    check_places(args, others={"OUT": output})
    ranges = axis_numbers(args.slice, "LOW,HIGH", "--slice")
    histogram = read(args.input, args)
    from mantid_exp2sim.io import load
    from mantid_exp2sim.plotting import compare, plot
    from mantid_exp2sim.plotting.views import difference, errors_of, ratio, view

    scale = {"vmin": args.vmin, "vmax": args.vmax, "log": args.log}
    files = [path for path in (args.difference, args.ratio, *args.beside) if path is not None]
    first, *others = (
        view(part, line=args.cut, ranges=ranges) for part in (histogram, *(load(path) for path in files))
    )
    default = str(histogram.metadata.get("title") or Path(args.input).name)
    if args.difference or args.ratio:
        operation, sign = (difference, "−") if args.difference else (ratio, "/")
        first, others = operation(first, others[0]), []
        default = f"{Path(args.input).name} {sign} {Path(files[0]).name}"
    if args.errors:
        first, *others = (errors_of(part) for part in (first, *others))
    if others:
        together = dict(zip(_names([args.input, *files]), [first, *others], strict=True))
        compare(together, output, title=args.title or "", **scale)
    else:
        plot(first, output, title=args.title or default, **scale)
    report = {"input": str(args.input), "beside": list(args.beside), "output": str(output)}
    emit(args, {**report, "shape": list(histogram.shape)}, f"{output}: drawn")
    return 0


def _names(paths: list[str]) -> list[str]:
    """Short names of files, whole paths where the short ones are the same."""
    short = [Path(path).name for path in paths]
    return short if len(set(short)) == len(short) else [f"{i + 1}: {path}" for i, path in enumerate(paths)]


def _info(args: argparse.Namespace) -> int:

    path = Path(args.subject).expanduser()
    if path.is_file():
        report = describe(read(args.subject, args))
        emit(args, {"input": str(args.subject), **report}, _text(args.subject, report))
        return 0
    from mantid_exp2sim.model.bundle import open_bundle
    from mantid_exp2sim.model.registry import list_models

    if not path.is_dir() and args.subject not in list_models():
        installed = ", ".join(list_models()) or "none"
        raise Exp2SimError(
            f"{args.subject} is neither a file nor a model.",
            reason=f"Models that are installed: {installed}.",
            fix=f"{did_you_mean(args.subject, list_models())}Check the name.",
        )
    report = _model(open_bundle(args.subject))
    emit(args, report, _model_text(report))
    return 0


def describe(histogram: Histogram) -> dict[str, Any]:
    """Return what there is to say about a histogram, in JSON.

    >>> from mantid_exp2sim.mosaic import mosaic_histogram
    >>> about = describe(mosaic_histogram(np.ones((240, 400))))
    >>> about["kind"], about["shape"], about["measured_bins"], about["has_errors"]
    ('mosaic', [240, 400], 96000, False)
    """
    from mantid_exp2sim.mosaic import is_mosaic

    good = ~histogram.mask
    values = histogram.intensity[good]
    nothing = values.size == 0
    total, mean = _total_and_mean(values)
    return {
        "kind": "mosaic" if is_mosaic(histogram) else "histogram",
        "shape": list(histogram.shape),
        "axes": [
            {
                "name": axis.name,
                "measures": axis.kind,
                "direction": None if axis.direction is None else list(axis.direction),
                "unit": axis.unit,
                "frame": axis.frame,
                "bins": axis.size,
                "from": float(axis.edges[0]),
                "to": float(axis.edges[-1]),
            }
            for axis in histogram.axes
        ],
        "bins": int(histogram.mask.size),
        "measured_bins": int(good.sum()),
        "masked_fraction": float(histogram.mask.mean()),
        "minimum": None if nothing else float(values.min()),
        "maximum": None if nothing else float(values.max()),
        "mean": mean,
        "total": total,
        "has_errors": bool(np.any(histogram.variance[good] > 0)),
        "unknown_errors": int(find_unknown_errors(histogram.variance, histogram.mask).sum()),
        "metadata": dict(histogram.metadata),
    }


def _total_and_mean(values: Floats) -> tuple[float, float | None]:
    """Sum and mean; the mean also where the sum is larger than any number.

    >>> _total_and_mean(np.array([1.7e308, 1.7e308]))
    (inf, 1.7e+308)
    """
    if values.size == 0:
        return 0.0, None
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(values.sum())
    if np.isfinite(total):
        return total, total / values.size
    largest = float(np.abs(values).max())
    mean = largest * float((values / largest).mean())
    return mean * values.size, mean


def _text(name: str, report: dict[str, Any]) -> str:
    size = " × ".join(str(n) for n in report["shape"])
    lines = [f"{name}: {report['kind']}, {size} bins, {100 * report['masked_fraction']:.1f} % not measured"]
    for axis in report["axes"]:
        unit = f" {axis['unit']}" if axis["unit"] else ""
        edges = f"{axis['from']:.6g} to {axis['to']:.6g}{unit}"
        lines.append(f"  {axis['name']:12} {edges}, {axis['bins']} bins ({axis['frame']})")
    errors = "with errors" if report["has_errors"] else "without errors"
    if report["unknown_errors"]:
        errors += f", not known (0) in {report['unknown_errors']} of {report['measured_bins']} measured bins"
    lines.append(
        f"  intensity    {report['minimum']:.6g} to {report['maximum']:.6g}, "
        f"mean {report['mean']:.6g}, {errors}"
    )
    for key, value in report["metadata"].items():
        text = str(value)
        lines.append(f"  {key:12} {text if len(text) <= 300 else text[:297] + '...'}")
    return "\n".join(lines)


def _model(bundle: Bundle) -> dict[str, Any]:
    card = bundle.card
    return {
        "model": card.name,
        "name": bundle.folder.name,
        "folder": str(bundle.folder),
        "checksum": bundle.checksum,
        "card": card.model_dump(mode="json"),
    }


def _model_text(report: dict[str, Any]) -> str:
    card = report["card"]
    energies = ", ".join(f"{value:g}" for value in card["incident_energies"]) or "any"
    other = "" if report["name"] == card["name"] else f", installed as {report['name']}"
    lines = [
        f"{card['name']}{other}, version {card['version']} ({report['folder']})",
        f"  {card['description']}",
        f"  target       {card['target']}",
        f"  Ei           {energies} meV",
        f"  classes      {', '.join(card['classes']) or 'none'}",
        f"  classifiers  {', '.join(card['classifiers']) or 'none'}",
    ]
    for axis in card["axes"]:
        relative = " of Ei" if axis["relative_to_incident_energy"] else ""
        lines.append(f"  axis         {axis['kind']}, bins of {axis['width']:.4g}{relative}")
    for role, weights in card["weights"].items():
        lines.append(f"  network      {role}, {weights['size'] / 1e6:.2f} MB")
    for name, value in card["metrics"].items():
        lines.append(f"  metric       {name}: {value}")
    lines.append(f"  licence      {card['licence']}")
    lines.append(f"  checksum     {report['checksum']}")
    return "\n".join(lines)
