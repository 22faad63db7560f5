"""What CheckModelDomainMD does: are workspaces inside a model's domain?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.inference.worker import Progress
from mantid_exp2sim.mantid import algorithm as mdalgorithm
from mantid_exp2sim.mantid import inputs as mdinputs
from mantid_exp2sim.mantid import properties as mdproperties
from mantid_exp2sim.mantid import workspace as mdworkspace

if TYPE_CHECKING:
    from mantid_exp2sim.application.model import Model
    from mantid_exp2sim.domain.check import DomainCheck
    from mantid_exp2sim.model.card import Direction

VERDICTS = ("untrustworthy", "expert opinion", "not known", "trustworthy")
"""From the least trustworthy one on."""


def declare_input(algorithm: Any) -> None:
    """Declare the workspaces and what they are for."""
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


def declare_answer(algorithm: Any) -> None:
    """Declare the output properties."""
    from mantid.kernel import Direction

    nan = float("nan")
    algorithm.declareProperty(
        "PValue", nan, direction=Direction.Output,
        doc="Share of spectra of the training domain that look as foreign or more; NaN if not known.",
    )  # fmt: skip
    algorithm.declareProperty(
        "Distance", nan, direction=Direction.Output,
        doc="Distance of the network's features to those of the training set; NaN if not known.",
    )  # fmt: skip
    algorithm.declareProperty(
        "Verdict", "", direction=Direction.Output,
        doc="One of trustworthy, expert opinion, untrustworthy and not known; of several the worst.",
    )  # fmt: skip


def issues(algorithm: Any) -> mdalgorithm.Issues:
    """Messages of ``validateInputs``: everything is checked on the model's card, no weights are read."""
    found, bundle = mdalgorithm.model_issues(algorithm)
    found.update(mdalgorithm.number_issues(algorithm))
    if not mdinputs.names_given(algorithm):
        return found
    try:
        workspaces = mdinputs.workspaces(algorithm)
    except Exp2SimError as error:
        return {**found, "InputWorkspace": str(error)}
    outputs = [("ReportWorkspace", algorithm.getPropertyValue("ReportWorkspace"))]
    found.update(mdinputs.clashes([*mdinputs.names_given(algorithm), *workspaces], outputs))
    if bundle is not None and not found:
        found.update(mdalgorithm.data_issues(bundle, workspaces, mdalgorithm.incident_energy(algorithm)))
    return found


def execute(algorithm: Any) -> None:
    """``PyExec``: judge the workspaces; nothing is changed."""
    energy = mdalgorithm.incident_energy(algorithm)
    data = {
        name: mdworkspace.read(workspace, incident_energy=energy).histogram
        for name, workspace in mdinputs.workspaces(algorithm).items()
    }
    options = mdalgorithm.options(algorithm)
    direction: Direction = algorithm.getProperty("ModelDirection").value
    load = mdalgorithm.loader(algorithm)

    def work(progress: Progress) -> tuple[Model, dict[str, DomainCheck]]:
        model, checks = load(), {}
        for number, (name, histogram) in enumerate(data.items()):
            progress(number, len(data), f"{name}: compare with the training data")
            checks[name] = model.check_domain(model.prepare(histogram, options), direction)
        return model, checks

    model, checks = mdalgorithm.computed(algorithm, work)
    algorithm.setProperty("ModelChecksum", model.checksum)
    worst = least_trustworthy(checks.values())
    algorithm.setProperty("PValue", _number(worst.p_value))
    algorithm.setProperty("Distance", _number(worst.distance))
    algorithm.setProperty("Verdict", worst.verdict)
    for name, check in checks.items():
        tell(algorithm, check.to_dict(), f"{name}: {check.words()}")
    if algorithm.getPropertyValue("ReportWorkspace"):
        algorithm.setProperty("ReportWorkspace", table(checks))


def least_trustworthy(checks: Iterable[DomainCheck]) -> DomainCheck:
    """The one with the worst verdict; of several with the same verdict that of the smallest p-value.

    >>> from mantid_exp2sim.domain.check import DomainCheck
    >>> good, bad = DomainCheck(0.5, 1.0, "trustworthy"), DomainCheck(0.001, 9.0, "untrustworthy")
    >>> least_trustworthy([good, bad]).verdict
    'untrustworthy'
    """
    return min(
        checks,
        key=lambda check: (VERDICTS.index(check.verdict), 1.0 if check.p_value is None else check.p_value),
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def tell(algorithm: Any, found: dict[str, Any], words: str) -> None:
    """One line in the log: a warning unless the data are trustworthy."""
    log = algorithm.log()
    (log.notice if found["verdict"] == "trustworthy" else log.warning)(words)


def table(checks: Mapping[str, DomainCheck]) -> Any:
    """A TableWorkspace with a row for each workspace."""
    from mantid.api import WorkspaceFactory

    made = WorkspaceFactory.createTable()
    for title in ("Workspace", "Verdict", "Note"):
        made.addColumn("str", title)
    for title in ("PValue", "Distance", "Score", "Limit"):
        made.addColumn("double", title)
    for name, check in checks.items():
        numbers = (check.p_value, check.distance, check.score, check.limit)
        made.addRow([name, check.verdict, check.note, *map(_number, numbers)])
    return made
