"""Recipes of simulated training sets: classes, ranges, bins, instrument, numbers of samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import CELL, HKL, Floats, Projection
from mantid_exp2sim.model.card import AcceptedAxis
from mantid_exp2sim.mosaic import H_EDGES, K_EDGES, WINDOW_EDGES
from mantid_exp2sim.simulation.binning import Binning, Kind, mosaic_binnings
from mantid_exp2sim.simulation.instrument import MAPS, Instrument, load_instrument
from mantid_exp2sim.simulation.manganite import LATTICE, PARAMETERS, ModelName
from mantid_exp2sim.simulation.material import Description, find_description, read_description
from mantid_exp2sim.simulation.measurement import viewed_along
from mantid_exp2sim.simulation.options import Options, Physics
from mantid_exp2sim.simulation.scan import Scan
from mantid_exp2sim.simulation.simulation_conditions import SimulationConditions
from mantid_exp2sim.simulation.twins import twins_in_view
from mantid_exp2sim.storage.toml import read_toml

Bins: TypeAlias = Annotated[int, Field(ge=1, le=1000)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Grid(_Settings):
    """``[binning]``: the volumes of a sample, one per incident energy, all of the same number of bins."""

    incident_energies: tuple[Annotated[float, Field(gt=0, lt=1e5)], ...] = Field(min_length=1, max_length=100)
    """In meV."""
    bins: tuple[Bins, Bins, Bins]
    """Of h, k and energy."""
    h: tuple[float, float] = (float(H_EDGES[0]), float(H_EDGES[-1]))
    """Range in r.l.u., from the first edge to the last."""
    k: tuple[float, float] = (float(K_EDGES[0]), float(K_EDGES[-1]))
    energy: tuple[float, float] = (float(WINDOW_EDGES[0]), float(WINDOW_EDGES[-1]))
    """Range of the energy transfer in units of the incident energy."""
    axes: tuple[str, str] | None = None
    """Directions that h and k stand for, such as "[H,H,0]"; default: those of the descriptions."""
    third: tuple[float, float] | None = None
    """Range of the direction normal to both that a scan is integrated over, in r.l.u."""

    @property
    def edges(self) -> tuple[Floats, Floats, Floats]:
        """Edges of h, k (r.l.u.) and of the energy transfer over Ei."""
        h, k, energy = (
            np.linspace(*span, n + 1)
            for span, n in zip((self.h, self.k, self.energy), self.bins, strict=True)
        )
        return h, k, energy

    def rules(self) -> tuple[AcceptedAxis, ...]:
        """Tell what a model that is trained on these volumes asks of an axis.

        Bins of these widths; along h and k any number of them, one being an integrated axis. A slice, of one
        bin, is integrated where this one is.
        """
        h, k, energy = (float(np.diff(edges).mean()) for edges in self.edges)
        slices = [tuple(edges.tolist()) if edges.size == 2 else () for edges in self.edges]
        return (
            AcceptedAxis(kind="h", width=h, integrated=(0.5 * h, 1.5 * h), edges=slices[0]),
            AcceptedAxis(kind="k", width=k, integrated=(0.5 * k, 1.5 * k), edges=slices[1]),
            AcceptedAxis(
                kind="energy",
                width=energy,
                relative_to_incident_energy=True,
                edges=tuple(self.edges[2].tolist()),
            ),
        )


class OwnModel(_Settings):
    """``[[classes]]``: a class that is not built in, from its description."""

    name: str = Field(min_length=1)
    description: Description


class Recipe(_Settings):
    """What a simulated data set holds. ``train``, ``validation`` and ``test`` are samples of *each* class."""

    name: str = Field(min_length=1)
    seed: int = Field(ge=0)
    train: int = Field(ge=1)
    validation: int = Field(ge=1)
    test: int = Field(ge=1)
    classes: tuple[ModelName | OwnModel, ...] = Field(default=("Dimer", "Goodenough"), min_length=1)
    kinds: tuple[Kind, ...] = ("convolved", "integrated")
    physics: Physics = "physical"
    grid: int = Field(default=30, ge=4, le=200)
    """Points of the periodic (h, k) grid per magnetic cell and axis."""
    binning: Grid | None = None
    """Default: the published mosaic."""
    instrument: Instrument | None = None
    """Default: MAPS."""
    frequency: float | None = None
    """Chopper frequency in Hz; default: that of the instrument's table."""
    package: str | None = None
    """Name of the slit package; default: the instrument's."""
    width_scale: Annotated[float, Field(gt=0, lt=100)] | None = None
    """Factor on all widths of the resolution; default: 1."""
    scan: Scan | None = None
    """How the crystal turns; default: it stands with ki normal to both axes."""
    powder: bool = False
    """Whether the sample is a powder: h is then |Q| in Å⁻¹, and k has one bin."""
    simulation: SimulationConditions | None = None
    """What is drawn anew for each sample, such as the resolution; default: all are simulated alike."""
    shard_size: int = Field(default=20, ge=1, le=1000)

    @model_validator(mode="after")
    def _classes_differ(self) -> Self:
        if len(set(self.class_names)) != len(self.classes):
            raise ValueError(f"two classes have the same name: {list(self.class_names)}")
        if self.scan is not None and (self.binning is None or self.binning.third is None):
            raise ValueError("a scan needs the range third in [binning]")
        if (self.scan is not None or self.powder) and any(isinstance(c, str) for c in self.classes):
            raise ValueError("only descriptions can be scanned or be powders, such as pcsmo-goodenough")
        if self.powder and (self.binning is None or self.binning.bins[1] != 1):
            raise ValueError("a powder needs [binning] with one bin of k")
        return self

    @model_validator(mode="after")
    def _can_be_set(self) -> Self:
        self.options.instrument  # noqa: B018 - refuses a package or a frequency that the instrument has not
        return self

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels."""
        return tuple(c if isinstance(c, str) else c.name for c in self.classes)

    @property
    def parameter_names(self) -> dict[str, list[str]]:
        """Names of the constants of each class."""
        return {
            name: list(PARAMETERS[c] if isinstance(c, str) else c.description.names)
            for name, c in zip(self.class_names, self.classes, strict=True)
        }

    @property
    def options(self) -> Options:
        """How each sample is simulated."""
        instrument = (self.instrument or MAPS).with_setting(
            package=self.package, frequency=self.frequency, width_scale=self.width_scale or 1.0
        )
        return Options(instrument, self.physics, self.grid, scan=self.scan, powder=self.powder)

    def options_of(self, index: int) -> Options:
        """Draw how sample ``index`` is simulated, from the seed."""
        if self.simulation is None:
            return self.options
        sequence = np.random.SeedSequence(self.seed, spawn_key=(index, 1))
        return self.simulation.draw(np.random.default_rng(sequence), self.options)

    @property
    def lattice(self) -> tuple[float, float]:
        """2π over the length of one r.l.u. of h and k in Å: the same for every class, or `Exp2SimError`."""
        lengths = [
            (LATTICE[0], LATTICE[1]) if isinstance(c, str) else twins_in_view(c)[0].lengths
            for c in self.materials
        ]
        views = {HKL if isinstance(c, str) else c.projection for c in self.materials}
        if not np.allclose(lengths, lengths[0], rtol=1e-6) or len(views) > 1:
            raise Exp2SimError(
                "The classes of a data set must have the same lattice and axes of view.",
                reason="Theirs, as 2π over one r.l.u. in Å: "
                f"{dict(zip(self.class_names, lengths, strict=True))}.",
                fix="Describe all of them in one lattice.",
            )
        return lengths[0]

    @property
    def materials(self) -> tuple[ModelName | Description, ...]:
        """The model of each class, with the axes of the binning."""
        axes = None if self.binning is None else self.binning.axes
        models = (c if isinstance(c, str) else c.description for c in self.classes)
        return tuple(model if axes is None else viewed_along(model, axes) for model in models)  # type: ignore[misc]

    @property
    def projection(self) -> Projection:
        """Directions of the momentum axes, and the range that a scan is integrated over."""
        material = self.materials[0]
        if self.powder:
            return Projection(powder=True)
        over = None if self.binning is None or self.scan is None else self.binning.third
        return HKL if isinstance(material, str) else replace(material.projection, over=over)

    @property
    def cell(self) -> dict[str, float]:
        """The lattice constants in Å and degrees."""
        material = self.materials[0]
        cell: tuple[float, ...] = (*LATTICE, 90.0, 90.0, 90.0)
        if not isinstance(material, str):
            cell = material.lattice.cell
        return dict(zip(CELL, cell, strict=True))

    @property
    def count(self) -> int:
        """Samples in all."""
        return len(self.classes) * (self.train + self.validation + self.test)

    @property
    def binnings(self) -> tuple[Binning, ...]:
        """The volumes of a sample."""
        if self.binning is None:
            return mosaic_binnings()
        h, k, energy = self.binning.edges
        third = self.binning.third if self.scan is not None else None
        return tuple(Binning(h, k, energy * ei, ei, third) for ei in self.binning.incident_energies)

    @property
    def splits(self) -> dict[str, tuple[int, int]]:
        """Index ranges [start, stop) of the splits; every index is its own parameter set."""
        edges = np.cumsum([0, self.train, self.validation, self.test]) * len(self.classes)
        return {
            name: (int(edges[i]), int(edges[i + 1])) for i, name in enumerate(("train", "validation", "test"))
        }


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from TOML, with the descriptions and the instrument that it names.

    In ``classes``, a string is a built-in model, a shipped description or the path of one; a table has a
    ``name``, a ``description`` (one of these) and perhaps ``ranges`` of some parameters. ``instrument`` is a
    name or a path. Paths may be relative to the recipe. Raises `Exp2SimError` where a file is missing, no
    TOML, or has wrong or unknown keys.
    """

    def named(raw: dict[str, Any]) -> dict[str, Any]:
        if isinstance(raw.get("classes"), list):
            raw["classes"] = [_class(entry, path.parent) for entry in raw["classes"]]
        if isinstance(raw.get("instrument"), str):
            raw["instrument"] = load_instrument(raw["instrument"], path.parent)
        return raw

    fix = "The settings are described in docs/simulate.md."
    shipped = (Path(__file__).parents[1] / "recipes").glob("*.toml")
    recipe = read_toml(path, Recipe, what="recipe", fix=fix, prepare=named, shipped=shipped)
    _ = recipe.lattice  # refuses classes of different lattices
    return recipe


class _Named(_Settings):
    """A class as the recipe's file names it."""

    name: str = ""
    description: str
    ranges: dict[str, tuple[float, float]] = {}


def _class(entry: Any, folder: Path) -> Any:
    """A class of a recipe's file with its description read; built-in names stay as they are."""
    if isinstance(entry, str):
        if entry in PARAMETERS:
            return entry
        entry = {"description": entry}
    named = _Named.model_validate(entry)
    description = read_description(find_description(named.description, folder)).with_ranges(named.ranges)
    return {"name": named.name or description.name, "description": description}
