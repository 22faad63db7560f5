"""Settings of a training run, read from a TOML recipe. An unknown key is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.networks.settings import ClassifierSettings, DiscriminatorSettings, GeneratorSettings
from mantid_exp2sim.simulation.noise import MeasurementNoise
from mantid_exp2sim.storage.toml import read_toml

Kind = Literal["convolved", "integrated", "centre"]
Symmetry = Literal["h", "k", "swap"]
PatchSize = Annotated[int, Field(ge=1, le=10_000)]


class Table(BaseModel):
    """A table of a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MeasuredSettings(Table):
    """``[data] measured``: real measurements that are (part of) domain A."""

    files: tuple[str, ...] = Field(min_length=1)
    """Files, folders or globs, relative to the recipe or to the working directory; ``$NAME`` is replaced. Or
    the folder of a data set, whose ``convolved`` is taken."""
    mask: str | None = None
    """What was not measured in the files (``.npy`` or ``.mat``)."""
    incident_energy: float | None = Field(default=None, gt=0)
    """In meV, where a file does not say."""
    lattice: tuple[float, float] | None = None
    """a and b in Å, for NXSPE."""
    share: float = Field(default=0.5, gt=0, le=1)
    """Share of domain A's samples that are measured ones; 1: all."""
    scale: float | Literal["auto"] = 1.0
    """Factor on the intensities; "auto" gives them the mean intensity of the simulated domain A."""


class DataSettings(Table):
    """``[data]``: which data set, and how a sample is made from it."""

    folder: Path
    """The data set, relative to the recipe or to the working directory."""
    target: Literal["integrated", "centre"] = "integrated"
    """Domain B. Domain A is ``convolved``."""
    disjoint: bool = True
    """A from one half of the training parameter sets and B from the other (else both from all)."""
    limit: int | None = Field(default=None, ge=2)
    """Use only so many mosaics of the training split."""
    memory: bool = True
    """Hold the training data in memory (else read them from the disk at each step)."""
    augment: tuple[Symmetry, ...] = ("h", "k", "swap")
    """Symmetries of a panel: h → −h, k → −k, h ↔ k (the last where the panel is square)."""
    background: float = Field(default=0.0, ge=0)
    """Mean of a random background, added to each volume before the noise: flat in Q, falling with energy."""
    background_share: float = Field(default=1.0, gt=0, le=1)
    """Share of the samples that get one."""
    noise: tuple[float, float] = (0.0, 0.0)
    """Counting noise: standard deviation √(noise · intensity), noise drawn from this range. On domain A only,
    where there are two domains; a classifier meets it whatever it is trained on."""
    subtraction_noise: float = Field(default=0.0, ge=0)
    """Noise that does not follow the intensity, as a background leaves it that was subtracted: largest
    standard deviation in the first energy bin. On domain A only, as ``noise``."""
    subtraction_share: float = Field(default=1.0, gt=0, le=1)
    """Share of the samples that get some of it."""
    clean_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the samples that get neither background nor noise: as simulated, so that what is without
    noise is known to be without background too."""
    intensity_jitter: float = Field(default=0.0, ge=0, le=2)
    """Standard deviation of a random factor's logarithm on the intensity of each sample."""
    patch: tuple[PatchSize, PatchSize, PatchSize] | None = None
    """Train on random parts of so many bins (h, k, E) of the volumes, so that a few large ones are enough."""
    patch_measured: float = Field(default=0.5, gt=0, le=1)
    """Least measured share of a patch."""
    measured: MeasuredSettings | None = None
    """Real measurements as (part of) domain A; a file name alone will do."""

    @property
    def measurement_noise(self) -> MeasurementNoise:
        """What measurement-like samples get."""
        return MeasurementNoise(
            counting=self.noise,
            background=self.background,
            background_share=self.background_share,
            subtraction=self.subtraction_noise,
            subtraction_share=self.subtraction_share,
            clean_share=self.clean_share,
        )

    @field_validator("measured", mode="before")
    @classmethod
    def _name_alone(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("files"), str):
            return {**given, "files": [given["files"]]}
        return (
            {"files": [given] if isinstance(given, str) else given}
            if isinstance(given, str | list)
            else given
        )

    @model_validator(mode="after")
    def _ordered(self) -> DataSettings:
        if not 0 <= self.noise[0] <= self.noise[1]:
            raise ValueError("noise is [lowest, highest], both at least 0")
        return self


class ScalingSettings(Table):
    """``[scaling]``: intensity to network values; a scale that is left out is taken from the data."""

    kind: Literal["asinh", "linear"] = "asinh"
    intensity_scale: float | None = Field(default=None, gt=0)
    """Default: the mean intensity of domain A over measured bins of (up to 200) training mosaics."""
    gain: float = Field(default=1.0, gt=0)


class NetworkSettings(Table):
    """``[network]``: the dual GAN's networks and the layout of their tensors."""

    preset: Literal["paper", "compact"] = "compact"
    layout: Layout = Layout(dimension=2, energy="channels", windows=10)
    width: int | None = None
    blocks: int | None = None
    tanh: bool = False
    norm: Literal["none", "channel"] = "none"
    discriminator_width: int | None = None
    projection_width: int = Field(default=256, ge=1)

    @property
    def generator(self) -> GeneratorSettings:
        """Settings of both generators."""
        return GeneratorSettings(
            preset=self.preset, width=self.width, blocks=self.blocks, tanh=self.tanh, norm=self.norm
        ).resolved()

    @property
    def discriminator(self) -> DiscriminatorSettings:
        """Settings of both discriminators."""
        return DiscriminatorSettings(preset=self.preset, width=self.discriminator_width)


LOSS_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"gan": 1.0, "nce": 4.0, "identity": 2.0, "auxiliary": 1.0, "gan_kind": "log"},
    "compact": {
        "gan": 1.0,
        "nce": 0.1,
        "identity": 1.0,
        "auxiliary": 0.1,
        "cycle": 5.0,
        "flux": 1.0,
        "patches": 128,
        "gan_kind": "least_squares",
    },
}
"""``paper``: what the article says (1:4:2:1)."""


class LossSettings(Table):
    """``[loss]``: weights in the generators' loss, per direction; the preset's unless given."""

    preset: Literal["paper", "compact"] = "paper"
    gan_kind: Literal["log", "least_squares"] = "log"
    gan: float = Field(default=1.0, ge=0)
    nce: float = Field(default=4.0, ge=0)
    identity: float = Field(default=2.0, ge=0)
    auxiliary: float = Field(default=1.0, ge=0)
    """Class error of the second head on G(x), reaching the generator."""
    auxiliary_discriminator: float = Field(default=1.0, ge=0)
    """Class error of the second head on real data, in the discriminator's loss."""
    cycle: float = Field(default=0.0, ge=0)
    """L1 between an input and its image there and back."""
    flux: float = Field(default=0.0, ge=0)
    """Relative change of the total intensity of a sample, which the resolution leaves (nearly) as it is."""
    consistency: float = Field(default=0.0, ge=0)
    """L1 between a measurement and its deconvolution blurred again by the known resolution."""
    operator: float = Field(default=0.0, ge=0)
    """L1 of both generators on pairs that the known resolution makes of domain B alone: (R·b, b)."""
    paired: float = Field(default=0.0, ge=0)
    """L1 to the true counterpart, in network values: the upper bound, no longer unpaired."""
    paired_square: float = Field(default=0.0, ge=0)
    """Relative squared error to the true counterpart in physical units: keeps the intensity of noisy data."""
    paired_floor: float = Field(default=0.1, gt=0)
    """Intensity per bin, in units of the scale, below which the error of a sample or a panel is not seen as
    relative."""
    temperature: float = Field(default=0.07, gt=0)
    patches: int = Field(default=256, ge=2)
    """Positions per feature layer in the contrastive loss."""

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: Any) -> Any:
        if isinstance(given, dict):
            return {**LOSS_PRESETS.get(given.get("preset", "paper"), {}), **given}
        return given

    @property
    def needs_operator(self) -> bool:
        """Whether the known resolution of the data set's instrument is used."""
        return self.consistency > 0 or self.operator > 0

    @property
    def needs_pairs(self) -> bool:
        """Whether the true counterpart of every sample is used."""
        return max(self.paired, self.paired_square) > 0

    @property
    def adversarial(self) -> bool:
        """Whether discriminators are needed."""
        return self.gan > 0 or self.auxiliary > 0


class OptimiserSettings(Table):
    """``[optimiser]``."""

    kind: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = Field(default=1e-4, gt=0)
    discriminator_learning_rate: float | None = Field(default=None, gt=0)
    """Default: the same."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Of Adam; of SGD the first is not used and ``momentum`` is."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    clip: float = Field(default=10.0, gt=0)
    """Largest norm of a gradient; longer ones are shortened to it."""
    ema: float = Field(default=0.0, ge=0, lt=1)
    """Moving average of the weights that is validated and shipped; 0 = off."""


class ScheduleSettings(Table):
    """``[schedule]``: constant learning rate, then linear decay to ``final`` times it."""

    steps: int = Field(ge=1)
    batch: int = Field(default=8, ge=1)
    constant: float = Field(default=0.5, ge=0, le=1)
    """Share of the steps before the decay begins."""
    warmup: int = Field(default=0, ge=0)
    """Steps of linear increase at the start."""
    final: float = Field(default=0.0, ge=0, le=1)
    max_skipped: int = Field(default=20, ge=1)
    """So many steps in a row without a finite gradient end the run."""

    def factor(self, step: int) -> float:
        """Learning rate at a step (from 0) over the largest one.

        >>> schedule = ScheduleSettings(steps=10, constant=0.5)
        >>> schedule.factor(4), round(schedule.factor(9), 6)
        (1.0, 0.2)
        """
        if step < self.warmup:
            return (step + 1) / self.warmup
        start = self.constant * self.steps
        if step < start:
            return 1.0
        return self.final + (1 - self.final) * (1 - (step - start) / (self.steps - start))


class ValidationSettings(Table):
    """``[validation]``: what is measured during the run, and by what the best model is chosen."""

    checks: int = Field(default=20, ge=1)
    """Checks per run, evenly spaced, the last after the last step."""
    count: int = Field(default=64, ge=2)
    """Mosaics of the validation split."""
    metric: Literal["sliced", "relative_l2"] = "sliced"
    """What the best generator of each direction is chosen by: ``sliced`` needs no pairs, ``relative_l2`` uses
    the true counterparts (see :mod:`mantid_exp2sim.training.trainers.metrics`)."""
    pictures: bool = True


class RunSettings(Table):
    """``[run]``: what does not belong to the method."""

    start: Path | None = None
    """What this run starts from: the run folder of the same kind and networks (its last weights), or the name
    or folder of a model (its generators). Where ``[scaling]`` sets no scale it is that one's. ``{seed}``
    in it is the run's seed."""
    mean_with: Path | None = None
    """A run of a dual GAN that started from the run ``start`` itself: the generators begin with the mean of
    the averaged weights of both. ``{seed}`` as in ``start``."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    threads: int = Field(default=0, ge=0)
    """Threads of torch; 0 = what torch finds. The same bytes need the same number."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the convolutions during training; weights, losses and validation stay in float32."""
    device: str = "cpu"
    log_every: int = Field(default=20, ge=1)
    checkpoint_every: int = Field(default=200, ge=1)
    tensorboard: bool = True
    """Write tensorboard files too, where it is installed."""

    @model_validator(mode="after")
    def _mean_of_two(self) -> RunSettings:
        if self.mean_with is not None and self.start is None:
            raise ValueError("mean_with takes the mean with the run in start, which is not set")
        return self


class GanConfig(Table):
    """A recipe for ``exp2sim train gan``."""

    data: DataSettings
    network: NetworkSettings = NetworkSettings()
    loss: LossSettings = LossSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    schedule: ScheduleSettings
    validation: ValidationSettings = ValidationSettings()
    scaling: ScalingSettings = ScalingSettings()
    run: RunSettings = RunSettings()


class ClassifierDataSettings(DataSettings):
    """``[data]`` of a classifier."""

    kind: Kind = "convolved"
    """What it is trained on."""
    form: Literal["mosaic", "volume"] = "mosaic"
    """All Ei of a parameter set at once, or the volume at one Ei."""

    @model_validator(mode="after")
    def _whole(self) -> ClassifierDataSettings:
        if self.patch is not None or self.measured is not None:
            raise ValueError("a classifier takes whole samples of known classes: no patch, no measured")
        return self


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
``near_lattice``: the same of lattice constants that are nearer to the own ones.
``magnet``: spin waves of a random ferromagnet or antiferromagnet, drawn from a formula
(:mod:`mantid_exp2sim.training.synthetic.magnets`), on a random lattice. ``cell_magnet``: the same on a simple
multiple of the sample's own unit cell."""


class DuqLossSettings(Table):
    """``[loss]`` of a classifier."""

    gradient_penalty: float = Field(default=0.5, ge=0)
    """λ of the two-sided penalty λ(‖∇ₓ Σ K‖ − 1)²."""
    penalty_every: int = Field(default=1, ge=1)
    """Compute the penalty only every so many steps (and weigh it by as much)."""
    penalty_share: float = Field(default=1.0, gt=0, le=1)
    """On this share of the batch."""
    softmax: float = Field(default=0.5, ge=0)
    """Weight of a cross entropy of softmax(−d/2σ²), which learns features faster; 0 as published."""
    centroid_momentum: float = Field(default=0.999, ge=0, lt=1)
    """γ < 1, so that the centroids move."""
    length_scale: float = Field(default=0.3, gt=0)
    """σ during training."""
    length_scales: tuple[float, ...] = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
    """σ to choose from on the validation split, by negative log likelihood with outliers as no class."""
    outliers: float = Field(default=0.15, ge=0, le=1)
    """Synthetic inputs of no class added to each batch, as a share of it."""
    outlier_kinds: tuple[OutlierKind, ...] = Field(
        default=("zeros", "constant", "bins", "panels", "noise", "sparse"), min_length=1, max_length=100
    )
    """What they are; a kind that is named twice comes twice as often."""


class DuqValidationSettings(Table):
    """``[validation]`` of a classifier; the best is the one of the lowest error, then loss."""

    checks: int = Field(default=10, ge=1)
    count: int | None = Field(default=None, ge=2)
    """Mosaics of the validation split; default all."""


class DuqConfig(Table):
    """A recipe for ``exp2sim train duq``."""

    data: ClassifierDataSettings
    network: ClassifierSettings = ClassifierSettings()
    loss: DuqLossSettings = DuqLossSettings()
    optimiser: OptimiserSettings = OptimiserSettings(kind="adamw", learning_rate=1e-3, betas=(0.9, 0.999))
    schedule: ScheduleSettings
    validation: DuqValidationSettings = DuqValidationSettings()
    scaling: ScalingSettings = ScalingSettings()
    run: RunSettings = RunSettings()


Config = TypeVar("Config", GanConfig, DuqConfig)


def read_config(path: Path, kind: type[Config]) -> Config:
    """Read a recipe.

    Raises
    ------
    Exp2SimError
        If the file is missing, is no TOML, or holds something unknown or out of range.
    """
    return read_toml(
        path, kind, what="recipe", fix="The settings are described in mantid_exp2sim.training.config."
    )
