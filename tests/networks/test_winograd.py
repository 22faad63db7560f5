"""Winograd's convolution equals the direct one, forwards and backwards."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mantid_exp2sim.networks import GeneratorSettings, build_generator
from mantid_exp2sim.networks import winograd as module
from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.networks.winograd import WinogradConv2d, use_winograd, winograd


def difference(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float(((found.double() - wanted).norm() / wanted.norm()).detach())


@pytest.mark.parametrize("size", [(6, 6), (18, 14), (11, 9), (6, 23)])
@pytest.mark.parametrize("chunk", [1, 4 * 2**20])
def test_equals_the_direct_convolution_in_double(
    size: tuple[int, int], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", chunk)
    draws = torch.Generator().manual_seed(1)
    x = torch.randn(2, 5, *size, generator=draws, requires_grad=True)
    weight = torch.randn(7, 5, 3, 3, generator=draws, requires_grad=True)
    bias = torch.randn(7, generator=draws, requires_grad=True)
    slope = torch.randn(2, 7, size[0] - 2, size[1] - 2, generator=draws)
    exact = [part.detach().double().requires_grad_() for part in (x, weight, bias)]
    wanted = F.conv2d(exact[0], exact[1], exact[2])
    found = winograd(x, weight, bias)
    assert difference(found, wanted) < 3e-6
    gradients = torch.autograd.grad(found, (x, weight, bias), slope)
    for ours, theirs in zip(gradients, torch.autograd.grad(wanted, exact, slope.double()), strict=True):
        assert difference(ours, theirs) < 5e-6


def test_only_what_asks_for_a_gradient_gets_one() -> None:
    weight = torch.randn(4, 4, 3, 3, requires_grad=True)
    winograd(torch.randn(1, 4, 8, 8), weight).sum().backward()
    assert weight.grad is not None
    x = torch.randn(1, 4, 8, 8, requires_grad=True)
    winograd(x, weight.detach()).sum().backward()
    assert x.grad is not None


def test_a_paper_generator_stays_the_same_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_BINS", 0)
    torch.manual_seed(0)
    layout = Layout(dimension=2, energy="separate")
    network = build_generator(GeneratorSettings(preset="paper", width=32, blocks=2), layout)
    x = torch.rand(1, layout.in_channels, 40, 36)
    with torch.no_grad():
        before, names = network(x), list(network.state_dict())
        assert use_winograd(network) == 4
        assert list(network.state_dict()) == names
        assert difference(network(x), before.double()) < 1e-4
    padded = WinogradConv2d(3, 3, 3, padding=1)
    wanted = F.conv2d(x[:, :1].expand(-1, 3, -1, -1), padded.weight, padded.bias, padding=1)
    assert difference(padded(x[:, :1].expand(-1, 3, -1, -1)), wanted.double()) < 1e-5
    monkeypatch.setattr(module, "winograd", None)  # small images and half precision go the direct way
    monkeypatch.setattr(module, "LEAST_BINS", 10**6)
    assert padded(x[:, :1].expand(-1, 3, -1, -1)).shape == wanted.shape
    half = padded.to(torch.bfloat16)
    assert half(torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16
