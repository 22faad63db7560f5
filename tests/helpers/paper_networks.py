"""The published networks, written down plainly: what ours are compared with.

From the equations of Anker et al., Digital Discovery 2 (2023) 578, and of the works they build on (Han et
al., CVPRW 2021; Park et al., ECCV 2020), in float32, one sample at a time, without masks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYERS = (4, 8, 12, 16)


def binomial(taps: list[float], channels: int, total: float) -> Tensor:
    line = torch.tensor(taps)
    plane = torch.outer(line, line)
    return (total * plane / plane.sum()).expand(channels, 1, len(taps), len(taps)).contiguous()


class Down(nn.Module):
    """Blur with [1 2 1] and keep every second pixel."""

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("kernel", binomial([1, 2, 1], channels, 1), persistent=False)
        self.pad = nn.ReflectionPad2d(1)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(self.pad(x), self.kernel, stride=2, groups=x.shape[1])


class Up(nn.Module):
    """Twice as many pixels, interpolated with [1 3 3 1]."""

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("kernel", binomial([1, 3, 3, 1], channels, 4), persistent=False)
        self.pad = nn.ReplicationPad2d(1)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(self.pad(x), self.kernel, stride=2, padding=3, groups=x.shape[1])


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.body(x)
        return y


class Generator(nn.Module):
    """ResNet of nine blocks: 11.4 M parameters."""

    def __init__(self, channels_in: int = 1, width: int = 64, blocks: int = 9) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(channels_in, width, 7)]
        layers += [nn.InstanceNorm2d(width), nn.ReLU()]
        for n in (width, 2 * width):
            layers += [nn.Conv2d(n, 2 * n, 3, padding=1), nn.InstanceNorm2d(2 * n), nn.ReLU(), Down(2 * n)]
        layers += [Residual(4 * width) for _ in range(blocks)]
        for n in (4 * width, 2 * width):
            layers += [Up(n), nn.Conv2d(n, n // 2, 3, padding=1), nn.InstanceNorm2d(n // 2), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 1, 7)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y

    def encode(self, x: Tensor) -> list[Tensor]:
        features = []
        for number in range(LAYERS[-1] + 1):
            x = self.layers[number](x)
            if number in LAYERS:
                features.append(x)
        return features


class Discriminator(nn.Module):
    """PatchGAN of two outputs, real or fake and class: 2.8 M parameters."""

    def __init__(self, channels_in: int = 1, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(channels_in, width, 4, padding=1),
            nn.LeakyReLU(0.2),
            Down(width),
        ]
        for n in (width, 2 * width):
            layers += [nn.Conv2d(n, 2 * n, 4, padding=1), nn.InstanceNorm2d(2 * n), nn.LeakyReLU(0.2)]
            layers.append(Down(2 * n))
        n = 4 * width
        layers += [nn.Conv2d(n, 2 * n, 4, padding=1), nn.InstanceNorm2d(2 * n), nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(2 * n, 2, 4, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        both = self.layers(x)
        return both[:, :1], both[:, 1:]


class Head(nn.Module):
    """Features at some positions to unit vectors, a small network for each layer: 0.5 M parameters."""

    def __init__(self, channels: tuple[int, ...] = (128, 256, 256, 256), width: int = 256) -> None:
        super().__init__()
        self.each = nn.ModuleList(
            nn.Sequential(nn.Linear(n, width), nn.ReLU(), nn.Linear(width, width)) for n in channels
        )

    def forward(self, features: list[Tensor], positions: list[Tensor]) -> list[Tensor]:
        places = [x.flatten(2)[:, :, at].transpose(1, 2) for x, at in zip(features, positions, strict=True)]
        return [F.normalize(head(x), dim=-1) for head, x in zip(self.each, places, strict=True)]
