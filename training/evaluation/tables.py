"""The figures of an evaluation as tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mantid_exp2sim.training.evaluation.figures import READERS
from mantid_exp2sim.training.evaluation.foreign import READINGS as FOREIGN_READINGS
from mantid_exp2sim.training.evaluation.table import EM_DASH, Table, interval, number, percent, words


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


def _accuracy(report: Mapping[str, Any]) -> Table:
    rows = []
    for key, share in report["accuracy"].items():
        reader, name = key.split(":")
        rows.append([READERS[reader][0], words(name), percent(share["value"]), interval(share, 100, 1)])
    return Table("Accuracy of the classifiers", ["classifier", "input", "accuracy", "95 % interval"], rows)


def _gaps(report: Mapping[str, Any]) -> Table:
    rows = []
    for case, methods in report["gap_closed_by"].items():
        for method, gap in methods.items():
            value = "no gap" if gap["value"] is None else f"{100 * gap['value']:.0f} %"
            ends = "the gap is not above its noise" if gap["low"] is None else interval(gap, 100, 0)
            rows.append([words(case), words(method), f"{100 * gap['gap']:.1f}", value, ends])
    header = ["direction", "by", "gap, points", "closed", "95 % interval"]
    return Table("Share of the accuracy gap that is closed", header, rows)


def _errors(report: Mapping[str, Any]) -> Table:
    rows = [
        [
            words(case),
            words(method),
            number(error["mean"]),
            interval(error),
            number(report["relative_l1"][case][method]["mean"]),
            number(report["ssim"][case][method]["mean"]),
        ]
        for case, methods in report["relative_l2"].items()
        for method, error in methods.items()
    ]
    header = ["direction", "by", "relative L2", "95 % interval", "relative L1", "SSIM"]
    return Table("Distance to the true counterpart", header, rows)


def _better(report: Mapping[str, Any]) -> Table:
    rows = [
        [words(case), words(method), number(ratio["value"]), interval(ratio)]
        for case, methods in report["better_than"].items()
        for method, ratio in methods.items()
    ]
    header = ["direction", "against", "relative L2, ratio of the means", "95 % interval"]
    return Table("Relative L2 of the model over that of others, on the same spectra", header, rows)


def _flux(report: Mapping[str, Any]) -> Table:
    rows = [
        [
            words(case),
            number(flux["all"]),
            interval(flux),
            number(flux["worst_panel"]),
            percent(flux["within_5_percent"], 0),
            percent(flux["intensity_within_5_percent"], 0),
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
        [source, words(method), number(distance["value"]), interval(distance)]
        for source, methods in report["consistency"].items()
        for method, distance in methods.items()
    ]
    title = "Data consistency: ‖R·result − data‖ / ‖data‖ with the known resolution (noise: that of the data)"
    return Table(title, ["data", "result", "distance", "95 % interval"], rows)


def _calibration(report: Mapping[str, Any]) -> Table:
    rows = [
        [
            READERS[reader][0],
            number(figures["nll"]),
            percent(figures["ece"]),
            percent(figures["ece_correlation"]),
            number(figures["auroc"], 4),
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
        [name, domain, *(number(value) for value in values.values())]
        for domain, inputs in answers.items()
        for name, values in inputs.items()
    ]
    return Table("Largest correlation of inputs of no class", ["input", "classifier", *classes], rows)


def _null_areas(report: Mapping[str, Any]) -> Table:
    rows = [
        [domain, name, number(value, 4)]
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
            words(name),
            *(
                cell
                for reading in readings
                for cell in (
                    _with_interval(answers[reading]["mean"]),
                    percent(answers[reading]["above"]["value"], 0),
                )
            ),
            _with_interval(answers["change"], sign="+"),
            percent(answers["refused"], 0),
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
                percent(coverage["68"]),
                percent(coverage["95"]),
                percent(coverage["68_bright"]),
                percent(coverage["95_bright"]),
            ]
        ]
    )
    for direction, parts in coverage.get("calibration", {}).items():
        if isinstance(parts, Mapping) and "overall" in parts:
            overall, bright = parts["overall"], parts["bright"]
            numbers = (overall["68"], overall["95"], bright["68"], bright["95"])
            spectra = f"{coverage['calibration']['spectra']}, {direction}, all conditions"
            rows.append([spectra, *map(percent, numbers)])
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
    single = [[words(str(k)), _cell(v)] for k, v in domain.items() if not isinstance(v, Mapping)]
    checked = [Table(title, ["", ""], single)]
    for name, inner in domain.items():
        if isinstance(inner, Mapping) and inner and all(isinstance(v, Mapping) for v in inner.values()):
            checked.append(_of_mappings(f"{title}: {words(str(name))}", inner))
        elif isinstance(inner, Mapping):
            rows = [[words(str(k)), _cell(v)] for k, v in inner.items()]
            checked.append(Table(f"{title}: {words(str(name))}", ["", ""], rows))
    return checked


def _of_mappings(title: str, rows_by_name: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row for each mapping, a column for each of their keys."""
    keys = list(dict.fromkeys(key for inner in rows_by_name.values() for key in inner))
    rows = [[words(name), *(_cell(inner.get(key)) for key in keys)] for name, inner in rows_by_name.items()]
    return Table(title, ["", *map(words, keys)], rows)


def _cell(value: Any) -> str:
    if value is None:
        return EM_DASH
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{words(str(k))} {_cell(v)}" for k, v in value.items())
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
                number(values[e, w]),
                number(panels["occlusion"][e][w]),
                percent(panels["weights"][e][w]),
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
        header = [f"relative L2, {words(case)}", *(f"window {n}" for n in range(len(before[0])))]
        panels_of.append(Table(f"Relative L2 per panel, {words(case)}", header, rows))
    return panels_of
