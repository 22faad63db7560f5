"""Deconvolve or convolve a workspace with the known resolution, without a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.errors import Exp2SimError, IncidentEnergyError, OptionError
from mantid_exp2sim.mantid import algorithm as mdalgorithm
from mantid_exp2sim.mantid import parts as mdparts
from mantid_exp2sim.mantid import properties as mdproperties
from mantid_exp2sim.mantid import report as mdreport
from mantid_exp2sim.mantid import words as mdwords
from mantid_exp2sim.mantid import workspace as mdworkspace

if TYPE_CHECKING:
    from mantid_exp2sim.application.known_resolution import ClassicalOptions
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.inference.translate import Translation
    from mantid_exp2sim.model.card import Direction
    from mantid_exp2sim.simulation.setting import Setting

RESOLUTION = "Resolution"
METHODS = {
    "deconvolve": ("network", "chopper-any", "richardson-lucy"),
    "convolve": ("network", "resolution"),
}
_PROPERTIES = {
    "instrument": "Instrument",
    "incident_energy": "IncidentEnergy",
    "frequency": "ChopperFrequency",
    "lattice": "Lattice",
    "background": "Background",
}


def declare(algorithm: Any, direction: Direction) -> None:
    """Declare the method, and what the known resolution needs to know."""
    from mantid.kernel import EnabledWhenProperty, PropertyCriterion, StringListValidator

    methods = list(METHODS[direction])
    add = algorithm.declareProperty
    others = " or ".join(methods[1:])
    text = f"A trained network, or for any material and axes, with the known resolution: {others}."
    add("Method", methods[0], StringListValidator(methods), text)
    text = "Instrument of the data, or a TOML file; empty takes that of the workspace."
    add("Instrument", "", text)
    mdproperties.declare_positive(algorithm, "ChopperFrequency", 0.0, "Hz; 0 takes the instrument's table.")
    add("SlitPackage", "", "Slit package of the chopper; empty takes the instrument's.")
    text = "a, b and c in Angstrom, or these and three angles in degrees; empty takes that of the workspace."
    mdproperties.declare_numbers(algorithm, "Lattice", text)
    mdproperties.declare_positive(algorithm, "WidthScale", 1.0, "Factor on all widths of the resolution.")
    names = ["Instrument", "ChopperFrequency", "SlitPackage", "Lattice", "WidthScale"]
    if direction == "deconvolve":
        text = "What is taken off first, not to be sharpened: a constant, or one at each energy transfer."
        add("Background", "none", StringListValidator(["none", "constant", "smooth"]), text)
        names.append("Background")
    for name in names:
        without = EnabledWhenProperty("Method", PropertyCriterion.IsNotDefault)
        algorithm.setPropertySettings(name, without)
    mdproperties.group(algorithm, RESOLUTION, "Method", *names)


def is_asked_for(algorithm: Any) -> bool:
    """Say whether the method is not the network."""
    return str(algorithm.getProperty("Method").value) != "network"


def setting(algorithm: Any) -> Setting:
    """Return what the properties say of the measurement."""
    from mantid_exp2sim.simulation.setting import Setting

    return Setting(
        instrument=str(algorithm.getProperty("Instrument").value) or None,
        incident_energy=mdalgorithm.incident_energy(algorithm),
        frequency=float(algorithm.getProperty("ChopperFrequency").value) or None,
        package=str(algorithm.getProperty("SlitPackage").value) or None,
        lattice=mdproperties.read_numbers(algorithm, "Lattice") or None,
        width_scale=float(algorithm.getProperty("WidthScale").value),
    )


def _options(algorithm: Any) -> ClassicalOptions:
    from mantid_exp2sim.application.known_resolution import ClassicalOptions

    named = {
        "uncertainty": "PropagateErrors",
        "replicas": "Replicas",
        "seed": "Seed",
        "background": "Background",
    }
    return ClassicalOptions(
        **{
            option: algorithm.getProperty(name).value
            for option, name in named.items()
            if algorithm.existsProperty(name)
        }
    )


def _read(workspace: Any, incident_energy: float | None) -> tuple[mdworkspace.Snapshot, Histogram]:
    """Copy a workspace; its histogram also tells instrument and lattice, where they are known."""
    snapshot = mdworkspace.read(workspace, incident_energy=incident_energy)
    metadata = {**mdworkspace.sample_and_instrument(workspace), **snapshot.histogram.metadata}
    return snapshot, snapshot.histogram.replace(metadata=metadata)


def issues(algorithm: Any) -> mdalgorithm.Issues:
    """Return the messages of ``validateInputs``: whether the resolution of the workspace is known."""
    from mantid_exp2sim.application.known_resolution import check_known

    workspace = algorithm.getProperty("InputWorkspace").value
    messages = mdalgorithm.number_issues(algorithm)
    if workspace is None or messages:
        return messages
    try:
        _, histogram = _read(workspace, mdalgorithm.incident_energy(algorithm))
        check_known(histogram, setting(algorithm))
    except Exp2SimError as error:
        option = error.option if isinstance(error, OptionError) else ""
        return {_PROPERTIES.get(option, "InputWorkspace"): _words(error)}
    return {}


def _words(error: Exp2SimError) -> str:
    """The text with a fix that there is in Mantid."""
    option = error.option if isinstance(error, OptionError) else ""
    if isinstance(error, IncidentEnergyError) or option not in ("instrument", "lattice"):
        return mdwords.words(error)
    fix = f"Set {_PROPERTIES[option]}."
    return str(Exp2SimError(error.summary, reason=error.reason.replace("the file", "the workspace"), fix=fix))


def execute(algorithm: Any, direction: Direction) -> None:
    """Compute everything, then put the result into a clone of the input."""
    from mantid_exp2sim.application.deconvolve import by_resolution

    workspace = algorithm.getProperty("InputWorkspace").value
    snapshot, histogram = _read(workspace, mdalgorithm.incident_energy(algorithm))
    about, options = setting(algorithm), _options(algorithm)

    separated, method = mdparts.asked(algorithm), algorithm.getProperty("Method").value

    def work(progress: Any) -> Translation:
        return by_resolution(
            direction, histogram, about, options, method=method, separated=separated, progress=progress
        )

    translation = mdalgorithm.computed(algorithm, work)
    result = mdparts.finish(algorithm, workspace, snapshot, histogram, translation)
    output = mdalgorithm.clone(algorithm, workspace)
    mdworkspace.write(output, *snapshot.fill(result.intensity, result.variance))
    if algorithm.existsProperty(mdreport.REPORT):
        said = {field.name: getattr(about, field.name) for field in fields(about)}
        histograms = {str(workspace.name()): histogram}
        mdreport.write(algorithm, histograms, method=method, **said, **asdict(options))
    _note(algorithm, result.metadata["history"][-1]["options"])
    algorithm.setProperty("OutputWorkspace", output)


def _note(algorithm: Any, told: Mapping[str, Any]) -> None:
    """Put the setting into the history (as properties), and what happened into the log."""
    algorithm.setProperty("Instrument", told["instrument"])
    algorithm.setProperty("IncidentEnergy", float(told["incident_energy"]))
    algorithm.setProperty("ChopperFrequency", float(told["frequency"]))
    log = algorithm.log()
    sources = ", ".join(f"{name} {source}" for name, source in told["sources"].items())
    log.notice(f"Resolution of {told['instrument']} at {told['incident_energy']:g} meV ({sources})")
    for volume in told.get("volumes", []):
        way = (
            f"{volume['iterations']} iterations ({volume['stop']}; " if "stop" in volume else "the network ("
        )
        log.notice(
            f"{way}noise from {volume['noise']}), "
            f"{100 * volume['unexplained']:.1f} % unexplained, "
            f"background of {volume['background_mean']:.3g} a bin removed"
        )
    for text in told.get("warnings", []):
        log.warning(text)
