"""What the Mantid algorithms share: checks, progress, cancelling, and how a result becomes a workspace.

The algorithms in ``algorithms/`` are thin; each hands itself (``algorithm``) to the functions here.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mantid_exp2sim.errors import Exp2SimError, IncidentEnergyError
from mantid_exp2sim.inference.sliding_window import check_tile
from mantid_exp2sim.inference.worker import Progress, compute
from mantid_exp2sim.mantid import inputs as mdinputs
from mantid_exp2sim.mantid import words as mdwords
from mantid_exp2sim.mantid import workspace as mdworkspace

if TYPE_CHECKING:
    from mantid_exp2sim.application.model import Model
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.inference.options import TranslationOptions
    from mantid_exp2sim.model.bundle import Bundle
    from mantid_exp2sim.model.card import Direction

Issues = dict[str, str]
T = TypeVar("T")


# ----------------------------------------------------------------------------------------------------- checks


def model_place(algorithm: Any) -> Path | str:
    """What the user chose: the path of a model, or the name of an installed one.

    Raises
    ------
    Exp2SimError
        If nothing is chosen, or the path is not there.
    """
    path = str(algorithm.getProperty("ModelFile").value)
    if path:
        if not Path(path).exists():
            raise Exp2SimError(
                f"There is no model {path}.", fix="Choose the folder or the card.json of a model."
            )
        return Path(path)
    name = str(algorithm.getProperty("Model").value)
    if not name:
        raise Exp2SimError(
            "No model is installed.",
            reason="`exp2sim models` lists those that are.",
            fix="Choose a model's folder in ModelFile, or put it where `exp2sim workbench doctor` says.",
        )
    return name


def model_issues(algorithm: Any) -> tuple[Issues, Bundle | None]:
    """What is wrong with the choice of the model; its card is read, no weights, and torch is not imported."""
    from mantid_exp2sim.model.bundle import load_bundle
    from mantid_exp2sim.model.registry import find_model

    key = "ModelFile" if algorithm.getProperty("ModelFile").value else "Model"
    try:
        bundle = load_bundle(find_model(model_place(algorithm)), verify=False)
        check_checksum(bundle, str(algorithm.getProperty("ModelChecksum").value))
    except Exp2SimError as error:
        return {key: str(error)}, None
    if importlib.util.find_spec("torch") is None:
        return {key: no_torch()}, bundle
    return {}, bundle


def no_torch() -> str:
    """What to say where PyTorch is missing."""
    return (
        "PyTorch is not installed in this Mantid's Python. Models run on it. "
        "Install it with `conda install -c conda-forge pytorch-cpu`, then start Workbench again."
    )


def check_checksum(bundle: Bundle, checksum: str) -> None:
    """Refuse a model other than the one that ``ModelChecksum`` asks for; an empty text asks for none."""
    if checksum and checksum != bundle.checksum:
        raise Exp2SimError(
            f"The model {bundle.card.name!r} has the checksum {bundle.checksum}.",
            reason=f"ModelChecksum asks for {checksum}: it is another model, or another version.",
            fix="Get that model again, or clear ModelChecksum.",
        )


def translation_issues(algorithm: Any) -> Issues:
    """Messages of ``validateInputs`` for a translation: model and workspace, checked on the card alone."""
    issues, bundle = model_issues(algorithm)
    issues.update(number_issues(algorithm))
    workspace = algorithm.getProperty("InputWorkspace").value
    if workspace is None or bundle is None or issues:
        return issues
    issues.update(data_issues(bundle, {str(workspace.name()): workspace}, incident_energy(algorithm)))
    return {key: " ".join(filter(None, (text, left_behind(algorithm)))) for key, text in issues.items()}


def data_issues(bundle: Bundle, workspaces: Mapping[str, Any], energy: float | None) -> Issues:
    """What keeps the model from taking these workspaces, by the property that is to blame."""
    for name, workspace in workspaces.items():
        try:
            mdinputs.validate(bundle, name, mdworkspace.read(workspace, incident_energy=energy).histogram)
        except Exp2SimError as error:
            key = "IncidentEnergy" if isinstance(error.__cause__, IncidentEnergyError) else "InputWorkspace"
            return {key: str(error)}
    return {}


def left_behind(algorithm: Any) -> str:
    """What is done and what is not where a member of a group fails; empty where there is no group."""
    name = algorithm.getPropertyValue("InputWorkspace")
    if not algorithm.isChild() or not name:
        return ""
    return (
        f"Where a group is processed, the members before {name} are done and in the output group; "
        f"{name} and those after it are as they were, and are not in it."
    )


def number_issues(algorithm: Any) -> Issues:
    """NaN passes Mantid's bounded validators, a factor of 0 makes no sense, and small tiles never end."""
    factor = algorithm.getProperty("ScaleFactor").value
    issues = {} if 0 < factor < float("inf") else {"ScaleFactor": "The factor is a positive number."}
    try:
        check_tile(_tile(algorithm))
    except Exp2SimError as error:
        issues["TileSize"] = mdwords.words(error)
    if algorithm.existsProperty("IncidentEnergy"):
        energy = algorithm.getProperty("IncidentEnergy").value
        if not 0 <= energy < float("inf"):
            issues["IncidentEnergy"] = (
                "The incident energy is a positive number of meV, or 0 to take the sample log Ei."
            )
    return issues


# -------------------------------------------------------------------------------------------------- execution


def incident_energy(algorithm: Any) -> float | None:
    """The property ``IncidentEnergy`` in meV, or None for 0, which means the sample log."""
    value = float(algorithm.getProperty("IncidentEnergy").value)
    return value if value > 0 else None


def options(algorithm: Any, **others: Any) -> TranslationOptions:
    """Return the options of a translation from the properties of `declare_data`, and what else is asked."""
    from mantid_exp2sim.inference.options import TranslationOptions

    automatic = bool(algorithm.getProperty("AutoScale").value)
    scale = "auto" if automatic else float(algorithm.getProperty("ScaleFactor").value)
    return TranslationOptions(tile=_tile(algorithm), scale=scale, **others)


def _tile(algorithm: Any) -> int | None:
    return int(algorithm.getProperty("TileSize").value) or None


def reporter(algorithm: Any) -> Callable[[float, str], None]:
    """The progress bar of an algorithm, which is also where its cancel is seen, at every call.

    Mantid's ``Progress`` acts at most once per 1 % of its steps; a new one of one step over 2 % does act.
    """
    from mantid.api import Progress

    def report(fraction: float, message: str) -> None:
        end = min(1.0, max(0.02, fraction))
        Progress(algorithm, end - 0.02, end, 1).report(message)

    return report


def loader(algorithm: Any) -> Callable[[], Model]:
    """A function that gives the chosen model, loaded once per session however often it is asked for.

    The properties are read here, so that the function can be called in another thread.
    """
    place, checksum = model_place(algorithm), str(algorithm.getProperty("ModelChecksum").value)

    def load() -> Model:
        from mantid_exp2sim.application.model import load_model

        model = load_model(place)
        check_checksum(model.bundle, checksum)
        return model

    return load


def computed(algorithm: Any, work: Callable[[Progress], T]) -> T:
    """The result of ``work(progress)``, which starts with loading the model; its errors in Mantid's words."""
    try:
        return compute(work, reporter(algorithm), message="loading the model")
    except Exp2SimError as error:
        raise RuntimeError(mdwords.words(error)) from error


def telling(algorithm: Any, progress: Progress) -> Progress:
    """The progress of a translation; its first message, how much there is to do, goes to the log too."""
    first = [algorithm.log().notice]

    def passed_on(done: int, total: int, message: str) -> None:
        if first:
            first.pop()(message)
        progress(done, total, message)

    return passed_on


def translate(algorithm: Any, direction: Direction) -> None:
    """``PyExec`` of a translation: everything is computed, then a clone of the input gets the result."""
    try:
        _translate(algorithm, direction)
    except Exception:
        if text := left_behind(algorithm):
            algorithm.log().error(text)
        raise


def _translate(algorithm: Any, direction: Direction) -> None:
    workspace = algorithm.getProperty("InputWorkspace").value
    snapshot = mdworkspace.read(workspace, incident_energy=incident_energy(algorithm))
    settings = options(
        algorithm,
        uncertainty=bool(algorithm.getProperty("PropagateErrors").value),
        replicas=int(algorithm.getProperty("Replicas").value),
        seed=int(algorithm.getProperty("Seed").value),
        force=bool(algorithm.getProperty("Force").value),
    )
    load = loader(algorithm)

    def work(progress: Progress) -> tuple[Model, Histogram]:
        model = load()
        prepared = model.prepare(snapshot.histogram, settings)
        return model, model.translate(prepared, direction, progress=telling(algorithm, progress)).histogram

    model, result = computed(algorithm, work)
    signal, errors = snapshot.arrays(result)
    output = clone(algorithm, workspace)
    output.setSignalArray(signal)
    output.setErrorSquaredArray(errors)
    if hasattr(output, "clearOriginalWorkspaces"):
        output.clearOriginalWorkspaces()  # else viewers rebin from the events and ignore the result
    note(algorithm, model, result.metadata)
    algorithm.setProperty("OutputWorkspace", output)


def clone(algorithm: Any, workspace: Any) -> Any:
    """A copy of a workspace that is in no data service."""
    return child(algorithm, "CloneMDWorkspace", {"InputWorkspace": workspace})


def child(algorithm: Any, name: str, properties: Mapping[str, Any]) -> Any:
    """What another algorithm makes as its OutputWorkspace; it is in no data service."""
    made = algorithm.createChildAlgorithm(name, enableLogging=False)
    for key, value in properties.items():
        made.setProperty(key, value)
    made.execute()
    return made.getProperty("OutputWorkspace").value


def note(algorithm: Any, model: Model, metadata: Mapping[str, Any]) -> None:
    """Put what a repetition needs into the history (values of properties) and one line into the log."""
    algorithm.setProperty("ModelChecksum", model.checksum)
    energy = metadata.get("incident_energy")
    if energy is not None:
        algorithm.setProperty("IncidentEnergy", float(energy))
    last = metadata["history"][-1]
    domain = last["domain"]
    log = algorithm.log()
    p_value = "" if domain["p_value"] is None else f" (p = {domain['p_value']:.2g})"
    (log.notice if domain["verdict"] == "trustworthy" else log.warning)(
        f"Domain of the model: {domain['verdict']}{p_value}"
    )
    algorithm.log().information(
        f"Model {model.card.name} {model.card.version} ({model.folder}, {model.checksum[:12]}): "
        + ", ".join(f"{key} {value}" for key, value in last["options"].items())
    )
