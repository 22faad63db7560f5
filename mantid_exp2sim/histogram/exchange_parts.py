"""What a histogram is for another library: its arrays, and its axes and metadata as one JSON text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram.axis import Axis, Booleans, Floats, usual_unit

NOTE = "mantid_exp2sim"
"""Name of the text that goes with the arrays."""
_SAME = 1e-9
"""Borders of neighbouring bins agree to this share of a bin."""


class Binned(Protocol):
    """What is read of a histogram."""

    @property
    def intensity(self) -> Floats:
        """Mean of what was measured in each bin."""

    @property
    def variance(self) -> Floats:
        """Square of the error of each bin."""

    @property
    def mask(self) -> Booleans:
        """True where not measured."""

    @property
    def axes(self) -> tuple[Axis, ...]:
        """One for each dimension."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Names to JSON values."""


class Parts(NamedTuple):
    """What a histogram is made of, in its order."""

    intensity: Floats
    variance: Floats
    mask: Booleans
    axes: tuple[Axis, ...]
    metadata: Mapping[str, Any]


def require_distinct_names(axes: Sequence[Axis]) -> None:
    """Raise `Exp2SimError` where two axes have one name: other libraries find axes by their names."""
    names = [axis.name for axis in axes]
    if len(set(names)) < len(names):
        raise Exp2SimError(
            f"Two axes have one name: {', '.join(names)}.",
            reason="Other libraries find an axis by its name.",
            fix="Give them different names with dataclasses.replace(axis, name=...).",
        )


def write_note(binned: Binned) -> str:
    """Return what other libraries have no place for, as JSON: words of the axes, and the metadata."""
    words = [
        {"name": axis.name, "unit": axis.unit, "frame": axis.frame, "label": axis.label}
        for axis in binned.axes
    ]
    return json.dumps({"axes": words, "metadata": dict(binned.metadata)})


class Note(NamedTuple):
    """What `write_note` wrote: the words of each axis by its name, and the metadata."""

    words: Mapping[str, Mapping[str, str]]
    metadata: Mapping[str, Any]

    @classmethod
    def read(cls, text: object) -> Note:
        """Read a note; what is none counts as an empty one."""
        try:
            content = json.loads(str(text))
            return cls({axis["name"]: axis for axis in content["axes"]}, dict(content["metadata"]))
        except (ValueError, TypeError, KeyError):
            return cls({}, {})

    def axis(self, name: str, edges: Floats, unit: str) -> Axis:
        """Make an axis; its words count where the unit of the edges is still theirs."""
        words = self.words.get(name, {})
        same = common_unit(words.get("unit", "")) == common_unit(unit)
        frame, label = words.get("frame", "Unknown frame"), words.get("label", "")
        return Axis(name, edges, unit=words.get("unit", unit) if same else unit, frame=frame, label=label)

    def metadata_with(self, integrated: Sequence[tuple[str, Floats]]) -> dict[str, Any]:
        """Return the metadata with the axes that were taken away since, and over which range."""
        entries = [{"axis": name, "range": edges.tolist()} for name, edges in integrated]
        earlier = self.metadata.get("integrated", [])
        return {**self.metadata, **({"integrated": [*earlier, *entries]} if entries else {})}


def common_unit(unit: str) -> str:
    """Return a unit as other libraries write it; what they do not know is dimensionless.

    >>> common_unit("r.l.u."), common_unit("A^-1"), common_unit("meV")
    ('', '1/angstrom', 'meV')
    """
    words = {"r.l.u.": "", "A^-1": "1/angstrom", "1/Å": "1/angstrom", "DeltaE": "meV", "dimensionless": ""}
    plain = usual_unit(unit)
    return words.get(plain, plain)


def edges_between(centres: Floats, name: str) -> Floats:
    """Return edges half-way between centres; the outer bins are as wide as their neighbours.

    >>> edges_between(np.array([1.0, 2.0, 4.0]), "DeltaE")
    array([0.5, 1.5, 3. , 5. ])
    """
    if len(centres) < 2:
        raise Exp2SimError(
            f"The axis {name!r} has one centre and no bin edges.",
            reason="The width of its bin is not known.",
            fix="Give the axis its bin edges.",
        )
    middle = 0.5 * (centres[1:] + centres[:-1])
    return np.array([2 * centres[0] - middle[0], *middle, 2 * centres[-1] - middle[-1]])


def edges_of_bounds(bounds: Floats, name: str) -> Floats:
    """Return the edges (n + 1,) of bins given by both their borders (n, 2); gaps raise `Exp2SimError`."""
    widths = np.abs(bounds[:, 1] - bounds[:, 0])
    if np.any(np.abs(bounds[1:, 0] - bounds[:-1, 1]) > _SAME * widths[1:]):
        raise Exp2SimError(
            f"The bins of axis {name!r} are no neighbours.",
            reason="Some were left out between them.",
            fix="Take a range without gaps, and hide bins with the mask.",
        )
    return np.array([*bounds[:, 0], bounds[-1, 1]])
