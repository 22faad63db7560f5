"""The recipe of ``exp2sim data build``: which files, onto which axes, with which labels and splits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mantid_exp2sim.histogram import Projection
from mantid_exp2sim.model.card import ClassName, Name, Word
from mantid_exp2sim.storage.toml import read_toml

ExportKind = Literal["convolved", "integrated"]
KINDS: tuple[ExportKind, ...] = ("convolved", "integrated")
"""Measurement-like and simulation-like."""
MAX_BINS = 10_000
Positive = Annotated[float, Field(gt=0, lt=1e9)]


class Table(BaseModel):
    """A table of the recipe; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AxisRecipe(Table):
    """``[axes.h]``, ``[axes.k]``: bins of one width over a range, or one bin that is integrated over."""

    width: Positive | None = None
    """Bin width: r.l.u., meV, or E/Ei."""
    range: tuple[float, float] | None = None
    """From the first edge to the last; a whole number of widths."""
    integrated: tuple[float, float] | None = None
    """Instead of both: the axis is integrated over this range."""
    missing: bool = False
    """Files without this axis are taken as integrated over that range, also where they do not say so."""

    @model_validator(mode="after")
    def _consistent(self) -> AxisRecipe:
        span = self.integrated or self.range
        if span is None or (self.integrated is None) == (self.width is None):
            raise ValueError("an axis has either width and range, or integrated")
        if (self.integrated and self.range) or not span[0] < span[1]:
            raise ValueError("an axis has one range, [low, high] with low < high")
        if self.missing and self.integrated is None:
            raise ValueError("only an integrated axis can be missing")
        if abs(self.size * (self.width or self.span) - self.span) > 1e-6 * self.span:
            raise ValueError(f"the range is no whole number of widths ({self.span / (self.width or 1):.6g})")
        if not 1 <= self.size <= MAX_BINS:
            raise ValueError(f"an axis has 1 to {MAX_BINS} bins, not {self.size}")
        return self

    @property
    def limits(self) -> tuple[float, float]:
        """First and last edge."""
        span = self.integrated or self.range
        assert span is not None
        return span

    @property
    def span(self) -> float:
        """Distance from the first edge to the last."""
        return self.limits[1] - self.limits[0]

    @property
    def size(self) -> int:
        """Number of bins."""
        return 1 if self.width is None else round(min(self.span / self.width, 1e9))


class EnergyRecipe(AxisRecipe):
    """``[axes.energy]``."""

    relative_to_incident_energy: bool = False
    """Width and range are in units of the incident energy (else meV)."""


class AxesRecipe(Table):
    """``[axes]``: the axes of the model."""

    h: AxisRecipe
    k: AxisRecipe
    energy: EnergyRecipe


class RebinRecipe(Table):
    """``[rebin]``: how files are brought onto the axes."""

    allowed: bool = True
    """Else only files whose bins are the model's are taken."""
    tolerance: float = Field(default=0.02, ge=0, le=0.2)
    """Edges that differ by less than this share of a width are the same."""
    minimum_measured: float = Field(default=0.5, gt=0, le=1)
    """A bin of which a smaller share was measured is masked."""
    minimum_coverage: float = Field(default=0.01, ge=0, le=1)
    """A file that covers a smaller share of the bins is refused."""


class SplitRecipe(Table):
    """``[split]``: shares of the parameter sets; the rest is for training."""

    validation: float = Field(default=0.1, ge=0, lt=1)
    test: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _rest(self) -> SplitRecipe:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test leave nothing to train on")
        return self


class LabelRecipe(Table):
    """``[labels]``: where classes and parameters come from."""

    source: Literal["none", "folder", "spinw", "file"] = "none"
    """``folder``: the name of a file's folder. ``spinw``: parameters in a SpinW file, by ``classes``.
    ``file``: a CSV file with the columns file and, each optional, class, group, pair and parameters."""
    file: Path | None = None
    """The CSV file."""
    classes: dict[ClassName, dict[str, tuple[float, float]]] = Field(default_factory=dict, max_length=100)
    """A class by ranges of parameters: the first one whose ranges all hold."""

    @model_validator(mode="after")
    def _consistent(self) -> LabelRecipe:
        if (self.source == "file") != (self.file is not None):
            raise ValueError("source = 'file' and a file belong together")
        return self


class Source(Table):
    """``[[convolved]]`` or ``[[integrated]]``: files that are read in the same way."""

    files: tuple[str, ...] = Field(min_length=1, max_length=10_000)
    """Files, folders or globs, relative to the recipe."""
    incident_energy: Positive | None = None
    """In meV, where a file does not say."""
    lattice: tuple[Positive, Positive] | tuple[Positive, Positive, Positive] | None = None
    """a, b (and c, which is not used) in Å: takes NXSPE files to h–k–E, for c ∥ ki."""
    twins: tuple[Annotated[float, Field(ge=0, lt=1e9)], ...] | None = Field(
        default=None, min_length=2, max_length=100
    )
    """Volumes of the twins in files of SpinW, in their order; else those of a file, or equal ones."""
    mask: Path | None = None
    """What was not measured in the files (``.npy`` or ``.mat``)."""
    scale: Positive = 1.0
    """Factor on the intensities."""
    values: Literal["mean", "sum", "energy_sum"] = "mean"
    """What a bin holds: the mean intensity over it, the sum (counts), or the sum over its energies.

    Sums over the energies become intensities per meV, as those of SpinW's own files do by themselves."""
    label: ClassName | None = None
    """The class of all these files; goes before ``[labels]``."""
    labelled: bool = True
    """False: ``[labels]`` says nothing about these files."""
    measurement: bool = False
    """Real measurements: said on the card of a model that is trained on them."""


class ExportRecipe(Table):
    """All of a recipe."""

    name: Name
    seed: int = Field(default=0, ge=0, lt=2**32)
    units: Word = ""
    classes: tuple[ClassName, ...] = Field(default=(), max_length=100)
    """Class names in their order; default: those that are found, sorted."""
    pairs: bool = False
    """Keep which file of one domain is the counterpart of which of the other: same stem, or label file."""
    axes: AxesRecipe
    projection: Projection = Projection()
    """Directions of the momentum axes: what h and k of ``axes`` stand for."""
    instrument: Word = ""
    """Name or file of the spectrometer, for what needs its resolution."""
    rebin: RebinRecipe = RebinRecipe()
    split: SplitRecipe = SplitRecipe()
    labels: LabelRecipe = LabelRecipe()
    convolved: tuple[Source, ...] = ()
    """Measurement-like files: domain A."""
    integrated: tuple[Source, ...] = ()
    """Simulation-like files: domain B."""

    @model_validator(mode="after")
    def _something(self) -> ExportRecipe:
        if not self.convolved and not self.integrated:
            raise ValueError("there is neither a [[convolved]] nor an [[integrated]]")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes holds a name twice")
        return self

    def sources(self, kind: ExportKind) -> tuple[Source, ...]:
        """The sources of a domain."""
        return self.convolved if kind == "convolved" else self.integrated


def read_recipe(path: Path) -> ExportRecipe:
    """Read a recipe from TOML; `Exp2SimError` where it is missing, no TOML, or has wrong or unknown keys."""
    return read_toml(path, ExportRecipe, what="recipe", fix="The settings are described in docs/data.md.")
