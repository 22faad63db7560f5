"""``exp2sim deconvolve`` and ``convolve`` with the known resolution, or with whichever method serves."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim.cli.files import draw
from mantid_exp2sim.cli.output import complain, emit, progress_bar
from mantid_exp2sim.cli.parts import about_parts, is_separated, parts_text, setting_of, write_separated
from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    from mantid_exp2sim.application.deconvolve import Method
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.inference.options import TranslationOptions


def run(
    args: argparse.Namespace,
    before: Histogram,
    options: TranslationOptions,
    method: Method,
    note: str,
    start: float,
) -> int:
    """Run a command by a ``method`` that knows the resolution; ``note`` says why it is not the network."""
    from mantid_exp2sim.application.deconvolve import by_resolution
    from mantid_exp2sim.application.intensity import lost_intensity
    from mantid_exp2sim.application.known_resolution import ClassicalOptions
    from mantid_exp2sim.io import save

    classical = ClassicalOptions(
        background=getattr(args, "background", "none"),
        uncertainty=options.uncertainty, replicas=options.replicas, seed=options.seed,
    )  # fmt: skip
    with progress_bar(args) as progress:
        translation = by_resolution(
            args.command, before, setting_of(args), classical,
            method=method, note=note, separated=is_separated(args), progress=progress,
        )  # fmt: skip
    with ExitStack() as stack:
        translation = write_separated(args, translation)
        after = translation.histogram
        if args.plot is not None:
            draw(stack, args.plot, {"before": before, "after": after}, args.command)
        save(after, args.output, overwrite=args.overwrite)
    lost = None if args.command == "convolve" else lost_intensity(before, after)
    said = _report(args, before, after, perf_counter() - start)
    for text in said["warnings"]:
        complain(f"warning: {text}")
    said |= about_parts(args, translation, lost)
    emit(args, said, _text(said))
    return 0


def is_known(args: argparse.Namespace, histogram: Histogram) -> bool:
    """Whether the resolution of the data is known."""
    from mantid_exp2sim.application.known_resolution import check_known

    try:
        check_known(histogram, setting_of(args))
    except Exp2SimError:
        return False
    return True


def _report(args: argparse.Namespace, before: Histogram, after: Histogram, seconds: float) -> dict[str, Any]:
    step = after.metadata["history"][-1]
    measured = ~after.mask
    return {
        "command": args.command,
        "method": step["options"]["method"],
        "input": str(args.input),
        "output": str(args.output),
        "plot": None if args.plot is None else str(args.plot),
        "shape": list(after.shape),
        "measured_bins": int(measured.sum()),
        "total_before": float(np.nansum(before.intensity)),
        "total_after": float(np.nansum(after.intensity)),
        "uncertainty": bool((after.variance[measured] > 0).any()),
        "warnings": step["options"].get("warnings", []),
        "history": step,
        "seconds": round(seconds, 3),
    }


def _text(report: dict[str, Any]) -> str:
    options = report["history"]["options"]
    before, after = report["total_before"], report["total_after"]
    change = f"total intensity × {after / before:.4f}" if before else f"total intensity {after:.4g}, 0 before"
    errors = "with errors" if report["uncertainty"] else "without errors"
    lines = [
        f"{report['output']}: {report['command']}d by {report['method']} {errors}, "
        f"{report['measured_bins']} measured bins, {change}, {report['seconds']:.1f} s",
        _setting_text(options),
    ]
    for told in options.get("volumes", []):
        if "unexplained" in told:
            lines.append(_volume_text(told))
    lines += parts_text(report)
    if report["plot"]:
        lines.append(f"{Path(report['plot'])}: before and after")
    return "\n".join(lines)


def _setting_text(options: dict[str, Any]) -> str:
    """What the resolution is of, and where that is from."""
    sources = options["sources"]
    energies, frequencies = (np.atleast_1d(options[name]) for name in ("incident_energy", "frequency"))
    parts = [
        f"{options['instrument']} ({sources['instrument']})",
        f"Ei {', '.join(f'{value:g}' for value in energies)} meV ({sources['incident_energy']})",
        f"{', '.join(f'{value:g}' for value in frequencies)} Hz",
    ]
    if options["package"]:
        parts.append(f"package {options['package']}")
    if options["lattice"]:
        constants = ", ".join(f"{value:g}" for value in options["lattice"])
        parts.append(f"lattice {constants} ({sources['lattice']})")
    return f"resolution of {'; '.join(parts)}; crystal {options['sample']}"


def _volume_text(told: dict[str, Any]) -> str:
    chi = "" if told.get("chi_squared") is None else f", χ² {told['chi_squared']:.2f} a bin"
    background = (
        f", background of {told['background_mean']:.3g} a bin removed" if told["background_total"] else ""
    )
    way = f"{told['iterations']} iterations ({told['stop']}; " if "iterations" in told else "the network ("
    return f"{way}noise from {told['noise']}){chi}, {100 * told['unexplained']:.1f} % unexplained{background}"
