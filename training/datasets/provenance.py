"""What a card says of the data a model was trained on: axes, incident energies, measurements."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.model.card import AcceptedAxis, mosaic_axes


def data_axes(
    about: Mapping[str, Any], *, windows_fixed: bool, alone: Collection[str] = ()
) -> tuple[AcceptedAxis, ...]:
    """What a model asks of a file, from the description of its data set: any number of bins of the widths.

    The energy's edges stay where they are the network's channels (``windows_fixed``). Of the axes
    ``alone`` one bin will do, half as wide to half as wide again. A description
    without ``axes`` is that of the published mosaic.

    >>> [axis.kind for axis in data_axes({}, windows_fixed=True)]
    ['h', 'k', 'energy']
    """
    given = about.get("axes")
    mosaic = mosaic_axes(windows_fixed=windows_fixed)
    if not given:
        return tuple(_alone(axis) if axis.kind in alone else axis for axis in mosaic)
    words = {axis.kind: {"units": axis.units, "frames": axis.frames} for axis in mosaic}
    found = []
    for rule in given:
        fixed = windows_fixed and rule["kind"] == "energy"
        edges = rule.get("edges") or (about.get("edges") or {}).get(rule["kind"]) or ()
        axis = AcceptedAxis(**{**words[rule["kind"]], **rule, "edges": edges if fixed else ()})
        found.append(_alone(axis) if axis.kind in alone else axis)
    return tuple(found)


def _alone(axis: AcceptedAxis) -> AcceptedAxis:
    """The rule of an axis that may be integrated over about one bin; what it says of that itself is kept."""
    if axis.integrated is not None:
        return axis
    return axis.model_copy(update={"integrated": (0.5 * axis.width, 1.5 * axis.width)})


def data_energies(about: Mapping[str, Any]) -> tuple[float, ...]:
    """Incident energies of a data set; of those that are less than 1 % apart the first.

    >>> data_energies({"incident_energies": [70.0, 70.2, 100.0]})
    (70.0, 100.0)
    """
    found: list[float] = []
    for energy in sorted(about["incident_energies"]):
        if not found or energy > 1.01 * found[-1]:
            found.append(float(energy))
    return tuple(found)


def panel_edges(about: Mapping[str, Any]) -> NDArray[np.float64] | None:
    """Edges of a mosaic's energy bins in meV, (Ei, E + 1); None where the description does not tell them.

    >>> panel_edges({"incident_energies": [25.0, 50.0], "shape": [2, 40, 40, 10]})[:, 0].tolist()
    [2.5, 5.0]
    """
    energy = next(axis for axis in data_axes(about, windows_fixed=True) if axis.kind == "energy")
    if len(energy.edges) != about["shape"][3] + 1:
        return None
    ei = np.array(about["incident_energies"], dtype=float)
    scale = ei if energy.relative_to_incident_energy else np.ones_like(ei)
    found: NDArray[np.float64] = scale[:, None] * np.array(energy.edges)
    return found


def measurement_of(own: dict[str, Any] | None, about: Mapping[str, Any]) -> dict[str, Any] | None:
    """The real measurements that domain A held: the recipe's own, or those marked in the data set."""
    if own is not None:
        return own
    domain = (about.get("domains") or {}).get("convolved") or {}
    real = [i for i in domain.get("items", ()) if i.get("measurement") and i["split"] == "train"]
    if not real:
        return None
    bins = math.prod(about["shape"])
    train = sum(item["split"] == "train" for item in domain["items"])
    return {
        "files": list(dict.fromkeys(item["file"] for item in real)),
        "volumes": len(real),
        "measured_bins": sum(round(item["measured"] * bins) for item in real),
        "share": len(real) / train,
    }


def sentence(measurement: Mapping[str, Any] | None) -> str:
    """What the card's description says of a measurement."""
    if measurement is None:
        return ""
    files = measurement["files"]
    names = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    return (
        f"Trained with a real measurement: {100 * measurement['share']:.0f} % of the measurement-like "
        f"samples are from {names} ({measurement['volumes']} volumes, {measurement['measured_bins']} "
        "measured bins)."
    )


def said(measurement: dict[str, Any] | None) -> dict[str, Any]:
    """The entry of a card's ``training`` for a measurement, if there was one."""
    return {} if measurement is None else {"measurement": measurement}


def splits_of(about: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Volumes of each split of a data set from files."""
    return {
        kind: dict(Counter(item["split"] for item in domain["items"]))
        for kind, domain in about["domains"].items()
    }
