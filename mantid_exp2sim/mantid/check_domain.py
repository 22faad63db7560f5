"""Compare workspaces with the data that a model was trained on: what CheckModelDomainMD does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.inference.worker import Progress
from mantid_exp2sim.mantid import algorithm as mdalgorithm
from mantid_exp2sim.mantid import choice as mdchoice
from mantid_exp2sim.mantid import inputs as mdinputs
from mantid_exp2sim.mantid import properties as mdproperties
from mantid_exp2sim.mantid import report as mdreport

if TYPE_CHECKING:
    from mantid_exp2sim.application.model import Model
    from mantid_exp2sim.domain.check import DomainReport
    from mantid_exp2sim.model.card import Direction

VERDICTS = ("untrustworthy", "expert opinion", "not known", "trustworthy")
"""From the least trustworthy one on."""


def declare(algorithm: Any) -> None:
    """Declare the properties."""
    from mantid.api import ITableWorkspaceProperty, PropertyMode
    from mantid.kernel import Direction, StringListValidator

    mdproperties.declare_inputs(algorithm)
    algorithm.declareProperty(
        "ModelDirection",
        "deconvolve",
        StringListValidator(["deconvolve", "convolve"]),
        "What the data are for. DeconvolveMD takes measurement-like data, ConvolveMD simulation-like ones.",
    )
    algorithm.declareProperty(
        ITableWorkspaceProperty("ReportWorkspace", "", Direction.Output, PropertyMode.Optional),
        "Optional table with a row for each workspace: verdict, p-value, distance, score and its limit.",
    )
    mdproperties.declare_model(algorithm)
    mdproperties.declare_data(algorithm, tiles=False)
    mdreport.declare(algorithm)
    nan = float("nan")
    outputs = {
        "PValue": (nan, "Share of training spectra that look as foreign or more; NaN if not known."),
        "Distance": (nan, "Distance of the network's features to the training set's; NaN if not known."),
        "Verdict": ("", f"One of {', '.join(VERDICTS)}; of several workspaces the worst."),
    }
    for name, (default, text) in outputs.items():
        algorithm.declareProperty(name, default, direction=Direction.Output, doc=text)


def issues(algorithm: Any) -> mdalgorithm.Issues:
    """Return the messages of ``validateInputs``; the model's card is read, no weights."""
    messages, bundle = mdchoice.validate_model(algorithm)
    messages.update(mdalgorithm.number_issues(algorithm))
    names = mdinputs.input_names(algorithm)
    if not names:
        return messages
    try:
        workspaces = mdinputs.workspaces(algorithm)
    except Exp2SimError as error:
        return {**messages, "InputWorkspace": str(error)}
    outputs = [("ReportWorkspace", algorithm.getPropertyValue("ReportWorkspace"))]
    messages.update(mdinputs.clashes([*names, *workspaces], outputs))
    messages.update(mdreport.issues(algorithm, workspaces))
    if bundle is None or messages:
        return messages
    return mdinputs.validate(algorithm, bundle, workspaces)[0]


def execute(algorithm: Any) -> None:
    """Check the workspaces; nothing is changed."""
    snapshots = mdinputs.read(algorithm, mdinputs.workspaces(algorithm))
    options = mdalgorithm.options(algorithm)
    direction: Direction = algorithm.getProperty("ModelDirection").value
    load = mdchoice.loader(algorithm)

    def work(progress: Progress) -> tuple[Model, dict[str, DomainReport]]:
        model, checks = load(), {}
        for number, (name, snapshot) in enumerate(snapshots.items()):
            progress(number, len(snapshots), f"{name}: compare with the training data")
            checks[name] = model.check_domain(model.prepare(snapshot.histogram, options), direction)
        return model, checks

    model, checks = mdalgorithm.computed(algorithm, work)
    histograms = {name: snapshot.histogram for name, snapshot in snapshots.items()}
    mdreport.write(algorithm, histograms, model=mdchoice.find_model(algorithm), **asdict(options))
    algorithm.setProperty("ModelChecksum", model.checksum)
    worst = least_trustworthy(checks.values())
    algorithm.setProperty("PValue", _number(worst.p_value))
    algorithm.setProperty("Distance", _number(worst.distance))
    algorithm.setProperty("Verdict", worst.verdict)
    log = algorithm.log()
    for name, check in checks.items():
        tell = log.notice if check.verdict == "trustworthy" else log.warning
        tell(f"{name}: {check.words()}")
    if algorithm.getPropertyValue("ReportWorkspace"):
        algorithm.setProperty("ReportWorkspace", table(checks))


def least_trustworthy(checks: Iterable[DomainReport]) -> DomainReport:
    """Return the check with the worst verdict; of several with the same verdict that of the smallest p-value.

    >>> from mantid_exp2sim.domain.check import DomainReport
    >>> good, bad = DomainReport(0.5, 1.0, "trustworthy"), DomainReport(0.001, 9.0, "untrustworthy")
    >>> least_trustworthy([good, bad]).verdict
    'untrustworthy'
    """
    return min(
        checks,
        key=lambda check: (VERDICTS.index(check.verdict), 1.0 if check.p_value is None else check.p_value),
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def table(checks: Mapping[str, DomainReport]) -> Any:
    """Return a TableWorkspace with a row for each workspace."""
    columns = dict.fromkeys(("Workspace", "Verdict", "Note"), "str")
    columns |= dict.fromkeys(("PValue", "Distance", "Score", "Limit"), "double")
    rows = (
        [name, check.verdict, check.note]
        + [_number(value) for value in (check.p_value, check.distance, check.score, check.limit)]
        for name, check in checks.items()
    )
    return mdalgorithm.table(columns, rows)
