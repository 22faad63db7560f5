"""The demonstration: a simulated noisy measurement, deconvolved and classified, beside the truth."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim.cli.options import add_command
from mantid_exp2sim.cli.output import emit, progress_bar
from mantid_exp2sim.cli.translate import verdict
from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Histogram

PICTURE = "demo.png"
_EPILOG = """\
The "measurement" is the Goodenough model of the manganite with its best fit, as MAPS would see it: with its
resolution, counting noise, and no data where there is no detector.

examples:
  exp2sim demo
  exp2sim demo --out /tmp/demo --seed 3 --json
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    from mantid_exp2sim.model.registry import DEFAULT_MODEL

    about = "simulate a noisy measurement, deconvolve and classify it, and draw the result beside the truth"
    parser = add_command(subparsers, "demo", about, _EPILOG)
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("demo"), help="folder (default demo)")
    parser.add_argument("--model", metavar="NAME|DIR", default=DEFAULT_MODEL, help="the model to use")
    parser.add_argument(
        "--spin-model", choices=("Goodenough", "Dimer"), default="Goodenough", help="what is simulated"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the noise (default 0)")
    parser.set_defaults(run=_demo)


def _demo(args: argparse.Namespace) -> int:
    from mantid_exp2sim.application.model import load_model
    from mantid_exp2sim.cli.files import draw
    from mantid_exp2sim.io import save
    from mantid_exp2sim.storage.atomic import make_folder, require_own_folder

    require_own_folder(args.out, PICTURE)
    model = load_model(args.model)
    measured, truth = simulate(args.spin_model, args.seed, target=model.card.target)
    with progress_bar(args) as progress:
        result = model.deconvolve(measured, seed=args.seed, progress=progress)
    before, after = model.classify(measured), model.classify(result)
    folder = make_folder(args.out)
    files = {"measured": folder / "measured.npz", "deconvolved": folder / "deconvolved.npz"}
    with ExitStack() as stack:
        picture = folder / PICTURE
        draw(stack, picture, {"before": measured, "after": result, "truth": truth}, _title(args.spin_model))
        save(measured, files["measured"], overwrite=True)
        save(result, files["deconvolved"], overwrite=True)
    report = {
        "truth": args.spin_model,
        "relative_l2_before": relative_l2(measured, truth),
        "relative_l2_after": relative_l2(result, truth),
        "correlations_before": dict(before.correlations),
        "correlations_after": dict(after.correlations),
        "prediction_before": before.prediction,
        "prediction": after.prediction,
        "right": after.prediction == args.spin_model,
        "seed": args.seed,
        "model": model.card.name,
        "checksum": model.checksum,
        "files": {"picture": str(picture), **{name: str(path) for name, path in files.items()}},
    }
    emit(args, report, _text(report))
    return 0


def simulate(spin_model: str, seed: int, *, target: str) -> tuple[Histogram, Histogram]:
    """A noisy measurement (240 × 400 mosaic with detector gaps) and the truth without resolution or noise."""
    from mantid_exp2sim.simulation import measurement
    from mantid_exp2sim.simulation.binning import Kind

    if seed < 0:
        raise Exp2SimError(f"The seed is {seed}.", fix="Give a whole number from 0.")
    measured = measurement.simulate(spin_model, noise=0.7, seed=seed)
    kind: Kind = "centre" if target == "centre" else "integrated"
    return measured, measurement.simulate(spin_model, kind=kind)


def relative_l2(histogram: Histogram, truth: Histogram) -> float:
    """‖x − truth‖ / ‖truth‖ over measured bins.

    >>> from mantid_exp2sim.mosaic import mosaic_histogram
    >>> a, b = (mosaic_histogram(np.full((240, 400), value)) for value in (3.0, 2.0))
    >>> relative_l2(a, b)
    0.5
    """
    good = ~(histogram.mask | truth.mask)
    difference = histogram.intensity[good] - truth.intensity[good]
    return float(np.linalg.norm(difference) / np.linalg.norm(truth.intensity[good]))


def _title(spin_model: str) -> str:
    return f"A simulated MAPS measurement of the {spin_model} model: before, after, truth"


def _text(report: dict[str, Any]) -> str:
    def row(what: str, kind: str) -> str:
        values = ", ".join(f"{name} {value:.3f}" for name, value in report[f"correlations_{kind}"].items())
        return f"  {what:12} {report[f'relative_l2_{kind}']:8.3f}             {values}"

    answer = "right" if report["right"] else f"wrong: the truth is {report['truth']}"
    prediction = verdict(report["prediction"])
    return "\n".join(
        [
            f"Simulated: {report['truth']}. {report['model']} says: {prediction} ({answer}).",
            "               distance to truth    correlation with each model",
            row("as measured", "before"),
            row("deconvolved", "after"),
            f"Picture: {report['files']['picture']}",
        ]
    )
