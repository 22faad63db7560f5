from __future__ import annotations

from typing import Any

import pytest
import torch

from mantid_exp2sim.networks.discriminator import patch_weights
from mantid_exp2sim.training.losses.adversarial import auxiliary_loss, discriminator_loss, generator_loss
from mantid_exp2sim.training.losses.contrastive import patch_nce, sample_positions
from mantid_exp2sim.training.losses.loss import masked_l1
from mantid_exp2sim.training.losses.paired import relative_square
from mantid_exp2sim.training.trainers import metrics


def gradient(leaf: torch.Tensor) -> torch.Tensor:
    assert leaf.grad is not None
    return leaf.grad


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.nn.functional.normalize(
        torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1
    )


class TestPatchNce:
    def test_batch_of_two_is_the_mean_of_singles(self) -> None:
        queries, keys = unit(2, 9, 5), unit(2, 9, 5, seed=1)
        valid = torch.ones(2, 9).bool()
        valid[1, 6:] = False
        both = patch_nce(queries, keys, valid)
        singles = [patch_nce(queries[i : i + 1], keys[i : i + 1], valid[i : i + 1]) for i in (0, 1)]
        torch.testing.assert_close(both, (singles[0] + singles[1]) / 2)

    def test_keys_get_no_gradient(self) -> None:
        queries, keys = unit(1, 4, 5).requires_grad_(), unit(1, 4, 5, seed=1).requires_grad_()
        patch_nce(queries, keys, torch.ones(1, 4).bool()).backward()
        assert keys.grad is None
        assert gradient(queries).abs().sum() > 0

    def test_invalid_positions_have_no_influence(self) -> None:
        queries, keys, valid = unit(1, 6, 5), unit(1, 6, 5, seed=1), torch.ones(1, 6).bool()
        valid[0, 4:] = False
        short = patch_nce(queries[:, :4], keys[:, :4], valid[:, :4])
        torch.testing.assert_close(patch_nce(queries, keys, valid), short)

    def test_temperature_is_the_published_one(self) -> None:
        queries = torch.eye(2)[None]
        expected = torch.log1p(torch.exp(torch.tensor(-1 / 0.07)))
        torch.testing.assert_close(patch_nce(queries, queries, torch.ones(1, 2).bool()), expected)

    def test_positions_lie_where_measured(self) -> None:
        mask = torch.ones(2, 1, 8, 8)
        mask[0, :, :4] = 0
        where, valid = sample_positions(mask, (8, 8), 20, torch.Generator().manual_seed(3))
        assert valid[0].all()
        assert where[0].max() < 32
        assert len(set(where[0].tolist())) == 20
        assert not valid[1].any()


@pytest.mark.parametrize("kind", ["log", "least_squares"])
class TestGan:
    def test_masked_patches_do_not_count(self, kind: Any) -> None:
        mask = torch.zeros(1, 1, 16)
        mask[..., 8:] = 1
        weights = patch_weights(mask, (4,))
        score = torch.tensor([[[0.3, -0.2, 0.0, 0.0]]])
        other = torch.tensor([[[0.3, -0.2, 1e6, -1e6]]])
        for one in (score, other):
            one.requires_grad_()
        values = [generator_loss(kind, one, weights) for one in (score, other)]
        assert float(values[0].detach()) == float(values[1].detach())
        both = [discriminator_loss(kind, one, one, (weights, weights)) for one in (score, other)]
        assert float(both[0].detach()) == float(both[1].detach())
        both[1].backward()
        assert torch.equal(gradient(other)[..., 2:], torch.zeros(1, 1, 2))

    def test_each_side_wants_the_opposite(self, kind: Any) -> None:
        one = torch.ones(1, 1, 2)
        low, high = -one * 0.5, one * 0.5
        assert generator_loss(kind, high, one) < generator_loss(kind, low, one)
        good = discriminator_loss(kind, high, low, (one, one))
        assert good < discriminator_loss(kind, low, high, (one, one))

    def test_batch_is_the_mean_of_samples(self, kind: Any) -> None:
        score = unit(2, 1, 6)
        weight = torch.ones(2, 1, 6)
        weight[1, :, 3:] = 0
        both = generator_loss(kind, score, weight)
        each = [generator_loss(kind, score[i : i + 1], weight[i : i + 1]) for i in (0, 1)]
        torch.testing.assert_close(both, (each[0] + each[1]) / 2)


def test_masked_l1_ignores_what_was_not_measured() -> None:
    mask = torch.tensor([[[0.0, 0.0, 1.0]]])
    x = torch.tensor([[[1.0, 2.0, float("inf")]]], requires_grad=True)
    value = masked_l1(x, torch.zeros(1, 1, 3), mask)
    value.backward()
    assert float(value.detach()) == 1.5
    assert gradient(x).tolist() == [[[0.5, 0.5, 0.0]]]


def test_nothing_measured_is_zero_and_finite() -> None:
    x = torch.ones(2, 1, 4, requires_grad=True)
    value = masked_l1(x, 0 * x, torch.ones(2, 1, 4))
    value.backward()
    assert float(value.detach()) == 0
    assert float(gradient(x).abs().sum()) == 0


def test_labels_that_are_not_known_do_not_count() -> None:
    ones = torch.ones(2, 1, 3)
    both = auxiliary_loss(ones, torch.tensor([0, -1]), ones)
    assert float(both) == float(auxiliary_loss(ones[:1], torch.tensor([0]), ones[:1]))


class TestNearlyEmptySamples:
    """Of cuts and patches many hold next to nothing; the error of those must not decide."""

    truth = torch.stack([torch.full((1, 8), 10.0), torch.full((1, 8), 1e-3)])
    seen = truth + 1.0
    mask = torch.zeros(2, 1, 8)

    def test_a_floor_keeps_them_from_deciding(self) -> None:
        low = relative_square(self.seen, self.truth, self.mask, 0.1)
        high = relative_square(self.seen, self.truth, self.mask, 10.0)
        assert low == pytest.approx(50, rel=0.01)
        assert high == pytest.approx((1 / 200 + 1 / 100) / 2, rel=0.01)

    def test_the_pooled_error_is_that_of_all_bins(self) -> None:
        seen, truth = (part.reshape(2, 1, 8, 1, 1) for part in (self.seen, self.truth))
        mask = torch.zeros(1, 8, 1, 1).bool()
        assert metrics.relative_l2(seen, truth, mask) > 5
        assert metrics.relative_l2(seen, truth, mask, pooled=True) == pytest.approx(
            0.2**0.5 / 10**0.5, rel=0.01
        )
