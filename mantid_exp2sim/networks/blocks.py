"""Parts of the networks: convolutions, blur-pooling, padding and normalisation in 1D, 2D and 3D."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONVOLUTION: dict[int, type[nn.Conv1d] | type[nn.Conv2d] | type[nn.Conv3d]] = {
    1: nn.Conv1d,
    2: nn.Conv2d,
    3: nn.Conv3d,
}
INSTANCE_NORM: dict[int, type[nn.InstanceNorm1d] | type[nn.InstanceNorm2d] | type[nn.InstanceNorm3d]] = {
    1: nn.InstanceNorm1d,
    2: nn.InstanceNorm2d,
    3: nn.InstanceNorm3d,
}
_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def check_input(x: Tensor, dimension: int, channels: int) -> None:
    """Refuse a tensor that is not (B, channels, *spatial) with ``dimension`` spatial axes.

    >>> check_input(torch.zeros(1, 2, 8, 8), 2, 2)
    """
    if x.ndim != dimension + 2 or x.shape[1] != channels:
        axes = ", ".join(("D", "H", "W")[-dimension:])
        raise ValueError(f"expected a tensor (B, {channels}, {axes}), got {tuple(x.shape)}")


def pad(x: Tensor, widths: Sequence[tuple[int, int]]) -> Tensor:
    """Pad the spatial axes by (before, after) bins: mirrored where the axis is long enough, else repeated.

    >>> pad(torch.arange(4.0).reshape(1, 1, 4), [(2, 1)]).flatten().tolist()
    [2.0, 1.0, 0.0, 1.0, 2.0, 3.0, 2.0]
    """
    flat = [w for pair in reversed(list(widths)) for w in pair]
    if not any(flat):
        return x
    fits = all(max(pair) < size for pair, size in zip(widths, x.shape[2:], strict=True))
    return F.pad(x, flat, mode="reflect" if fits else "replicate")


def pad_to(x: Tensor, multiple: int, least: int = 1) -> tuple[Tensor, tuple[slice, ...]]:
    """Pad every spatial axis to a multiple (and to at least ``least``); also the slices that undo it.

    >>> padded, inner = pad_to(torch.zeros(1, 1, 5, 8), 4)
    >>> padded.shape, crop(padded, inner).shape
    (torch.Size([1, 1, 8, 8]), torch.Size([1, 1, 5, 8]))
    """
    sizes = [max(least, -(-n // multiple) * multiple) for n in x.shape[2:]]
    widths = [((m - n) // 2, m - n - (m - n) // 2) for m, n in zip(sizes, x.shape[2:], strict=True)]
    inner = tuple(slice(w[0], w[0] + n) for w, n in zip(widths, x.shape[2:], strict=True))
    return pad(x, widths), inner


def crop(x: Tensor, inner: tuple[slice, ...]) -> Tensor:
    """The part of the spatial axes that slices name."""
    return x[(slice(None), slice(None), *inner)]


def average_to(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Mean over the cells of a coarser grid: (B, C, *spatial) to (B, C, *sizes).

    >>> average_to(torch.arange(4.0).reshape(1, 1, 4), (2,)).flatten().tolist()
    [0.5, 2.5]
    """
    if x.ndim == 3:
        return F.adaptive_avg_pool1d(x, sizes[0])
    pool = F.adaptive_avg_pool2d if x.ndim == 4 else F.adaptive_avg_pool3d
    return pool(x, list(sizes))  # type: ignore[arg-type]


def memory_format(dimension: int) -> torch.memory_format:
    """The order in memory in which convolutions are fastest on a CPU: channels last where torch has it."""
    formats = {2: torch.channels_last, 3: torch.channels_last_3d}
    return formats.get(dimension, torch.contiguous_format)


class PadSame(nn.Module):
    """Mirror-pad every spatial axis by the same width on both sides."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) to the padded tensor."""
        return pad(x, [(self.width, self.width)] * (x.ndim - 2))


def _binomial(taps: Sequence[float], dimension: int, channels: int, total: float) -> Tensor:
    line = torch.tensor(taps, dtype=torch.float32)
    kernel = line
    for _ in range(dimension - 1):
        kernel = kernel[..., None] * line
    kernel = kernel * (total / kernel.sum())
    return kernel.expand(channels, 1, *kernel.shape).contiguous()


class BlurPool(nn.Module):
    """Halve every spatial axis after a binomial low-pass [1 2 1]/4, which keeps it free of aliasing.

    A constant stays that constant. The filter is a buffer, not a parameter. Source of the idea: Zhang,
    "Making convolutional networks shift-invariant again", ICML 2019.

    >>> BlurPool(2, channels=1)(torch.ones(1, 1, 6, 6)).unique().tolist()
    [1.0]
    """

    kernel: Tensor

    def __init__(self, dimension: int, channels: int) -> None:
        super().__init__()
        self.dimension = dimension
        self.register_buffer("kernel", _binomial((1, 2, 1), dimension, channels, 1.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *n) to (B, C, *ceil(n / 2))."""
        padded = pad(x, [(1, 1)] * self.dimension)
        return _CONVOLVE[self.dimension](padded, self.kernel.to(x.dtype), stride=2, groups=x.shape[1])


class BlurUpsample(nn.Module):
    """Double every spatial axis with the binomial interpolation [1 3 3 1]/4; a constant stays a constant.

    That is linear interpolation to the centres of half-bins, repeated beyond the border.

    >>> BlurUpsample(1)(torch.tensor([[[0.0, 4.0]]])).flatten().tolist()
    [0.0, 1.0, 3.0, 4.0]
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.mode = ("linear", "bilinear", "trilinear")[dimension - 1]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *n) to (B, C, *2n)."""
        return F.interpolate(x, scale_factor=2, mode=self.mode, align_corners=False)


class InstanceNorm(nn.Module):
    """Mean 0 and variance 1 over the bins of each channel of each sample (biased, eps 1e-5), no parameters.

    The same as torch's, which is slow on a CPU and slower where the channels are last in memory.

    >>> x = torch.rand(2, 3, 5, 6)
    >>> bool(torch.allclose(InstanceNorm()(x), nn.InstanceNorm2d(3)(x), atol=1e-5))
    True
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial), the same shape."""
        if x.requires_grad or x.is_contiguous():
            return F.group_norm(x, x.shape[1], eps=1e-5)
        bins = x.movedim(1, -1).flatten(1, -2)
        mean = x.new_full((len(x), 1, bins.shape[1]), 1 / bins.shape[1])
        centred = bins - mean @ bins
        scaled = centred * (mean @ centred.square() + 1e-5).rsqrt()
        return scaled.reshape(len(x), *x.shape[2:], x.shape[1]).movedim(-1, 1)


class MirrorResidual(nn.Module):
    """The paper's residual block: twice (mirror pad, convolution 3, instance norm), ReLU between, plus x."""

    def __init__(self, dimension: int, channels: int) -> None:
        super().__init__()
        conv = CONVOLUTION[dimension]
        self.body = nn.Sequential(
            PadSame(1),
            conv(channels, channels, 3),
            InstanceNorm(),
            nn.ReLU(),
            PadSame(1),
            conv(channels, channels, 3),
            InstanceNorm(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial), the same shape."""
        out: Tensor = x + self.body(x)
        return out


def gated(x: Tensor, gate: Tensor, slope: float = 1.0) -> Tensor:
    """Leaky ReLU times a gate: where no gradient is recorded in the memory of ``x``, which is lost.

    New memory costs as much as the arithmetic: the system clears each page before it is used.

    >>> gated(torch.tensor([-10.0, 2.0, 3.0]), torch.tensor([1.0, 1.0, 0.0]), 0.1).tolist()
    [-1.0, 2.0, 0.0]
    """
    keep = torch.is_grad_enabled() or x.dtype != gate.dtype
    active = x if slope == 1 else F.leaky_relu(x, slope, inplace=not keep)
    return active * gate if keep else active.mul_(gate)


class GatedResidual(nn.Module):
    """Two convolutions of 3 with a skip; what a gate of 0 marks holds 0 after each, as the outside does.

    So a bin where nothing was measured and a bin beyond the border are the same thing to the network.
    """

    def __init__(self, dimension: int, channels: int) -> None:
        super().__init__()
        conv = CONVOLUTION[dimension]
        self.first = conv(channels, channels, 3, padding=1)
        self.second = conv(channels, channels, 3, padding=1)
        with torch.no_grad():
            self.second.weight.mul_(0.1)

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        """``x`` (B, C, *spatial) and ``gate`` (B, 1, *spatial) of 0 and 1 to the shape of ``x``."""
        hidden = gated(self.first(x * gate), gate, 0.1)
        change: Tensor = gated(self.second(hidden), gate)
        return x + change if torch.is_grad_enabled() else change.add_(x)


def xavier(module: nn.Module, gain: float = 0.02) -> None:
    """Xavier-normal weights of a gain, zero biases, in every convolution and linear layer (paper)."""
    for part in module.modules():
        if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
            nn.init.xavier_normal_(part.weight, gain=gain)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
