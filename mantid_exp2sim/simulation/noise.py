"""What a measurement adds to a calculated spectrum: background and counting noise."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

Volumes32: TypeAlias = NDArray[np.float32]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]


class MeasurementNoise(BaseModel):
    """Background and noise of a measurement, drawn anew for each sample.

    Volumes are (B, ..., h, k, E) float32 in physical units; the first axis counts samples.

    >>> clean = np.ones((50, 2, 2, 4), dtype=np.float32)
    >>> noise = MeasurementNoise(counting=(1, 1), background=1.0, clean_share=0.5)
    >>> noisy = noise.apply(np.random.default_rng(0), clean)
    >>> 10 < int((noisy == clean).all(axis=(1, 2, 3)).sum()) < 40
    True
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    counting: tuple[float, float] = (0.0, 0.0)
    """Variance of the counting noise over the intensity, drawn per sample from this range."""
    background: float = Field(default=0.0, ge=0)
    """Mean height of a background in the first energy bin: flat in Q, falling with energy."""
    background_share: Share = 1.0
    """Share of the samples that get a background."""
    subtraction: float = Field(default=0.0, ge=0)
    """Largest standard deviation, in the first energy bin, of the noise of a subtracted background."""
    subtraction_share: Share = 1.0
    """Share of the samples that get noise of a subtracted background."""
    clean_share: Share = 0.0
    """Share of the samples that stay as calculated, without background and noise."""

    @field_validator("counting")
    @classmethod
    def _order(cls, counting: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= counting[0] <= counting[1]:
            raise ValueError("counting is [lowest, highest], both at least 0")
        return counting

    @property
    def background_alone(self) -> MeasurementNoise:
        """The same background without noise, for data that have noise already."""
        return self.model_copy(update={"counting": (0.0, 0.0), "subtraction": 0.0})

    def at_level(self, rng: np.random.Generator) -> MeasurementNoise:
        """Draw one level of the counting noise, as `add_counting_noise` does, for one sample."""
        level = _draw_level(rng, self.counting, 1)[0]
        return self.model_copy(update={"counting": (float(level), float(level))})

    def apply(self, rng: np.random.Generator, volumes: Volumes32) -> Volumes32:
        """Add background, counting noise and noise of a subtracted background, in this order."""
        noisy = volumes
        if self.background > 0:
            noisy = self.add_background(rng, noisy)
        noisy = self.add_counting_noise(rng, noisy)
        if self.subtraction > 0:
            noisy = self.add_subtraction_noise(rng, noisy)
        if self.clean_share > 0:
            clean = rng.random(len(noisy)) < self.clean_share
            noisy[clean] = volumes[clean]
        return noisy

    def add_background(self, rng: np.random.Generator, volumes: Volumes32) -> Volumes32:
        """Add a background to each volume: flat in Q, exponential in the number of the energy bin.

        Its height in the first bin is drawn from an exponential distribution, its decay length uniformly
        between a fifth of the bins and twice their number.

        >>> flat = np.zeros((3, 2, 2, 10), dtype=np.float32)
        >>> background = MeasurementNoise(background=1.0).add_background(np.random.default_rng(0), flat)
        >>> bool((np.diff(background, axis=-1) < 0).all()), float(np.ptp(background, axis=(1, 2)).max())
        (True, 0.0)
        """
        per_volume = (*volumes.shape[:-3], 1, 1, 1)
        height = rng.exponential(self.background, per_volume)
        decay = _draw_decay(rng, volumes.shape[-1], per_volume)
        if self.background_share < 1:
            height *= rng.random(_per_sample(volumes)) < self.background_share
        return (volumes + height * np.exp(decay)).astype(np.float32)

    def add_counting_noise(self, rng: np.random.Generator, volumes: Volumes32) -> Volumes32:
        """Add Gaussian noise of variance ``level · max(I, 0)``, one level per sample.

        Weak noise is drawn more often than strong noise: level = low + (high − low) u², u uniform.
        """
        if self.counting[1] == 0:
            return volumes
        level = _draw_level(rng, self.counting, len(volumes))
        noisy: Volumes32 = add_counting_noise(rng, volumes, level.reshape(_per_sample(volumes)))[0]
        return noisy

    def add_subtraction_noise(self, rng: np.random.Generator, volumes: Volumes32) -> Volumes32:
        """Add the noise that a background leaves which was subtracted before.

        A background of height b takes no part in the difference, its counts do: their variance is the same
        whatever the intensity. So this is Gaussian noise, its variance flat in Q and falling with the number
        of the energy bin as a background does, its standard deviation in the first bin uniform from 0 on.

        >>> dark = np.zeros((4, 8, 8, 10), dtype=np.float32)
        >>> noisy = MeasurementNoise(subtraction=5.0).add_subtraction_noise(np.random.default_rng(0), dark)
        >>> width = noisy.std(axis=(1, 2))
        >>> bool((width[:, 0] > width[:, -1]).all()), bool(width.max() < 7)
        (True, True)
        """
        per_sample = _per_sample(volumes)
        deviation = rng.uniform(0.0, self.subtraction, per_sample)
        deviation *= rng.random(per_sample) < self.subtraction_share
        decay = _draw_decay(rng, volumes.shape[-1], per_sample)
        falling = (deviation * np.exp(decay / 2)).astype(np.float32)
        noisy: Volumes32 = volumes + falling * rng.standard_normal(volumes.shape, dtype=np.float32)
        return noisy


NOISELESS = MeasurementNoise()
TYPICAL_NOISE = MeasurementNoise(counting=(0.7, 0.7), background=0.7)
"""Noise of measurement-like spectra in units of mb sr⁻¹ meV⁻¹ f.u.⁻¹, where nobody asks for another."""


def add_counting_noise(rng: np.random.Generator, intensity: NDArray[Any], level: Any) -> tuple[Any, Any]:
    """Add Gaussian noise of variance ``level · max(I, 0)`` to float32 or float64; return also the variance.

    >>> noisy, variance = add_counting_noise(np.random.default_rng(0), np.full(10_000, 4.0), 0.25)
    >>> round(float(noisy.std()), 1), float(variance[0])
    (1.0, 1.0)
    """
    variance = level * np.maximum(intensity, 0)
    normal = rng.standard_normal(intensity.shape, dtype=intensity.dtype)
    return intensity + np.sqrt(variance).astype(intensity.dtype) * normal, variance


def _draw_level(rng: np.random.Generator, counting: tuple[float, float], samples: int) -> NDArray[np.float64]:
    low, high = counting
    return low + (high - low) * rng.random(samples) ** 2


def _per_sample(volumes: Volumes32) -> tuple[int, ...]:
    return len(volumes), *[1] * (volumes.ndim - 1)


def _draw_decay(rng: np.random.Generator, bins: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Draw the logarithm of how a background falls with the energy bin, (*shape[:-1], bins)."""
    decay: NDArray[np.float64] = -np.arange(bins) / rng.uniform(0.2 * bins, 2.0 * bins, shape)
    return decay
