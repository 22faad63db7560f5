"""``exp2sim check``: is this measurement inside the model's domain?"""

from __future__ import annotations

import argparse
from pathlib import Path

from mantid_exp2sim.cli.files import check_picture, check_places
from mantid_exp2sim.cli.options import (
    add_command,
    add_model_options,
    add_overwrite,
    read,
    translation_options,
)
from mantid_exp2sim.cli.output import emit

EXAMPLES = """\
p-value     share of spectra of the training domain that look as foreign as these data, or more
distance    optimal-transport distance of the network's features to those of the training set
verdict     trustworthy, expert opinion (rarer than 1 in 20), untrustworthy (as good as never seen there)

examples:
  exp2sim check measured.npy --mask nanmask.mat
  exp2sim check cut.nxs --model my-model/ --json
  exp2sim check simulated.npz --direction convolve --plot ridge.png
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``check``."""
    parser = add_command(subparsers, "check", "say whether data are inside a model's domain", EXAMPLES)
    parser.add_argument("input", metavar="IN", help="file to read")
    add_model_options(parser)
    parser.add_argument(
        "--direction",
        choices=("deconvolve", "convolve"),
        default="deconvolve",
        help="what the data are for: measurement-like ones to be deconvolved (default), or the other way",
    )
    parser.add_argument(
        "--plot",
        metavar="PNG",
        type=Path,
        help="draw the published distances: training, held-out, these data",
    )
    add_overwrite(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run ``exp2sim check``: 0 whatever the verdict."""
    from mantid_exp2sim.application.model import load_model

    check_picture(args.plot)
    check_places(args, others={"--plot": args.plot})
    model = load_model(args.model)
    prepared = model.prepare(read(args.input, args), translation_options(args))
    report = model.check_domain(prepared, args.direction)
    if args.plot is not None:
        from mantid_exp2sim.domain.check import distributions
        from mantid_exp2sim.plotting import ridges

        title = f"{Path(args.input).name}: {report.verdict}"
        ridges(distributions(prepared, args.direction), args.plot, title=title)
    plot = None if args.plot is None else str(args.plot)
    said = {**report.to_dict(), "input": str(args.input), "model": model.card.name, "plot": plot}
    emit(args, said, f"{args.input}: {report.words()}")
    return 0
