"""``exp2sim check``: is this measurement inside the model's domain?"""

from __future__ import annotations

import argparse
from pathlib import Path

from mantid_exp2sim.cli.options import add_command, check_picture, read
from mantid_exp2sim.cli.translate import check_places, data_options

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
    data_options(parser)
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
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """``exp2sim check``: 0 whatever the verdict."""
    from mantid_exp2sim.cli.output import emit
    from mantid_exp2sim.domain.check import distributions
    from mantid_exp2sim.model.bundle import load_model

    check_picture(args.plot)
    check_places(args, {"--plot": args.plot})
    model = load_model(args.model)
    histogram = read(args.input, args)
    options = {"direction": args.direction, "scale": args.scale, "incident_energy": args.incident_energy}
    found = model.check_domain(histogram, **options)
    if args.plot is not None:
        from mantid_exp2sim.plotting import ridges

        shown = distributions(model, histogram, **options)
        ridges(shown, args.plot, title=f"{Path(args.input).name}: {found.verdict}")
    plot = None if args.plot is None else str(args.plot)
    report = {**found.to_dict(), "input": str(args.input), "model": model.card.name, "plot": plot}
    emit(args, report, f"{args.input}: {found.words()}")
    return 0
