"""The losses that know the resolution."""

from __future__ import annotations

import pytest
import torch

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.simulation.binning import mosaic_binnings
from mantid_exp2sim.simulation.coverage import mosaic_coverage_mask
from mantid_exp2sim.simulation.resolution_operator import ResolutionOperator
from mantid_exp2sim.training.datasets.sampler import Samples
from mantid_exp2sim.training.losses.data_consistency import consistency
from mantid_exp2sim.training.losses.known_operator import KnownOperator
from mantid_exp2sim.training.losses.loss import Batch, stack

CHANNELS = Layout(dimension=2, energy="channels", windows=10)
SCALING = Scaling(intensity_scale=2.0)


def _known(layout: Layout = CHANNELS) -> KnownOperator:
    return KnownOperator(ResolutionOperator(mosaic_binnings()), layout, SCALING)


def _batch(physical: torch.Tensor) -> Batch:
    mask = torch.from_numpy(mosaic_coverage_mask()[[0, 5]].copy()).float()
    scaled = torch.where(mask > 0, 0.0, SCALING.forward(physical))
    samples = Samples(scaled, mask, torch.tensor([25.0, 140.0]), torch.zeros(2, dtype=torch.long))
    return stack(samples, CHANNELS)


def test_the_blur_of_network_values_is_that_of_intensities() -> None:
    known, physical = _known(), torch.rand(2, 40, 40, 10, generator=torch.Generator().manual_seed(1))
    batch = _batch(physical)
    mask = CHANNELS.unstack(batch.mask)
    wanted = known.resolution(physical, torch.tensor([25.0, 140.0]), mask)
    found = SCALING.inverse(CHANNELS.unstack(known.blur(batch.intensity, batch.mask, batch.energy)))
    torch.testing.assert_close(found, torch.where(mask > 0, 0.0, wanted), rtol=1e-4, atol=1e-5)


def test_the_truth_is_more_consistent_with_its_measurement_than_the_measurement_itself() -> None:
    draws = torch.Generator().manual_seed(2)
    truth = torch.relu(torch.randn(2, 40, 40, 10, generator=draws)) * 5
    ideal, known = _batch(truth), _known()
    measured = _batch(
        SCALING.inverse(CHANNELS.unstack(known.blur(ideal.intensity, ideal.mask, ideal.energy)))
    )
    made = ideal.intensity.clone().requires_grad_()
    right, wrong = consistency(known, made, measured), consistency(known, measured.intensity, measured)
    assert float(right.detach()) < 1e-6 < 0.05 < float(wrong)
    consistency(known, 0.5 * made, measured).backward()
    assert made.grad is not None
    assert torch.isfinite(made.grad).all()


def test_a_layout_that_splits_volumes_is_refused() -> None:
    with pytest.raises(Exp2SimError, match="energy in the batch"):
        _known(Layout(dimension=2, energy="separate"))
