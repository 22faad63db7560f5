"""``exp2sim check``: is this measurement inside the model's domain?"""

from __future__ import annotations

import argparse
from pathlib import Path

from mantid_exp2sim.cli.batch import MANY, add_files
from mantid_exp2sim.cli.files import check_picture, check_places
from mantid_exp2sim.cli.options import (
    add_command,
    add_model_options,
    add_overwrite,
    prepare,
    read,
    translation_options,
)
from mantid_exp2sim.cli.output import emit

EXAMPLES = f"""\
p-value     share of spectra of the training domain that look as foreign as these data, or more
distance    optimal-transport distance of the network's features to those of the training set
verdict     trustworthy, expert opinion (rarer than 1 in 20), untrustworthy (as good as never seen there)

examples:
  exp2sim check measured.npy --mask nanmask.mat
  exp2sim check cut.nxs --model my-model/ --json
  exp2sim check simulated.npz --direction convolve --plot score.png{MANY.format("check")}
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``check``."""
    parser = add_command(subparsers, "check", "say whether data are inside a model's domain", EXAMPLES)
    add_files(parser, "check", ("input",), run, "IN, what to read")
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
        help="draw the score of these data, the limit, and the scores of spectra of the domain",
    )
    add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Run ``exp2sim check``: 0 whatever the verdict."""
    from mantid_exp2sim.application.model import load_model

    check_picture(args.plot)
    check_places(args, others={"--plot": args.plot})
    model = load_model(args.model)
    prepared = prepare(model, read(args.input, args), args, translation_options(args))
    report = model.check_domain(prepared, args.direction)
    if args.plot is not None:
        from mantid_exp2sim.domain.scores import in_domain_scores
        from mantid_exp2sim.plotting.domain import draw_domain

        p_value = "" if report.p_value is None else f", p = {report.p_value:.2g}"
        title = f"{Path(args.input).name}: {report.verdict}{p_value}"
        draw_domain(report, in_domain_scores(prepared, args.direction), args.plot, title=title)
    plot = None if args.plot is None else str(args.plot)
    step = next_step(report.verdict, args.direction)
    said = {
        **report.to_dict(),
        "input": str(args.input),
        "model": model.card.name,
        "plot": plot,
        "next": step,
    }
    emit(args, said, f"{args.input}: {report.words()}\nNext: {step}")
    return 0


def next_step(verdict: str, direction: str) -> str:
    """Return what to do with data that have a verdict, as a sentence.

    >>> next_step("trustworthy", "deconvolve")
    'exp2sim deconvolve IN OUT; the error bars say how far the result holds.'
    """
    known = "richardson-lucy" if direction == "deconvolve" else "resolution"
    steps = {
        "trustworthy": f"exp2sim {direction} IN OUT; the error bars say how far the result holds.",
        "expert opinion": f"compare exp2sim {direction} by --method network and by --method {known} before "
        "you use either; docs/trust.md says what to look at.",
        "untrustworthy": f"exp2sim {direction} IN OUT --method {known}, which needs no model; or a model of "
        "your material (docs/tutorial.md).",
    }
    return steps.get(verdict, "calibrate the model with exp2sim domain, or look at the data yourself.")
