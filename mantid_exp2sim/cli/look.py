"""Commands that show what there is: plot, info."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim.cli.files import check_picture, check_places
from mantid_exp2sim.cli.options import READ, add_command, add_overwrite, add_reading, read
from mantid_exp2sim.cli.output import emit
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
    parser.add_argument(
        "--beside", metavar="FILE", action="append", default=[], help="also draw this file, on the same scale"
    )
    parser.add_argument("--title", help="title of the picture")
    parser.add_argument("--vmax", type=float, help="upper end of the colour scale")
    add_overwrite(parser)
    parser.set_defaults(run=_plot)
    parser = add_command(subparsers, "info", "say what is in a file or a model", _INFO)
    parser.add_argument("subject", metavar="FILE|MODEL", help="file, name of a model, or folder of a model")
    add_reading(parser)
    parser.set_defaults(run=_info)


def _plot(args: argparse.Namespace) -> int:
    output: Path = args.output or Path(Path(args.input).with_suffix(".png").name)
    check_picture(output)
    check_places(args, others={"OUT": output})
    histogram = read(args.input, args)
    from mantid_exp2sim.io import load
    from mantid_exp2sim.plotting import compare, plot

    if args.beside:
        others = {path: load(path) for path in args.beside}
        names = _names([args.input, *others])
        together = dict(zip(names, [histogram, *others.values()], strict=True))
        compare(together, output, title=args.title or "", vmax=args.vmax)
    else:
        default = histogram.metadata.get("title") or Path(args.input).name
        plot(histogram, output, title=args.title or str(default), vmax=args.vmax)
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
