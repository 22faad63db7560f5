"""Settings of a training run; `recipe_file` reads them. An unknown key is refused.

Every setting stands in a recipe of ``training/recipes`` or ``examples/tutorial``, or in a document.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.networks.settings import ClassifierSettings, DiscriminatorSettings, GeneratorSettings
from mantid_exp2sim.simulation.conditions import MeasurementConditions
from mantid_exp2sim.simulation.noise import MeasurementNoise

Kind = Literal["convolved", "integrated", "centre"]
Symmetry = Literal["h", "k", "swap"]
PatchSize = Annotated[int, Field(ge=1, le=10_000)]
Weight = Annotated[float, Field(gt=0)]
SEEDS = 2**32
"""Seeds are smaller than this."""


class Table(BaseModel):
    """A table of a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MeasuredSettings(Table):
    """``[data.measured]``: real measurements among the convolved data."""

    files: tuple[str, ...] = Field(min_length=1)
    """Files, folders or globs, relative to the recipe or to the working directory; ``$NAME`` is replaced."""
    mask: str | None = None
    """What was not measured in the files (``.npy`` or ``.mat``)."""
    share: float = Field(default=0.5, gt=0, le=1)
    """Share of the convolved samples that are measured; 1: all."""
    scale: float | Literal["auto"] = 1.0
    """Factor on the intensities; "auto" gives them the mean intensity of the simulated convolved data."""


class DataSettings(Table):
    """``[data]``: which data set, and how a sample is made from it."""

    folder: Path
    """The data set, relative to the recipe or to the working directory."""
    limit: int | None = Field(default=None, ge=2)
    """Use only this many mosaics of the training split."""
    memory: bool = True
    """Hold the training data in memory (else read them from the disk at each step)."""
    augment: tuple[Symmetry, ...] = ("h", "k", "swap")
    """Symmetries of a panel: h → −h, k → −k, h ↔ k (the last where the panel is square)."""
    noise: MeasurementNoise = MeasurementNoise()
    """What a measurement adds. A translator meets it on convolved data only, a classifier on its own kind."""
    conditions: MeasurementConditions | None = None
    """Conditions of measurement, drawn for each sample, where there would be ``noise``."""
    intensity_jitter: float = Field(default=0.0, ge=0, le=2)
    """Standard deviation of a random factor's logarithm on the intensity of each sample."""
    patch: tuple[PatchSize, PatchSize, PatchSize] | None = None
    """Train on random parts of this many bins (h, k, E), so that a few large volumes are enough."""
    measured: MeasuredSettings | None = None
    """Real measurements among the convolved data; a file name alone will do."""

    @field_validator("measured", mode="before")
    @classmethod
    def _expand_file_name(cls, value: Any) -> Any:
        table = value if isinstance(value, dict) else {"files": value} if value else None
        if table and isinstance(table.get("files"), str):
            return {**table, "files": [table["files"]]}
        return table


class TranslatorDataSettings(DataSettings):
    """``[data]`` of a translator."""

    target: Literal["integrated", "centre"] = "integrated"
    """The data kind that deconvolution leads to, from ``convolved``."""


class ClassifierDataSettings(DataSettings):
    """``[data]`` of a classifier."""

    kind: Kind = "convolved"
    """The data kind that it is trained on."""

    @model_validator(mode="after")
    def _refuse_parts(self) -> ClassifierDataSettings:
        if self.patch is not None or self.measured is not None:
            raise ValueError("a classifier takes whole samples of known classes: no patch, no measured")
        return self


class TranslatorNetworkSettings(Table):
    """``[network]`` of a translator: its networks and the layout of their tensors."""

    preset: Literal["paper", "compact"] = "compact"
    layout: Layout = Layout(dimension=2, energy="channels", windows=10)
    width: int | None = None
    """Channels of the generators' first layer; default: the preset's."""
    blocks: int | None = None
    """Residual blocks of the generators; default: the preset's."""
    discriminator_width: int | None = None
    """Channels of the discriminators' first layer; default: the preset's."""
    projection_width: int = Field(default=256, ge=1)
    """Length of the feature vectors of the contrastive loss."""

    @property
    def generator(self) -> GeneratorSettings:
        """Settings of both generators."""
        return GeneratorSettings(preset=self.preset, width=self.width, blocks=self.blocks).resolved()

    @property
    def discriminator(self) -> DiscriminatorSettings:
        """Settings of both discriminators."""
        return DiscriminatorSettings(preset=self.preset, width=self.discriminator_width)


class ClassifierNetworkSettings(Table):
    """``[network]`` of a classifier; panels and classes are those of the data set."""

    width: int = Field(default=32, ge=1, le=1024)
    """Channels of the first layer; the later ones have two and four times as many."""
    fold: Literal["none", "inversion", "mirrors"] = "mirrors"
    """Symmetries of a panel to average over first; see `ClassifierSettings`."""

    def for_data(self, *, panels: int, classes: int) -> ClassifierSettings:
        """Settings of the network for mosaics of this many panels."""
        return ClassifierSettings(panels=panels, classes=classes, width=self.width, fold=self.fold)


class PosteriorNetworkSettings(Table):
    """``[network]`` of a posterior; panels and constants are those of the data set."""

    width: int = Field(default=32, ge=1, le=1024)
    """Channels of the first layer; the later ones have two and four times as many."""
    fold: Literal["none", "inversion", "mirrors"] = "mirrors"
    """Symmetries of a panel to average over first; see `FeatureSettings`."""
    components: int = Field(default=8, ge=1, le=100)
    """Gaussians of each mixture."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of the features left out during training."""


class LossSettings(Table):
    """``[losses.NAME]``: a loss and its weight."""

    weight: Weight


class AdversarialSettings(LossSettings):
    """``[losses.adversarial]``."""

    kind: Literal["log", "least_squares"] = "log"


class ContrastiveSettings(LossSettings):
    """``[losses.contrastive]``."""

    patches: int = Field(default=256, ge=2)
    """Positions per feature layer."""


class PairedSquareSettings(LossSettings):
    """``[losses.paired_square]``."""

    floor: float = Field(default=0.1, gt=0)
    """Intensity per bin, in units of the scale, below which an error is not seen as relative."""


class GradientPenaltySettings(LossSettings):
    """``[losses.gradient_penalty]``."""

    every: int = Field(default=1, ge=1)
    """Compute the penalty only every this many steps (and weigh it by as much)."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Compute it on this share of the batch."""


class TranslatorLosses(Table):
    """``[losses]`` of a translator; each direction minimises the sum of those that have a table.

    The dual GAN is one set of them, regression on pairs another; see
    :mod:`mantid_exp2sim.training.losses`.
    """

    adversarial: AdversarialSettings | None = None
    auxiliary: LossSettings | None = None
    contrastive: ContrastiveSettings | None = None
    identity: LossSettings | None = None
    cycle: LossSettings | None = None
    data_consistency: LossSettings | None = None
    known_resolution: LossSettings | None = None
    flux: LossSettings | None = None
    paired: LossSettings | None = None
    paired_square: PairedSquareSettings | None = None

    @model_validator(mode="after")
    def _require_one(self) -> TranslatorLosses:
        if not self.tables:
            raise ValueError("a translator needs at least one loss, such as [losses.paired] weight = 1.0")
        return self

    @property
    def tables(self) -> dict[str, LossSettings]:
        """The losses that have a table, by name, in the order in which they are summed."""
        settings = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: table for name, table in settings.items() if table is not None}

    @property
    def needs_pairs(self) -> bool:
        """Whether the true counterpart of every sample is used."""
        return self.paired is not None or self.paired_square is not None


class ClassifierLosses(Table):
    """``[losses]`` of a classifier, beside the binary cross entropy of its correlations.

    ``gradient_penalty``: λ(‖∇ₓ Σ K‖ − 1)². ``softmax``: cross entropy of softmax(−d/2σ²), which learns
    features faster; published without.
    """

    gradient_penalty: GradientPenaltySettings | None = None
    softmax: LossSettings | None = None


OutlierKind = Literal[
    "zeros",
    "constant",
    "bins",
    "panels",
    "noise",
    "sparse",
    "lattice",
    "near_lattice",
    "magnet",
    "cell_magnet",
]
"""``zeros``: nothing scattered. ``constant``: one level everywhere. ``bins``: each panel's bins shuffled.
``panels``: the panels shuffled. ``noise``: positive white noise. ``sparse``: few bright bins.
``lattice``: excitations of another lattice, the panels zoomed or turned in the plane and of another band.
``near_lattice``: the same of lattice constants that are nearer to the sample's.
``magnet``: spin waves of a random ferromagnet or antiferromagnet, drawn from a formula
(:mod:`mantid_exp2sim.training.synthetic.magnets`), on a random lattice. ``cell_magnet``: the same on a simple
multiple of the sample's unit cell."""


class OutlierSettings(Table):
    """``[outliers]``: synthetic inputs of no class that a classifier is shown."""

    share: float = Field(default=0.15, ge=0, le=1)
    """How many are added to each batch, as a share of it."""
    kinds: tuple[OutlierKind, ...] = Field(
        default=("zeros", "constant", "bins", "panels", "noise", "sparse"), min_length=1, max_length=100
    )
    """What they are; a kind that is named twice comes twice as often."""


class OptimiserSettings(Table):
    """``[optimiser]``: AdamW."""

    learning_rate: float = Field(default=1e-4, gt=0)
    discriminator_learning_rate: float | None = Field(default=None, gt=0)
    """Default: the same."""
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = Field(default=0.0, ge=0)
    clip: float = Field(default=10.0, gt=0)
    """Largest norm of a gradient; longer ones are shortened to it."""
    ema: float = Field(default=0.0, ge=0, lt=1)
    """Moving average of the weights that is validated and shipped; 0 = off."""


class ScheduleSettings(Table):
    """``[schedule]``: constant learning rate, then linear decay to 0."""

    steps: int = Field(ge=1)
    batch: int = Field(default=8, ge=1)
    """Samples of a step, of all processes together."""
    constant: float = Field(default=0.5, ge=0, le=1)
    """Share of the steps before the decay begins."""
    warmup: int = Field(default=0, ge=0)
    """Steps of linear increase at the start."""

    def factor(self, step: int) -> float:
        """Compute the learning rate at a step (from 0) over the largest one.

        >>> schedule = ScheduleSettings(steps=10, constant=0.5)
        >>> schedule.factor(4), round(schedule.factor(9), 6)
        (1.0, 0.2)
        """
        if step < self.warmup:
            return (step + 1) / self.warmup
        start = self.constant * self.steps
        return 1.0 if step < start else 1 - (step - start) / (self.steps - start)


class ValidationSettings(Table):
    """``[validation]``: what is measured during the run.

    The best translator has the lowest relative L2 where it is trained on pairs, else the lowest sliced
    distance (:mod:`mantid_exp2sim.training.trainers.metrics`); the best classifier the lowest error.
    """

    checks: int = Field(default=20, ge=1)
    """Checks per stage, evenly spaced, the last after the last step."""
    count: int | None = Field(default=None, ge=2)
    """Mosaics of the validation split; default: 64 for a translator, all for a classifier."""


class RunSettings(Table):
    """``[run]``: what a training starts from, and how it computes."""

    start: Path | None = None
    """A run folder of the same kind and networks (its last weights), or the name or folder of a model (its
    generators). The scaling is that one's."""
    seed: int = Field(default=0, ge=0, lt=SEEDS)
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the convolutions during training; weights, losses and validation stay in float32."""


class TranslatorConfig(Table):
    """A stage of a recipe with ``kind = "translator"``."""

    kind: Literal["translator"] = "translator"
    data: TranslatorDataSettings
    network: TranslatorNetworkSettings = TranslatorNetworkSettings()
    losses: TranslatorLosses
    optimiser: OptimiserSettings = OptimiserSettings()
    schedule: ScheduleSettings
    validation: ValidationSettings = ValidationSettings()
    run: RunSettings = RunSettings()


class ClassifierConfig(Table):
    """A stage of a recipe with ``kind = "classifier"``."""

    kind: Literal["classifier"] = "classifier"
    data: ClassifierDataSettings
    network: ClassifierNetworkSettings = ClassifierNetworkSettings()
    losses: ClassifierLosses = ClassifierLosses()
    outliers: OutlierSettings = OutlierSettings()
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-3, betas=(0.9, 0.999))
    schedule: ScheduleSettings
    validation: ValidationSettings = ValidationSettings(checks=10)
    run: RunSettings = RunSettings()


class PosteriorConfig(Table):
    """A stage of a recipe with ``kind = "posterior"``."""

    kind: Literal["posterior"] = "posterior"
    data: ClassifierDataSettings
    network: PosteriorNetworkSettings = PosteriorNetworkSettings()
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-3, betas=(0.9, 0.999))
    schedule: ScheduleSettings
    validation: ValidationSettings = ValidationSettings(checks=10)
    run: RunSettings = RunSettings()


Config: TypeAlias = TranslatorConfig | ClassifierConfig | PosteriorConfig
