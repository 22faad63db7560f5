"""The page of a report: one HTML file that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import import_module
from typing import Any

import numpy as np

from mantid_exp2sim.plotting.domain import draw_domain
from mantid_exp2sim.plotting.style import axis_name, range_words, unit_words
from mantid_exp2sim.reporting.assets import SCRIPT, STYLE
from mantid_exp2sim.reporting.findings import Findings
from mantid_exp2sim.reporting.fits import FitSummary
from mantid_exp2sim.reporting.pictures import cuts, draw_lost, encoded
from mantid_exp2sim.reporting.viewer import colours, script_json, viewer_data

ARTICLE = (
    "A. S. Anker, K. T. Butler, M. D. Le, T. G. Perring, J. Thiyagalingam: Using generative adversarial "
    "networks to match experimental and simulated inelastic neutron scattering data. "
    "Digital Discovery 2, 578 (2023), "
    "doi:10.1039/d2dd00147k"
)


def page(findings: Findings, *, title: str, fit: FitSummary | None = None) -> str:
    """Write the page of a report."""
    verdict = "" if findings.check is None else findings.check.verdict.replace(" ", "-")
    sections = [
        _section("Verdict", _verdict(findings)),
        _section("Before and after", _viewer(findings)),
        _section("Cuts through the brightest place", _cuts(findings)),
        _section("Which model it shows", _correlations(findings)),
        _section("Fit", "" if fit is None else _fit(fit)),
        _section("Consistency and intensity", _consistency(findings)),
        _section("What was measured", _measured(findings)),
        _section("History", _history(findings)),
        _section("How to cite", _cite(findings)),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style></head>\n<body>\n"
        f'<h1>{escape(title)}</h1>\n<p class="answer {escape(verdict)}">{escape(findings.answer)}</p>\n'
        + "\n".join(filter(None, sections))
        + f"\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>" if content else ""


def _paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def _picture(data: str, caption: str) -> str:
    words = escape(caption)
    return (
        f'<figure><img alt="{words}" src="data:image/png;base64,{data}">'
        f"<figcaption>{words}</figcaption></figure>"
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _verdict(findings: Findings) -> str:
    check = findings.check
    if check is None:
        return _paragraph(findings.missing.get("check", ""))
    reasons = {
        "trustworthy": "They lie among the spectra that the model was trained on.",
        "expert opinion": "Fewer than 1 in 20 spectra of the model's domain look so strange: look yourself.",
        "untrustworthy": "They are stranger than anything of the model's domain: do not use its networks.",
    }
    words = f"The data are {check.verdict}. {reasons.get(check.verdict, '')}"
    parts = [_paragraph(words)]
    if check.note:
        parts.append(_paragraph(f"Note: {check.note}."))
    if check.expected_error is not None:
        error = "Expected error of the network's deconvolution, if the data are of the domain: "
        parts.append(_paragraph(f"{error}{100 * check.expected_error:.0f} % (relative L2)."))
    if check.score is not None:
        data = encoded(draw_domain(check, findings.inside, title=f"Domain of {findings.model.card.name}"))
        parts.append(_picture(data, "Score of these data, the limit, and scores of spectra of the domain."))
    return "\n".join(parts)


def _viewer(findings: Findings) -> str:
    parts = {"before": findings.measured}
    notes = []
    if findings.separated is None:
        notes.append(_paragraph(findings.missing.get("deconvolution", "")))
    else:
        history = findings.separated.histogram.metadata["history"][-1]
        notes.append(_paragraph(f"Deconvolved by {findings.deconvolved_by}."))
        for warning in history.get("warnings", ()):
            notes.append(_paragraph(f"Warning: {warning}"))
        named = {
            "after": findings.separated.histogram,
            "removed": findings.separated.removed,
            "residual": findings.separated.residual,
        }
        parts |= {name: part for name, part in named.items() if part is not None}
    volumes = viewer_data(parts)
    if not volumes:
        return "\n".join(notes)
    data = {"volumes": volumes, "colours": {name: colours(name) for name in ("viridis", "RdBu_r")}}
    unit = findings.measured.metadata.get("intensity_unit") or "units of the data"
    caption = (
        f"Intensity in {unit}. Before and after share a scale; removed: the background that was taken out; "
        "residual: what is left, on a scale about 0. Grey: not measured."
    )
    return "\n".join(
        [
            *notes,
            _controls(volumes),
            '<div class="panels" id="panels"></div>',
            _paragraph(caption, "note"),
            "<noscript><p>The slices need JavaScript.</p></noscript>",
            f'<script type="application/json" id="volumes">{script_json(data)}</script>',
        ]
    )


def _controls(volumes: Sequence[Mapping[str, Any]]) -> str:
    controls = []
    if len(volumes) > 1:
        options = "".join(f'<option value="{i}">{escape(v["title"])}</option>' for i, v in enumerate(volumes))
        controls.append(f'<label>Incident energy <select id="volume">{options}</select></label>')
    last = volumes[0]["shape"][2] - 1
    if last > 0:
        controls.append(
            f'<label>{escape(volumes[0]["along"])}: <output id="slice-words"></output>'
            f'<input type="range" id="slice" min="0" max="{last}" value="{last // 2}"></label>'
        )
    return f'<div class="controls">{"".join(controls)}</div>'


def _cuts(findings: Findings) -> str:
    after = None if findings.separated is None else findings.separated.histogram
    pictures = [
        _picture(encoded(figure), f"Along {name}; error bars are one standard deviation.")
        for name, figure in cuts(findings.measured, after)
    ]
    return f'<div class="panels">{"".join(pictures)}</div>' if pictures else ""


def _correlations(findings: Findings) -> str:
    if not findings.readings:
        return _paragraph(findings.missing["correlations"]) if "correlations" in findings.missing else ""
    rows = []
    for name, reading in findings.readings.items():
        for label, value in reading.correlations.items():
            meter = (
                f'<span class="meter"><span style="width:{100 * min(max(value, 0), 1):.0f}%"></span></span>'
            )
            cells = f"<td>{escape(name)}</td><td>{escape(label)}</td><td>{meter}{value:.2f}</td>"
            rows.append(f"<tr>{cells}<td>{reading.threshold:.2f}</td></tr>")
    head = "<tr><th>data</th><th>class</th><th>correlation</th><th>threshold</th></tr>"
    table = f'<div class="wide"><table><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'
    warnings = dict.fromkeys(w for reading in findings.readings.values() for w in reading.warnings)
    return "\n".join([table, *(_paragraph(f"Warning: {text}") for text in warnings)])


def _fit(fit: FitSummary) -> str:
    parts = [_paragraph(str(fit.report.get("sentence", "")))]
    for name, model in fit.report.get("models", {}).items():
        rows = [
            [key, f"{entry['mean']:.5g}", f"{entry['sd']:.2g}"] for key, entry in model["parameters"].items()
        ]
        parts += [f"<h3>{escape(name)}</h3>", _table(["constant", "mean", "standard deviation"], rows)]
    for name, picture in fit.corners.items():
        parts.append(_picture(picture, f"Posterior of {name}, pair by pair."))
    return "\n".join(parts)


def _consistency(findings: Findings) -> str:
    parts = []
    if findings.consistency is not None:
        words = findings.consistency.words
        parts.append(_paragraph(f"{words[0].upper()}{words[1:]}."))
    if findings.lost is not None:
        parts.append(_paragraph(f"{findings.lost.words[0].upper()}{findings.lost.words[1:]}."))
        parts += [_paragraph(f"Warning: {text}.") for text in findings.lost.warnings]
        if (figure := draw_lost(findings.lost)) is not None:
            caption = "Share of the intensity that the deconvolution takes out; red: more than 10 %."
            parts.append(_picture(encoded(figure), caption))
    return "\n".join(parts)


def _measured(findings: Findings) -> str:
    histogram = findings.measured
    rows = [
        [
            axis_name(axis),
            range_words(float(axis.edges[0]), float(axis.edges[-1])),
            unit_words(axis),
            str(axis.size),
        ]
        for axis in histogram.axes
    ]
    good = ~histogram.mask
    about = [
        ["kind", findings.kind],
        ["file", findings.name],
        ["measured bins", f"{int(good.sum())} of {good.size}"],
        ["errors", "known" if np.any(histogram.variance[good] > 0) else "not known"],
        *(
            [key.replace("_", " "), str(histogram.metadata[key])]
            for key in ("title", "instrument", "incident_energy", "lattice", "temperature", "integrated")
            if key in histogram.metadata
        ),
    ]
    return _table(["axis", "range", "unit", "bins"], rows) + _table(["", ""], about)


def _history(findings: Findings) -> str:
    source = findings.measured if findings.separated is None else findings.separated.histogram
    entries = source.metadata.get("history", [])
    items = "".join(
        f"<details><summary>{number + 1}. {escape(str(entry.get('command', 'step')))}</summary>"
        f"<pre>{escape(json.dumps(entry, indent=1, ensure_ascii=False, default=str))}</pre></details>"
        for number, entry in enumerate(entries)
    )
    return items or _paragraph("The file tells none.")


def _cite(findings: Findings) -> str:
    version = import_module("mantid_exp2sim").__version__  # the package stands above its rooms
    model = f"Model {findings.model.card.name}, checksum {findings.model.checksum[:12]}."
    return _paragraph(f"mantid_exp2sim {version}. {model}") + _paragraph(ARTICLE)
