"""Classify workspaces into the rows of a table: what ClassifySpinWavesMD does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.application.one_measurement import join_measurement
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.inference.worker import Progress
from mantid_exp2sim.mantid import algorithm as mdalgorithm
from mantid_exp2sim.mantid import choice as mdchoice
from mantid_exp2sim.mantid import inputs as mdinputs
from mantid_exp2sim.mantid import maps as mdmaps
from mantid_exp2sim.mantid import properties as mdproperties
from mantid_exp2sim.mantid import report as mdreport

if TYPE_CHECKING:
    from mantid_exp2sim.application.model import Model
    from mantid_exp2sim.inference.classify import Classification
    from mantid_exp2sim.mantid.workspace import Snapshot
    from mantid_exp2sim.model.card import Card

MAP = "MapWorkspace"
FIXED = {"Workspace": "str", "Prediction": "str", "Certainty": "double"}
"""The first columns of the table; a column of correlations for each spin-wave model follows."""
FIT_COLUMNS = {"delta chi2": "delta_chi2", "log evidence": "log_evidence", "p": "p_values"}
"""Titles of the columns of a fit, for each spin-wave model, and the names in `Classification.likelihood`."""


def declare(algorithm: Any) -> None:
    """Declare the properties."""
    from mantid.api import ITableWorkspaceProperty
    from mantid.kernel import Direction, StringListValidator

    mdproperties.declare_inputs(algorithm)
    algorithm.declareProperty(
        ITableWorkspaceProperty("OutputWorkspace", "", Direction.Output),
        "A table with a row for each workspace: prediction, certainty, correlation with each model.",
    )
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
    algorithm.declareProperty(
        "Fit", False, "Also fit the spin models of the classes to the data, in minutes for each row."
    )
    mdmaps.declare(algorithm, MAP, "a map of what the classifier looked at")
    mdproperties.declare_model(algorithm)
    mdproperties.declare_data(algorithm, several=True)
    mdreport.declare(algorithm)


def issues(algorithm: Any) -> mdalgorithm.Issues:
    """Return the messages of ``validateInputs``; the model's card is read, no weights."""
    messages, bundle = mdchoice.validate_model(algorithm)
    messages.update(mdalgorithm.number_issues(algorithm))
    if not mdinputs.input_names(algorithm):
        return messages
    try:
        workspaces = mdinputs.workspaces(algorithm)
        messages.update(_clashes(algorithm, list(workspaces)))
        messages.update(mdreport.issues(algorithm, _titles(algorithm, workspaces)))
        if bundle is None or messages:
            return messages
        if not bundle.card.classifiers:
            messages["Model"] = f"The model {bundle.card.name!r} has no classifier. Choose another one."
        if algorithm.getProperty("Fit").value:
            messages.update(_fit_issues(bundle.card))
        data_messages, histograms = mdinputs.validate(algorithm, bundle, workspaces)
        messages.update(data_messages)
        if not messages and algorithm.getProperty("AsOneMeasurement").value:
            join_measurement(histograms.values(), bundle.card)
    except Exp2SimError as error:
        messages["InputWorkspace"] = str(error)
    return messages


def _fit_issues(card: Card) -> mdalgorithm.Issues:
    from mantid_exp2sim.application.likelihood import require_spin_models

    try:
        require_spin_models(card)
    except Exp2SimError as error:
        return {"Fit": str(error)}
    return {}


def _clashes(algorithm: Any, names: Sequence[str]) -> mdalgorithm.Issues:
    """Return messages where the table or a map takes the place of an input, or of one another."""
    outputs = [("OutputWorkspace", algorithm.getPropertyValue("OutputWorkspace"))]
    outputs += [(MAP, name) for name in mdmaps.names(algorithm, MAP, names)]
    return mdinputs.clashes([*mdinputs.input_names(algorithm), *names], outputs)


def _titles(algorithm: Any, names: Iterable[str]) -> list[str]:
    """Return the names of the measurements: those of the workspaces, or all of them together."""
    return [", ".join(names)] if algorithm.getProperty("AsOneMeasurement").value else list(names)


def _measurements(algorithm: Any, snapshots: Mapping[str, Snapshot], card: Card) -> dict[str, Histogram]:
    """Return the data of each measurement by its name."""
    data = [snapshot.histogram for snapshot in snapshots.values()]
    titles = _titles(algorithm, snapshots)
    return dict(
        zip(titles, data if len(titles) == len(data) else [join_measurement(data, card)], strict=True)
    )


def execute(algorithm: Any) -> None:
    """Classify every measurement, then make the table and the maps."""
    workspaces = mdinputs.workspaces(algorithm)
    snapshots = mdinputs.read(algorithm, workspaces)
    load, options = mdchoice.loader(algorithm), mdalgorithm.options(algorithm)
    deconvolve = bool(algorithm.getProperty("Deconvolve").value)
    data_kind = str(algorithm.getProperty("DataKind").value)
    fit = bool(algorithm.getProperty("Fit").value)
    with_maps = mdmaps.asked(algorithm, MAP)

    def work(progress: Progress) -> tuple[Model, dict[str, Classification], list[Histogram]]:
        model = load()
        data = _measurements(algorithm, snapshots, model.card)
        results, maps = {}, []
        for number, (name, histogram) in enumerate(data.items()):
            first, second = (_share(progress, 2 * number + half, 2 * len(data), name) for half in (0, 1))
            prepared = model.prepare(histogram, options)
            results[name] = model.classify(
                prepared,
                data_kind=data_kind,
                deconvolve=deconvolve,
                fit=fit,
                progress=mdalgorithm.telling(algorithm, first) if deconvolve else first,
            )
            if with_maps:
                attribution = model.explain(
                    prepared, data_kind=data_kind, deconvolve=deconvolve, progress=second
                )
                maps.append(attribution.map)
        return model, results, maps

    model, results, maps = mdalgorithm.computed(algorithm, work)
    data = _measurements(algorithm, snapshots, model.card)
    mdreport.write(algorithm, data, model=mdchoice.find_model(algorithm), **asdict(options))
    algorithm.setProperty("ModelChecksum", model.checksum)
    for name, result in results.items():
        algorithm.log().notice(verdict(name, result))
        if result.likelihood is not None:
            algorithm.log().notice(f"{name}: {result.likelihood['sentence']}")
    algorithm.setProperty("OutputWorkspace", table(results, model.card.classes))
    if with_maps:
        mdmaps.store(algorithm, MAP, workspaces, snapshots, mdmaps.parts(snapshots, maps))


def _share(progress: Progress, number: int, count: int, name: str) -> Progress:
    """Return the progress of one of several measurements, as a share of the whole."""

    def share(done: int, total: int, message: str) -> None:
        progress(round(1000 * (number + (done / total if total else 0))), 1000 * count, f"{name}: {message}")

    return share


def verdict(name: str, result: Classification) -> str:
    """Return one line for the log.

    >>> from mantid_exp2sim.inference.classify import Classification
    >>> result = Classification({"Dimer": 0.125, "Goodenough": 0.75}, "Goodenough", 0.75, "integrated", 0.5)
    >>> verdict("cut", result)
    'cut: Goodenough (correlations: Goodenough 0.750, Dimer 0.125; classifier for integrated data)'
    """
    ordered = sorted(result.correlations.items(), key=lambda item: -item[1])
    numbers = ", ".join(f"{model} {value:.3f}" for model, value in ordered)
    prediction = "like no model of the training" if result.prediction == "none" else result.prediction
    return f"{name}: {prediction} (correlations: {numbers}; classifier for {result.data_kind} data)"


def table(results: Mapping[str, Classification], classes: Sequence[str]) -> Any:
    """Return a TableWorkspace with a row for each measurement; what a fit says follows its correlations."""
    columns = {**FIXED, **{f"{name} correlation" if name in FIXED else name: "double" for name in classes}}
    if any(result.likelihood is not None for result in results.values()):
        columns["Likelihood"] = "str"
        columns |= {f"{name} {title}": "double" for title in FIT_COLUMNS for name in classes}
    rows = (
        [name, result.prediction, float(result.certainty)]
        + [float(result.correlations[title]) for title in classes]
        + _fit_cells(result, classes)
        for name, result in results.items()
    )
    return mdalgorithm.table(columns, rows)


def _fit_cells(result: Classification, classes: Sequence[str]) -> list[Any]:
    """Return the cells of the fit, none where there was no fit."""
    if result.likelihood is None:
        return []
    numbers = [float(result.likelihood[key][name]) for key in FIT_COLUMNS.values() for name in classes]
    return [result.likelihood["prediction"], *numbers]
