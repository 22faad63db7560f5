"""What the algorithms share: options, progress and cancelling, child algorithms.

The files in ``algorithms/`` are thin; each algorithm hands itself (``algorithm``) to the functions here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.inference.sliding_window import check_tile
from mantid_exp2sim.inference.worker import Progress, compute
from mantid_exp2sim.mantid import words as mdwords

if TYPE_CHECKING:
    from mantid_exp2sim.inference.options import TranslationOptions

Issues = dict[str, str]
T = TypeVar("T")


def number_issues(algorithm: Any) -> Issues:
    """Return messages about numbers: NaN passes Mantid's bounded validators, small tiles never end."""
    factor = algorithm.getProperty("ScaleFactor").value
    issues = {} if 0 < factor < float("inf") else {"ScaleFactor": "The factor is a positive number."}
    tile = int(algorithm.getProperty("TileSize").value) if algorithm.existsProperty("TileSize") else 0
    try:
        check_tile(tile or None)
    except Exp2SimError as error:
        issues["TileSize"] = mdwords.words(error)
    if algorithm.existsProperty("IncidentEnergy"):
        energy = algorithm.getProperty("IncidentEnergy").value
        if not 0 <= energy < float("inf"):
            issues["IncidentEnergy"] = (
                "The incident energy is a positive number of meV, or 0 to take the sample log Ei."
            )
    return issues


def incident_energy(algorithm: Any) -> float | None:
    """Return the property ``IncidentEnergy`` in meV, or None for 0, which means the sample log."""
    value = float(algorithm.getProperty("IncidentEnergy").value)
    return value if value > 0 else None


def options(algorithm: Any) -> TranslationOptions:
    """Return the options of a translation, from those of their properties that the algorithm has."""
    from mantid_exp2sim.inference.options import TranslationOptions

    names = {
        "tile": "TileSize",
        "uncertainty": "PropagateErrors",
        "replicas": "Replicas",
        "seed": "Seed",
        "scale": "ScaleFactor",
        "force": "Force",
    }
    values = {
        option: algorithm.getProperty(name).value
        for option, name in names.items()
        if algorithm.existsProperty(name)
    }
    if algorithm.getProperty("AutoScale").value:
        values["scale"] = "auto"
    return TranslationOptions(**{**values, "tile": values.get("tile") or None})


def reporter(algorithm: Any) -> Callable[[float, str], None]:
    """Return the progress bar of an algorithm, which is also where its cancel is seen, at every call.

    Mantid's ``Progress`` acts at most once per 1 % of its steps; a new one of one step over 2 % does act.
    """
    from mantid.api import Progress

    def report(fraction: float, message: str) -> None:
        end = min(1.0, max(0.02, fraction))
        Progress(algorithm, end - 0.02, end, 1).report(message)

    return report


def computed(algorithm: Any, work: Callable[[Progress], T], *, message: str = "loading the model") -> T:
    """Return the result of ``work(progress)``, which does what ``message`` says first.

    Errors come in the words of Mantid.
    """
    try:
        return compute(work, reporter(algorithm), message=message)
    except Exp2SimError as error:
        raise RuntimeError(mdwords.words(error, energy_property(algorithm))) from error


def telling(algorithm: Any, progress: Progress) -> Progress:
    """Return the progress of a translation whose first message, how much there is to do, is logged too."""
    first = [algorithm.log().notice]

    def passed_on(done: int, total: int, message: str) -> None:
        if first:
            first.pop()(message)
        progress(done, total, message)

    return passed_on


def energy_property(algorithm: Any) -> str:
    """Return the name of the property with incident energies."""
    return "IncidentEnergies" if algorithm.existsProperty("IncidentEnergies") else "IncidentEnergy"


def clone(algorithm: Any, workspace: Any) -> Any:
    """Return a copy of a workspace that is in no data service."""
    return child(algorithm, "CloneMDWorkspace", {"InputWorkspace": workspace})


def child(algorithm: Any, name: str, properties: Mapping[str, Any]) -> Any:
    """Return the ``OutputWorkspace`` of another algorithm; it is in no data service."""
    part = algorithm.createChildAlgorithm(name, enableLogging=False)
    for key, value in properties.items():
        part.setProperty(key, value)
    part.execute()
    return part.getProperty("OutputWorkspace").value


def table(columns: Mapping[str, str], rows: Iterable[Sequence[Any]]) -> Any:
    """Return a TableWorkspace with these columns, each with Mantid's name of its type."""
    from mantid.api import WorkspaceFactory

    workspace = WorkspaceFactory.createTable()
    for title, kind in columns.items():
        workspace.addColumn(kind, title)
    for row in rows:
        workspace.addRow(list(row))
    return workspace
