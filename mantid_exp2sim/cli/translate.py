"""Commands that use a trained model: deconvolve, convolve, classify."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim.cli.options import READ, WRITTEN, add_command, add_reading, check_picture, read
from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.inference.translate import Progress
    from mantid_exp2sim.model.bundle import Model
    from mantid_exp2sim.model.error_model import Translated

_TRANSLATE = """\
IN   {1}
OUT  {2}; IN itself is fine: OUT appears whole or not at all

examples:
  exp2sim {0} measured.npy result.npz --mask nanmask.mat
  exp2sim {0} cut.nxs result.nxs --model my-model/ --incident-energy 70
  exp2sim {0} cut.sqw result.d3d --model my-model/
  exp2sim {0} run.nxspe result.nxs --model my-model/ --lattice 5.4 5.4 19.2
  exp2sim {0} measured.npy result.npy --plot result.png --json
  exp2sim {0} measured.nxs result.nxs --errors-out errors.npz
"""
_CLASSIFY = f"""\
IN   {READ}

The data are taken as they are, by the classifier of the kind of data that they look like: measurement-like
or simulation-like (a file that says how it was made is believed). --deconvolve makes measured data
simulation-like first; --domain names the classifier.

examples:
  exp2sim classify result.npz
  exp2sim classify measured.npy --mask nanmask.mat --deconvolve --json
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    for name, about in (
        ("deconvolve", "make a measured spectrum simulation-like: take the instrument's resolution out"),
        ("convolve", "make a simulated spectrum measurement-like: put the instrument's resolution in"),
    ):
        parser = add_command(subparsers, name, about, _TRANSLATE.format(name, READ, WRITTEN))
        parser.add_argument("input", metavar="IN", help="file to read")
        parser.add_argument("output", metavar="OUT", help="file to write; its ending chooses the format")
        data_options(parser)
        parser.add_argument("--seed", type=int, default=0, help="seed of the error propagation (default 0)")
        parser.add_argument(
            "--replicas", type=int, default=16, metavar="K", help="noise replicas for the errors (default 16)"
        )
        parser.add_argument("--no-errors", action="store_true", help="do not propagate errors (faster)")
        parser.add_argument(
            "--errors-out",
            type=Path,
            metavar="FILE.npz",
            help="also write the parts of the errors: variances of input and model, halves of the intervals",
        )
        parser.add_argument("--plot", metavar="PNG", type=Path, help="also draw before and after")
        parser.add_argument(
            "--force", action="store_true", help="also where the data are outside the model's domain"
        )
        parser.set_defaults(run=_translate, command=name)
    parser = add_command(subparsers, "classify", "say which spin-wave model a spectrum shows", _CLASSIFY)
    parser.add_argument("input", metavar="IN", help="file to read")
    classifier_options(parser)
    parser.set_defaults(run=_classify)


def classifier_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that reads data for a classifier."""
    data_options(parser)
    parser.add_argument("--deconvolve", action="store_true", help="deconvolve first")
    parser.add_argument(
        "--domain",
        choices=("auto", "integrated", "centre", "convolved"),
        default="auto",
        help="which classifier, by the kind of data it was trained on (default: what the data look like)",
    )


def data_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that reads data for a model."""
    from mantid_exp2sim.model.registry import DEFAULT_MODEL

    parser.add_argument(
        "--model", metavar="NAME|DIR", default=DEFAULT_MODEL, help=f"the model (default {DEFAULT_MODEL})"
    )
    add_reading(parser)
    parser.add_argument(
        "--tile", type=int, metavar="N", help="bins of a tile, 16 or more (default: whole images if small)"
    )
    parser.add_argument(
        "--scale",
        type=_scale,
        default=1.0,
        help="factor from the data's intensity unit to the model's, or 'auto' (default 1)",
    )
    parser.add_argument(
        "--incident-energy", type=float, metavar="MEV", help="incident energy, in place of what the file says"
    )


def _scale(text: str) -> float | str:
    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor 'auto'") from None


def _translate(args: argparse.Namespace) -> int:
    from mantid_exp2sim.cli.output import complain, emit
    from mantid_exp2sim.domain.check import require_domain, with_verdict
    from mantid_exp2sim.io import save
    from mantid_exp2sim.model.bundle import load_model

    start = perf_counter()
    suffix = check_output(Path(args.output))
    check_picture(args.plot)
    check_places(args, {"OUT": args.output, "--errors-out": args.errors_out, "--plot": args.plot})
    if args.errors_out is not None and args.no_errors:
        raise Exp2SimError("--errors-out and --no-errors exclude each other.", fix="Leave one out.")
    if args.errors_out is not None:
        if args.errors_out.suffix.lower() != ".npz":
            raise Exp2SimError(f"{args.errors_out} is no name for the errors.", fix="Let it end in .npz.")
        _check_folder(args.errors_out)
    model = load_model(args.model)
    histogram = read(args.input, args)
    errors = args.errors_out is not None or (not args.no_errors and suffix != ".npy")
    checked = require_domain(
        model,
        histogram,
        args.command,
        force=args.force,
        scale=args.scale,
        incident_energy=args.incident_energy,
    )
    if checked.verdict != "trustworthy":
        complain(f"warning: {checked.words()}")
    with progress_bar(args) as progress:
        made = _made(args, model, histogram, errors=errors, progress=progress)
    result = with_verdict(made.histogram, checked)
    with ExitStack() as stack:
        if args.errors_out is not None:
            _write_errors(stack, args.errors_out, made)
        if args.plot is not None:
            draw(stack, args.plot, {"before": histogram, "after": result}, args.command)
        save(result, args.output)
    report = _report(args, model, histogram, result, errors=errors, seconds=perf_counter() - start)
    emit(args, report, _translated_text(report))
    return 0


def _made(
    args: argparse.Namespace, model: Model, histogram: Histogram, *, errors: bool, progress: Progress | None
) -> Translated:
    from mantid_exp2sim.inference.translate import translate

    options: dict[str, Any] = {
        name: getattr(args, name) for name in ("replicas", "seed", "tile", "scale", "incident_energy")
    }
    parts = args.errors_out is not None
    return translate(model, args.command, histogram, errors=errors, parts=parts, progress=progress, **options)


def _write_errors(stack: ExitStack, path: Path, made: Translated) -> None:
    """The file appears when the stack closes, if nothing went wrong."""
    from mantid_exp2sim.storage.atomic import atomic_path

    parts: dict[str, Any] = {
        "input_variance": made.input_variance,
        "model_variance": made.model_variance,
        "half_68": np.sqrt(made.histogram.variance),
        "half_95": made.half_95,
    }
    with stack.enter_context(atomic_path(path)).open("wb") as file:
        np.savez_compressed(file, **{name: array for name, array in parts.items() if array is not None})


def _report(
    args: argparse.Namespace,
    model: Model,
    before: Histogram,
    after: Histogram,
    *,
    errors: bool,
    seconds: float,
) -> dict[str, Any]:
    return {
        "command": args.command,
        "input": str(args.input),
        "output": str(args.output),
        "plot": None if args.plot is None else str(args.plot),
        "errors_out": None if args.errors_out is None else str(args.errors_out),
        "shape": list(after.shape),
        "measured_bins": int((~after.mask).sum()),
        "total_before": float(np.nansum(before.intensity)),
        "total_after": float(np.nansum(after.intensity)),
        "errors": errors,
        "model": model.card.name,
        "kind": model.card.target if args.command == "deconvolve" else "convolved",
        "domain": after.metadata["history"][-1]["domain"],
        "history": after.metadata["history"][-1],
        "seconds": round(seconds, 3),
    }


def _translated_text(report: dict[str, Any]) -> str:
    from mantid_exp2sim.io import ENDINGS

    before, after = report["total_before"], report["total_after"]
    change = f"total intensity × {after / before:.4f}" if before else f"total intensity {after:.4g}, 0 before"
    errors = "with errors" if report["errors"] else "without errors"
    lines = [
        f"{report['output']}: {report['command']}d with {report['model']} {errors}, "
        f"{report['measured_bins']} measured bins, {change}, {report['seconds']:.1f} s"
    ]
    if report["errors"]:
        known = report["history"]["errors"]
        lines.append(f"errors: of the input {known['input']}, of the model {known['model']}")
    suffix = Path(report["output"]).suffix.lower()
    if ENDINGS[suffix] in ("npy", "horace"):
        lines.append(
            f"{suffix} files keep no history: for `exp2sim classify` say --domain {report['kind']}, "
            "or write .npz or .nxs"
        )
    if report["errors_out"]:
        lines.append(f"{report['errors_out']}: parts of the errors")
    if report["plot"]:
        lines.append(f"{report['plot']}: before and after")
    return "\n".join(lines)


def _classify(args: argparse.Namespace) -> int:
    from mantid_exp2sim.cli.output import emit
    from mantid_exp2sim.model.bundle import load_model

    model = load_model(args.model)
    histogram = read(args.input, args)
    with progress_bar(args) as progress:
        found = model.classify(
            histogram,
            deconvolve=args.deconvolve,
            domain=args.domain,
            tile=args.tile,
            scale=args.scale,
            incident_energy=args.incident_energy,
            progress=progress,
        )
    report = {**found.to_dict(), "input": str(args.input), "model": model.card.name}
    width = max(len(name) for name in found.correlations)
    lines = [f"{args.input}: {verdict(found.prediction)}"]
    lines += [f"  {name:{width}}  {value:.3f}" for name, value in found.correlations.items()]
    kind = "deconvolved" if found.deconvolved else "as given"
    lines.append(
        f"  (data {kind}, classifier trained on {found.domain} data, 'none' below {found.threshold:g})"
    )
    lines += [f"  warning: {text}" for text in found.warnings]
    emit(args, report, "\n".join(lines))
    return 0


def verdict(prediction: str) -> str:
    """A prediction in words.

    >>> verdict("Dimer"), verdict("none")
    ('Dimer', 'like no model that is known')
    """
    return "like no model that is known" if prediction == "none" else prediction


def check_output(path: Path) -> str:
    """Refuse before the long work what would be refused after it."""
    from mantid_exp2sim.io import ENDINGS

    suffix = path.suffix.lower()
    if suffix not in ENDINGS:
        raise Exp2SimError(
            f"{path} ends in {suffix or 'nothing'}.", reason=f"Endings taken are {', '.join(ENDINGS)}."
        )
    _check_folder(path)
    return suffix


def check_places(args: argparse.Namespace, outputs: Mapping[str, str | Path | None]) -> None:
    """Refuse outputs on the place of each other or of what is read; ``OUT`` alone may be the input itself.

    ``outputs`` by the option, None where it is not used.
    """
    taken: dict[Path, str] = {}
    for name, path in {"IN": args.input, "--mask": args.mask, **outputs}.items():
        if path is None:
            continue
        place = Path(path).expanduser().resolve()
        if place in taken and (name, taken[place]) != ("OUT", "IN"):
            raise Exp2SimError(
                f"{name} and {taken[place]} are the same file, {path}.", fix=f"Give {name} another name."
            )
        taken.setdefault(place, name)


def _check_folder(path: Path) -> None:
    folder = path.expanduser().resolve().parent
    if not folder.is_dir():
        raise Exp2SimError(f"The folder {folder} does not exist.", fix="Create it first.")


def draw(stack: ExitStack, path: Path, histograms: dict[str, Histogram], title: str) -> None:
    """Draw histograms side by side; the picture appears when the stack closes, if nothing went wrong."""
    from mantid_exp2sim.plotting import compare
    from mantid_exp2sim.storage.atomic import atomic_path

    compare(histograms, stack.enter_context(atomic_path(path)), title=title)


@contextmanager
def progress_bar(args: argparse.Namespace) -> Iterator[Progress | None]:
    """A bar on stderr where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not console.is_terminal or args.json:
        yield None
        return
    with Bar(console=console, transient=True) as bar:
        task = bar.add_task("…")
        yield lambda done, total, message: bar.update(task, completed=done, total=total, description=message)
