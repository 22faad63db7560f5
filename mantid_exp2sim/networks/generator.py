"""Generators: the network of the paper and a compact one for small machines. The same calls for both.

A generator takes what `Layout.stack` makes, (B, in_channels, *spatial), and gives the translated intensity
(B, out_channels, *spatial) in scaled units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from mantid_exp2sim.networks.blocks import (
    CONVOLUTION,
    BlurPool,
    BlurUpsample,
    GatedResidual,
    InstanceNorm,
    MirrorResidual,
    PadSame,
    check_input,
    crop,
    gated,
    memory_format,
    pad_to,
    xavier,
)


class Generator(nn.Module):
    """What both generators share: the shapes, and one pass that gives the features and the output."""

    dimension: int
    in_channels: int
    out_channels: int
    feature_layers: tuple[int, ...]
    steps: int
    """How often `infer` calls ``tick``."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, *spatial) to (B, out_channels, *spatial), any spatial size."""
        return self.forward_features(x, ())[0]

    def prepare(self) -> Self:
        """Lay the weights out for :meth:`infer`; their values stay. Done twice it does nothing."""
        self.to(memory_format=memory_format(self.dimension))  # type: ignore[call-overload]
        return self

    def infer(self, x: Tensor, tick: Callable[[], None] | None = None) -> Tensor:
        """As ``forward``, to rounding, in the order in memory that is fastest; ``tick`` after each layer."""
        return self.forward_features(x.contiguous(memory_format=memory_format(self.dimension)), (), tick)[0]

    def forward_features(
        self, x: Tensor, layers: Sequence[int] | None = None, tick: Callable[[], None] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """The output and, from the same pass, the features after each of ``layers`` (default: all named).

        ``tick`` is called after each layer; what it raises ends the pass.
        """
        raise NotImplementedError

    def features(self, x: Tensor) -> list[Tensor]:
        """The features alone, without the layers after the last of them where that saves any."""
        return self.forward_features(x)[1]

    def feature_channels(self, layers: Sequence[int] | None = None) -> list[int]:
        """Channels of each feature layer, which is what a projection head is built from."""
        raise NotImplementedError

    def receptive_field(self) -> tuple[int, ...] | None:
        """Width in bins, per spatial axis, of the input that one output bin depends on; None = everything."""
        raise NotImplementedError

    def _layers(self, layers: Sequence[int] | None) -> tuple[int, ...]:
        return self.feature_layers if layers is None else tuple(layers)


class PaperGenerator(Generator):
    """The generator of Anker et al. 2023: 2D 11.37 M parameters, 3D 34.1 M (one channel in, one out).

    Mirror pad 3, convolution 7, then two levels down (convolution 3, blur-pool 2), residual blocks, two
    levels up (×2 in every axis, also in 3D) and convolution 7; instance norm and ReLU after each one. The
    instance norm makes the result depend on everything in the tile: use it untiled.

    >>> net = PaperGenerator(2, in_channels=1, out_channels=1)
    >>> round(sum(p.numel() for p in net.parameters()) / 1e6, 2)
    11.37
    """

    feature_layers = (4, 8, 12, 16)

    def __init__(
        self,
        dimension: int,
        *,
        in_channels: int,
        out_channels: int,
        width: int = 64,
        blocks: int = 9,
    ) -> None:
        super().__init__()
        self.dimension, self.in_channels, self.out_channels = dimension, in_channels, out_channels
        conv = CONVOLUTION[dimension]
        parts: list[nn.Module] = [PadSame(3), conv(in_channels, width, 7), *self._after()]
        for channels in (width, 2 * width):
            parts += [conv(channels, 2 * channels, 3, padding=1), *self._after()]
            parts.append(BlurPool(dimension, 2 * channels))
        parts += [MirrorResidual(dimension, 4 * width) for _ in range(blocks)]
        for channels in (4 * width, 2 * width):
            parts.append(BlurUpsample(dimension))
            parts += [conv(channels, channels // 2, 3, padding=1), *self._after()]
        parts += [PadSame(3), conv(width, out_channels, 7)]
        self.parts = nn.Sequential(*parts)
        self.steps = len(parts)
        xavier(self)

    def _after(self) -> tuple[nn.Module, nn.Module]:
        return InstanceNorm(), nn.ReLU()

    def forward_features(
        self, x: Tensor, layers: Sequence[int] | None = None, tick: Callable[[], None] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """See :meth:`Generator.forward_features`; layers count as in the published code (4, 8, 12, 16)."""
        check_input(x, self.dimension, self.in_channels)
        numbers = self._layers(layers)
        hidden, inner = pad_to(x, 4)
        features = {}
        for number, part in enumerate(self.parts):
            hidden = part(hidden)
            if number in numbers:
                features[number] = hidden
            if tick is not None:
                tick()
        return crop(hidden, inner), [features[number] for number in numbers]

    def features(self, x: Tensor) -> list[Tensor]:
        """See :meth:`Generator.features`: the decoder and a part of the residual blocks are left out."""
        check_input(x, self.dimension, self.in_channels)
        hidden, features = pad_to(x, 4)[0], []
        for number, part in enumerate(list(self.parts)[: max(self.feature_layers) + 1]):
            hidden = part(hidden)
            if number in self.feature_layers:
                features.append(hidden)
        return features

    def feature_channels(self, layers: Sequence[int] | None = None) -> list[int]:
        """See :meth:`Generator.feature_channels`."""
        channels = [self.in_channels]
        for part in self.parts:
            channels.append(int(getattr(part, "out_channels", channels[-1])))
        return [channels[number + 1] for number in self._layers(layers)]

    def receptive_field(self) -> None:
        """None: instance norm looks at the whole input."""
        return


class CompactGenerator(Generator):
    """A small residual generator: y = x + f(x, mask), the identity at the start of training.

    No striding and no normalisation, so a tile with a halo of
    ``receptive_field()[i] // 2`` bins gives what the whole gives. Beyond the border counts as not measured:
    after every layer a position where no channel was measured holds zeros, exactly like the padding.
    The last layer is linear, so that the output has a gradient where the truth is zero.

    >>> net = CompactGenerator(2, in_channels=5, out_channels=2, width=8, blocks=2)
    >>> net.receptive_field()
    (13, 13)
    >>> x = torch.rand(1, 5, 9, 11)
    >>> net(x).shape
    torch.Size([1, 2, 9, 11])
    """

    def __init__(
        self,
        dimension: int,
        *,
        in_channels: int,
        out_channels: int,
        width: int = 48,
        blocks: int = 4,
    ) -> None:
        super().__init__()
        self.dimension, self.in_channels, self.out_channels = dimension, in_channels, out_channels
        conv = CONVOLUTION[dimension]
        self.embed = conv(in_channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(GatedResidual(dimension, width) for _ in range(blocks))
        self.last = conv(width, out_channels, 3, padding=1)
        self.steps = blocks
        self.feature_layers = tuple(sorted({0, (blocks + 1) // 2, blocks}))
        with torch.no_grad():
            self.last.weight.mul_(1e-3)
            if self.last.bias is not None:
                self.last.bias.zero_()

    def forward_features(
        self, x: Tensor, layers: Sequence[int] | None = None, tick: Callable[[], None] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """See :meth:`Generator.forward_features`; layer 0 is the embedding, n the n-th residual block."""
        check_input(x, self.dimension, self.in_channels)
        numbers, channels = self._layers(layers), self.out_channels
        measured = 1 - x[:, channels : 2 * channels]
        gate = measured.amax(1, keepdim=True)
        planes = torch.cat([x[:, :channels], measured, x[:, 2 * channels :]], 1) * gate
        hidden = gated(self.embed(planes), gate, 0.1)
        features = {0: hidden}
        for number, block in enumerate(self.blocks, start=1):
            hidden = block(hidden, gate)
            features[number] = hidden
            if tick is not None:
                tick()
        return x[:, :channels] + self.last(hidden), [features[number] for number in numbers]

    def feature_channels(self, layers: Sequence[int] | None = None) -> list[int]:
        """See :meth:`Generator.feature_channels`."""
        return [int(self.embed.out_channels) for _ in self._layers(layers)]

    def receptive_field(self) -> tuple[int, ...]:
        """Two convolutions of 3 per block, one before and one after: 5 + 4·blocks bins along each axis."""
        return (5 + 4 * len(self.blocks),) * self.dimension
