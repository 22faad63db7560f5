"""An unrolled deconvolver: a few steps towards the data by the known resolution, each corrected by a network.

x ← x · (Rᵀ(y / (R x + b)) / Rᵀ1)^a · exp(g) + s: a step of Richardson–Lucy with a background b, where a small
three-dimensional network, the same for all steps, gives a, g, s and b in each bin. The first x is from plain
iterations. R is known: the network
learns what excitations look like, not what the resolution does. Volumes are (n, m, l) with a single bin
along axes that are not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

INPUTS = 13
OUTPUTS = 4
MEMORY = 4
"""Channels that a step hands on to the next."""
HIGHEST = 1.5
"""Of the exponent a, and of the size of g."""
SMALL = 1e-3
"""Of the scale: what is below it counts as dark."""
FIRST = 8
"""Plain iterations before the network's, at most."""
START = -5.0
"""What s and b begin with, before the softplus."""
BRIGHT = 0.995
"""Quantile of the local means above which they do not count for the scale."""

Singles = npt.NDArray[np.float32]


class Blur(Protocol):
    """The resolution on the bins of one volume, of any number of axes."""

    @property
    def measured(self) -> Singles:
        """1 where measured, else 0."""

    def blur(self, x: npt.ArrayLike) -> Singles:
        """Compute R x."""

    def adjoint(self, y: npt.ArrayLike) -> Singles:
        """Compute Rᵀ y."""


class NetworkSettings(BaseModel):
    """Size of the network.

    >>> NetworkSettings().steps
    4
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=4, ge=1, le=12)
    width: int = Field(default=16, ge=4, le=128)


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """One volume to deconvolve, in units of its ``scale``: float32 tensors (n, m, l), widths (3, n, m, l).

    Made by `pose`. ``reach`` is Rᵀ1, ``mean`` R y, ``counts`` the data with what is below 0 taken off their
    neighbours, ``start`` what a few plain iterations make of them.
    """

    blur: Blur
    start: Tensor
    data: Tensor
    counts: Tensor
    mean: Tensor
    reach: Tensor
    sigma: Tensor
    measured: Tensor
    widths: Tensor
    scale: float


def pose(
    blur: Blur,
    data: Singles,
    counts: Singles,
    variance: Singles,
    widths: Singles,
    shape: tuple[int, int, int],
    *,
    scale: float | None = None,
) -> Problem:
    """Put a volume in units of its own scale.

    Parameters
    ----------
    data, counts, variance
        Of the shape of the blur; 0 where not measured. ``counts`` are not negative.
    widths
        FWHM of the resolution in bins along each of three axes, (3, n, m, l).
    shape
        (n, m, l), of as many bins.
    scale
        In place of that of the data.
    """
    mean: Singles = np.maximum(blur.blur(counts), np.float32(0))
    scale = typical(mean[blur.measured > 0]) if scale is None else scale
    spread = np.sqrt(np.maximum(blur.blur(variance), 0))
    reach = np.maximum(blur.adjoint(blur.measured), np.float32(1e-3))
    noise = float(variance.sum(dtype=np.float64)) / scale**2
    arrays = {
        "start": _start(blur, counts / np.float32(scale), mean / np.float32(scale), noise, reach),
        "data": data / scale,
        "counts": counts / scale,
        "mean": mean / scale,
        "sigma": spread / scale,
        "reach": reach,
        "measured": blur.measured,
    }
    tensors = {
        name: torch.from_numpy(np.asarray(array, dtype=np.float32).reshape(shape))
        for name, array in arrays.items()
    }
    return Problem(blur=blur, widths=torch.from_numpy(widths), scale=scale, **tensors)


def _start(blur: Blur, counts: Singles, mean: Singles, noise: float, reach: Singles) -> Singles:
    """Iterate from the local mean until no more than the noise is left, `FIRST` times at most."""
    x: Singles = np.maximum(mean, SMALL) * blur.measured
    for _ in range(FIRST):
        expected = np.maximum(blur.blur(x), SMALL)
        if float(np.square((counts - expected) * blur.measured, dtype=np.float64).sum()) <= noise:
            break
        x = np.asarray(x * blur.adjoint(counts / expected) / reach, dtype=np.float32)
    return x


def typical(values: npt.ArrayLike) -> float:
    """Return the mean weighted with the values themselves, the brightest cut: that of the signal.

    >>> typical(np.array([0.0, 0.0, 2.0, 2.0])), typical(np.zeros(3))
    (2.0, 1.0)
    """
    positive = np.asarray(values, dtype=np.float64)
    positive = np.minimum(positive, np.quantile(positive, BRIGHT)) if positive.size else positive
    total = float(positive.sum())
    return float((positive**2).sum()) / total if total > 0 else 1.0


class _Applied(torch.autograd.Function):
    """R x or Rᵀ y of a constant R; the gradient is that of the transpose."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, blur: Blur, transposed: bool) -> Tensor:
        ctx.blur, ctx.transposed = blur, transposed
        return _apply(blur, x, transposed)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None]:
        return _apply(ctx.blur, gradients[0], not ctx.transposed), None, None


def _apply(blur: Blur, x: Tensor, transposed: bool) -> Tensor:
    values = x.detach().numpy().reshape(blur.measured.shape)
    result = blur.adjoint(values) if transposed else blur.blur(values)
    return torch.from_numpy(np.ascontiguousarray(result).reshape(x.shape))


def blurred(blur: Blur, x: Tensor) -> Tensor:
    """Compute R x with a gradient."""
    return _Applied.apply(x, blur, False)  # type: ignore[no-any-return, no-untyped-call]


def gathered(blur: Blur, y: Tensor) -> Tensor:
    """Compute Rᵀ y with a gradient."""
    return _Applied.apply(y, blur, True)  # type: ignore[no-any-return, no-untyped-call]


class Convolution(nn.Module):
    """A convolution of 3 × 3 × 3 bins on (l, channels, n, m), as one of 3 × 3 over three shifted copies.

    On CPUs that takes a third of the time of `torch.nn.Conv3d`.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.planes = nn.Conv2d(3 * inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """From (l, inputs, n, m) to (l, outputs, n, m)."""
        padded = nn.functional.pad(x, (0, 0, 0, 0, 0, 0, 1, 1))
        return self.planes(torch.cat([padded[:-2], padded[1:-1], padded[2:]], dim=1))  # type: ignore[no-any-return]


class Denoiser(nn.Module):
    """Four convolutions of 3 × 3 × 3 bins, and for each step a bias of its own."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        width = settings.width
        self.first = Convolution(INPUTS + MEMORY, width)
        self.second = Convolution(width, width)
        self.third = Convolution(width, width)
        self.last = Convolution(width, OUTPUTS + MEMORY)
        self.step_bias = nn.Parameter(torch.zeros(settings.steps, width))
        self.step_out = nn.Parameter(torch.zeros(settings.steps, OUTPUTS))
        with torch.no_grad():
            self.last.planes.weight[:OUTPUTS] = 0
            self.last.planes.bias[:] = 0  # type: ignore[index]

    def forward(self, inputs: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """From (channels, n, m, l) to what the step takes (4, n, m, l) and the memory (4, n, m, l)."""
        act = nn.functional.silu
        hidden = self.first(inputs.permute(3, 0, 1, 2)) + self.step_bias[step][:, None, None]
        hidden = hidden + self.second(act(hidden))
        hidden = hidden + self.third(act(hidden))
        out = self.last(act(hidden)).permute(1, 2, 3, 0)
        return out[:OUTPUTS] + self.step_out[step][:, None, None, None], out[OUTPUTS:]


class Unrolled(nn.Module):
    """The deconvolver: from a `Problem` to the sharp spectrum and the background after each step."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.denoiser = Denoiser(settings)

    def forward(self, problem: Problem) -> list[tuple[Tensor, Tensor]]:
        """Compute x and b (n, m, l) after each step, in units of the scale; 0 where not measured."""
        x = problem.start
        background = torch.zeros_like(x)
        memory = torch.zeros(MEMORY, *x.shape)
        states = []
        for step in range(self.settings.steps):
            expected = blurred(problem.blur, x) + background
            below = torch.clamp(expected, min=SMALL)
            ratio = gathered(problem.blur, problem.counts / below) / problem.reach
            ratio = torch.clamp(ratio, 0.02, 50.0)
            inputs = torch.cat([_inputs(problem, x, background, expected, ratio), memory])
            out, memory = self.denoiser(inputs, step)
            power = HIGHEST * torch.sigmoid(out[0] + 0.7)
            gain = HIGHEST * torch.tanh(out[1])
            added = nn.functional.softplus(out[2] + START) * problem.mean
            x = (x * torch.exp(power * torch.log(ratio) + gain) + added) * problem.measured
            background = nn.functional.softplus(out[3] + START) * problem.mean * problem.measured
            states.append((x, background))
        return states


def _inputs(problem: Problem, x: Tensor, background: Tensor, expected: Tensor, ratio: Tensor) -> Tensor:
    """What the network sees, (channels, n, m, l), all of a size of about 1."""
    left = problem.data - expected
    back = gathered(problem.blur, left * problem.measured)
    error = left / (problem.sigma + 0.1 * torch.clamp(expected, min=0) + 0.03)
    channels = [
        _flattened(x),
        _flattened(problem.data),
        _flattened(expected),
        torch.log(ratio),
        torch.asinh(error),
        _flattened(back),
        _flattened(background),
        problem.measured,
        _flattened(problem.sigma),
        _flattened(problem.mean),
    ]
    return torch.cat([torch.stack(channels) * problem.measured, torch.log1p(problem.widths)])


def _flattened(values: Tensor) -> Tensor:
    return torch.asinh(4 * values) / 2
