"""The published dual GAN, written down plainly: what `benchmarks/training.py` compares our step with.

Networks and losses are those of Anker et al., Digital Discovery 2 (2023) 578, and of the works it builds on
(Han et al., CVPRW 2021; Park et al., ECCV 2020), from their equations and in float32. Every quantity is
computed where its formula asks for it: two passes for the translations, two for the identity loss, an encoder
pass for the keys and one for the queries of each contrastive loss. One sample at a time, no masks.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GAN, NCE, IDENTITY, AUXILIARY = 1.0, 4.0, 2.0, 1.0
PATCHES, TEMPERATURE = 256, 0.07
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
        return x + self.body(x)


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
        return self.layers(x)

    def encode(self, x: Tensor) -> list[Tensor]:
        features = []
        for number, layer in enumerate(self.layers[: LAYERS[-1] + 1]):
            x = layer(x)
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
        chosen = [x.flatten(2)[:, :, at].transpose(1, 2) for x, at in zip(features, positions, strict=True)]
        return [F.normalize(one(x), dim=-1) for one, x in zip(self.each, chosen, strict=True)]


def initialise(network: nn.Module) -> None:
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.xavier_normal_(part.weight, gain=0.02)
            nn.init.zeros_(part.bias)


def contrast(queries: list[Tensor], keys: list[Tensor]) -> Tensor:
    """PatchNCE: each query must find its key among those of all positions."""
    losses = []
    for query, key in zip(queries, keys, strict=True):
        logits = query @ key.detach().transpose(1, 2) / TEMPERATURE
        losses.append(F.cross_entropy(logits.flatten(0, 1), torch.arange(logits.shape[1])))
    return torch.stack(losses).mean()


class Reference:
    """One training step on a pair (a, b) of networks' inputs, (1, channels, h, w), and class numbers.

    Channel 0 is the intensity; the others, if any, are carried along (they are what our networks are told
    beside it, so that both have the same size).
    """

    def __init__(
        self, channels_in: int = 1, *, learning_rate: float = 1e-4, width: int = 64, blocks: int = 9
    ) -> None:
        self.to_b, self.to_a = (Generator(channels_in, width, blocks) for _ in range(2))
        self.judge_b, self.judge_a = Discriminator(channels_in, width), Discriminator(channels_in, width)
        features = (2 * width, *(4 * width,) * 3)
        self.head_a, self.head_b = Head(features), Head(features)
        generating = (self.to_b, self.to_a, self.head_a, self.head_b)
        judging = (self.judge_b, self.judge_a)
        for network in (*generating, *judging):
            initialise(network)
        betas = (0.5, 0.999)
        self.generating = [p for network in generating for p in network.parameters()]
        self.judging = [p for network in judging for p in network.parameters()]
        self.of_generators = torch.optim.Adam(self.generating, learning_rate, betas)
        self.of_judges = torch.optim.Adam(self.judging, learning_rate, betas)

    def parameters(self) -> int:
        return sum(p.numel() for p in itertools.chain(self.generating, self.judging))

    def step(self, a: Tensor, b: Tensor, class_a: int, class_b: int) -> dict[str, float]:
        """Update all networks; the values of the losses."""
        fake_b, fake_a = self.like(a, self.to_b(a)), self.like(b, self.to_a(b))
        for p in self.judging:
            p.requires_grad_(False)
        self.of_generators.zero_grad()
        parts = {
            "b": self.generator_loss(
                a, fake_b, b, self.to_b, self.to_a, self.head_a, self.head_b, self.judge_b, class_a
            ),
            "a": self.generator_loss(
                b, fake_a, a, self.to_a, self.to_b, self.head_b, self.head_a, self.judge_a, class_b
            ),
        }
        (parts["a"] + parts["b"]).backward()
        self.of_generators.step()
        for p in self.judging:
            p.requires_grad_(True)
        self.of_judges.zero_grad()
        judged = self.judge_loss(self.judge_b, b, fake_b, class_b) + self.judge_loss(
            self.judge_a, a, fake_a, class_a
        )
        judged.backward()
        self.of_judges.step()
        return {"to_b": parts["b"].item(), "to_a": parts["a"].item(), "judges": judged.item()}

    def like(self, source: Tensor, made: Tensor) -> Tensor:
        return torch.cat([made, source[:, 1:]], 1)

    def generator_loss(
        self,
        source: Tensor,
        fake: Tensor,
        goal: Tensor,
        there: Generator,
        back: Generator,
        own: Head,
        other: Head,
        judge: Discriminator,
        number: int,
    ) -> Tensor:
        score, guess = judge(fake)
        adversarial = F.softplus(-score).mean()
        auxiliary = (guess - number).square().mean()
        identity = (there(goal) - goal[:, :1]).abs().mean()
        keys, queries = there.encode(source), back.encode(fake)
        positions = [torch.randperm(x[0, 0].numel())[:PATCHES] for x in keys]
        nce = contrast(other(queries, positions), own(keys, positions))
        return GAN * adversarial + NCE * nce + IDENTITY * identity + AUXILIARY * auxiliary

    def judge_loss(self, judge: Discriminator, real: Tensor, fake: Tensor, number: int) -> Tensor:
        (on_real, guess), (on_fake, _) = judge(real), judge(fake.detach())
        adversarial = 0.5 * (F.softplus(-on_real).mean() + F.softplus(on_fake).mean())
        return adversarial + AUXILIARY * (guess - number).square().mean()
