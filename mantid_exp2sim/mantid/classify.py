"""What ClassifySpinWavesMD does: workspaces to rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.mantid import algorithm as mdalgorithm
from mantid_exp2sim.mantid import inputs as mdinputs
from mantid_exp2sim.mantid import maps as mdmaps
from mantid_exp2sim.mantid import properties as mdproperties
from mantid_exp2sim.mantid import workspace as mdworkspace

if TYPE_CHECKING:
    from mantid_exp2sim.application.model import Model
    from mantid_exp2sim.inference.classify import Classification

FIXED = ("Workspace", "Prediction", "Certainty")
"""The first columns of the table; one column of correlations for each spin-wave model follows."""


def declare_tables(algorithm: Any) -> None:
    """Declare the workspaces and the table of their classifications."""
    from mantid.api import ITableWorkspaceProperty
    from mantid.kernel import Direction

    mdproperties.declare_inputs(algorithm)
    algorithm.declareProperty(
        ITableWorkspaceProperty("OutputWorkspace", "", Direction.Output),
        "A table with a row for each workspace: prediction, certainty, correlation with each model.",
    )


def declare_choice(algorithm: Any) -> None:
    """Declare the options of a classification."""
    from mantid.kernel import StringListValidator

    algorithm.declareProperty(
        "Deconvolve",
        False,
        "Take the resolution out first. For measured data, with the automatic classifier.",
    )
    algorithm.declareProperty(
        "DataKind",
        "auto",
        StringListValidator(["auto", "integrated", "centre", "convolved"]),
        "Which classifier, by the data it was trained on. "
        "The automatic choice is that of the data they look more like, by the model's domain check.",
    )
    algorithm.declareProperty(
        "AsOneMeasurement",
        False,
        "Classify all workspaces together. Needs one workspace for each incident energy of the model.",
    )
    mdmaps.declare(algorithm)


def histograms(algorithm: Any) -> list[tuple[str, Histogram]]:
    """What makes a row each: its name and its data.

    Raises
    ------
    Exp2SimError
        If the incident energies do not fit, or the workspaces are no whole measurement but should be.
    """
    named = mdinputs.workspaces(algorithm)
    read = [
        (name, mdworkspace.read(workspace, incident_energy=energy).histogram)
        for (name, workspace), energy in zip(named.items(), mdinputs.given_energies(algorithm), strict=True)
    ]
    if not algorithm.getProperty("AsOneMeasurement").value:
        return read
    return [(", ".join(named), joined([histogram for _, histogram in read]))]


def joined(volumes: Sequence[Histogram]) -> Histogram:
    """One measurement of volumes at several incident energies, with the axes in any order."""
    from mantid_exp2sim import mosaic

    return mosaic.join([mdinputs.nominal(mdworkspace.in_order(volume)) for volume in volumes])


def issues(algorithm: Any) -> mdalgorithm.Issues:
    """Messages of ``validateInputs``: everything is checked on the model's card, no weights are read."""
    found, bundle = mdalgorithm.model_issues(algorithm)
    found.update(mdalgorithm.number_issues(algorithm))
    if not mdinputs.names_given(algorithm):
        return found
    try:
        found.update(clashes(algorithm))
        if bundle is None or found:
            return found
        if not bundle.card.classifiers:
            found["Model"] = f"The model {bundle.card.name!r} has no classifier."
        for name, histogram in histograms(algorithm):
            mdinputs.validate(bundle, name, histogram)
    except Exp2SimError as error:
        found["InputWorkspace"] = str(error)
    return found


def clashes(algorithm: Any) -> mdalgorithm.Issues:
    """Messages where the table or a map takes the place of an input, or of one another."""
    names = list(mdinputs.workspaces(algorithm))
    outputs = [("OutputWorkspace", algorithm.getPropertyValue("OutputWorkspace"))]
    outputs += [(mdmaps.PROPERTY, name) for name in mdmaps.names(algorithm, names)]
    return mdinputs.clashes([*mdinputs.names_given(algorithm), *names], outputs)


def execute(algorithm: Any) -> None:
    """``PyExec``: classify every measurement, then make the table."""
    data = histograms(algorithm)
    load = mdalgorithm.loader(algorithm)
    options = mdalgorithm.options(algorithm)
    choice: dict[str, Any] = {
        "deconvolve": bool(algorithm.getProperty("Deconvolve").value),
        "data_kind": str(algorithm.getProperty("DataKind").value),
    }
    with_maps = mdmaps.wanted(algorithm)

    def work(
        progress: Callable[[int, int, str], None],
    ) -> tuple[Model, list[Classification], list[Histogram]]:
        model = load()
        results, maps = [], []
        for number, (name, histogram) in enumerate(data):
            parts = [_part(progress, 2 * number + half, 2 * len(data), name) for half in (0, 1)]
            if choice["deconvolve"]:
                parts = [mdalgorithm.telling(algorithm, part) for part in parts]
            prepared = model.prepare(histogram, options)
            results.append(model.classify(prepared, progress=parts[0], **choice))
            if with_maps:
                maps.append(model.explain(prepared, progress=parts[1], **choice).map)
        return model, results, maps

    model, results, maps = mdalgorithm.computed(algorithm, work)
    algorithm.setProperty("ModelChecksum", model.checksum)
    rows = [(name, result) for (name, _), result in zip(data, results, strict=True)]
    for name, result in rows:
        algorithm.log().notice(verdict(name, result))
    algorithm.setProperty("OutputWorkspace", table(rows, model.card.classes))
    if with_maps:
        mdmaps.store(algorithm, mdinputs.workspaces(algorithm), mdinputs.given_energies(algorithm), maps)


def _part(
    progress: Callable[[int, int, str], None], number: int, count: int, name: str
) -> Callable[[int, int, str], None]:
    """The progress of one of several measurements, as a part of the whole."""

    def part(done: int, total: int, message: str) -> None:
        progress(round(1000 * (number + (done / total if total else 0))), 1000 * count, f"{name}: {message}")

    return part


def verdict(name: str, result: Classification) -> str:
    """One line for the log.

    >>> from mantid_exp2sim.inference.classify import Classification
    >>> result = Classification({"Dimer": 0.125, "Goodenough": 0.75}, "Goodenough", 0.75, "integrated", 0.5)
    >>> verdict("cut", result)
    'cut: Goodenough (correlations: Goodenough 0.750, Dimer 0.125; classifier for integrated data)'
    """
    ordered = sorted(result.correlations.items(), key=lambda item: -item[1])
    numbers = ", ".join(f"{model} {value:.3f}" for model, value in ordered)
    first = "like no model that is known" if result.prediction == "none" else result.prediction
    return f"{name}: {first} (correlations: {numbers}; classifier for {result.data_kind} data)"


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
