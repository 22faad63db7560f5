"""The published networks, written down plainly, give what ours give."""

from __future__ import annotations

import torch
from torch import nn

from mantid_exp2sim.networks.discriminator import PaperDiscriminator
from mantid_exp2sim.networks.generator import PaperGenerator
from mantid_exp2sim.networks.projection import paper_projection
from tests.helpers import paper_networks


def give(weights: nn.Module, to: nn.Module) -> None:
    """Same parameters in the same order, whatever they are called."""
    with torch.no_grad():
        for old, new in zip(weights.parameters(), to.parameters(), strict=True):
            new.copy_(old)


def test_generators_and_their_features_agree() -> None:
    torch.manual_seed(0)
    ours = PaperGenerator(2, in_channels=3, out_channels=1, width=8, blocks=6)
    plain = paper_networks.Generator(3, width=8, blocks=6)
    give(ours, plain)
    x = torch.rand(2, 3, 32, 24)
    with torch.no_grad():
        out, features = ours.forward_features(x)
        torch.testing.assert_close(plain(x), out, rtol=1e-4, atol=1e-5)
        alone = ours.features(x)
        for one, two, three in zip(features, plain.encode(x), alone, strict=True):
            torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-5)
            assert torch.equal(one, three)


def test_judges_agree_and_heads_have_the_same_size() -> None:
    ours, plain = PaperDiscriminator(2, in_channels=3, width=8), paper_networks.Discriminator(3, width=8)
    give(ours, plain)
    x = torch.rand(1, 3, 40, 40)
    with torch.no_grad():
        for one, two in zip(ours(x), plain(x), strict=True):
            torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-5)
    sizes = [
        [p.shape for p in head.parameters()]
        for head in (paper_networks.Head((4, 8)), paper_projection([4, 8]))
    ]
    assert sizes[0] == sizes[1]
