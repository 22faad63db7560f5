"""What the window tells of data, without Qt: verdict, correlations, constants, in words."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.domain.check import DomainReport
from mantid_exp2sim.fitting.result import number_with_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mantid_exp2sim.fitting.result import Fit
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.inference.classify import Classification
    from mantid_exp2sim.interface.session import Outcome

NEXT = {
    "trustworthy": "The result can be used with its errors.",
    "expert opinion": "Compare the result with one by the known resolution before you use it.",
    "untrustworthy": "Do not use the network for these data: choose the method richardson-lucy.",
    "not known": "Choose the method richardson-lucy, or a model for such data.",
}


def about_data(histogram: Histogram) -> str:
    """Say what data are, as HTML."""
    share = 100 * float(histogram.mask.mean())
    rows = [("bins", " × ".join(map(str, histogram.shape)) + f", {share:.1f} % not measured")]
    rows += [
        (axis.label or axis.name, f"{axis.edges[0]:.4g} to {axis.edges[-1]:.4g} {axis.unit}")
        for axis in histogram.axes
    ]
    for key, label in (("title", "title"), ("instrument", "instrument"), ("incident_energy", "Ei (meV)")):
        if histogram.metadata.get(key) is not None:
            rows.append((label, str(histogram.metadata[key])))
    return _table(rows)


def verdict(outcome: Outcome) -> tuple[str, str]:
    """Return the verdict in a word, and its reasons as HTML; empty where nothing was checked."""
    report = outcome.domain or _told(outcome)
    if report is None:
        return "", _method(outcome)
    rows = []
    if report.p_value is not None:
        rows.append(("p-value", f"{report.p_value:.3g}: share of training spectra that look as strange"))
    if report.score is not None and report.limit is not None:
        rows.append(("score", f"{report.score:.3g}; data are refused above {report.limit:.3g}"))
    if report.distance is not None:
        rows.append(("distance", f"{report.distance:.3g} from the training data"))
    if report.expected_error is not None:
        rows.append(("expected error", f"{100 * report.expected_error:.0f} % of the result"))
    if report.note:
        rows.append(("note", report.note))
    rows.append(("what to do", NEXT[report.verdict]))
    return report.verdict, _method(outcome) + _table(rows)


def _told(outcome: Outcome) -> DomainReport | None:
    """Return the report that a translation keeps in its history."""
    if outcome.translation is None:
        return None
    domain = outcome.translation.histogram.metadata["history"][-1].get("domain")
    return None if domain is None else DomainReport(**domain)


def _method(outcome: Outcome) -> str:
    if outcome.translation is None:
        return ""
    step = outcome.translation.histogram.metadata["history"][-1]
    method = step.get("options", {}).get("method", "network")
    note = step.get("not_the_network")
    text = f"Method: {method}" + (f", since {note}" if note else "") + "."
    through = outcome.translation.put_back_through
    return f"<p>{escape(text)}{f' Put back through {escape(through)}.' if through else ''}</p>"


def correlations(classification: Classification) -> str:
    """Say what a classification says, as HTML."""
    rows = [(name, f"{value:.3f}") for name, value in classification.correlations.items()]
    rows += [("answer", classification.prediction), ("data taken as", classification.data_kind)]
    second = classification.second_opinion
    if second is not None:
        others = ", ".join(f"{name} {value:.3f}" for name, value in second["correlations"].items())
        rows.append((f"as {second['data_kind']} data", f"{second['prediction']} ({others})"))
    return _table(rows) + _list(classification.warnings)


def constants(fit: Fit) -> str:
    """Say what a fit says: its sentence, and constants with their 68 % errors, as HTML."""
    text = f"<p>{escape(fit.sentence)}</p>"
    for name, model in fit.models.items():
        mean, sd = model.mean, model.sd
        rows = [(constant, number_with_error(mean[constant], sd[constant])) for constant in model.names]
        rows += [("reduced χ²", f"{model.chi2_reduced:.3f}"), ("p-value", f"{model.p_value:.2g}")]
        rows.append(("probability", f"{fit.probabilities[name]:.3g}"))
        text += f"<h4>{escape(name)}</h4>" + _table(rows)
    return text + _list(fit.notes)


def history(histogram: Histogram) -> str:
    """Say what was done to data, as HTML."""
    steps = histogram.metadata.get("history", [])
    return _list([f"{step.get('command', '?')}: {_short(step.get('options', {}))}" for step in steps])


def _short(options: Any) -> str:
    text = ", ".join(f"{key} {value}" for key, value in dict(options).items() if value is not None)
    return text if len(text) <= 300 else text[:297] + "…"


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(
        f"<tr><td><b>{escape(name)}</b>&nbsp;&nbsp;</td><td>{escape(text)}</td></tr>" for name, text in rows
    )
    return f"<table>{cells}</table>"


def _list(texts: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""
