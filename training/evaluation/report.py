"""The figures of an evaluation as one page."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.storage.atomic import atomic_path, make_folder
from mantid_exp2sim.training.evaluation.table import number
from mantid_exp2sim.training.evaluation.tables import all_tables

PAGE, REPORT = "index.html", "report.json"


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; color: #222 }
h1 { font-size: 1.6rem } h2 { border-bottom: 1px solid #ccc; margin-top: 2.5rem } h3 { margin-bottom: .4rem }
table { border-collapse: collapse; margin-bottom: 1.5rem; font-size: 14px }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #e3e3e3 }
.wide { overflow-x: auto } body { padding: 0 1rem; overflow-wrap: anywhere }
figure { margin: 1rem 0 2rem } img { max-width: 100% } figcaption { color: #555; font-size: 14px }
"""


def page(report: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """One HTML page with everything inside; ``pictures`` are base64-encoded PNGs by their captions."""
    figures = "\n".join(
        f'<figure><img alt="{html.escape(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for caption, data in pictures.items()
    )
    shown = "\n".join(table.html() for table in all_tables(report))
    title = f"Evaluation of {report['model']}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title>\n"
        f"<style>{STYLE}</style></head>\n<body>\n<h1>{html.escape(title)}</h1>\n"
        f"<p><strong>{html.escape(summary(report))}</strong></p>\n<h2>Pictures</h2>\n{figures}\n"
        f'<h2>Figures</h2>\n<div class="wide">{shown}</div>\n<h2>What was measured</h2>\n{_about(report)}\n'
        "</body>\n</html>\n"
    )


def summary(report: Mapping[str, Any]) -> str:
    """Say in one sentence how well a model deconvolves."""
    errors = report["relative_l2"]["deconvolve"]
    after, before = (errors[name]["mean"] for name in ("translated", "untranslated"))
    total = report["flux"]["deconvolve"]["all"]
    return (
        f"Deconvolved, the spectra are {after:.3f} from the truth (relative L2), untranslated {before:.3f}; "
        f"their total intensity is {number(total)} of the true one."
    )


def _about(report: Mapping[str, Any]) -> str:
    """What was measured, in sentences."""
    lines = [
        f"{report['mosaics']} spectra of the split {report['split']!r} of {Path(report['dataset']).name!r}; "
        f"the target is {report['target']!r}. Parameters in a generator: {report['parameters']:,}; "
        f"checksum {report['checksum'][:12]}.",
        f"Measurement-like input: noise of variance {report['noise']:g}·I and a background of mean height "
        f"{report['background']:g}, seed {report['seed']}.",
        "Intervals are 95 % bootstraps, paired, over spectra.",
        "Untranslated: the input as it is.",
    ]
    baseline = report["baseline"]
    if "unknown" in baseline:
        lines.append(f"No Richardson–Lucy and no data consistency: {baseline['unknown']}")
    else:
        lines.append(
            f"Richardson–Lucy with the known resolution, set on validation spectra ({_chosen(baseline)}), "
            f"and the data consistency are of the first {report['classical_mosaics']} spectra."
        )
        if report["baseline_of_cuts"] is not None:
            lines.append(
                f"The networks see {' and '.join(report['axes'])} alone. Of cuts: by the known resolution "
                f"along {' and '.join(report['axes'])} alone ({_chosen(report['baseline_of_cuts'])})."
            )
    return "\n".join(f"<p>{html.escape(line)}</p>" for line in lines)


def _chosen(baseline: Mapping[str, Any]) -> str:
    """How Richardson–Lucy was set, in words."""
    return "; ".join(
        f"{source} data: {how['iterations']} iterations"
        + (", a background taken off first" if how["background_subtracted"] else "")
        for source, how in baseline.items()
    )


def write_report(
    folder: Path,
    report: Mapping[str, Any],
    example: Mapping[str, NDArray[np.float32]],
    mask: NDArray[np.bool_],
) -> None:
    """Write ``index.html`` and ``report.json``; `Exp2SimError` where the folder cannot be made."""
    from mantid_exp2sim.training.evaluation.plots import draw

    make_folder(folder)
    for name, text in (
        (REPORT, json.dumps(report, indent=1, allow_nan=False) + "\n"),
        (PAGE, page(report, draw(report, example, mask))),
    ):
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
