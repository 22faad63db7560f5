"""The networks, in plain torch: generators, discriminators, projection heads and the DUQ classifier.

Importing this package does not import torch; building a network does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mantid_exp2sim.networks.settings import (
    ClassifierSettings,
    DiscriminatorSettings,
    GeneratorSettings,
    PosteriorSettings,
)

if TYPE_CHECKING:
    from mantid_exp2sim.networks.discriminator import Discriminator
    from mantid_exp2sim.networks.duq import Duq
    from mantid_exp2sim.networks.generator import Generator
    from mantid_exp2sim.networks.layout import Layout
    from mantid_exp2sim.networks.posterior import PosteriorNetwork
    from mantid_exp2sim.networks.projection import Projection

__all__ = [
    "ClassifierSettings",
    "DiscriminatorSettings",
    "GeneratorSettings",
    "PosteriorSettings",
    "build_classifier",
    "build_discriminator",
    "build_generator",
    "build_posterior",
    "build_projection",
]


def build_generator(settings: GeneratorSettings, layout: Layout) -> Generator:
    """A generator for tensors of a layout, with fresh weights from torch's random numbers.

    >>> from mantid_exp2sim.networks.layout import Layout
    >>> build_generator(GeneratorSettings(), Layout(windows=10)).receptive_field()
    (21, 21)
    """
    from mantid_exp2sim.networks.generator import CompactGenerator, PaperGenerator

    full = settings.resolved()
    assert full.width is not None
    assert full.blocks is not None
    sizes = {"in_channels": layout.in_channels, "out_channels": layout.out_channels}
    sizes |= {"width": full.width, "blocks": full.blocks}
    if full.preset == "paper":
        return PaperGenerator(layout.dimension, **sizes)
    return CompactGenerator(layout.dimension, **sizes)


def build_discriminator(settings: DiscriminatorSettings, layout: Layout) -> Discriminator:
    """A two-headed patch discriminator for tensors of a layout."""
    from mantid_exp2sim.networks.discriminator import CompactDiscriminator, PaperDiscriminator

    if settings.preset == "paper":
        return PaperDiscriminator(
            layout.dimension, in_channels=layout.in_channels, width=settings.width or 64
        )
    return CompactDiscriminator(layout.dimension, in_channels=layout.in_channels, width=settings.width or 32)


def build_projection(generator: Generator, *, width: int = 256, paper: bool = False) -> Projection:
    """A projection head for the feature layers of a generator."""
    from mantid_exp2sim.networks.projection import Projection, paper_projection

    channels = generator.feature_channels()
    return paper_projection(channels) if paper else Projection(channels, width)


def build_classifier(settings: ClassifierSettings) -> Duq:
    """A DUQ classifier.

    >>> build_classifier(ClassifierSettings(panels=10)).settings.in_channels
    20
    """
    from mantid_exp2sim.networks.duq import Duq

    return Duq(settings)


def build_posterior(settings: PosteriorSettings) -> PosteriorNetwork:
    """A posterior of the constants of several models.

    >>> build_posterior(PosteriorSettings(panels=10, constants=(2, 6))).settings.in_channels
    20
    """
    from mantid_exp2sim.networks.posterior import PosteriorNetwork

    return PosteriorNetwork(settings)
