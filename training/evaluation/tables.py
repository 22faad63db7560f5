"""The figures of an evaluation as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mantid_exp2sim.training.evaluation.figures import READERS
from mantid_exp2sim.training.evaluation.foreign import READINGS as FOREIGN_READINGS
from mantid_exp2sim.training.evaluation.shift_table import shift_table
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
        _foreign(report),
        _coverage(report),
        shift_table(report["shifts"]) if "shifts" in report else None,
        *_domain(report),
        *_panels(report),
    ]
    return [table for table in parts if table is not None and table.rows]


def _accuracy(report: Mapping[str, Any]) -> Table:
    rows = []
    for key, share in report["accuracy"].items():
        reader, name = key.split(":")
        rows.append([READERS[reader][0], words(name), percent(share["value"]), interval(share, 100, 1)])
    return Table("Accuracy of the classifiers", ["classifier", "input", "accuracy", "95 % interval"], rows)


def _gaps(report: Mapping[str, Any]) -> Table:
    rows = []
    for case, gap in report["gap_closed"].items():
        value = "no gap" if gap["value"] is None else f"{100 * gap['value']:.0f} %"
        ends = "the gap is not above its noise" if gap["low"] is None else interval(gap, 100, 0)
        rows.append([words(case), f"{100 * gap['gap']:.1f}", value, ends])
    header = ["direction", "gap, points", "closed", "95 % interval"]
    return Table("Share of the accuracy gap that the model closes", header, rows)


def _errors(report: Mapping[str, Any]) -> Table:
    rows = [
        [words(case), words(method), number(error["mean"]), interval(error)]
        for case, methods in report["relative_l2"].items()
        for method, error in methods.items()
    ]
    header = ["direction", "by", "relative L2", "95 % interval"]
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
    rows = []
    for direction in ("deconvolve", "convolve"):
        shares = report["coverage"].get(direction, {})
        if "overall" in shares:
            parts = ((part, level) for part in ("overall", "bright") for level in ("68", "95"))
            rows.append([direction, *(percent(shares[part][level]) for part, level in parts)])
    header = ["direction", "within 68 %", "within 95 %", "68 %, bright bins", "95 %, bright bins"]
    return Table("Coverage of the errors, clean and measurement-like data together", header, rows)


def _domain(report: Mapping[str, Any]) -> list[Table]:
    """Of whole spectra, and of single cuts where these were asked for."""
    titles = {"domain": "Domain check", "domain_of_cuts": "Domain check of single cuts"}
    return [
        _checked(report[key], title) for key, title in titles.items() if "controls" in report.get(key, {})
    ]


def _checked(domain: Mapping[str, Any], title: str) -> Table:
    """A row for the spectra of the domain and for each control."""
    rows = [
        [
            words(name),
            number(entry.get("auroc")),
            percent(entry["share_below_0.05"]),
            percent(entry["verdicts"]["untrustworthy"]),
        ]
        for name, entry in {"in domain": domain["in_domain"], **domain["controls"]}.items()
    ]
    title += f": p-values of the domain are uniform with p = {domain['in_domain']['ks_p']:.2f}"
    if domain["error_correlation"] is not None:
        figures = (f"{words(key)} {value:.2f}" for key, value in domain["error_correlation"].items())
        title += f"; rank correlation with the true error: {', '.join(figures)}"
    return Table(title, ["data", "AUROC", "p < 0.05", "untrustworthy"], rows)


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
