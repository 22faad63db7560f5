"""What a data set says of itself: ``dataset.json``, written and read here alone."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import HKL, Projection
from mantid_exp2sim.model.card import AcceptedAxis, DataKind, axis_words, mosaic_axes
from mantid_exp2sim.storage.atomic import atomic_path
from mantid_exp2sim.storage.toml import validation_summary

FILE = "dataset.json"
Split: TypeAlias = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
MAKE_ONE = "Make one with `exp2sim simulate dataset` or `exp2sim data build RECIPE.toml`."
MAKE_AGAIN = "Make the data set again."
BinEdges = dict[str, NDArray[np.float64]]
"""Edges of ``h``, ``k`` (r.l.u.) and ``energy_fraction`` (energy transfer over Ei)."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Item(_Table):
    """One volume of a data set of format 2. ``file`` is a name to show, never a path."""

    file: str = Field(max_length=1000)
    shard: int = Field(ge=0, lt=10**6)
    row: int = Field(ge=0, lt=10**9)
    label: int = Field(default=-1, ge=-1)
    """Class number; −1: of unknown class."""
    group: int = 0
    """Number of the parameter set."""
    incident_energy: float = Field(gt=0, lt=1e6)
    split: Split
    pair: int = Field(default=-1, ge=-1)
    """Number of the counterpart among the items of the other data kind; −1: none."""
    exact: bool = True
    """Whether no bin had to be rebinned."""
    measured: float = 1.0
    """Share of the bins that were measured."""
    mean: float = 0.0
    """Intensity over the measured bins."""
    minimum: float = 0.0
    maximum: float = 0.0
    notes: tuple[str, ...] = ()
    """What the reader had to assume, or left out."""
    measurement: bool = False
    """Whether it is a real measurement."""


class Items(_Table):
    """All volumes of one data kind of a data set of format 2."""

    items: tuple[Item, ...] = Field(min_length=1)


class RefusedFile(_Table):
    """A file that did not fit."""

    file: str
    kind: str
    reason: str


class DatasetDescription(_Table):
    """All that ``dataset.json`` says. Format 1 is simulated, format 2 built from files."""

    format: int = Field(ge=1, le=2)
    recipe: dict[str, Any] = Field(default_factory=dict)
    """What it was made from, without paths."""
    seed: int | None = None
    classes: tuple[str, ...] = Field(min_length=1, max_length=1000)
    kinds: tuple[str, ...]
    """Data kinds: ``convolved``, ``integrated``, ``centre``."""
    shape: tuple[Annotated[int, Field(ge=1, le=10_000)], ...] = Field(min_length=4, max_length=4)
    """(Ei, h, k, E); of format 2 one volume: (1, h, k, E)."""
    incident_energies: tuple[Annotated[float, Field(gt=0, lt=1e6)], ...]
    """In meV; of format 1 those of a sample's volumes."""
    edges: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """Bin edges of h, k (r.l.u.) and of ``energy_fraction`` (over Ei) or ``energy`` (as its axis says)."""
    units: str = ""
    count: int = Field(ge=1, le=10**7)
    shard_size: int = Field(default=1, ge=1, le=10**6)
    pairs: bool = False
    splits: dict[str, tuple[int, int]]
    """Index ranges [start, stop) of format 1."""
    parameters: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Names of the constants of each class that is not built in."""
    projection: Projection = Projection()
    """Directions of the momentum axes."""
    lattice: dict[str, float] = Field(default_factory=dict)
    """a, b, c (Å), alpha, beta, gamma (degrees); empty: not told."""
    instrument: dict[str, Any] = Field(default_factory=dict)
    """Settings of the spectrometer; empty: not told."""
    axes: tuple[AcceptedAxis, ...] = ()
    """What a model that is trained on it asks of a file; none: the published mosaic's."""
    refused: tuple[RefusedFile, ...] = ()
    domains: dict[str, Items] = Field(default_factory=dict)
    """Volumes of format 2 by data kind."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.format == 1:
            if any(not 0 <= start <= stop <= self.count for start, stop in self.splits.values()):
                raise ValueError(f"a split is no range of the {self.count} samples")
            if len(self.incident_energies) != self.shape[0]:
                raise ValueError("each volume of a sample has one incident energy")
            return self
        if set(self.domains) != set(self.kinds) or self.shape[0] != 1:
            raise ValueError("domains has an entry for each kind, and the shape begins with 1")
        if not set(self.kinds) <= set(get_args(DataKind)):  # they name shards
            raise ValueError(f"kinds are of {', '.join(get_args(DataKind))}")
        if any(item.label >= len(self.classes) for kind in self.domains.values() for item in kind.items):
            raise ValueError("a label is the number of a class")
        return self

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read ``dataset.json`` of a folder.

        Raises
        ------
        Exp2SimError
            If the folder holds no complete data set, or its description is invalid.
        """
        try:
            return cls.model_validate_json((folder / FILE).read_bytes())
        except OSError as error:
            raise Exp2SimError(f"{folder} holds no complete data set: {error}.", fix=MAKE_ONE) from error
        except ValidationError as error:
            raise Exp2SimError(
                f"{folder / FILE} is invalid.", reason=f"{validation_summary(error)}.", fix=MAKE_AGAIN
            ) from error

    @property
    def name(self) -> str:
        """Name of the data set."""
        return str(self.recipe.get("name", ""))

    @property
    def distinct_energies(self) -> tuple[float, ...]:
        """Incident energies; of those that are less than 1 % apart the first."""
        distinct: list[float] = []
        for energy in sorted(self.incident_energies):
            if not distinct or energy > 1.01 * distinct[-1]:
                distinct.append(energy)
        return tuple(distinct)

    @property
    def panel_edges(self) -> NDArray[np.float64] | None:
        """Edges of a mosaic's energy bins in meV, (Ei, E + 1); None where they are not told."""
        axes = accepted_axes(self.axes, self.edges, windows_fixed=True)
        energy = next(axis for axis in axes if axis.kind == "energy")
        if len(energy.edges) != self.shape[3] + 1:
            return None
        energies = np.array(self.incident_energies, dtype=float)
        scale = energies if energy.relative_to_incident_energy else np.ones_like(energies)
        edges: NDArray[np.float64] = scale[:, None] * np.array(energy.edges)
        return edges

    def bin_edges(self, incident_energy: float) -> BinEdges | None:
        """Edges of the bins of a volume at an incident energy in meV; None where they are not told."""
        edges = {kind: np.array(values, dtype=float) for kind, values in self.edges.items()}
        if "energy_fraction" not in edges and "energy" in edges:
            relative = any(a.kind == "energy" and a.relative_to_incident_energy for a in self.axes)
            edges["energy_fraction"] = edges["energy"] / (1.0 if relative else incident_energy)
        names = ("h", "k", "energy_fraction")
        return {name: edges[name] for name in names} if set(names) <= set(edges) else None

    def volumes_per_split(self) -> dict[str, dict[str, int]]:
        """Count the volumes of each split of format 2."""
        return {
            kind: dict(Counter(item.split for item in items.items)) for kind, items in self.domains.items()
        }

    def measurement(self) -> dict[str, Any] | None:
        """Tell which real measurements are among the convolved training volumes; None where none is."""
        items = self.domains["convolved"].items if "convolved" in self.domains else ()
        train = [item for item in items if item.split == "train"]
        real = [item for item in train if item.measurement]
        if not real:
            return None
        bins = math.prod(self.shape)
        return {
            "files": list(dict.fromkeys(item.file for item in real)),
            "volumes": len(real),
            "measured_bins": sum(round(item.measured * bins) for item in real),
            "share": len(real) / len(train),
        }

    def as_json(self) -> dict[str, Any]:
        """What was said, ready for JSON."""
        return self.model_dump(mode="json", exclude_unset=True)

    def write(self, folder: Path, *, end: str = "") -> None:
        """Write ``dataset.json``, whole or not at all."""
        with atomic_path(folder / FILE) as temporary:
            temporary.write_text(json.dumps(self.as_json(), indent=1) + end, encoding="utf-8")


def accepted_axes(
    axes: Sequence[AcceptedAxis],
    edges: Mapping[str, Sequence[float]],
    *,
    windows_fixed: bool,
    alone: Collection[str] = (),
    projection: Projection = HKL,
) -> tuple[AcceptedAxis, ...]:
    """Tell what a model asks of a file, from ``axes`` and ``edges`` of its data set: any number of bins.

    The energy's edges stay where they are the network's channels (``windows_fixed``). Of the axes ``alone``
    one bin will do, half as wide to half as wide again. Without axes they are the published mosaic's.

    >>> [axis.kind for axis in accepted_axes((), {}, windows_fixed=True)]
    ['h', 'k', 'energy']
    """
    mosaic = mosaic_axes(windows_fixed=windows_fixed)
    accepted = []
    for rule in axes:
        fixed = rule.edges or edges.get(rule.kind, ()) if windows_fixed and rule.kind == "energy" else ()
        if rule.kind != "energy" and len(rule.edges) == 2:  # integrated there, and nowhere else
            fixed = rule.edges
        told = rule.model_dump(exclude_unset=True)
        accepted.append(AcceptedAxis(**{**axis_words(rule.kind, projection), **told, "edges": fixed}))
    return tuple(_integrable(axis) if axis.kind in alone else axis for axis in accepted or mosaic)


def _integrable(axis: AcceptedAxis) -> AcceptedAxis:
    """Allow an axis to be integrated over about one bin, unless it says by itself over how much."""
    if axis.integrated is not None:
        return axis
    return axis.model_copy(update={"integrated": (0.5 * axis.width, 1.5 * axis.width)})
