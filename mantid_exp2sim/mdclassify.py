"""What ClassifySpinWavesMD does: workspaces to rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mantid_exp2sim import mdalgorithm, mdmaps, mdproperties, mdworkspace
from mantid_exp2sim.background import compute
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Histogram

if TYPE_CHECKING:
    from mantid_exp2sim.bundle import Model
    from mantid_exp2sim.classification import Classification

FIXED = ("Workspace", "Prediction", "Certainty")
"""The first columns of the table; one column of correlations for each spin-wave model follows."""
SAME_ENERGY = 0.05
"""Relative distance within which an incident energy counts as one of a mosaic's."""


def declare_choice(algorithm: Any) -> None:
    """Declare the options of a classification."""
    from mantid.kernel import StringListValidator

    algorithm.declareProperty(
        "Deconvolve",
        False,
        "Take the resolution out first. For measured data, with the automatic classifier.",
    )
    domains = ["auto", "integrated", "centre", "convolved"]
    algorithm.declareProperty(
        "Classifier",
        "auto",
        StringListValidator(domains),
        "Which classifier, by the data it was trained on. "
        "The automatic choice is that of the data they look more like, by the model's domain check.",
    )
    algorithm.declareProperty(
        "AsOneMeasurement",
        False,
        "Classify all workspaces together. Needs one workspace for each incident energy of the model.",
    )
    mdmaps.declare(algorithm)


def workspaces(algorithm: Any) -> dict[str, Any]:
    """The workspaces that are named, groups replaced by their members, each once.

    Raises
    ------
    Exp2SimError
        If there are none, or one is no MDHistoWorkspace.
    """
    from mantid.api import AnalysisDataService, IMDHistoWorkspace, WorkspaceGroup

    found: dict[str, Any] = {}
    names = [str(name) for name in algorithm.getProperty("InputWorkspace").value]
    while names:
        name = names.pop(0)
        if not AnalysisDataService.doesExist(name):
            raise Exp2SimError(f"There is no workspace {name!r}.")
        workspace = AnalysisDataService.retrieve(name)
        if isinstance(workspace, WorkspaceGroup):
            names = [*(str(member) for member in workspace.getNames()), *names]
        elif isinstance(workspace, IMDHistoWorkspace):
            found[name] = workspace
        else:
            raise Exp2SimError(
                f"The workspace {name!r} is a {workspace.id()}.",
                why="Spin waves are classified in MDHistoWorkspaces.",
                way_out="Bin event workspaces with BinMD first.",
            )
    if not found:
        raise Exp2SimError("No workspace is given.")
    return found


def histograms(algorithm: Any) -> list[tuple[str, Histogram]]:
    """What makes a row each: its name and its data.

    Raises
    ------
    Exp2SimError
        If the incident energies do not fit, or the workspaces are no whole measurement but should be.
    """
    named = workspaces(algorithm)
    read = [
        (name, mdworkspace.read(workspace, incident_energy=energy).histogram)
        for (name, workspace), energy in zip(named.items(), given_energies(algorithm), strict=True)
    ]
    if not algorithm.getProperty("AsOneMeasurement").value:
        return read
    return [(", ".join(named), joined([histogram for _, histogram in read]))]


def given_energies(algorithm: Any) -> Sequence[float | None]:
    """The incident energy that is given for each workspace, None where its log is taken."""
    count = len(workspaces(algorithm))
    given = mdproperties.read_numbers(algorithm, "IncidentEnergies")
    if len(given) not in (0, 1, count) or not all(0 < value < float("inf") for value in given):
        raise Exp2SimError(
            f"{len(given)} incident energies are given for {count} workspaces.",
            way_out="Give none, one for all, or a positive one for each.",
        )
    return given * count if len(given) == 1 else given or [None] * count


def joined(volumes: Sequence[Histogram]) -> Histogram:
    """One measurement of volumes at several incident energies, with the axes in any order."""
    from mantid_exp2sim import mosaic

    return mosaic.join([nominal(mdworkspace.in_order(volume)) for volume in volumes])


def nominal(volume: Histogram) -> Histogram:
    """The same volume, with the incident energy of the mosaic that is meant by its own one."""
    from mantid_exp2sim.mosaic import INCIDENT_ENERGIES

    logged = volume.metadata.get("incident_energy")
    if logged is None:
        return volume
    nearest = min(INCIDENT_ENERGIES, key=lambda energy: abs(energy - logged))
    if abs(nearest - logged) > SAME_ENERGY * nearest:
        return volume
    return volume.replace(metadata={**volume.metadata, "incident_energy": nearest})


def issues(algorithm: Any) -> mdalgorithm.Issues:
    """Messages of ``validateInputs``: everything is checked on the model's card, no weights are read."""
    found, model = mdalgorithm.model_issues(algorithm)
    found.update(mdalgorithm.number_issues(algorithm))
    if not algorithm.getProperty("InputWorkspace").value or model is None or found:
        return found
    try:
        for name, histogram in histograms(algorithm):
            _check(model, name, histogram)
    except Exp2SimError as error:
        found["InputWorkspace"] = mdalgorithm.words(error)
    if not model.card.classifiers:
        found["Model"] = f"The model {model.card.name!r} has no classifier."
    return found


def _check(model: Model, name: str, histogram: Histogram) -> None:
    try:
        model.check(histogram)
    except Exp2SimError as error:
        raise Exp2SimError(f"{name}: {mdalgorithm.words(error)}") from error


def execute(algorithm: Any) -> None:
    """``PyExec``: classify every measurement, then make the table."""
    data = histograms(algorithm)
    load = mdalgorithm.loader(algorithm)
    options = {
        **mdalgorithm.data_options(algorithm),
        "deconvolve": bool(algorithm.getProperty("Deconvolve").value),
        "domain": str(algorithm.getProperty("Classifier").value),
    }

    with_maps = mdmaps.wanted(algorithm)

    def work(
        progress: Callable[[int, int, str], None],
    ) -> tuple[Model, list[Classification], list[Histogram]]:
        from mantid_exp2sim.attention import explain

        model = load()
        results, maps = [], []
        for number, (name, histogram) in enumerate(data):
            part = _part(progress, number, len(data), name)
            results.append(model.classify(histogram, progress=part, **options))
            if with_maps:
                maps.append(explain(model, histogram, progress=part, **options).map)
        return model, results, maps

    try:
        model, results, maps = compute(work, mdalgorithm.reporter(algorithm), message="loading the model")
    except Exp2SimError as error:
        if "takes together" not in error.what:
            raise
        way_out = (
            "Give one workspace for each incident energy and set AsOneMeasurement, or use another model."
        )
        raise Exp2SimError(error.what, why=error.why, way_out=way_out) from error
    algorithm.setProperty("ModelChecksum", model.checksum)
    rows = [(name, result) for (name, _), result in zip(data, results, strict=True)]
    for name, result in rows:
        algorithm.log().notice(verdict(name, result))
    algorithm.setProperty("OutputWorkspace", table(rows, model.card.classes))
    if with_maps:
        mdmaps.store(algorithm, workspaces(algorithm), given_energies(algorithm), maps)


def _part(
    progress: Callable[[int, int, str], None], number: int, count: int, name: str
) -> Callable[[int, int, str], None]:
    """The progress of one of several measurements, as a part of the whole."""

    def part(done: int, total: int, message: str) -> None:
        progress(round(1000 * (number + (done / total if total else 0))), 1000 * count, f"{name}: {message}")

    return part


def verdict(name: str, result: Classification) -> str:
    """One line for the log.

    >>> from mantid_exp2sim.classification import Classification
    >>> result = Classification({"Dimer": 0.125, "Goodenough": 0.75}, "Goodenough", 0.75, "integrated", 0.5)
    >>> verdict("cut", result)
    'cut: Goodenough (correlations: Goodenough 0.750, Dimer 0.125; classifier for integrated data)'
    """
    ordered = sorted(result.correlations.items(), key=lambda item: -item[1])
    numbers = ", ".join(f"{model} {value:.3f}" for model, value in ordered)
    first = "like no model that is known" if result.prediction == "none" else result.prediction
    return f"{name}: {first} (correlations: {numbers}; classifier for {result.domain} data)"


def table(rows: Sequence[tuple[str, Classification]], classes: Sequence[str]) -> Any:
    """A TableWorkspace: a row for each measurement."""
    from mantid.api import WorkspaceFactory

    made = WorkspaceFactory.createTable()
    for kind, title in zip(("str", "str", "double"), FIXED, strict=True):
        made.addColumn(kind, title)
    for name in classes:
        made.addColumn("double", f"{name} correlation" if name in FIXED else name)
    for name, result in rows:
        numbers = [float(result.correlations[title]) for title in classes]
        made.addRow([name, result.prediction, float(result.certainty), *numbers])
    return made
