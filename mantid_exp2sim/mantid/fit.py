"""Fit models to workspaces together: what FitSpinWavesMD does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.errors import Exp2SimError, IncidentEnergyError, OptionError
from mantid_exp2sim.inference import axis_order
from mantid_exp2sim.inference.worker import Progress
from mantid_exp2sim.mantid import algorithm as mdalgorithm
from mantid_exp2sim.mantid import inputs as mdinputs
from mantid_exp2sim.mantid import maps as mdmaps
from mantid_exp2sim.mantid import properties as mdproperties
from mantid_exp2sim.mantid import report as mdreport
from mantid_exp2sim.mantid import workspace as mdworkspace

if TYPE_CHECKING:
    from mantid_exp2sim.fitting.options import FitOptions, Measurement
    from mantid_exp2sim.fitting.result import Fit
    from mantid_exp2sim.histogram import Floats, Histogram
    from mantid_exp2sim.mantid.workspace import Snapshot

TABLES = {
    "OutputWorkspace": "A table of the parameters: model, name, value, error, and limits of 68 and 95 %.",
    "ComparisonWorkspace": "Name for a table of the models: reduced χ², evidence, p-value. Empty makes none.",
    "CovarianceWorkspace": "Name for a table of covariances of all pairs of parameters. Empty makes none.",
}
MAPS = {
    "FittedWorkspace": "the best model with its background",
    "BackgroundWorkspace": "its background alone",
    "ResidualWorkspace": "what was measured less what is fitted, over the error",
    "BinsWorkspace": "the reason why a bin is not used, as a number (0: used)",
}
SWITCHES = {
    "Absolute": "The intensities are absolute: no scale is fitted.",
    "SlopedScale": "Fit a scale that changes with the energy transfer, as kf/ki does.",
    "NoBackground": "The data hold no background.",
    "SmoothBackground": "Fit a background that changes smoothly with the length of Q.",
    "Phonons": "Fit a term ∝ Q² (1 + n(E)).",
    "LineWidth": "Fit the width of the excitations.",
    "Misalignment": "Fit a shift of h and k.",
    "Counts": "The intensities are counts (Poisson).",
}
NUMBERS = {
    "Starts": (96, 1, "Stable draws of the constants that are tried first."),
    "Samples": (100, 0, "Draws of the importance sampling; 0 takes a Gaussian about the best mode."),
    "Grid": (30, 4, "Half the points of the grid in a reciprocal lattice unit."),
    "Seed": (0, 0, "Seed of starts and draws."),
}
POSTERIOR = "Posterior"
_PROPERTIES = {
    "incident_energy": "IncidentEnergies",
    "instrument": "Instrument",
    "frequency": "ChopperFrequencies",
    "package": "SlitPackages",
    "fix": "Fix",
    "bounds": "Bounds",
    "tie": "Tie",
}
_FIXES = {
    "instrument": "Set Instrument.",
    "incident_energy": "Set IncidentEnergies in meV, or add the log Ei with AddSampleLog before binning.",
}


def declare(algorithm: Any) -> None:
    """Declare the properties."""
    from mantid.api import ITableWorkspaceProperty, PropertyMode
    from mantid.kernel import Direction, StringArrayProperty

    add, group = algorithm.declareProperty, mdproperties.group
    mdproperties.declare_inputs(algorithm)
    text = "Goodenough, Dimer, shipped descriptions or TOML files; several are compared."
    add(StringArrayProperty("SpinWaveModel"), text)
    for key, text in TABLES.items():
        mode = PropertyMode.Mandatory if key == "OutputWorkspace" else PropertyMode.Optional
        add(ITableWorkspaceProperty(key, "", Direction.Output, mode), text)
    for key, text in MAPS.items():
        mdmaps.declare(algorithm, key, text)
    _declare_measurement(algorithm)
    for key, text in (
        ("Fix", "Constants that are held, such as J2=0; D=1, in meV."),
        ("Bounds", "Ranges of constants, such as J1=1,2; J2=-1,1, in meV."),
        ("Tie", "Constants that equal another, such as J4=J3."),
    ):
        add(key, "", text)
    group(algorithm, "Constants", "Fix", "Bounds", "Tie")
    for key, text in SWITCHES.items():
        add(key, False, text)
    mdproperties.declare_positive(algorithm, "Temperature", 5.0, "Temperature of the sample in K.")
    group(algorithm, "What else the data hold", *SWITCHES, "Temperature")
    _declare_search(algorithm)
    mdreport.declare(algorithm)


def _declare_measurement(algorithm: Any) -> None:
    from mantid.kernel import StringArrayProperty

    add, numbers = algorithm.declareProperty, mdproperties.declare_numbers
    text = "Spectrometers or TOML files, one for all or one for each; empty takes those of the workspaces."
    add(StringArrayProperty("Instrument"), text)
    text = "Hz, one for all or one for each; empty takes the instrument's table."
    numbers(algorithm, "ChopperFrequencies", text)
    text = "Slit packages, one for all or one for each; empty takes the instrument's."
    add(StringArrayProperty("SlitPackages"), text)
    text = "Incident energies in meV, one for all or one for each; empty takes the sample logs Ei."
    numbers(algorithm, "IncidentEnergies", text)
    names = ("Instrument", "ChopperFrequencies", "SlitPackages", "IncidentEnergies")
    mdproperties.group(algorithm, "Measurement", *names)


def _declare_search(algorithm: Any) -> None:
    from mantid.kernel import IntBoundedValidator

    for key, (default, least, text) in NUMBERS.items():
        algorithm.declareProperty(key, default, IntBoundedValidator(lower=least), text)
    text = (
        "auto: a shipped posterior where it fits, whose draws are the starts; none; or a posterior's folder."
    )
    algorithm.declareProperty(POSTERIOR, "auto", text)
    mdproperties.group(algorithm, "Search", *NUMBERS, POSTERIOR)


def options(algorithm: Any) -> FitOptions:
    """Return the options of the fit. Raises `Exp2SimError` if they cannot be read."""
    from mantid_exp2sim.fitting.options import FitOptions
    from mantid_exp2sim.fitting.restrictions import read_restrictions, read_terms

    def value(key: str) -> Any:
        return algorithm.getProperty(key).value

    texts = (
        [part for part in str(value(key)).split(";") if part.strip()] for key in ("Fix", "Bounds", "Tie")
    )
    search: dict[str, Any] = {key.lower(): int(value(key)) for key in NUMBERS}
    return FitOptions(
        **read_restrictions(*texts),
        **read_terms(
            absolute=value("Absolute"),
            sloped=value("SlopedScale"),
            empty=value("NoBackground"),
            smooth=value("SmoothBackground"),
        ),
        errors="poisson" if value("Counts") else "gaussian",
        phonons=bool(value("Phonons")),
        line_width=bool(value("LineWidth")),
        misalignment=bool(value("Misalignment")),
        temperature=float(value("Temperature")),
        posterior=str(value(POSTERIOR)) or "auto",
        **search,
    )


def models(algorithm: Any) -> list[str]:
    """Return the names of the models."""
    return [str(name) for name in algorithm.getProperty("SpinWaveModel").value]


def measurements(algorithm: Any, snapshots: Mapping[str, Snapshot]) -> list[Measurement]:
    """Return what was measured, each with its spectrometer.

    Raises `Exp2SimError` if there are not as many settings as workspaces, or one is not known or not usable.
    """
    from mantid_exp2sim.fitting.options import Measurement
    from mantid_exp2sim.simulation.setting import complete

    settings = _settings(algorithm, len(snapshots))
    data = []
    for (name, snapshot), setting in zip(snapshots.items(), settings, strict=True):
        try:
            histogram = _three_axes(snapshot.histogram)
            measured = complete(setting, histogram)
            measured.instrument.refuse_shut(measured.incident_energy)
        except Exp2SimError as error:
            raise _at(name, error) from error
        data.append(Measurement(histogram, setting.instrument, setting.frequency, setting.package))
    return data


def _settings(algorithm: Any, count: int) -> Iterator[Any]:
    """Return what the properties say of each workspace's instrument."""
    from mantid_exp2sim.simulation.setting import Setting

    lists: tuple[Sequence[Any], ...] = (
        [str(name) for name in algorithm.getProperty("Instrument").value],
        mdproperties.read_numbers(algorithm, "ChopperFrequencies"),
        [str(name) for name in algorithm.getProperty("SlitPackages").value],
    )
    columns = [
        _each(values, count, option)
        for values, option in zip(lists, ("instrument", "frequency", "package"), strict=True)
    ]
    for instrument, frequency, package in zip(*columns, strict=True):
        yield Setting(instrument=instrument, frequency=frequency, package=package)


def _each(values: Sequence[Any], count: int, option: str) -> Sequence[Any]:
    """Return a value for each workspace, None where none is set."""
    from mantid_exp2sim.fitting.options import for_each

    return for_each(
        values,
        count,
        OptionError(
            f"{_PROPERTIES[option]} has {len(values)} entries for {count} workspaces.",
            fix="Set none, one for all, or one for each.",
            option=option,
        ),
    )


def _three_axes(histogram: Histogram) -> Histogram:
    return histogram if len(histogram.axes) == 3 else axis_order.in_order(histogram)


def _at(name: str, error: Exp2SimError) -> OptionError:
    """Return an error about a workspace of this name, with a fix that there is in Mantid."""
    option = error.option if isinstance(error, OptionError) else ""
    unknown = not isinstance(error, IncidentEnergyError) or error.value is None
    fix = _FIXES.get(option, error.fix) if unknown else error.fix
    reason = error.reason.replace("the file", "the workspace")
    return OptionError(f"{name}: {error.summary}", reason=reason, fix=fix, option=option)


def issues(algorithm: Any) -> mdalgorithm.Issues:
    """Return the messages of ``validateInputs``."""
    messages = _posterior_issues(algorithm)
    _note(messages, "SpinWaveModel", lambda: _validate_models(algorithm))
    if mdinputs.input_names(algorithm):
        _note(messages, "InputWorkspace", lambda: _validate_data(algorithm))
        for key, text in _clashes(algorithm).items():
            messages.setdefault(key, text)
    return messages


def _posterior_issues(algorithm: Any) -> mdalgorithm.Issues:
    folder = str(algorithm.getProperty(POSTERIOR).value)
    if folder in ("", "auto", "none") or Path(folder).is_dir():
        return {}
    return {POSTERIOR: f"There is no folder {folder}. Give auto, none, or the folder of a trained posterior."}


def _note(messages: mdalgorithm.Issues, key: str, validate: Callable[[], object]) -> None:
    """Put what ``validate`` raises at the property that it is about, else at ``key``."""
    try:
        validate()
    except Exp2SimError as error:
        option = error.option if isinstance(error, OptionError) else ""
        messages.setdefault(_PROPERTIES.get(option, option) or key, str(error))


def _validate_models(algorithm: Any) -> None:
    from mantid_exp2sim.fitting.fit import validate_models
    from mantid_exp2sim.fitting.model import fit_model

    how = options(algorithm)
    validate_models([fit_model(model, how) for model in models(algorithm)], how)


def _validate_data(algorithm: Any) -> None:
    from mantid_exp2sim.fitting.data import prepare_data

    _, snapshots = _read(algorithm)
    counts = bool(algorithm.getProperty("Counts").value)
    prepare_data(measurements(algorithm, snapshots), counts=counts)


def _read(algorithm: Any) -> tuple[dict[str, Any], dict[str, Snapshot]]:
    """Copy the workspaces; their histograms also tell the instrument, where it is known."""
    from dataclasses import replace

    workspaces = mdinputs.workspaces(algorithm)
    snapshots = mdinputs.read(algorithm, workspaces)
    told = {name: mdworkspace.sample_and_instrument(workspace) for name, workspace in workspaces.items()}
    return workspaces, {
        name: replace(
            snapshot,
            histogram=snapshot.histogram.replace(metadata={**told[name], **snapshot.histogram.metadata}),
        )
        for name, snapshot in snapshots.items()
    }


def _clashes(algorithm: Any) -> mdalgorithm.Issues:
    """Return messages where an output takes the place of an input, of another or of a page."""
    try:
        names = list(mdinputs.workspaces(algorithm))
    except Exp2SimError:
        return {}
    outputs = [(key, str(algorithm.getPropertyValue(key))) for key in TABLES]
    outputs += [(key, name) for key in MAPS for name in mdmaps.names(algorithm, key, names)]
    clashes = mdinputs.clashes([*mdinputs.input_names(algorithm), *names], outputs)
    return {**clashes, **mdreport.issues(algorithm, names)}


def execute(algorithm: Any) -> None:
    """Fit, then make the tables and the maps."""
    from mantid_exp2sim.fitting.fit import fit

    workspaces, snapshots = _read(algorithm)
    data, how, names = measurements(algorithm, snapshots), options(algorithm), models(algorithm)

    def work(progress: Progress) -> Fit:
        return fit(data, names, options=how, progress=progress)

    result = mdalgorithm.computed(algorithm, work, message="reading the data")
    _write_pages(algorithm, dict(zip(snapshots, data, strict=True)), result)
    _tell(algorithm, result, data)
    algorithm.setProperty("OutputWorkspace", parameters(result))
    for key, table in (("ComparisonWorkspace", comparison), ("CovarianceWorkspace", covariance)):
        if algorithm.getPropertyValue(key):
            algorithm.setProperty(key, table(result))
    leading = result.leading
    fields = (leading.fitted, leading.background, leading.residual, result.bad_bins)
    for key, histograms in zip(MAPS, fields, strict=True):
        if mdmaps.asked(algorithm, key):
            mdmaps.store(algorithm, key, workspaces, snapshots, _like(histograms, snapshots.values()))


def _write_pages(algorithm: Any, data: Mapping[str, Measurement], result: Fit) -> None:
    """Write a page about each workspace, with the whole fit on it."""
    settings = {
        name: {key: getattr(item, key) for key in ("instrument", "frequency", "package")}
        for name, item in data.items()
    }
    histograms = {name: item.histogram for name, item in data.items()}
    mdreport.write(algorithm, histograms, settings=settings, fit=result)


def _like(histograms: Sequence[Histogram], snapshots: Iterable[Snapshot]) -> list[Floats]:
    """Return the values of histograms with the axes of the workspaces."""
    axes = [snapshot.histogram.axes for snapshot in snapshots]
    return [
        histogram.intensity if len(own) == 3 else axis_order.from_volume(histogram.intensity, own)
        for histogram, own in zip(histograms, axes, strict=True)
    ]


def _tell(algorithm: Any, result: Fit, data: Sequence[Measurement]) -> None:
    """Put what a repetition needs into the history (as properties), and the result into the log."""
    energies = [float(item.histogram.metadata["incident_energy"]) for item in data]
    algorithm.setProperty("IncidentEnergies", mdproperties.format_numbers(energies))
    spectrometers = [item.spectrometer() for item in data]
    frequencies = [item.frequency(ei) for item, ei in zip(spectrometers, energies, strict=True)]
    algorithm.setProperty("ChopperFrequencies", mdproperties.format_numbers(frequencies))
    if not algorithm.getProperty("Instrument").value:
        algorithm.setProperty("Instrument", [item.name for item in spectrometers])
    log = algorithm.log()
    (log.warning if result.neither else log.notice)(result.sentence)
    for note in result.notes:
        log.notice(note)


def parameters(result: Fit) -> Any:
    """Return the TableWorkspace of the parameters; constants in meV."""
    numbers = ("Value", "Error", "Low68", "High68", "Low95", "High95")
    columns = {"Model": "str", "Name": "str", **dict.fromkeys(numbers, "double")}
    rows = (
        [model.name, name, values["mean"], values["sd"], *values["interval_68"], *values["interval_95"]]
        for model in result.models.values()
        for name, values in model.to_dict()["parameters"].items()
    )
    return mdalgorithm.table(columns, rows)


def comparison(result: Fit) -> Any:
    """Return the TableWorkspace that compares the models; none is the best where none explains the data."""
    numbers = ("ReducedChiSquared", "LogEvidence", "Probability", "PValue", "Explained")
    columns = {"Model": "str", **dict.fromkeys(numbers, "double"), "Best": "bool"}
    rows = (
        [
            name, model.chi2_reduced, model.posterior.log_evidence, result.probabilities[name],
            model.p_value, model.explained, name == result.best,
        ]
        for name, model in result.models.items()
    )  # fmt: skip
    return mdalgorithm.table(columns, rows)


def covariance(result: Fit) -> Any:
    """Return the TableWorkspace of the covariances, a row for each pair of a model's parameters."""
    columns = dict.fromkeys(("Model", "Name", "With"), "str")
    columns |= dict.fromkeys(("Covariance", "Correlation"), "double")
    rows = (
        [model.name, name, other, float(model.covariance[i, j]), float(model.correlation[i, j])]
        for model in result.models.values()
        for i, name in enumerate(model.names)
        for j, other in enumerate(model.names)
    )
    return mdalgorithm.table(columns, rows)
