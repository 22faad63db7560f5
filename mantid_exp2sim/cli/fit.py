"""``exp2sim fit``: which model does a measurement show, and with which constants?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.cli.batch import add_files
from mantid_exp2sim.cli.options import READ, add_command, add_overwrite, add_reading, read
from mantid_exp2sim.cli.output import emit, progress_bar
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.storage.atomic import require_own_folder

if TYPE_CHECKING:
    from mantid_exp2sim.fitting.options import FitOptions
    from mantid_exp2sim.fitting.result import Fit

REPORT = "fit.json"
"""The file in the folder of a fit that says all of it."""
EXAMPLES = f"""\
IN   {READ};
     a mosaic, (h, k, E) volumes, slices or cuts, fitted together

examples:
  exp2sim fit measured.npy --mask nanmask.mat --model GOODENOUGH --model DIMER --out fitted
  exp2sim fit low.nxs high.nxs --model rb2mnf4 --instrument LET --instrument MERLIN --json
  exp2sim fit cut.nxs --model material.toml --fix J2=0 --bounds J1=0.4,0.9 --tie J4=J3
  exp2sim fit cuts/*.nxs --model rb2mnf4 --out-dir fits --jobs 2
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``fit``."""
    about = "fit exchange constants to measurements, with errors"
    parser = add_command(subparsers, "fit", about, EXAMPLES)
    add_files(parser, "fit", ("inputs",), run, "what was measured, fitted together")
    parser.add_argument(
        "--model",
        action="append",
        required=True,
        metavar="NAME",
        help="GOODENOUGH, DIMER, a shipped description or a TOML file; several are compared",
    )
    add_reading(parser)
    for name, kind, metavar, about in (
        ("instrument", str, "NAME", "that measured"),
        ("frequency", float, "HZ", "of the chopper"),
        ("package", str, "NAME", "slit package"),
    ):
        parser.add_argument(
            f"--{name}",
            action="append",
            type=kind,
            metavar=metavar,
            help=f"{about}: of all files, or one for each in order (default: what the files say)",
        )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for pictures, fitted data and draws")
    parser.add_argument("--fix", action="append", default=[], metavar="NAME=MEV", help="hold a constant")
    parser.add_argument(
        "--bounds", action="append", default=[], metavar="NAME=LOW,HIGH", help="range of a constant"
    )
    parser.add_argument("--tie", action="append", default=[], metavar="NAME=OTHER", help="equal constants")
    parser.add_argument("--absolute", action="store_true", help="the intensities are absolute: no scale")
    parser.add_argument("--sloped-scale", action="store_true", help="a scale that changes with the energy")
    parser.add_argument("--no-background", action="store_true", help="the data hold no background")
    parser.add_argument("--smooth-background", action="store_true", help="one that changes with |Q|")
    parser.add_argument("--phonons", action="store_true", help="add a term ∝ Q² (1 + n(E))")
    parser.add_argument("--line-width", action="store_true", help="fit the width of the excitations")
    parser.add_argument("--misalignment", action="store_true", help="fit a shift of h and k")
    parser.add_argument("--counts", action="store_true", help="the intensities are counts (Poisson)")
    parser.add_argument(
        "--temperature", type=float, default=5.0, metavar="K", help="of the sample (default %(default)s)"
    )
    parser.add_argument(
        "--posterior",
        default="auto",
        metavar="DIR|none",
        help="trained posterior whose draws are the starts (default: a shipped one where it fits the data)",
    )
    for name, default, about in (
        ("starts", 96, "stable draws of the constants that are tried first"),
        ("samples", 100, "draws of the importance sampling; 0: a Gaussian about the best mode"),
        ("grid", 30, "half the points of the grid per r.l.u."),
        ("seed", 0, "of starts and draws"),
    ):
        parser.add_argument(
            f"--{name}", type=int, default=default, metavar="N", help=f"{about} (default {default})"
        )
    add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Run ``exp2sim fit``."""
    from mantid_exp2sim.fitting.fit import fit
    from mantid_exp2sim.fitting.options import Measurement

    options = _options(args)
    columns = (_for_each(args, name) for name in ("instrument", "frequency", "package"))
    if args.out is not None:
        require_own_folder(args.out, REPORT)
    data = [
        Measurement(read(path, args), *setting) for path, *setting in zip(args.inputs, *columns, strict=True)
    ]
    with progress_bar(args) as progress:
        result = fit(data, args.model, options=options, progress=progress)
    report = result.to_dict()
    if args.out is not None:
        _write(result, report, args.out)
        report["out"] = str(args.out)
    emit(args, report, _text(result))
    return 0


def _for_each(args: argparse.Namespace, name: str) -> list[Any]:
    """Return what is said of each file, None where nothing is."""
    from mantid_exp2sim.fitting.options import for_each

    values = getattr(args, name) or []
    return for_each(
        values,
        len(args.inputs),
        Exp2SimError(
            f"There are {len(args.inputs)} files and {len(values)} values of --{name}.",
            fix=f"Give --{name} once, or once for each file in the same order.",
        ),
    )


def _options(args: argparse.Namespace) -> FitOptions:
    from mantid_exp2sim.fitting.options import FitOptions
    from mantid_exp2sim.fitting.restrictions import read_restrictions, read_terms

    return FitOptions(
        **read_restrictions(args.fix, args.bounds, args.tie),
        **read_terms(
            absolute=args.absolute,
            sloped=args.sloped_scale,
            empty=args.no_background,
            smooth=args.smooth_background,
        ),
        errors="poisson" if args.counts else "gaussian",
        **{
            name: getattr(args, name)
            for name in (
                "phonons",
                "line_width",
                "misalignment",
                "temperature",
                "posterior",
                "starts",
                "samples",
                "grid",
                "seed",
            )
        },
    )


def _write(result: Fit, report: dict[str, Any], folder: Path) -> None:
    """Write the report, the draws, the fitted data and the pictures."""
    import json

    import numpy as np

    from mantid_exp2sim.cli.output import plain
    from mantid_exp2sim.io import save
    from mantid_exp2sim.plotting import plot
    from mantid_exp2sim.plotting.fit import draw_corner
    from mantid_exp2sim.storage.atomic import atomic_path

    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / REPORT) as path:
        path.write_text(json.dumps(plain(report), indent=1), encoding="utf-8")
    for name, model in result.models.items():
        stem = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
        with atomic_path(folder / f"{stem}-draws.npz") as path, path.open("wb") as file:
            draws = model.posterior
            np.savez(file, names=np.array(model.names), samples=draws.samples, weights=draws.weights)
        draw_corner(model, folder / f"{stem}-corner.png")
        for number, histogram in enumerate(model.fitted):
            for part, data in (("fitted", histogram), ("background", model.background[number])):
                save(data, folder / f"{stem}-{part}-{number + 1}.npz", overwrite=True)
            residual, bins = model.residual[number], result.bad_bins[number]
            save(residual, folder / f"{stem}-residuals-{number + 1}.npz", overwrite=True)
            used = residual.replace(mask=residual.mask | (bins.intensity != 0))
            plot(used, folder / f"{stem}-residuals-{number + 1}.png", vmax=4)
    for number, histogram in enumerate(result.bad_bins):
        save(histogram, folder / f"bins-{number + 1}.npz", overwrite=True)
        plot(histogram, folder / f"bins-{number + 1}.png")


def _text(result: Fit) -> str:
    lines = [result.sentence, ""]
    for name, model in result.models.items():
        report = model.to_dict()["parameters"]
        lines.append(
            f"{name}: reduced χ² {model.chi2_reduced:.3f}, p {model.p_value:.2g}, "
            f"ln evidence {model.posterior.log_evidence:.1f}, probability {result.probabilities[name]:.3g}"
        )
        lines.append(f"{'':>14} {'mean':>10} {'sd':>9}   {'68 %':^21}   {'95 %':^21}")
        for parameter, values in report.items():
            low, wide = values["interval_68"], values["interval_95"]
            lines.append(
                f"{parameter:>14} {values['mean']:10.4f} {values['sd']:9.4f}   {low[0]:10.4f} {low[1]:10.4f}"
                f"   {wide[0]:10.4f} {wide[1]:10.4f}"
            )
        lines.append("")
    return "\n".join([*lines, *result.notes])
