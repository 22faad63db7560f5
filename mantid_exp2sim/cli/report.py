"""``exp2sim report``: one page about one measurement."""

from __future__ import annotations

import argparse
from pathlib import Path

from mantid_exp2sim.cli.files import check_ending, check_places
from mantid_exp2sim.cli.options import (
    READ,
    add_command,
    add_method_options,
    add_model_options,
    add_overwrite,
    read,
)
from mantid_exp2sim.cli.output import emit, progress_bar
from mantid_exp2sim.cli.parts import setting_of

EXAMPLES = f"""\
IN    {READ}

The page opens with the answer, shows before, after, background and residual with sliders, cuts with error
bars, verdict, correlations and intensity, and needs no server and no network.

examples:
  exp2sim report measured.npy --out page.html --mask nanmask.mat
  exp2sim report volume.nxs --out page.html --instrument MERLIN --method richardson-lucy
  exp2sim report volume.nxs --out page.html --fit fitted/
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``report``."""
    parser = add_command(subparsers, "report", "write one page about one measurement", EXAMPLES)
    parser.add_argument("input", metavar="IN", help="file to read")
    parser.add_argument("--out", type=Path, metavar="PAGE.html", required=True, help="page to write")
    add_model_options(parser)
    add_method_options(parser, "deconvolve")
    parser.add_argument("--title", help="heading of the page")
    parser.add_argument("--fit", type=Path, metavar="DIR", help="folder that `exp2sim fit --out` wrote")
    add_overwrite(parser)
    parser.set_defaults(run=_run, model=None)


def _run(args: argparse.Namespace) -> int:
    check_ending(args.out, (".html",), "a page")
    check_places(args, others={"--out": args.out})
    from dataclasses import asdict, fields

    from mantid_exp2sim.cli.options import translation_options
    from mantid_exp2sim.reporting import report

    histogram = read(args.input, args)
    options = {**asdict(translation_options(args)), "background": args.background}
    setting = setting_of(args)
    options |= {field.name: getattr(setting, field.name) for field in fields(setting)}
    with progress_bar(args) as progress:
        report(
            histogram,
            args.out,
            model=args.model,
            method=args.method or "auto",
            title=args.title,
            name=Path(args.input).name,
            fit=args.fit,
            overwrite=args.overwrite,
            progress=progress,
            **options,
        )
    emit(args, {"input": str(args.input), "output": str(args.out)}, f"{args.out}: written")
    return 0
