"""Deconvolve or convolve a workspace: what DeconvolveMD and ConvolveMD do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.inference.worker import Progress
from mantid_exp2sim.mantid import algorithm as mdalgorithm
from mantid_exp2sim.mantid import choice as mdchoice
from mantid_exp2sim.mantid import inputs as mdinputs
from mantid_exp2sim.mantid import known_resolution as mdknown
from mantid_exp2sim.mantid import parts as mdparts
from mantid_exp2sim.mantid import properties as mdproperties
from mantid_exp2sim.mantid import report as mdreport
from mantid_exp2sim.mantid import workspace as mdworkspace

if TYPE_CHECKING:
    from mantid_exp2sim.application.model import Model
    from mantid_exp2sim.inference.translate import Translation
    from mantid_exp2sim.model.card import Direction


def declare(algorithm: Any, direction: Direction) -> None:
    """Declare the properties."""
    mdproperties.declare_workspaces(algorithm)
    mdknown.declare(algorithm, direction)
    mdproperties.declare_model(algorithm)
    algorithm.declareProperty(
        "Force",
        False,
        "Also translate data outside the model's domain of application. They are refused otherwise.",
    )
    mdproperties.group(algorithm, mdproperties.MODEL, "Force")
    mdproperties.declare_data(algorithm)
    mdproperties.declare_errors(algorithm)
    if direction == "deconvolve":
        mdparts.declare(algorithm)
        mdreport.declare(algorithm)


def issues(algorithm: Any) -> mdalgorithm.Issues:
    """Return the messages of ``validateInputs``: model and workspace, validated on the card alone."""
    workspace = algorithm.getProperty("InputWorkspace").value
    messages: mdalgorithm.Issues = {}
    if workspace is not None and algorithm.existsProperty(mdreport.REPORT):
        messages = mdreport.issues(algorithm, [str(workspace.name())])
    if mdknown.is_asked_for(algorithm):
        return {**mdknown.issues(algorithm), **messages}
    model_messages, bundle = mdchoice.validate_model(algorithm)
    messages |= {**model_messages, **mdalgorithm.number_issues(algorithm)}
    if workspace is None or bundle is None or messages:
        return messages
    messages, _ = mdinputs.validate(algorithm, bundle, {str(workspace.name()): workspace})
    return {key: " ".join(filter(None, (text, _left_behind(algorithm)))) for key, text in messages.items()}


def execute(algorithm: Any, direction: Direction) -> None:
    """Translate; compute everything, then put the result into a clone of the input."""
    try:
        (mdknown.execute if mdknown.is_asked_for(algorithm) else _execute)(algorithm, direction)
    except Exception:
        if text := _left_behind(algorithm):
            algorithm.log().error(text)
        raise


def _execute(algorithm: Any, direction: Direction) -> None:
    workspace = algorithm.getProperty("InputWorkspace").value
    snapshot = mdworkspace.read(workspace, incident_energy=mdalgorithm.incident_energy(algorithm))
    load, options = mdchoice.loader(algorithm), mdalgorithm.options(algorithm)

    separated = mdparts.asked(algorithm)

    def work(progress: Progress) -> tuple[Model, Translation]:
        model = load()
        prepared = model.prepare(snapshot.histogram, options)
        translation = model.translate(prepared, direction, progress=mdalgorithm.telling(algorithm, progress))
        if separated:
            from mantid_exp2sim.application.separation import separate_network

            told = mdworkspace.sample_and_instrument(workspace)
            translation = separate_network(model, prepared, translation, mdknown.setting(algorithm), told)
        return model, translation

    model, translation = mdalgorithm.computed(algorithm, work)
    result = mdparts.finish(algorithm, workspace, snapshot, snapshot.histogram, translation)
    arrays = snapshot.fill(result.intensity, result.variance)
    output = mdalgorithm.clone(algorithm, workspace)
    mdworkspace.write(output, *arrays)
    if algorithm.existsProperty(mdreport.REPORT):
        place, asked = mdchoice.find_model(algorithm), asdict(options)
        histograms = {str(workspace.name()): snapshot.histogram}
        mdreport.write(algorithm, histograms, model=place, method="network", **asked)
    _note(algorithm, model, result.metadata)
    algorithm.setProperty("OutputWorkspace", output)


def _left_behind(algorithm: Any) -> str:
    """Say what is done and what is not where a member of a group fails; empty where there is no group."""
    name = algorithm.getPropertyValue("InputWorkspace")
    if not algorithm.isChild() or not name:
        return ""
    return (
        f"Where a group is processed, the members before {name} are done and in the output group; "
        f"{name} and those after it are as they were, and are not in it."
    )


def _note(algorithm: Any, model: Model, metadata: Mapping[str, Any]) -> None:
    """Put what a repetition needs into the history (as properties), and the verdict into the log."""
    algorithm.setProperty("ModelChecksum", model.checksum)
    if metadata.get("incident_energy") is not None:
        algorithm.setProperty("IncidentEnergy", float(metadata["incident_energy"]))
    step = metadata["history"][-1]
    domain, log = step["domain"], algorithm.log()
    p_value = "" if domain["p_value"] is None else f" (p = {domain['p_value']:.2g})"
    tell = log.notice if domain["verdict"] == "trustworthy" else log.warning
    tell(f"Domain of the model: {domain['verdict']}{p_value}")
    settings = ", ".join(f"{key} {value}" for key, value in step["options"].items())
    log.information(
        f"Model {model.card.name} {model.card.version} ({model.folder}, {model.checksum[:12]}): {settings}"
    )
