"""Patch discriminators with two heads: real or fake, and an auxiliary class. 1D, 2D and 3D."""

from __future__ import annotations

from torch import Tensor, nn

from mantid_exp2sim.networks.blocks import (
    CONVOLUTION,
    INSTANCE_NORM,
    BlurPool,
    average_to,
    check_input,
    pad_to,
    xavier,
)


class Discriminator(nn.Module):
    """What both discriminators share: (B, in_channels, *spatial) to two maps over a grid of patches."""

    dimension: int
    in_channels: int
    parts: nn.Sequential
    least = 1

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Real/fake score and auxiliary class score of each patch, both (B, 1, *patches)."""
        check_input(x, self.dimension, self.in_channels)
        both = self.parts(pad_to(x, 1, self.least)[0])
        return both[:, :1], both[:, 1:]


class PaperDiscriminator(Discriminator):
    """The discriminator of Anker et al. 2023: 2D 2.77 M parameters, 3D 11.1 M (one channel in).

    Convolutions of 4: width–2·width–4·width with blur-pooling, then 8·width, then two output channels.
    An axis under 24 bins is padded to 24, so that at least one patch is left.

    >>> net = PaperDiscriminator(2, in_channels=1)
    >>> round(sum(p.numel() for p in net.parameters()) / 1e6, 2)
    2.77
    """

    least = 24

    def __init__(self, dimension: int, *, in_channels: int, width: int = 64) -> None:
        super().__init__()
        self.dimension, self.in_channels = dimension, in_channels
        conv, norm = CONVOLUTION[dimension], INSTANCE_NORM[dimension]
        parts: list[nn.Module] = [
            conv(in_channels, width, 4, padding=1),
            nn.LeakyReLU(0.2),
            BlurPool(dimension, width),
        ]
        for channels in (width, 2 * width):
            parts += [conv(channels, 2 * channels, 4, padding=1), norm(2 * channels), nn.LeakyReLU(0.2)]
            parts.append(BlurPool(dimension, 2 * channels))
        parts += [conv(4 * width, 8 * width, 4, padding=1), norm(8 * width), nn.LeakyReLU(0.2)]
        parts.append(conv(8 * width, 2, 4, padding=1))
        self.parts = nn.Sequential(*parts)
        xavier(self)


class CompactDiscriminator(Discriminator):
    """Four convolutions, two of stride 2, no normalisation: one patch per 4 bins along each axis.

    >>> import torch
    >>> CompactDiscriminator(2, in_channels=3, width=8)(torch.zeros(2, 3, 40, 40))[0].shape
    torch.Size([2, 1, 10, 10])
    """

    least = 4

    def __init__(self, dimension: int, *, in_channels: int, width: int = 32) -> None:
        super().__init__()
        self.dimension, self.in_channels = dimension, in_channels
        conv = CONVOLUTION[dimension]
        convolutions: list[nn.Module] = [
            conv(in_channels, width, 3, padding=1),
            conv(width, 2 * width, 4, stride=2, padding=1),
            conv(2 * width, 2 * width, 4, stride=2, padding=1),
            conv(2 * width, 2, 3, padding=1),
        ]
        parts = [layer for part in convolutions for layer in (part, nn.LeakyReLU(0.2))]
        self.parts = nn.Sequential(*parts[:-1])


def patch_weights(mask: Tensor, patches: tuple[int, ...]) -> Tensor:
    """Share of measured bins in each patch, 0 for a patch where nothing was measured.

    ``mask`` (B, C, *spatial), 1 = not measured, to (B, 1, *patches) in [0, 1].

    >>> import torch
    >>> mask = torch.zeros(1, 1, 8); mask[..., 4:] = 1
    >>> patch_weights(mask, (2,)).tolist()
    [[[1.0, 0.0]]]
    """
    measured = (1 - mask.float()).mean(1, keepdim=True)
    return average_to(measured, patches)
