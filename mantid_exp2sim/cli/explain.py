"""``exp2sim explain``: what a classifier looks at."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mantid_exp2sim.cli.files import check_formats, check_picture, check_places
from mantid_exp2sim.cli.options import (
    add_classifier_options,
    add_command,
    add_overwrite,
    prepare,
    read,
    translation_options,
)
from mantid_exp2sim.cli.output import emit, progress_bar

if TYPE_CHECKING:
    from mantid_exp2sim.inference.attribution import Attribution

SHOWN = 10
"""Panels that are listed."""
EXAMPLES = """\
The map is gradient × input of log K(class) − log K(next class): positive bins speak for the class. A panel's
occlusion is by how much that score falls where the panel is taken out.

examples:
  exp2sim explain result.npz
  exp2sim explain measured.npy --mask nanmask.mat --deconvolve --plot map.png --out map.npz
  exp2sim explain result.nxs --class Dimer --json
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``explain``."""
    parser = add_command(subparsers, "explain", "say which bins and panels a classifier looks at", EXAMPLES)
    parser.add_argument("input", metavar="IN", help="file to read")
    add_classifier_options(parser)
    parser.add_argument("--class", dest="name", metavar="NAME", help="whose score (default: the highest)")
    parser.add_argument("--plot", metavar="PNG", type=Path, help="draw the map and the panels")
    parser.add_argument("--out", metavar="MAP", help="write the map; the ending chooses the format")
    add_overwrite(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run ``exp2sim explain``."""
    from mantid_exp2sim.application.model import load_model

    check_picture(args.plot)
    check_places(args, spectra={"--out": args.out}, others={"--plot": args.plot})
    histogram = read(args.input, args)
    check_formats(histogram, args.out)
    model = load_model(args.model)
    prepared = prepare(model, histogram, args, translation_options(args))
    with progress_bar(args) as progress:
        attribution = model.explain(
            prepared,
            name=args.name,
            data_kind=args.data_kind,
            deconvolve=args.deconvolve,
            progress=progress,
        )
    _write(args, attribution)
    said = {**attribution.to_dict(), "input": str(args.input), "model": model.card.name}
    emit(args, said, _text(args, attribution))
    return 0


def _write(args: argparse.Namespace, attribution: Attribution) -> None:
    from mantid_exp2sim.io import save
    from mantid_exp2sim.storage.atomic import atomic_path

    with ExitStack() as stack:
        if args.plot is not None:
            from mantid_exp2sim.plotting import plot

            path = stack.enter_context(atomic_path(args.plot))
            name = attribution.name
            plot(attribution.map, path, title=f"What speaks for {name} (red) and against it (blue)")
        if args.out is not None:
            save(attribution.map, args.out, overwrite=args.overwrite)


def _text(args: argparse.Namespace, attribution: Attribution) -> str:
    score = f"log K({attribution.name}) − log K(next) = {attribution.score:.3f}"
    lines = [f"{args.input}: {score}; panels that decide:"]
    lines.append(f"  {'Ei':>8}  {'energy':>9}  {'occlusion':>9}  {'map':>6}")
    size = np.nan_to_num(np.abs(attribution.occlusion), nan=-1.0)
    for place in np.argsort(-size, axis=None)[:SHOWN]:
        e, w = np.unravel_index(place, size.shape)
        if size[e, w] >= 0:
            lines.append(
                f"  {attribution.incident_energies[e]:>4g} meV  {attribution.energies[e, w]:>5.1f} meV"
                f"  {attribution.occlusion[e, w]:>9.3f}  {100 * attribution.weights[e, w]:>4.1f} %"
            )
    return "\n".join(lines)
