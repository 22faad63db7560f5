"""Settings a network is built from, as they stand on a model's card and in a recipe. No torch here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GeneratorSettings(_Strict):
    """A generator; a field that is left out takes its preset's value.

    >>> GeneratorSettings(preset="paper").resolved()
    GeneratorSettings(preset='paper', width=64, blocks=9)
    """

    preset: Literal["paper", "compact"] = "compact"
    width: int | None = Field(default=None, ge=1, le=1024)
    """Channels of the first layer."""
    blocks: int | None = Field(default=None, ge=1, le=64)
    """Residual blocks."""

    def resolved(self) -> GeneratorSettings:
        """The same with the preset's values filled in."""
        width, blocks = (64, 9) if self.preset == "paper" else (48, 4)
        return self.model_copy(update={"width": self.width or width, "blocks": self.blocks or blocks})


class DiscriminatorSettings(_Strict):
    """A patch discriminator; only training needs one."""

    preset: Literal["paper", "compact"] = "compact"
    width: int | None = Field(default=None, ge=1, le=1024)


class FeatureSettings(_Strict):
    """Features of volumes whose panels (energy windows, of one Ei or of all) are the channels."""

    panels: int = Field(default=60, ge=1, le=4096)
    """Intensity channels: Ei × windows for a mosaic, windows for a volume."""
    width: int = Field(default=32, ge=1, le=1024)
    """Channels of the first layer; the later ones have two and four times as many."""
    fold: Literal["none", "inversion", "mirrors"] = "mirrors"
    """Average over symmetries of a panel centred at zero first, over what was measured: ``inversion``
    (h, k) → (−h, −k); ``mirrors`` also h → −h and k → −k, which twins of a crystal bring about."""
    grid: int = Field(default=5, ge=1, le=64)
    """Cells along each axis over which features are averaged before the linear layer, for any input size."""
    features: int = Field(default=128, ge=1, le=4096)
    """Length of the feature vector f(x)."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Share of the feature vector left out during training."""

    @property
    def in_channels(self) -> int:
        """Channels of the input: intensity and mask of each panel."""
        return 2 * self.panels


class ClassifierSettings(FeatureSettings):
    """A DUQ classifier.

    >>> ClassifierSettings(panels=60).in_channels
    120
    """

    classes: int = Field(default=2, ge=1, le=1000)
    centroid: int = Field(default=64, ge=1, le=4096)
    """Length of each class's embedding W_c f(x)."""


class PosteriorSettings(FeatureSettings):
    """A posterior of the constants of several models, as mixtures of Gaussians."""

    constants: tuple[Annotated[int, Field(ge=1, le=50)], ...] = Field(min_length=1, max_length=20)
    """Number of constants of each model."""
    components: int = Field(default=8, ge=1, le=100)
    """Gaussians of each mixture."""
