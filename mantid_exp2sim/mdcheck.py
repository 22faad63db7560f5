"""What CheckModelDomainMD does: is a workspace inside a model's domain?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mantid_exp2sim import mdalgorithm, mdworkspace
from mantid_exp2sim.background import compute

if TYPE_CHECKING:
    from mantid_exp2sim.applicability import DomainCheck
    from mantid_exp2sim.bundle import Model


def declare_input(algorithm: Any) -> None:
    """Declare the workspace and what it is for."""
    from mantid.api import IMDHistoWorkspaceProperty, ITableWorkspaceProperty, PropertyMode
    from mantid.kernel import Direction, StringListValidator

    algorithm.declareProperty(
        IMDHistoWorkspaceProperty("InputWorkspace", "", Direction.Input),
        "The MDHistoWorkspace to judge: h, k and energy transfer in any order, other axes integrated.",
    )
    algorithm.declareProperty(
        "ModelDirection",
        "deconvolve",
        StringListValidator(["deconvolve", "convolve"]),
        "What the data are for. DeconvolveMD takes measurement-like data, ConvolveMD simulation-like ones.",
    )
    algorithm.declareProperty(
        ITableWorkspaceProperty("ReportWorkspace", "", Direction.Output, PropertyMode.Optional),
        "Optional table with one row: workspace, verdict, p-value, distance, score and its limit.",
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
        doc="One of trustworthy, expert opinion, untrustworthy and not known.",
    )  # fmt: skip


def execute(algorithm: Any) -> None:
    """``PyExec``: judge the workspace; nothing is changed."""
    workspace = algorithm.getProperty("InputWorkspace").value
    snapshot = mdworkspace.read(workspace, incident_energy=mdalgorithm.incident_energy(algorithm))
    scale = mdalgorithm.data_options(algorithm)["scale"]
    direction = str(algorithm.getProperty("ModelDirection").value)
    load = mdalgorithm.loader(algorithm)

    def work(progress: Callable[[int, int, str], None]) -> tuple[Model, DomainCheck]:
        model = load()
        progress(0, 1, "compare with the training data")
        return model, model.check_domain(snapshot.histogram, direction=direction, scale=scale)  # type: ignore[arg-type]

    model, found = compute(work, mdalgorithm.reporter(algorithm), message="loading the model")
    algorithm.setProperty("ModelChecksum", model.checksum)
    p_value, distance = (float("nan") if v is None else float(v) for v in (found.p_value, found.distance))
    algorithm.setProperty("PValue", p_value)
    algorithm.setProperty("Distance", distance)
    algorithm.setProperty("Verdict", found.verdict)
    tell(algorithm, found.to_dict(), found.words())
    if algorithm.getPropertyValue("ReportWorkspace"):
        algorithm.setProperty("ReportWorkspace", table(workspace.name(), found))


def tell(algorithm: Any, found: dict[str, Any], words: str) -> None:
    """One line in the log: a warning unless the data are trustworthy."""
    log = algorithm.log()
    (log.notice if found["verdict"] == "trustworthy" else log.warning)(words)


def table(name: str, found: DomainCheck) -> Any:
    """A TableWorkspace with one row."""
    from mantid.api import WorkspaceFactory

    made = WorkspaceFactory.createTable()
    for title in ("Workspace", "Verdict", "Note"):
        made.addColumn("str", title)
    numbers = (found.p_value, found.distance, found.score, found.limit)
    for title in ("PValue", "Distance", "Score", "Limit"):
        made.addColumn("double", title)
    values = [float("nan") if value is None else float(value) for value in numbers]
    made.addRow([name, found.verdict, found.note, *values])
    return made
