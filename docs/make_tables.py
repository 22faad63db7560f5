"""Fill the tables of docs/results.md from the models' cards, docs/benchmarks.json and docs/shifts.json.

    python docs/make_tables.py            # write the tables between their markers
    python docs/make_tables.py --check    # change nothing; exit status 1 where a table is out of date

A table stands between ``<!-- table: NAME -->`` and ``<!-- end of table -->``. Figures get onto the cards by
``exp2sim evaluate MODEL DATASET --on-card``, into docs/benchmarks.json by ``benchmarks/run_all.py --json``,
into docs/shifts.json by ``exp2sim evaluate MODEL --shifts --out docs``; docs/shifts-before.json is what it
was before intensity, masks and inversion were looked after.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
CARDS = DOCS.parent / "mantid_exp2sim" / "models"
MARKED = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
CASES = {"deconvolve": "deconvolve", "deconvolve_measured": "deconvolve measured", "convolve": "convolve"}
READERS = {"target": "simulation-like data", "convolved": "measured data"}
INPUTS = {
    "target": "unconvolved",
    "convolved": "convolved",
    "richardson_lucy": "convolved, Richardson–Lucy",
    "deconvolved": "convolved, deconvolved by the model",
    "measured": "measured",
    "measured_richardson_lucy": "measured, Richardson–Lucy",
    "measured_deconvolved": "measured, deconvolved by the model",
    "resolution": "unconvolved, resolution operator",
    "convolved_again": "unconvolved, convolved by the model",
}
FOREIGN = ("wrong domain", "shuffled panels", "shuffled bins", "digits", "textures")
Rows = Iterator[tuple[str, ...]]


def cards() -> list[dict[str, Any]]:
    """Read the cards of the shipped models, in the order of their names."""
    paths = sorted(CARDS.glob("*/card.json"), key=lambda path: path.parent.name)
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def number(value: float | None, digits: int = 3) -> str:
    """Format a number, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def models() -> Rows:
    """List what each model is for."""
    yield "model", "data", "networks", "classifiers", "training spectra", "megabytes"
    for card in cards():
        first, last = card["training"]["dataset"]["splits"]["train"]
        members = sum(name.startswith("deconvolve") for name in card["weights"])
        size = sum(entry["size"] for entry in card["weights"].values()) / 1e6
        about = card["description"].split(": ", 1)[1]
        classifiers = "yes" if card["classifiers"] else "no"
        yield f"`{card['name']}`", about, str(members), classifiers, str(last - first), number(size, 1)


def distance() -> Rows:
    """Compare the distance to the true counterpart with that of the classical ways."""
    yield "model", "what", "raw", "classical, of cuts", "classical", "**model**", "intensity", "spectra"
    for card in cards():
        metrics = card["metrics"]
        for case, words in CASES.items():
            errors = metrics["relative_l2"][case]
            way = "resolution" if case == "convolve" else "richardson_lucy"
            classical = (number(errors[name]) if name in errors else "–" for name in (f"{way}_of_cuts", way))
            result = f"**{number(errors['translated'])}**"
            tail = (result, number(metrics["flux"][case]), str(metrics["mosaics"]))
            yield f"`{card['name']}`", words, number(errors["untranslated"]), *classical, *tail


def accuracy() -> Rows:
    """Give the share of spectra that the classifiers read rightly."""
    yield "classifier of", "input", "accuracy, %", "95 % interval"
    for card in cards():
        for name, share in card["metrics"].get("accuracy", {}).items():
            reader, case = name.split(":")
            value, low, high = (number(100 * share[key], 1) for key in ("value", "low", "high"))
            if case in INPUTS:
                yield READERS[reader], INPUTS[case], value, f"{low} to {high}"


def no_class() -> Rows:
    """Give the largest correlation for inputs that show no spin-wave model."""
    yield "input", "classifier of simulation-like data", "classifier of measured data"
    for card in cards():
        responses = card["metrics"].get("null_response", {})
        for case in responses.get("integrated", ()):
            kinds = ("integrated", "convolved")
            yield case, *(number(max(responses[kind][case].values())) for kind in kinds)


def domain() -> Rows:
    """Give the median score of foreign data over the limit above which data are refused."""
    yield "model", "direction", "calibrated on", *(name.replace("domain", "kind of data") for name in FOREIGN)
    for card in cards():
        for direction, entry in card["domain"]["directions"].items():
            figures = entry["figures"]
            limit = entry["limit"] * figures["0.99 quantile of the calibration"]
            scores = (number(figures[f"median score, {name}"] / limit, 1) for name in FOREIGN)
            yield f"`{card['name']}`", direction, str(entry["calibration"]), *scores


def benchmarks() -> Rows:
    """List the benchmarks that have a target."""
    yield "what", "measured", "target", "met"
    for row in json.loads((DOCS / "benchmarks.json").read_text(encoding="utf-8")):
        if row["target"]:
            value = f"{row['value']:.2g} {row['unit']}"
            yield row["name"], value, row["target"], "yes" if row["met"] else "**no**"


def shifts() -> Rows:
    """Tell what a model says under other conditions of measurement, before and after it was made robust."""
    yield "shift", "error", "expected", "ratio", "trustworthy", "refused", "right class, raw", "deconvolved"
    before, after = (
        json.loads((DOCS / name).read_text(encoding="utf-8"))["shifts"]
        for name in ("shifts-before.json", "shifts.json")
    )
    keys = ("error", "expected", "ratio", "trustworthy", "refused", "right_raw", "right")
    for name, figures in after.items():
        yield name, *(f"{_cell(key, before.get(name))} → {_cell(key, figures)}" for key in keys)


def _cell(key: str, figures: dict[str, Any] | None) -> str:
    value = None if figures is None else figures[key]
    if value is None:
        return "–"
    if key in ("error", "expected"):
        return number(value)
    return number(value, 2) if key == "ratio" else f"{100 * value:.0f} %"


TABLES: dict[str, Callable[[], Rows]] = {
    function.__name__: function
    for function in (models, distance, accuracy, no_class, domain, shifts, benchmarks)
}


def table(name: str) -> str:
    """Write a table in Markdown; its first row is the heading."""
    heading, *rows = TABLES[name]()
    return "".join(f"| {' | '.join(row)} |\n" for row in (heading, ("---",) * len(heading), *rows))


def main() -> int:
    """Write the tables, or with ``--check`` say whether they are up to date."""
    parser = argparse.ArgumentParser(description="Fill the tables of docs/results.md.")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail where a table is out of date"
    )
    parser.add_argument("--file", type=Path, default=DOCS / "results.md", help="the document")
    args = parser.parse_args()
    before = args.file.read_text(encoding="utf-8")
    after = MARKED.sub(lambda match: match[1] + table(match[2]) + match[3], before)
    if not args.check:
        args.file.write_text(after, encoding="utf-8")
    elif after != before:
        print(f"{args.file} is out of date. Fix: python docs/make_tables.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
