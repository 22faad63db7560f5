"""Commands that use a trained model: deconvolve, convolve, classify."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim.cli.batch import MANY, add_files
from mantid_exp2sim.cli.check import next_step
from mantid_exp2sim.cli.files import check_ending, check_formats, check_picture, check_places, draw
from mantid_exp2sim.cli.options import (
    READ,
    WRITTEN,
    add_classifier_options,
    add_command,
    add_method_options,
    add_model_options,
    add_overwrite,
    add_parts_options,
    prepare,
    read,
    translation_options,
)
from mantid_exp2sim.cli.output import complain, emit, progress_bar
from mantid_exp2sim.cli.parts import about_parts, is_separated, parts_text, setting_of, write_separated
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.registry import DEFAULT_MODEL
from mantid_exp2sim.mosaic import is_mosaic

if TYPE_CHECKING:
    from mantid_exp2sim.application.deconvolve import Method
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.inference.options import TranslationOptions
    from mantid_exp2sim.inference.prepare import Prepared
    from mantid_exp2sim.inference.translate import Translation

_TRANSLATE = """\
IN   {1}
OUT  {2}, whole or not at all

examples:
  exp2sim {0} measured.npy result.npz --mask nanmask.mat
  exp2sim {0} cut.nxs result.nxs --model my-model/ --incident-energy 70
  exp2sim {0} cut.sqw result.d3d --model my-model/
  exp2sim {0} run.nxspe result.nxs --model my-model/ --lattice 5.4 5.4 19.2
  exp2sim {0} measured.npy result.npy --plot result.png --json
  exp2sim {0} measured.nxs result.nxs --uncertainty-out parts.npz
  exp2sim {0} cut.sqw result.d3d --method {3} --instrument MERLIN --incident-energy 50{4}
"""
_CLASSIFY = f"""\
IN   {READ}

The data are taken as they are, by the classifier of the kind of data that they look like: measurement-like
or simulation-like (a file that says how it was made is believed). --deconvolve makes measured data
simulation-like first; --data-kind names the classifier.

examples:
  exp2sim classify result.npz
  exp2sim classify measured.npy --mask nanmask.mat --deconvolve --json{MANY.format("classify")}
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    for name, method, about in (
        (
            "deconvolve",
            "richardson-lucy",
            "make a measured spectrum simulation-like: take the instrument's resolution out",
        ),
        (
            "convolve",
            "resolution",
            "make a simulated spectrum measurement-like: put the instrument's resolution in",
        ),
    ):
        parser = add_command(
            subparsers, name, about, _TRANSLATE.format(name, READ, WRITTEN, method, MANY.format(name))
        )
        add_files(parser, name, ("input", "output"), _translate, "IN and OUT, whose ending is the format")
        add_model_options(parser)
        add_method_options(parser, name)
        if name == "deconvolve":
            add_parts_options(parser)
        else:
            parser.set_defaults(removed=None, residual=None, keep_background=False)
        parser.add_argument("--seed", type=int, default=0, help="seed of the error propagation (default 0)")
        parser.add_argument(
            "--replicas", type=int, default=16, metavar="K", help="noise replicas for the errors (default 16)"
        )
        parser.add_argument(
            "--no-uncertainty", dest="uncertainty", action="store_false", help="no error bars (faster)"
        )
        parser.add_argument(
            "--uncertainty-out",
            type=Path,
            metavar="FILE.npz",
            help="also write the parts of the error bars: variances of input and model, halves of intervals",
        )
        parser.add_argument("--plot", metavar="PNG", type=Path, help="also draw before and after")
        parser.add_argument(
            "--force", action="store_true", help="also where the data are outside the model's domain"
        )
        add_overwrite(parser)
        parser.set_defaults(model=None)
    parser = add_command(subparsers, "classify", "say which spin-wave model a spectrum shows", _CLASSIFY)
    add_files(parser, "classify", ("input",), _classify, "IN, what to read")
    add_classifier_options(parser)
    add_overwrite(parser)
    parser.add_argument(
        "--fit", action="store_true", help="also fit both spin models to the data, in minutes"
    )


def _translate(args: argparse.Namespace) -> int:
    start = perf_counter()
    options = _checked(args)
    histogram = read(args.input, args)
    check_formats(histogram, args.output, args.removed, args.residual)
    method, note = _chosen(args, histogram, options)
    if method == "network":
        return _by_network(args, histogram, options, start)
    from mantid_exp2sim.cli.known_resolution import run

    return run(args, histogram, options, method, note, start)


def _by_network(
    args: argparse.Namespace, histogram: Histogram, options: TranslationOptions, start: float
) -> int:
    from mantid_exp2sim.application.intensity import lost_intensity
    from mantid_exp2sim.application.model import load_model
    from mantid_exp2sim.application.separation import separate_network
    from mantid_exp2sim.domain.check import require_domain
    from mantid_exp2sim.io import save

    model = load_model(args.model or DEFAULT_MODEL)
    prepared = prepare(model, histogram, args, options)
    report = require_domain(prepared, args.command)
    if report.verdict != "trustworthy":
        complain(f"warning: {report.words()}. Next: {next_step(report.verdict, args.command)}")
    with progress_bar(args) as progress:
        parts = args.uncertainty_out is not None
        translation = model.translate(prepared, args.command, parts=parts, progress=progress)
        if is_separated(args):
            translation = separate_network(model, prepared, translation, setting_of(args))
    with ExitStack() as stack:
        translation = write_separated(args, translation)
        if parts:
            _write_parts(stack, args.uncertainty_out, translation)
        if args.plot is not None:
            pair = {"before": prepared.histogram, "after": translation.histogram}
            draw(stack, args.plot, pair, args.command)
        save(translation.histogram, args.output, overwrite=args.overwrite)
    lost = None if args.command == "convolve" else lost_intensity(prepared.histogram, translation.histogram)
    said = _report(args, prepared, translation, seconds=perf_counter() - start)
    said |= about_parts(args, translation, lost)
    emit(args, said, _translated_text(said))
    return 0


def _chosen(
    args: argparse.Namespace, histogram: Histogram, options: TranslationOptions
) -> tuple[Method, str]:
    """The method, and why it is not the network.

    Where none is named, it is the network for the published mosaic, with options of a model, to convolve,
    and where the resolution is not known.
    """
    named: Method | None = args.method
    if named not in (None, "auto"):
        return named, ""
    of_model = args.model is not None or args.force or args.uncertainty_out is not None
    if named is None and (of_model or args.command == "convolve" or is_mosaic(histogram)):
        return "network", ""
    from mantid_exp2sim.application.deconvolve import choose
    from mantid_exp2sim.cli.known_resolution import is_known

    method, note = choose(args.command, histogram, args.model, options)
    if method == "network" or (named is None and not is_known(args, histogram)):
        return "network", ""
    complain(f"note: {method}, not the network: {note}")
    return method, note


def _checked(args: argparse.Namespace) -> TranslationOptions:
    """Return the options; refuse before the long work what would be refused after it."""
    check_picture(args.plot)
    if args.uncertainty_out is not None:
        check_ending(args.uncertainty_out, (".npz",), "the parts of the error bars")
    check_places(
        args,
        spectra={"OUT": args.output, "--removed": args.removed, "--residual": args.residual},
        others={"--uncertainty-out": args.uncertainty_out, "--plot": args.plot},
    )
    options = translation_options(args)
    if args.uncertainty_out is None:
        is_picture = Path(args.output).suffix.lower() == ".npy"
        return replace(options, uncertainty=options.uncertainty and not is_picture)
    if args.method not in (None, "network"):
        raise Exp2SimError(
            f"--uncertainty-out has no parts to write with --method {args.method}.",
            reason="They are the parts of a network's error bars.",
            fix="Leave it out, or say --method network.",
        )
    if not args.uncertainty:
        raise Exp2SimError("--uncertainty-out and --no-uncertainty exclude each other.", fix="Leave one out.")
    return options


def _write_parts(stack: ExitStack, path: Path, translation: Translation) -> None:
    """Write the parts of the error bars; the file appears when the stack closes, if nothing went wrong."""
    from mantid_exp2sim.storage.atomic import atomic_path

    parts: dict[str, Any] = {
        "input_variance": translation.input_variance,
        "model_variance": translation.model_variance,
        "half_68": np.sqrt(translation.histogram.variance),
        "half_95": translation.half_95,
    }
    with stack.enter_context(atomic_path(path)).open("wb") as file:
        np.savez_compressed(file, **{name: array for name, array in parts.items() if array is not None})


def _report(
    args: argparse.Namespace, prepared: Prepared, translation: Translation, *, seconds: float
) -> dict[str, Any]:
    before, after, card = prepared.histogram, translation.histogram, prepared.bundle.card
    step = after.metadata["history"][-1]
    return {
        "command": args.command,
        "input": str(args.input),
        "output": str(args.output),
        "plot": None if args.plot is None else str(args.plot),
        "uncertainty_out": None if args.uncertainty_out is None else str(args.uncertainty_out),
        "shape": list(after.shape),
        "measured_bins": int((~after.mask).sum()),
        "total_before": float(np.nansum(before.intensity)),
        "total_after": float(np.nansum(after.intensity)),
        "uncertainty": prepared.options.uncertainty,
        "model": card.name,
        "data_kind": card.target if args.command == "deconvolve" else "convolved",
        "domain": step["domain"],
        "history": step,
        "seconds": round(seconds, 3),
    }


def _translated_text(report: dict[str, Any]) -> str:
    from mantid_exp2sim.io import ENDINGS

    before, after = report["total_before"], report["total_after"]
    change = f"total intensity × {after / before:.4f}" if before else f"total intensity {after:.4g}, 0 before"
    errors = "with errors" if report["uncertainty"] else "without errors"
    lines = [
        f"{report['output']}: {report['command']}d with {report['model']} {errors}, "
        f"{report['measured_bins']} measured bins, {change}, {report['seconds']:.1f} s"
    ]
    if report["uncertainty"]:
        part = report["history"]["uncertainty"]
        lines.append(f"errors: of the input {part['input']}, of the model {part['model']}")
    suffix = Path(report["output"]).suffix.lower()
    if ENDINGS[suffix] == "npy":
        lines.append(f"{report['output']}.json: its history; keep both together")
    if ENDINGS[suffix] == "horace":
        lines.append(
            f"{suffix} files keep no history: for `exp2sim classify` say --data-kind {report['data_kind']}, "
            "or write .npz or .nxs"
        )
    if report["uncertainty_out"]:
        lines.append(f"{report['uncertainty_out']}: parts of the errors")
    lines += parts_text(report)
    if report["plot"]:
        lines.append(f"{report['plot']}: before and after")
    return "\n".join(lines)


def _classify(args: argparse.Namespace) -> int:
    from mantid_exp2sim.application.model import load_model

    model = load_model(args.model)
    prepared = prepare(model, read(args.input, args), args, translation_options(args))
    with progress_bar(args) as progress:
        answer = model.classify(
            prepared,
            data_kind=args.data_kind,
            deconvolve=args.deconvolve,
            fit=args.fit,
            progress=progress,
        )
    width = max(len(name) for name in answer.correlations)
    lines = [f"{args.input}: {verdict(answer.prediction)}"]
    lines += [f"  {name:{width}}  {value:.3f}" for name, value in answer.correlations.items()]
    state = "deconvolved" if answer.deconvolved else "as given"
    lines.append(
        f"  (data {state}, classifier trained on {answer.data_kind} data, 'none' below {answer.threshold:g})"
    )
    if answer.likelihood is not None:
        lines.append(f"  fit: {answer.likelihood['sentence']}")
    lines += [f"  warning: {text}" for text in answer.warnings]
    emit(args, {**answer.to_dict(), "input": str(args.input), "model": model.card.name}, "\n".join(lines))
    return 0


def verdict(prediction: str) -> str:
    """A prediction in words.

    >>> verdict("Dimer"), verdict("none")
    ('Dimer', 'like no model that is known')
    """
    return "like no model that is known" if prediction == "none" else prediction
