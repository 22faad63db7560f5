"""Convolutions of 3 × 3 with a quarter of the multiplications, for float32 on a CPU.

The paper's networks spend nine tenths of a training step in convolutions, and torch's direct ones run near
the processor's peak: only fewer multiplications make them faster. Winograd's F(4×4, 3×3) takes 36 where 144
are needed. Result and gradients differ from the exact ones by about 2e-6 of their size, those of the direct
way by 1e-7. Source: Lavin and Gray, CVPR 2016; the points of interpolation 0, 1, −1, 1/2, −2, ∞ are those of
Barabasz et al., ACM TOMS 46 (2020) 37, which lose fewest digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

OUT, IN = 4, 6
"""Bins along each axis of a tile of the output, and of the input it is made from."""
LEAST_CHANNELS = 128
"""With fewer, moving the tiles costs more than the multiplications saved."""
LEAST_BINS = 2048
"""With fewer in the batch, transforming the weights does."""
CHUNK_BYTES = 4 * 2**20
"""Transformed tiles handled at a time: they stay in the cache, and memory does not grow with the image."""

_OUTPUT = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 1 / 2, -2, 0),
    (0, 1, 1, 1 / 4, 4, 0),
    (0, 1, -1, 1 / 8, -8, 1),
)
_WEIGHT = (
    (1, 0, 0),
    (1 / 3, 1 / 3, 1 / 3),
    (-1 / 3, 1 / 3, -1 / 3),
    (-16 / 15, -8 / 15, -4 / 15),
    (1 / 15, -2 / 15, 4 / 15),
    (0, 0, 1),
)
_INPUT = (
    (1, -3 / 2, -2, 3 / 2, 1, 0),
    (0, -1, 1 / 2, 5 / 2, 1, 0),
    (0, 1, -5 / 2, 1 / 2, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 1 / 2, -1, -1 / 2, 1, 0),
    (0, 1, -3 / 2, -2, 3 / 2, 1),
)


def _both_axes(rows: tuple[tuple[float, ...], ...]) -> Tensor:
    """A transform of one axis, as one of both axes of flattened tiles."""
    matrix = torch.tensor(rows, dtype=torch.float64)
    return torch.kron(matrix, matrix).float()


class _Winograd(torch.autograd.Function):
    """(B, C, h, w) and (K, C, 3, 3) to (B, K, h − 2, w − 2), channels last inside."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        """Transform tile by tile, multiply in the transformed space, and back."""
        output, of_weight, of_input = (_both_axes(rows) for rows in (_OUTPUT, _WEIGHT, _INPUT))
        filters, channels = weight.shape[:2]
        size = x.shape[2] - 2, x.shape[3] - 2
        grid = -(-size[0] // OUT), -(-size[1] // OUT)
        source = _whole_tiles(x, (grid[0] * OUT + IN - OUT, grid[1] * OUT + IN - OUT))
        flat = weight.permute(2, 3, 1, 0).reshape(9, -1)
        kernel = (of_weight @ flat).reshape(IN * IN, channels, filters)
        out = x.new_empty(len(x), grid[0], OUT, grid[1], OUT, filters)
        for n, rows in _chunks(len(x), grid, max(channels, filters)):
            tiles = (of_input @ _tiles(source[n], rows, grid[1])).reshape(IN * IN, -1, channels)
            product = torch.bmm(tiles, kernel).reshape(IN * IN, -1)
            part = (output @ product).reshape(OUT, OUT, -1, grid[1], filters)
            out[n, rows].copy_(part.permute(2, 0, 3, 1, 4))
        ctx.save_for_backward(source, kernel)
        ctx.shape, ctx.grid = x.shape, grid
        whole = out.reshape(len(x), grid[0] * OUT, grid[1] * OUT, filters)
        return whole[:, : size[0], : size[1]].permute(0, 3, 1, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """The transposed transforms; the tiles are transformed again, which is cheaper than to hold them."""
        output, of_weight, of_input = (_both_axes(rows) for rows in (_OUTPUT, _WEIGHT, _INPUT))
        source, kernel = ctx.saved_tensors
        grid, (channels, filters) = ctx.grid, kernel.shape[1:]
        slopes = _whole_tiles(slope, (grid[0] * OUT, grid[1] * OUT))
        slopes = slopes.reshape(len(slope), grid[0], OUT, grid[1], OUT, filters)
        to_kernel = torch.zeros_like(kernel)
        to_source = slope.new_zeros(len(slope), grid[0] + 1, OUT, grid[1] + 1, OUT, channels)
        for n, rows in _chunks(len(slope), grid, max(channels, filters)):
            part = slopes[n, rows].permute(1, 3, 0, 2, 4).reshape(OUT * OUT, -1)
            product = (output.T @ part).reshape(IN * IN, -1, filters)
            if ctx.needs_input_grad[1]:
                tiles = (of_input @ _tiles(source[n], rows, grid[1])).reshape(IN * IN, -1, channels)
                to_kernel.baddbmm_(tiles.transpose(1, 2), product)
            if ctx.needs_input_grad[0]:
                tiles = torch.bmm(product, kernel.transpose(1, 2)).reshape(IN * IN, -1)
                back = (of_input.T @ tiles).reshape(IN, IN, -1, grid[1], channels)
                _add_tiles(to_source[n, rows.start : rows.stop + 1].permute(1, 3, 0, 2, 4), back)
        to_weight = (of_weight.T @ to_kernel.reshape(IN * IN, -1)).reshape(3, 3, channels, filters)
        whole = to_source.reshape(len(slope), (grid[0] + 1) * OUT, (grid[1] + 1) * OUT, channels)
        to_x = whole[:, : ctx.shape[2], : ctx.shape[3]].permute(0, 3, 1, 2)
        return (
            to_x if ctx.needs_input_grad[0] else None,
            to_weight.permute(3, 2, 0, 1) if ctx.needs_input_grad[1] else None,
        )


def _whole_tiles(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) as (B, *size, C), zeros beyond its end."""
    last = x.permute(0, 2, 3, 1)
    more = size[0] - last.shape[1], size[1] - last.shape[2]
    return (F.pad(last, (0, 0, 0, more[1], 0, more[0])) if any(more) else last).contiguous()


def _tiles(image: Tensor, rows: slice, columns: int) -> Tensor:
    """Overlapping tiles of some rows of an image (h, w, C): (36, rows · columns · C)."""
    down, right, channel = image.stride()
    view = image[rows.start * OUT :].as_strided(
        (IN, IN, rows.stop - rows.start, columns, image.shape[2]),
        (down, right, OUT * down, OUT * right, channel),
    )
    return view.reshape(IN * IN, -1)


def _add_tiles(image: Tensor, tiles: Tensor) -> None:
    """The transpose of taking tiles: add (6, 6, rows, columns, C) to (4, 4, rows + 1, columns + 1, C)."""
    over = IN - OUT
    image[:, :, :-1, :-1] += tiles[:OUT, :OUT]
    image[:over, :, 1:, :-1] += tiles[OUT:, :OUT]
    image[:, :over, :-1, 1:] += tiles[:OUT, OUT:]
    image[:over, :over, 1:, 1:] += tiles[OUT:, OUT:]


def _chunks(count: int, grid: tuple[int, int], channels: int) -> Iterator[tuple[int, slice]]:
    """Image numbers and rows of tiles that fit into the cache together, in parts of about the same size."""
    fit = max(1, CHUNK_BYTES // (4 * IN * IN * channels * grid[1]))
    rows = -(-grid[0] // -(-grid[0] // fit))
    for n in range(count):
        for start in range(0, grid[0], rows):
            yield n, slice(start, min(start + rows, grid[0]))


def winograd(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolution of (B, C, h, w) float32 with (K, C, 3, 3), no padding: (B, K, h − 2, w − 2).

    >>> x, weight = torch.rand(1, 2, 9, 7), torch.rand(3, 2, 3, 3)
    >>> bool((winograd(x, weight) - F.conv2d(x, weight)).abs().max() < 1e-4)
    True
    """
    out: Tensor = _Winograd.apply(x, weight)  # type: ignore[no-untyped-call]
    return out if bias is None else out + bias[:, None, None]


class WinogradConv2d(nn.Conv2d):
    """A 3 × 3 convolution that takes Winograd's way where it gains: float32, on the CPU, many bins."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, K, h', w')."""
        few = len(x) * x.shape[2] * x.shape[3] < LEAST_BINS or min(x.shape[2:]) < IN
        if few or x.dtype != torch.float32 or x.device.type != "cpu":
            return super().forward(x)
        width = int(self.padding[0])
        return winograd(F.pad(x, (width,) * 4) if width else x, self.weight, self.bias)


def use_winograd(network: nn.Module) -> int:
    """Let every convolution of a network that gains by it take Winograd's way; how many do.

    Weights, names and state dict stay as they are.

    >>> use_winograd(nn.Sequential(nn.Conv2d(128, 128, 3), nn.Conv2d(1, 128, 3), nn.Conv2d(128, 128, 4)))
    1
    """
    count = 0
    for part in network.modules():
        if type(part) is nn.Conv2d and _gains(part):
            part.__class__ = WinogradConv2d
            count += 1
    return count


def _gains(part: nn.Conv2d) -> bool:
    plain = part.kernel_size == (3, 3) and part.stride == part.dilation == (1, 1) and part.groups == 1
    padding = part.padding in ((0, 0), (1, 1)) and part.padding_mode == "zeros"
    return plain and padding and min(part.in_channels, part.out_channels) >= LEAST_CHANNELS
