"""The properties that the Mantid algorithms share.

Mantid is imported inside the functions, for the package works without it. ``algorithm`` is the one that
declares. A tooltip ends at the first full stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from mantid_exp2sim.errors import OptionError

CATEGORY = "MDAlgorithms\\Transforms"
MODEL, DATA, ERRORS = "Model", "Data", "Errors"
Question = Callable[[Any], Any]


def describe(
    name: str, summary: str, neighbours: list[str], *, category: str = CATEGORY
) -> tuple[Question, Question, Question, Question]:
    """Return the methods ``category``, ``summary``, ``seeAlso`` and ``helpURL`` of an algorithm.

    Mantid finds a method only in the class itself, never in a base class.
    """
    return (
        lambda algorithm: category,
        lambda algorithm: summary,
        lambda algorithm: neighbours,
        lambda algorithm: find_page(name),
    )


def find_page(name: str) -> str:
    """Return the address of an algorithm's page, in the package or on the web."""
    here = Path(__file__).resolve().parents[1]
    for page in (here.parent / "docs" / "algorithms" / f"{name}.md", here / "_docs" / f"{name}.md"):
        if page.is_file():
            return page.as_uri()
    with suppress(PackageNotFoundError):
        for entry in metadata("mantid_exp2sim").get_all("Project-URL") or []:
            label, _, address = entry.partition(",")
            if label.strip().lower() == "documentation":
                return f"{address.strip().rstrip('/')}/algorithms/{name}.md"
    return ""


def declare_workspaces(algorithm: Any) -> None:
    """Declare ``InputWorkspace`` and ``OutputWorkspace``, both histograms; the same name means in place."""
    from mantid.api import IMDHistoWorkspaceProperty
    from mantid.kernel import Direction

    algorithm.declareProperty(
        IMDHistoWorkspaceProperty("InputWorkspace", "", Direction.Input),
        "The MDHistoWorkspace to work on: h, k and energy transfer in any order, other axes integrated.",
    )
    algorithm.declareProperty(
        IMDHistoWorkspaceProperty("OutputWorkspace", "", Direction.Output),
        "Name of the result. The name of the input replaces it.",
    )


def declare_inputs(algorithm: Any) -> None:
    """Declare ``InputWorkspace``, which takes several names."""
    from mantid.api import ADSValidator
    from mantid.kernel import StringArrayProperty

    algorithm.declareProperty(
        StringArrayProperty("InputWorkspace", ADSValidator()),
        "MDHistoWorkspaces or groups of them, separated by commas, "
        "with h, k and energy transfer in any order and other axes integrated.",
    )


def declare_model(algorithm: Any) -> None:
    """Declare ``Model``, ``ModelFile`` and ``ModelChecksum``."""
    from mantid.api import FileAction, FileProperty
    from mantid.kernel import EnabledWhenProperty, PropertyCriterion, StringListValidator

    from mantid_exp2sim.model.registry import DEFAULT_MODEL, list_models

    names = sorted(list_models())
    default = DEFAULT_MODEL if DEFAULT_MODEL in names else (names or [""])[0]
    algorithm.declareProperty(
        "Model", default, StringListValidator(names or [""]), "The installed model to use."
    )
    algorithm.declareProperty(
        FileProperty("ModelFile", "", FileAction.OptionalLoad, [".json"]),
        "Folder of a model that is not installed, or the card in it. It takes the place of Model.",
    )
    algorithm.declareProperty(
        "ModelChecksum",
        "",
        "Checksum of the model, filled in by the run and kept in the history. "
        "If it is given, a model with another checksum is refused.",
    )
    algorithm.setPropertySettings("Model", EnabledWhenProperty("ModelFile", PropertyCriterion.IsDefault))
    group(algorithm, MODEL, "Model", "ModelFile", "ModelChecksum")


def declare_data(algorithm: Any, *, several: bool = False, tiles: bool = True) -> None:
    """Declare what is to be said of the data, and the tiles; ``several`` takes several incident energies."""
    from mantid.kernel import EnabledWhenProperty, IntBoundedValidator, PropertyCriterion

    name = "IncidentEnergies" if several else "IncidentEnergy"
    if several:
        text = "Incident energies in meV, one for all or one for each; empty takes the sample logs Ei."
        declare_numbers(algorithm, name, text)
    else:
        declare_positive(algorithm, name, 0.0, "Incident energy in meV; 0 takes the sample log Ei.")
    text = "Factor from the unit of the intensity to that of the model, undone in the result."
    declare_positive(algorithm, "ScaleFactor", 1.0, text)
    text = "Choose the factor from the mean intensity, for data in arbitrary units."
    algorithm.declareProperty("AutoScale", False, text)
    automatic = EnabledWhenProperty("AutoScale", PropertyCriterion.IsDefault)
    algorithm.setPropertySettings("ScaleFactor", automatic)
    group(algorithm, DATA, name, "ScaleFactor", "AutoScale")
    if tiles:
        text = "Bins of a tile along each axis, 16 or more; 0 chooses it."
        algorithm.declareProperty("TileSize", 0, IntBoundedValidator(lower=0), text)
        group(algorithm, DATA, "TileSize")


def declare_positive(algorithm: Any, name: str, default: float, text: str) -> None:
    """Declare a number of 0 or more."""
    from mantid.kernel import FloatBoundedValidator

    algorithm.declareProperty(name, default, FloatBoundedValidator(lower=0.0), text)


def declare_numbers(algorithm: Any, name: str, doc: str, default: Iterable[float] = ()) -> None:
    """Declare a list of numbers as text: the history prints a FloatArrayProperty with 6 digits."""
    from mantid.kernel import StringArrayProperty

    texts = format_numbers(default)
    algorithm.declareProperty(StringArrayProperty(name, *[texts] if texts else []), doc)


def format_numbers(values: Iterable[float]) -> list[str]:
    """Return the text of numbers with all their digits.

    >>> format_numbers([1 / 3, 40])
    ['0.3333333333333333', '40.0']
    """
    return [repr(float(value)) for value in values]


def read_numbers(algorithm: Any, name: str) -> list[float]:
    """Return the numbers of a property of `declare_numbers`.

    Raises `OptionError` if there is anything but numbers.
    """
    texts = [str(text) for text in algorithm.getProperty(name).value if str(text).strip()]
    try:
        return [float(text) for text in texts]
    except ValueError:
        raise OptionError(
            f"{name} is {','.join(texts)}.",
            reason="These are not all numbers.",
            fix="Give numbers with commas between them, as text.",
            option=name,
        ) from None


def declare_errors(algorithm: Any) -> None:
    """Declare error propagation and its seed."""
    from mantid.kernel import EnabledWhenProperty, IntBoundedValidator, PropertyCriterion

    add = algorithm.declareProperty
    text = "Propagate the errors of the input. Without, the errors of the result are 0."
    add("PropagateErrors", True, text)
    add("Replicas", 16, IntBoundedValidator(2, 1000), "Noise replicas from which the errors are estimated.")
    add("Seed", 0, IntBoundedValidator(lower=0), "Seed of the noise replicas.")
    for name in ("Replicas", "Seed"):
        propagated = EnabledWhenProperty("PropagateErrors", PropertyCriterion.IsDefault)
        algorithm.setPropertySettings(name, propagated)
    group(algorithm, ERRORS, "PropagateErrors", "Replicas", "Seed")


def group(algorithm: Any, title: str, *names: str) -> None:
    """Show properties under one title in the dialog."""
    for name in names:
        algorithm.setPropertyGroup(name, title)
