"""The commands for data sets from files: ``exp2sim data build | inspect | export``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mantid_exp2sim.cli.files import check_picture, check_places
from mantid_exp2sim.cli.options import add_command, add_overwrite, require_numbers
from mantid_exp2sim.cli.output import emit, progress_bar

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

BUILD_EXAMPLES = """RECIPE.toml, in short (docs/data.md tells all):
  name = "mine"
  [axes.h]
  width = 0.05
  range = [-1.0, 1.0]
  [axes.k]
  integrated = [-0.1, 0.1]
  [axes.energy]
  width = 0.02
  range = [0.1, 0.8]
  relative_to_incident_energy = true
  [[convolved]]
  files = ["horace/*.sqw"]
  incident_energy = 70
  [[integrated]]
  files = ["spinw"]
  incident_energy = 70

examples:
  exp2sim data build mine.toml --out data/mine
  exp2sim data build mine.toml --json

A build that was stopped goes on with the files that are missing when the same command is given again.
"""
INSPECT_EXAMPLES = """examples:
  exp2sim data inspect data/mine --plot mine.png
  exp2sim data inspect data/pcsmo-maps --json
"""
EXPORT_EXAMPLES = """examples:
  exp2sim data export data/rb2mnf4 exports
  exp2sim data export data/rb2mnf4 exports --convolved nxs --integrated npz --limit 20

Files lie in exports/convolved and exports/integrated; exports/labels.csv tells their classes and parameters.
"""


def register_data(subparsers: Subparsers) -> None:
    """Add ``data``."""
    data = subparsers.add_parser(
        "data",
        help="make a training set from files of SpinW, Horace and Mantid, or look at one",
        description="Training sets from exported files.",
    )
    kinds = data.add_subparsers(dest="what", required=True)
    build = add_command(
        kinds,
        "build",
        "files onto the axes of a model, with labels and splits",
        BUILD_EXAMPLES,
        description="Read the files of a recipe (Mantid MDHisto, Horace, SpinW, NXSPE, the published arrays, "
        ".npz), bring them onto the model's axes, and write the data set that the training reads. "
        "Files that do not fit are refused, and why is recorded.",
    )
    build.add_argument("recipe", type=Path, metavar="RECIPE.toml")
    build.add_argument("--out", type=Path, metavar="DIR", help="folder (default: data/NAME of the recipe)")
    build.set_defaults(run=run_build)
    look = add_command(
        kinds,
        "inspect",
        "counts, intensities, coverage, what was refused and why",
        INSPECT_EXAMPLES,
        description="Say what is in a data set, built from files or simulated.",
    )
    look.add_argument("dataset", type=Path, metavar="DATASET", help="folder of the data set")
    look.add_argument("--plot", type=Path, metavar="PNG", help="also draw some samples")
    add_overwrite(look)
    look.set_defaults(run=run_inspect)
    _register_export(kinds)


def _register_export(kinds: Subparsers) -> None:
    export = add_command(
        kinds,
        "export",
        "samples of a simulated data set as files of Mantid, Horace and SpinW",
        EXPORT_EXAMPLES,
        description="Write each sample of a simulated data set as a file, with a table of labels: to look at "
        "them in other programs, or to build a data set together with files from elsewhere.",
    )
    export.add_argument("dataset", type=Path, metavar="DATASET", help="folder of a simulated data set")
    export.add_argument("out", type=Path, metavar="DIR")
    for kind, default in (("convolved", ["nxs", "d3d"]), ("integrated", ["mat"])):
        export.add_argument(
            f"--{kind}",
            nargs="+",
            choices=("nxs", "d3d", "mat", "npz"),
            default=default,
            metavar="FORMAT",
            help=f"nxs, d3d, mat (SpinW's) or npz; several take turns (default {' '.join(default)})",
        )
    export.add_argument("--limit", type=int, metavar="N", help="only the first N samples")
    export.set_defaults(run=run_export)


def run_build(args: argparse.Namespace) -> int:
    """``exp2sim data build``."""
    from mantid_exp2sim.training.datasets.from_files.build import build_dataset
    from mantid_exp2sim.training.datasets.inspect import inspect_dataset, words

    with progress_bar(args) as progress:
        folder = build_dataset(args.recipe, args.out, progress=progress)
    report = inspect_dataset(folder)
    emit(args, report, words(report))
    return 0


def run_inspect(args: argparse.Namespace) -> int:
    """``exp2sim data inspect``."""
    from mantid_exp2sim.training.datasets.inspect import draw, inspect_dataset, words

    check_picture(args.plot)
    check_places(args, others={"--plot": args.plot})
    report = inspect_dataset(args.dataset)
    text = words(report)
    if args.plot is not None:
        draw(args.dataset, args.plot)
        report["plot"] = str(args.plot)
        text += f"\n{args.plot}: some samples"
    emit(args, report, text)
    return 0


def run_export(args: argparse.Namespace) -> int:
    """``exp2sim data export``."""
    from mantid_exp2sim.training.datasets.export import export_dataset

    require_numbers(args, 1, "limit")
    formats = {"convolved": args.convolved, "integrated": args.integrated}
    with progress_bar(args) as progress:
        exported = export_dataset(
            args.dataset, args.out, formats=formats, limit=args.limit, progress=progress
        )
    counts = ", ".join(f"{count} {kind}" for kind, count in exported["files"].items())
    emit(args, exported, f"{counts} -> {args.out}, with {exported['labels']}")
    return 0
