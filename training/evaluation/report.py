"""The figures of an evaluation as tables and as one page."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.storage.atomic import atomic_path
from mantid_exp2sim.training.evaluation.figures import READERS
from mantid_exp2sim.training.evaluation.foreign import READINGS as FOREIGN_READINGS

PAGE, REPORT = "index.html", "report.json"
EM_DASH = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """A table: a title, what the columns are, and rows of text."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """As Markdown.

        >>> print(Table("t", ["a", "b"], [["1", "2"]]).markdown())
        | a | b |
        | --- | --- |
        | 1 | 2 |
        """
        lines = ["| " + " | ".join(row) + " |" for row in (self.header, *self.rows)]
        return "\n".join([lines[0], "|" + " --- |" * len(self.header), *lines[1:]])

    def html(self) -> str:
        """As HTML."""
        head, *rows = (
            "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row) + "</tr>"
            for tag, row in [("th", self.header), *(("td", row) for row in self.rows)]
        )
        body = "\n".join(rows)
        table = f"<table>\n<thead>{head}</thead>\n<tbody>{body}</tbody>\n</table>"
        return f"<h3>{html.escape(self.title)}</h3>\n{table}"


def tables(report: Mapping[str, Any]) -> str:
    """The report as Markdown tables, each below its title."""
    return "\n\n".join(f"**{table.title}**\n\n{table.markdown()}" for table in all_tables(report))


def all_tables(report: Mapping[str, Any]) -> list[Table]:
    """Every table of a report; those that the model or the data have nothing for are left out."""
    parts = [
        _accuracy(report),
        _gaps(report),
        _errors(report),
        _better(report),
        _flux(report),
        _consistency(report),
        _calibration(report),
        _null(report),
        _null_areas(report),
        _foreign(report),
        _coverage(report),
        *_domain(report),
        panels_that_decide(report),
        *_panels(report),
        *_members(report),
    ]
    return [table for table in parts if table is not None and table.rows]


def _members(report: Mapping[str, Any]) -> list[Table]:
    """The same figures of each member alone."""
    if "members" not in report:
        return []
    members = report["members"]
    parts = [_accuracy(members), _gaps(members), _errors(members), _flux(members), _calibration(members)]
    return [replace(table, title=f"Each member alone: {table.title}") for table in parts]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _percent(value: float | None, digits: int = 1) -> str:
    return EM_DASH if value is None else f"{100 * value:.{digits}f} %"


def _number(value: float | None, digits: int = 3) -> str:
    return EM_DASH if value is None else f"{value:.{digits}f}"


def _interval(value: Mapping[str, Any], factor: float = 1.0, digits: int = 3) -> str:
    if value.get("low") is None:
        return EM_DASH
    return f"{factor * value['low']:.{digits}f} to {factor * value['high']:.{digits}f}"


def _accuracy(report: Mapping[str, Any]) -> Table:
    rows = []
    for key, share in report["accuracy"].items():
        reader, name = key.split(":")
        rows.append([READERS[reader][0], _words(name), _percent(share["value"]), _interval(share, 100, 1)])
    return Table("Accuracy of the classifiers", ["classifier", "input", "accuracy", "95 % interval"], rows)


def _gaps(report: Mapping[str, Any]) -> Table:
    rows = []
    for case, methods in report["gap_closed_by"].items():
        for method, gap in methods.items():
            value = "no gap" if gap["value"] is None else f"{100 * gap['value']:.0f} %"
            interval = "the gap is not above its noise" if gap["low"] is None else _interval(gap, 100, 0)
            rows.append([_words(case), _words(method), f"{100 * gap['gap']:.1f}", value, interval])
    header = ["direction", "by", "gap, points", "closed", "95 % interval"]
    return Table("Share of the accuracy gap that is closed", header, rows)


def _errors(report: Mapping[str, Any]) -> Table:
    rows = [
        [
            _words(case),
            _words(method),
            _number(error["mean"]),
            _interval(error),
            _number(report["relative_l1"][case][method]["mean"]),
            _number(report["ssim"][case][method]["mean"]),
        ]
        for case, methods in report["relative_l2"].items()
        for method, error in methods.items()
    ]
    header = ["direction", "by", "relative L2", "95 % interval", "relative L1", "SSIM"]
    return Table("Distance to the true counterpart", header, rows)


def _better(report: Mapping[str, Any]) -> Table:
    rows = [
        [_words(case), _words(method), _number(ratio["value"]), _interval(ratio)]
        for case, methods in report["better_than"].items()
        for method, ratio in methods.items()
    ]
    header = ["direction", "against", "relative L2, ratio of the means", "95 % interval"]
    return Table("Relative L2 of the model over that of others, on the same spectra", header, rows)


def _flux(report: Mapping[str, Any]) -> Table:
    rows = [
        [
            _words(case),
            _number(flux["all"]),
            _interval(flux),
            _number(flux["worst_panel"]),
            _percent(flux["within_5_percent"], 0),
            _percent(flux["intensity_within_5_percent"], 0),
        ]
        for case, flux in report["flux"].items()
    ]
    header = [
        "direction",
        "total / true",
        "95 % interval",
        "worst panel",
        "panels within 5 %",
        "of the intensity",
    ]
    return Table("Intensity", header, rows)


def _consistency(report: Mapping[str, Any]) -> Table:
    rows = [
        [source, _words(method), _number(distance["value"]), _interval(distance)]
        for source, methods in report["consistency"].items()
        for method, distance in methods.items()
    ]
    title = "Data consistency: ‖R·result − data‖ / ‖data‖ with the known resolution (noise: that of the data)"
    return Table(title, ["data", "result", "distance", "95 % interval"], rows)


def _calibration(report: Mapping[str, Any]) -> Table:
    rows = [
        [
            READERS[reader][0],
            _number(figures["nll"]),
            _percent(figures["ece"]),
            _percent(figures["ece_correlation"]),
            _number(figures["auroc"], 4),
        ]
        for reader, figures in report["calibration"].items()
    ]
    header = ["classifier", "NLL", "ECE of the shares", "ECE of the correlation", "AUROC"]
    return Table("Calibration on each classifier's own kind of data", header, rows)


def _null(report: Mapping[str, Any]) -> Table | None:
    answers = report["null_response"]
    if not answers:
        return None
    classes = list(next(iter(next(iter(answers.values())).values())))
    rows = [
        [name, domain, *(_number(value) for value in values.values())]
        for domain, inputs in answers.items()
        for name, values in inputs.items()
    ]
    return Table("Largest correlation of inputs of no class", ["input", "classifier", *classes], rows)


def _null_areas(report: Mapping[str, Any]) -> Table:
    rows = [
        [domain, name, _number(value, 4)]
        for domain, areas in report["null_auroc"].items()
        for name, value in areas.items()
    ]
    title = "AUROC of the largest correlation, spectra against inputs of no class"
    return Table(title, ["classifier", "against", "AUROC"], rows)


def _foreign(report: Mapping[str, Any]) -> Table | None:
    """Largest correlations of foreign materials; the change is what a forced deconvolution adds."""
    foreign = report.get("foreign", {})
    if "controls" not in foreign:
        return None
    readings = foreign["thresholds"]
    rows = [
        [
            _words(name),
            *(
                cell
                for reading in readings
                for cell in (
                    _with_interval(answers[reading]["mean"]),
                    _percent(answers[reading]["above"]["value"], 0),
                )
            ),
            _with_interval(answers["change"], sign="+"),
            _percent(answers["refused"], 0),
        ]
        for name, answers in foreign["controls"].items()
    ]
    columns = [
        column
        for reading, limit in readings.items()
        for column in (FOREIGN_READINGS[reading][1], f"above {limit:g}")
    ]
    header = ["input", *columns, "after − before deconvolving", "refused by the domain check"]
    title = (
        f"Largest correlation of foreign materials, {foreign['spectra']} of each, with the background and "
        "noise of measurement-like data: mean (95 % interval) and share above the threshold; "
        "deconvolved by force"
    )
    return Table(title, header, rows)


def _with_interval(value: Mapping[str, Any], sign: str = "") -> str:
    low, high = value["low"], value["high"]
    return f"{value['value']:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def _coverage(report: Mapping[str, Any]) -> Table:
    coverage = report["coverage"]
    rows = (
        [["not known", *[EM_DASH] * 4]]
        if "68" not in coverage
        else [
            [
                str(coverage["spectra"]),
                _percent(coverage["68"]),
                _percent(coverage["95"]),
                _percent(coverage["68_bright"]),
                _percent(coverage["95_bright"]),
            ]
        ]
    )
    for direction, parts in coverage.get("calibration", {}).items():
        if isinstance(parts, Mapping) and "overall" in parts:
            overall, bright = parts["overall"], parts["bright"]
            numbers = (overall["68"], overall["95"], bright["68"], bright["95"])
            spectra = f"{coverage['calibration']['spectra']}, {direction}, all conditions"
            rows.append([spectra, *map(_percent, numbers)])
    header = ["spectra", "within 68 %", "within 95 %", "68 %, bright bins", "95 %, bright bins"]
    return Table("Coverage of the errors (measurement-like data)", header, rows)


def _domain(report: Mapping[str, Any]) -> list[Table]:
    """Of whole spectra, and of single cuts where these were asked for."""
    titles = {"domain": "Domain measure", "domain_of_cuts": "Domain measure of single cuts"}
    return [table for key, title in titles.items() if key in report for table in _checked(report[key], title)]


def _checked(domain: Any, title: str) -> list[Table]:
    """Whatever the control report holds: numbers as they are, tables of numbers as tables."""
    if not isinstance(domain, Mapping) or "not known" in domain:
        return [Table(title, ["", ""], [["not known", str(domain.get("not known", ""))]])]
    single = [[_words(str(k)), _cell(v)] for k, v in domain.items() if not isinstance(v, Mapping)]
    checked = [Table(title, ["", ""], single)]
    for name, inner in domain.items():
        if isinstance(inner, Mapping) and inner and all(isinstance(v, Mapping) for v in inner.values()):
            checked.append(_of_mappings(f"{title}: {_words(str(name))}", inner))
        elif isinstance(inner, Mapping):
            rows = [[_words(str(k)), _cell(v)] for k, v in inner.items()]
            checked.append(Table(f"{title}: {_words(str(name))}", ["", ""], rows))
    return checked


def _of_mappings(title: str, rows_by_name: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row for each mapping, a column for each of their keys."""
    keys = list(dict.fromkeys(key for inner in rows_by_name.values() for key in inner))
    rows = [[_words(name), *(_cell(inner.get(key)) for key in keys)] for name, inner in rows_by_name.items()]
    return Table(title, ["", *map(_words, keys)], rows)


def _cell(value: Any) -> str:
    if value is None:
        return EM_DASH
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{_words(str(k))} {_cell(v)}" for k, v in value.items())
    text = str(value)
    return text if len(text) < 200 else text[:200] + " …"


def panels_that_decide(report: Mapping[str, Any]) -> Table | None:
    """The ten panels that the classifier's answer depends on most; None where that is not known."""
    panels = report["panels"]
    if "deciding" not in panels:
        return None
    values = np.array(panels["deciding"])
    rows = []
    for place in np.argsort(-values, axis=None)[:10]:
        e, w = (int(n) for n in np.unravel_index(place, values.shape))
        energy = report["incident_energies"][e]
        rows.append(
            [
                f"{energy:g} meV",
                _window(report, e, w),
                _number(values[e, w]),
                _number(panels["occlusion"][e][w]),
                _percent(panels["weights"][e][w]),
            ]
        )
    header = ["Ei", "energy transfer", "mean change", "mean fall of the score without it", "share of the map"]
    return Table("Panels that decide", header, rows)


def _window(report: Mapping[str, Any], energy: int, window: int) -> str:
    edges = report["energy_edges"]
    if edges is None:
        return f"bin {window}"
    ei = report["incident_energies"][energy]
    return f"{edges[window] * ei:.3g} to {edges[window + 1] * ei:.3g} meV"


def _panels(report: Mapping[str, Any]) -> list[Table]:
    """Relative L2 per panel, untranslated → translated, where the energy bins are few."""
    panels_of = []
    for case, methods in report["relative_l2"].items():
        before, after = (methods[name]["per_panel"] for name in ("untranslated", "translated"))
        if len(before[0]) > 16 or case == "deconvolve_measured":
            continue
        rows = [
            [
                f"{energy:g} meV",
                *(
                    EM_DASH if o is None or n is None else f"{o:.2f} → {n:.2f}"
                    for o, n in zip(old, new, strict=True)
                ),
            ]
            for energy, old, new in zip(report["incident_energies"], before, after, strict=True)
        ]
        header = [f"relative L2, {_words(case)}", *(f"window {n}" for n in range(len(before[0])))]
        panels_of.append(Table(f"Relative L2 per panel, {_words(case)}", header, rows))
    return panels_of


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; color: #222 }
h1 { font-size: 1.6rem } h2 { border-bottom: 1px solid #ccc; margin-top: 2.5rem } h3 { margin-bottom: .4rem }
table { border-collapse: collapse; margin-bottom: 1.5rem; font-size: 14px }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #e3e3e3 }
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
        f"<title>{html.escape(title)}</title>\n"
        f"<style>{STYLE}</style></head>\n<body>\n<h1>{html.escape(title)}</h1>\n"
        f"{_about(report)}\n<h2>Figures</h2>\n{shown}\n<h2>Pictures</h2>\n{figures}\n</body>\n</html>\n"
    )


def _about(report: Mapping[str, Any]) -> str:
    """What was measured, in sentences."""
    lines = [
        f"{report['mosaics']} spectra of the split {report['split']!r} of {Path(report['dataset']).name!r}; "
        f"the target is {report['target']!r}. Trainings of the model: {len(report['seeds'])}, "
        f"parameters in a generator: {report['parameters']:,}; checksum {report['checksum'][:12]}.",
        f"Measurement-like input: noise of variance {report['noise']:g}·I and a background of mean height "
        f"{report['background']:g}, seed {report['seed']}.",
        "Intervals are 95 % bootstraps, paired, over spectra"
        + (" and trainings (few trainings make them a lower bound)." if len(report["seeds"]) > 1 else "."),
        "Untranslated: the input as it is. Identity: through the scaling and back, without the network.",
    ]
    if report["paired"] is not None:
        lines.append(
            f"Paired: {report['paired']['name']!r}, trained on true pairs, "
            f"{report['paired']['parameters']:,} parameters in a generator."
        )
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

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Exp2SimError(
            f"The folder {folder} cannot be made.",
            reason=str(error),
            fix="Choose another folder for --report.",
        ) from error
    for name, text in (
        (REPORT, json.dumps(report, indent=1, allow_nan=False) + "\n"),
        (PAGE, page(report, draw(report, example, mask))),
    ):
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
