"""The card of a model: everything about it that is not a weight, as checked JSON.

A card may come from anyone, so nothing in it is trusted: names and numbers are bounded, unknown fields are
refused, and no field is ever used as a path. Reading a card needs no torch.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypedDict, get_args

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from mantid_exp2sim import mosaic
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Projection
from mantid_exp2sim.model.error_model import ErrorModel
from mantid_exp2sim.model.levels import IntensityLevels
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.networks.settings import ClassifierSettings, GeneratorSettings
from mantid_exp2sim.storage.toml import validation_summary

MAX_CARD_BYTES = 4 * 2**20
MAX_WEIGHT_BYTES = 2 * 2**30

Direction = Literal["deconvolve", "convolve"]
DIRECTIONS: tuple[Direction, Direction] = ("deconvolve", "convolve")
DataKind = Literal["convolved", "integrated", "centre"]
"""``convolved`` is measurement-like; ``integrated`` and ``centre`` are two kinds of simulation-like data."""
Role = Literal["deconvolve", "convolve", "classifier_convolved", "classifier_integrated", "classifier_centre"]
"""What a network is for. Its file is always ``ROLE.safetensors``: a card cannot name another one."""
ROLES: tuple[Role, ...] = get_args(Role)

MAX_MEMBERS = 16
"""So many networks of one role a model may have; a result is the mean over them."""
WeightKey = Annotated[str, Field(pattern=rf"^({'|'.join(ROLES)})(-([2-9]|1[0-6]))?$")]
"""A role, or for its second and later members ``ROLE-2``, ``ROLE-3``, …"""


def classifier_role(data_kind: DataKind) -> Role:
    """Return the role of the classifier that was trained on a kind of data.

    >>> classifier_role("centre")
    'classifier_centre'
    """
    roles: dict[DataKind, Role] = {
        "convolved": "classifier_convolved",
        "integrated": "classifier_integrated",
        "centre": "classifier_centre",
    }
    return roles[data_kind]


def weight_key(role: Role, member: int = 1) -> str:
    """The key of the n-th member of a role, counted from 1.

    >>> weight_key("deconvolve"), weight_key("deconvolve", 2)
    ('deconvolve', 'deconvolve-2')
    """
    return role if member == 1 else f"{role}-{member}"


def role_of(key: str) -> Role:
    """The role that a key of a weight file belongs to.

    >>> role_of("convolve-3")
    'convolve'
    """
    for role in ROLES:
        if key in {weight_key(role, member) for member in range(1, MAX_MEMBERS + 1)}:
            return role
    raise Exp2SimError(
        f"There is no role {key!r}.",
        reason=f"A network is one of {', '.join(ROLES)}, or of a second member such as deconvolve-2.",
        fix="Take one of these roles.",
    )


def weight_file(key: str) -> str:
    """Name of the weight file of a role, or of a later member of it.

    >>> weight_file("deconvolve"), weight_file("deconvolve-2")
    ('deconvolve.safetensors', 'deconvolve-2.safetensors')
    """
    role_of(key)
    return f"{key}.safetensors"


def _printable(text: str) -> str:
    if any(not (character.isprintable() or character == "\n") for character in text):
        raise ValueError("control characters are not allowed")
    return text


Text = Annotated[str, Field(max_length=10_000), AfterValidator(_printable)]
Word = Annotated[str, Field(max_length=100), AfterValidator(_printable)]
ClassName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9 _.-]{0,39}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AcceptedAxis(_Strict):
    """What a model asks of one axis; what it says is what the network was trained on.

    >>> axis = AcceptedAxis(kind="h", width=0.05, frames=("HKL",), units=("r.l.u.",))
    >>> axis.relative_to_incident_energy
    False
    """

    kind: Literal["h", "k", "energy"]
    width: float = Field(gt=0)
    """Bin width: r.l.u. for h and k; meV for the energy, or E/Ei if ``relative_to_incident_energy``."""
    relative_to_incident_energy: bool = False
    edges: tuple[float, ...] = Field(default=(), max_length=513)
    """The exact edges wanted, in the unit of ``width``; empty: any position and any number of bins."""
    tolerance: float = Field(default=0.02, ge=0, le=0.5)
    """Allowed deviation of a width (and of an edge, if edges are asked for), in bin widths."""
    integrated: tuple[float, float] | None = None
    """Range of widths accepted if the axis is integrated (one bin); None: an integrated axis is refused."""
    units: tuple[Word, ...] = Field(default=(), max_length=20)
    """Accepted units; empty: any."""
    frames: tuple[Word, ...] = Field(default=(), max_length=20)
    """Accepted frames; empty: any."""


class AxisWords(TypedDict):
    """Units and frames that are accepted of an axis."""

    units: tuple[str, ...]
    frames: tuple[str, ...]


def axis_words(kind: str, projection: Projection) -> AxisWords:
    """Return the units and frames that are accepted of an axis of a volume.

    >>> axis_words("h", Projection())["units"], axis_words("h", Projection(powder=True))["units"]
    (('r.l.u.', ''), ('A^-1', ''))
    """
    if kind == "energy":
        return {"units": ("meV", "DeltaE"), "frames": ("General Frame", "Unknown frame")}
    if projection.powder:
        return {"units": ("A^-1", "") if kind == "h" else (), "frames": ()}
    return {"units": ("r.l.u.", ""), "frames": ("HKL", "Unknown frame")}


def mosaic_axes(*, windows_fixed: bool = True) -> tuple[AcceptedAxis, ...]:
    """The axes of the published mosaics: h, k in steps of 2/39 r.l.u., E in ten windows of 0.06 Ei.

    With ``windows_fixed=False`` any number of windows of that width is accepted at any energy transfer.

    >>> [axis.kind for axis in mosaic_axes()]
    ['h', 'k', 'energy']
    """
    width, words = float(np.diff(mosaic.q_edges())[0]), Projection()
    h = AcceptedAxis(kind="h", width=width, **axis_words("h", words))
    k = AcceptedAxis(kind="k", width=width, **axis_words("k", words))
    windows = [round(edge, 9) for edge in mosaic.window_edges(1.0).tolist()]
    energy = AcceptedAxis(
        kind="energy",
        width=0.06,
        relative_to_incident_energy=True,
        edges=tuple(windows) if windows_fixed else (),
        **axis_words("energy", words),
    )
    return (h, k, energy)


class WeightFile(_Strict):
    """Size and checksum of one weight file."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=8, le=MAX_WEIGHT_BYTES)


class ClassifierCard(_Strict):
    """Describe a classifier, trained on one kind of data."""

    network: ClassifierSettings
    scaling: Scaling | None = None
    """Its own scaling; None = the generators'."""
    threshold: float = Field(default=0.5, ge=0, le=1)
    """The prediction is "none" where every correlation is below this."""
    calibration: dict[str, float] | None = None
    """Number of validation spectra on which the length scale was chosen, ``factor`` on that of the training,
    ``nll`` and ``ece`` on them."""


MAX_DOMAIN_BYTES = 2**20
DOMAIN_FILE = "domain.safetensors"
"""What the domain check compares with, in a model's folder."""


class DirectionCard(_Strict):
    """The domain that one direction was trained on."""

    regularisation: float = Field(gt=0, lt=1e12)
    """ε of the entropic transport, in squared units of the whitened features."""
    limit: float = Field(ge=1, le=1e6)
    """Untrustworthy beyond so many times the 0.99 quantile of the calibration spectra's scores."""
    fit: int = Field(ge=1, le=10_000)
    """Held-out spectra that set the scales of the score."""
    calibration: int = Field(ge=1, le=10_000)
    """Other held-out spectra, among which the p-value is the rank."""
    usual_error: float | None = Field(default=None, gt=0, lt=1e6)
    """Expected error of a spectrum of the domain: the median over the calibration spectra."""
    doubtful_error: float = Field(default=2.0, ge=1)
    """Data whose expected error is more than so many times the usual one are never trustworthy."""
    refused_error: float = Field(default=4.0, ge=1)
    """Those of so many times the usual one are untrustworthy."""
    figures: dict[Word, JsonValue] = Field(default_factory=dict)
    """What was measured when it was calibrated."""


class Calibrated(_Strict):
    """What data of one kind, volumes or single cuts, are compared with."""

    directions: dict[Direction, DirectionCard] = Field(min_length=1)
    shape: tuple[Annotated[int, Field(ge=1, le=10_000)], ...] = Field(min_length=3, max_length=3)
    """Bins (h, k, E) of a calibration volume or cut; larger data are compared in blocks of this size."""
    measured_bins: float = Field(gt=0)
    """Measured bins of one of these, on average."""


class DomainCard(Calibrated):
    """How data are compared with the training set; the reference itself is in ``domain.safetensors``."""

    file: WeightFile
    cuts: Calibrated | None = None
    """For data of much fewer bins: single cuts, which a model of one dimension takes."""
    trustworthy: float = Field(default=0.05, gt=0, lt=1)
    """Data with at least this p-value are trustworthy; below, and within ``limit``, an expert is asked."""
    points: int = Field(default=32, ge=2, le=512)
    """Feature points on both sides of the transport problem."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of the points and of breaking ties."""
    settings: dict[Word, JsonValue] = Field(default_factory=dict)
    """Noise, background and numbers of spectra it was made with."""

    @model_validator(mode="after")
    def _small(self) -> DomainCard:
        if self.file.size > MAX_DOMAIN_BYTES:
            raise ValueError(f"{DOMAIN_FILE} has at most {MAX_DOMAIN_BYTES} bytes")
        if self.cuts is not None and set(self.cuts.directions) != set(self.directions):
            raise ValueError("single cuts have the directions that volumes have")
        return self


class Card(_Strict):
    """All that is known of a model. :func:`read_card` reads one, ``model_dump_json`` writes it."""

    format: Literal[1] = 1
    name: Name
    version: Word = "1"
    description: Text = ""
    licence: Word = "GPL-3.0-or-later"
    training: dict[str, JsonValue] = Field(default_factory=dict)
    """What it was trained on: data set, recipe, seed, splits."""
    target: Literal["integrated", "centre"] = "integrated"
    """What deconvolution aims at: bin averages or values at the bin centres, both without resolution."""
    scaling: Scaling
    layout: Layout
    axes: tuple[AcceptedAxis, ...]
    """Of a volume's three places, h, k and energy; what h and k follow is told by ``projection``."""
    projection: Projection = Projection()
    """Directions of the momentum axes of a volume."""
    instrument: dict[Word, JsonValue] = Field(default_factory=dict)
    """Settings of the spectrometer whose resolution it was trained on; empty: not told."""
    incident_energies: tuple[Annotated[float, Field(gt=0, lt=1e5)], ...] = Field(
        min_length=1, max_length=1000
    )
    """Incident energies (meV) it was trained at."""
    incident_energy_tolerance: float = Field(default=0.05, ge=0, le=1)
    """Allowed relative distance to the nearest of them."""
    mean_intensity: float | None = Field(default=None, gt=0)
    """Mean intensity of the convolved training data over measured bins: what ``scale="auto"`` aims at."""
    symmetries: tuple[Literal["inversion"], ...] = ()
    """What holds exactly in all training data, and results are averaged over: (h, k) → (−h, −k)."""
    levels: IntensityLevels | None = None
    """Intensities of the convolved training data, to which volumes are brought before a network; None:
    intensities are taken as they are."""
    generator: GeneratorSettings = GeneratorSettings()
    """Settings of both generators."""
    classes: tuple[ClassName, ...] = Field(default=(), max_length=100)
    classifiers: dict[DataKind, ClassifierCard] = Field(default_factory=dict)
    errors: dict[Direction, ErrorModel] = Field(default_factory=dict)
    """The model's own error in each direction, where it was measured."""
    domain: DomainCard | None = None
    """What the domain check compares with; None: the model cannot say whether data are inside its domain."""
    metrics: dict[str, JsonValue] = Field(default_factory=dict)
    software: dict[Word, Word] = Field(default_factory=dict)
    weights: dict[WeightKey, WeightFile] = Field(default_factory=dict)
    """By role; several members of a role as ``deconvolve``, ``deconvolve-2``, …"""

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        if sorted(axis.kind for axis in self.axes) != ["energy", "h", "k"]:
            raise ValueError("axes describes h, k and energy once each")
        if len(set(self.classes)) != len(self.classes) or "none" in self.classes:
            raise ValueError("class names are different from each other and from 'none'")
        for data_kind, classifier in self.classifiers.items():
            self._check_classifier(data_kind, classifier.network)
        allowed = {*DIRECTIONS, *(classifier_role(data_kind) for data_kind in self.classifiers)}
        if not {role_of(key) for key in self.weights} <= allowed:
            raise ValueError("weights of a classifier that classifiers does not describe")
        for role in ROLES:
            if not set(self.keys(role)) <= set(self.weights):
                raise ValueError(f"weights of {role}: its members are not numbered 1, 2, 3, …")
        if any(len(errors.sigma) != len(self.incident_energies) for errors in self.errors.values()):
            raise ValueError("errors has a row for each incident energy")
        if self.levels is not None and len(self.levels.rms) != len(self.incident_energies):
            raise ValueError("levels has a number for each incident energy")
        energy = self.axis("energy")
        if self.layout.energy == "channels" and len(energy.edges) != self.layout.windows + 1:
            raise ValueError(
                f"{self.layout.windows} energy channels need as many energy bins with fixed edges"
            )
        return self

    def _check_classifier(self, data_kind: str, network: ClassifierSettings) -> None:
        if network.classes != len(self.classes):
            raise ValueError(
                f"classifier {data_kind}: {network.classes} classes, but {len(self.classes)} names"
            )
        windows = max(len(self.axis("energy").edges) - 1, 0)
        if windows == 0 or network.panels not in (windows, windows * len(self.incident_energies)):
            raise ValueError(
                f"classifier {data_kind}: panels counts the energy windows of one or of all incident energies"
            )

    def keys(self, role: Role) -> tuple[str, ...]:
        """The keys in ``weights`` of the members of a role, the first one first; empty if it has none."""
        count = sum(role_of(key) == role for key in self.weights)
        return tuple(weight_key(role, member) for member in range(1, count + 1))

    def nearest(self, energy: float) -> int:
        """Return the number of the incident energy (meV) of the training that is nearest to this one."""
        return int(np.argmin(np.abs(np.asarray(self.incident_energies) - energy)))

    def axis(self, kind: str) -> AcceptedAxis:
        """What is asked of the axis of one kind."""
        return next(axis for axis in self.axes if axis.kind == kind)


def model_files(card: Card) -> dict[str, WeightFile]:
    """Names of the files that belong to a model beside its card, with their sizes and checksums."""
    files = {weight_file(key): expected for key, expected in card.weights.items()}
    return files if card.domain is None else {**files, DOMAIN_FILE: card.domain.file}


def read_card(text: bytes, *, where: str) -> Card:
    """Parse a card; ``where`` names its source in errors.

    >>> read_card(b"{}", where="card.json")
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: card.json is no valid model card: name: Field required; ...
    """
    try:
        card = Card.model_validate_json(text)
        json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
        return card
    except ValidationError as error:
        raise Exp2SimError(
            f"{where} is no valid model card: {validation_summary(error)}.",
            fix="Get the model again, or check its settings if you made it.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise Exp2SimError(
            f"{where} is no valid model card: {error!s:.200}.", fix="Get the model again."
        ) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object with every key once: of two that are the same, readers disagree which one counts."""
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return entries


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")
