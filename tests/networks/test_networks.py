"""The same base tests for every network in every dimension, and what each promises beyond them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from mantid_exp2sim.networks import (
    ClassifierSettings,
    DiscriminatorSettings,
    GeneratorSettings,
    build_classifier,
    build_discriminator,
    build_generator,
    build_projection,
)
from mantid_exp2sim.networks.blocks import BlurPool, BlurUpsample, gated
from mantid_exp2sim.networks.discriminator import CompactDiscriminator, PaperDiscriminator, patch_weights
from mantid_exp2sim.networks.duq import stack_panels
from mantid_exp2sim.networks.generator import CompactGenerator, PaperGenerator
from mantid_exp2sim.networks.layout import Layout

SIZES = {1: (19,), 2: (13, 10), 3: (9, 10, 7)}
DIMENSIONS = (1, 2, 3)


def small_generator(preset: str, dimension: int, channels: int = 2) -> Any:
    kind = {"paper": PaperGenerator, "compact": CompactGenerator}[preset]
    blocks = {"paper": 6, "compact": 2}[preset]
    return kind(dimension, in_channels=2 * channels + 1, out_channels=channels, width=4, blocks=blocks)


def network_input(dimension: int, channels: int = 2, batch: int = 2, masked: float = 0.2) -> torch.Tensor:
    draws = torch.Generator().manual_seed(1)
    shape = (batch, channels, *SIZES[dimension])
    mask = (torch.rand(shape, generator=draws) < masked).float()
    level = torch.full((batch, 1, *SIZES[dimension]), 0.3)
    return torch.cat([torch.rand(shape, generator=draws) * (1 - mask), mask, level], 1)


@pytest.fixture(params=["paper", "compact"])
def preset(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("dimension", DIMENSIONS)
class TestGenerators:
    def test_any_size_keeps_its_shape(self, preset: str, dimension: int) -> None:
        net, x = small_generator(preset, dimension), network_input(dimension)
        assert net(x).shape == (2, 2, *SIZES[dimension])
        for size in (5, 8):
            x = torch.rand(1, 5, *(size,) * dimension)
            assert net(x).shape == (1, 2, *(size,) * dimension)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_dtype_and_gradient(self, preset: str, dimension: int, dtype: Any) -> None:
        net, x = small_generator(preset, dimension).to(dtype), network_input(dimension).to(dtype)
        x.requires_grad_()
        y = net(x)
        assert y.dtype == dtype
        y.square().sum().backward()
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()
        for name, parameter in net.named_parameters():
            assert torch.isfinite(parameter.grad).all(), name
            if not (preset == "paper" and name.endswith("bias")):  # instance norm takes biases out again
                assert parameter.grad.abs().sum() > 0, name

    def test_features_and_output_come_from_one_pass(self, preset: str, dimension: int) -> None:
        net, x = small_generator(preset, dimension).eval(), network_input(dimension)
        y, features = net.forward_features(x)
        assert torch.equal(y, net(x))
        assert [f.shape[1] for f in features] == net.feature_channels()
        head = build_projection(net, width=8)
        where = [torch.zeros(2, 3, dtype=torch.long)] * len(features)
        for vectors in head(features, where):
            assert vectors.shape == (2, 3, 8)

    def test_wrong_channels_are_refused(self, preset: str, dimension: int) -> None:
        with pytest.raises(ValueError, match="expected a tensor"):
            small_generator(preset, dimension)(torch.zeros(1, 3, *SIZES[dimension]))


@pytest.mark.parametrize("dimension", DIMENSIONS)
class TestCompact:
    def test_starts_near_the_identity_with_a_gradient_everywhere(self, dimension: int) -> None:
        net, x = small_generator("compact", dimension), network_input(dimension)
        assert (net(x) - x[:, :2]).abs().max() < 0.01

    def test_batch_is_the_same_as_singles(self, dimension: int) -> None:
        net, x = small_generator("compact", dimension), network_input(dimension)
        singles = torch.cat([net(x[:1]), net(x[1:])])
        torch.testing.assert_close(net(x), singles, rtol=0, atol=1e-6)

    def test_receptive_field_is_exact(self, dimension: int) -> None:
        net = small_generator("compact", dimension).double()
        with torch.no_grad():
            net.last.weight.normal_()
        width = net.receptive_field()[0]
        size = width + 4
        x = torch.cat([torch.rand(1, 2, *(size,) * dimension), torch.zeros(1, 3, *(size,) * dimension)], 1)
        x = x.double().requires_grad_()
        middle = (0, 0, *[size // 2] * dimension)
        net(x)[middle].backward()
        assert x.grad is not None
        touched = (x.grad[0, 0] != 0).nonzero()
        assert (touched.max(0).values - touched.min(0).values + 1).tolist() == [width] * dimension

    def test_outside_is_the_same_as_not_measured(self, dimension: int) -> None:
        net, x = small_generator("compact", dimension).double(), network_input(dimension).double()
        with torch.no_grad():
            net.last.weight.normal_()
        wide = torch.zeros(2, 5, *(n + 6 for n in SIZES[dimension]), dtype=torch.float64)
        wide[:, 2:4] = 1  # not measured
        wide[:, 4] = x[0, 4].max()
        inner = tuple(slice(3, 3 + n) for n in SIZES[dimension])
        wide[(slice(None), slice(None), *inner)] = x
        torch.testing.assert_close(net(wide)[(slice(None), slice(None), *inner)], net(x), rtol=0, atol=1e-12)

    def test_tile_with_halo_gives_the_whole(self, dimension: int) -> None:
        net = CompactGenerator(dimension, in_channels=5, out_channels=2, width=3, blocks=1).double()
        with torch.no_grad():
            net.last.weight.normal_()
        halo = net.receptive_field()[0] // 2
        x = torch.rand(1, 5, *(24,) * dimension).double()
        tile = tuple(slice(0, 12 + halo) for _ in range(dimension))
        inner = (slice(None), slice(None), *(slice(0, 12),) * dimension)
        cut = net(x[(slice(None), slice(None), *tile)])
        torch.testing.assert_close(cut[inner], net(x)[inner], rtol=0, atol=1e-12)


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("kind", [PaperDiscriminator, CompactDiscriminator])
class TestDiscriminators:
    def test_shape_and_gradient(self, kind: Any, dimension: int) -> None:
        net, x = kind(dimension, in_channels=5, width=4), network_input(dimension).requires_grad_()
        real, label = net(x)
        assert real.shape == label.shape
        assert real.shape[:2] == (2, 1)
        (real + label).square().sum().backward()
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()
        assert all(torch.isfinite(p.grad).all() for p in net.parameters())

    def test_weights_lie_on_its_patches(self, kind: Any, dimension: int) -> None:
        x = network_input(dimension)
        x[:, 2:4] = 1
        score = kind(dimension, in_channels=5, width=4)(x)[0]
        weights = patch_weights(x[:, 2:4], score.shape[2:])
        assert weights.shape == score.shape
        assert float(weights.sum()) == 0


@pytest.mark.parametrize(
    ("dimension", "generator", "discriminator"), [(2, 11.37e6, 2.77e6), (3, 34.1e6, 11.1e6)]
)
def test_parameter_counts_of_the_paper(dimension: int, generator: float, discriminator: float) -> None:
    def count(net: nn.Module) -> int:
        return sum(p.numel() for p in net.parameters())

    with torch.device("meta"):
        net = PaperGenerator(dimension, in_channels=1, out_channels=1)
        assert count(net) == pytest.approx(generator, rel=0.01)
        assert count(PaperDiscriminator(dimension, in_channels=1)) == pytest.approx(discriminator, rel=0.01)
        assert count(build_projection(net, paper=True)) == pytest.approx(0.49e6, rel=0.01)


def test_paper_total_in_3d_is_the_published_91_million() -> None:
    with torch.device("meta"):
        net = PaperGenerator(3, in_channels=1, out_channels=1)
        parts = [net, PaperDiscriminator(3, in_channels=1), build_projection(net)]
    total = 2 * sum(p.numel() for part in parts for p in part.parameters())
    assert total == pytest.approx(91.4e6, rel=0.01)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_up_and_down_sampling_scale_each_axis_by_two(dimension: int) -> None:
    x = torch.ones(1, 3, *(6,) * dimension)
    down, up = BlurPool(dimension, 3)(x), BlurUpsample(dimension)(x)
    assert down.shape[2:] == (3,) * dimension
    assert up.shape[2:] == (12,) * dimension
    torch.testing.assert_close(down, torch.ones_like(down))
    torch.testing.assert_close(up, torch.ones_like(up))
    assert not list(BlurPool(dimension, 3).parameters())


@pytest.mark.parametrize("name", ["paper", "compact"])
def test_built_from_settings_and_rebuilt_from_weights(name: Any) -> None:
    layout = Layout(dimension=2, energy="channels", windows=3)
    settings = GeneratorSettings(preset=name, width=4, blocks=5)
    one, two = build_generator(settings, layout), build_generator(settings, layout)
    two.load_state_dict(one.state_dict())
    x = torch.rand(1, layout.in_channels, 12, 12)
    assert torch.equal(one.eval()(x), two.eval()(x))
    patch = build_discriminator(DiscriminatorSettings(preset=name, width=4), layout)
    assert patch(x)[0].shape[1] == 1


class TestDuq:
    def settings(self) -> ClassifierSettings:
        return ClassifierSettings(panels=6, width=8, grid=2, features=16, centroid=8)

    @pytest.mark.parametrize("size", [(1, 1), (3, 7), (12, 12), (40, 25)])
    def test_any_size(self, size: tuple[int, int]) -> None:
        found = build_classifier(self.settings())(torch.rand(2, 12, *size))
        assert found.shape == (2, 2)
        assert ((found >= 0) & (found <= 1)).all()

    def test_all_masked_is_finite(self) -> None:
        found = build_classifier(self.settings())(torch.ones(2, 12, 8, 8))
        assert torch.isfinite(found).all()

    def test_masked_values_have_no_influence(self) -> None:
        net = build_classifier(self.settings()).eval()
        mask = torch.zeros(2, 3, 8, 8, 2)
        mask[:, :, 2:4] = 1
        x = torch.rand(2, 3, 8, 8, 2)
        other = torch.where(mask > 0, torch.full_like(x, float("nan")), x)
        assert torch.equal(net(stack_panels(x, mask)), net(stack_panels(other, mask)))

    def test_panel_order(self) -> None:
        x = torch.arange(2 * 3 * 4 * 5 * 2.0).reshape(2, 3, 4, 5, 2)
        stacked = stack_panels(x, torch.zeros(3, 4, 5, 2))
        assert torch.equal(stacked[:, 3], x[:, 1, :, :, 1])
        assert float(stacked[:, 6:].abs().max()) == 0

    def test_centroids_move_to_their_class(self) -> None:
        net = build_classifier(self.settings())
        before = net.sums.clone()
        embedded = torch.ones(4, 2, 8) * torch.tensor([1.0, 2.0])[None, :, None]
        labels = torch.tensor([0, 1, 1, -1])
        for _ in range(60):
            net.update_centroids(embedded, labels, 0.8)
        assert not torch.equal(before, net.sums)
        centroids = net.sums / net.counts[:, None]
        torch.testing.assert_close(
            centroids, torch.tensor([1.0, 2.0])[:, None].expand(2, 8), atol=1e-3, rtol=0
        )
        with pytest.raises(ValueError, match="never move"):
            net.update_centroids(embedded, labels, 1.0)


def test_compact_generator_gives_the_same_bits_with_and_without_a_gradient() -> None:
    network = CompactGenerator(2, in_channels=5, out_channels=2, width=8, blocks=2)
    x = torch.rand(2, 5, 9, 11)
    x[:, 2:4] = (x[:, 2:4] > 0.7).float()
    before = x.clone()
    recorded, named = network.forward_features(x)
    with torch.no_grad():
        plain, others = network.forward_features(x)
    assert torch.equal(x, before)
    assert torch.equal(plain, recorded)
    for one, other in zip(others, named, strict=True):
        assert torch.equal(one, other)


def test_a_gate_of_another_type_keeps_the_promoted_type() -> None:
    gate = torch.ones(3)
    with torch.no_grad():
        assert gated(torch.ones(3, dtype=torch.bfloat16), gate, 0.1).dtype == torch.float32
