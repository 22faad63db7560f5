"""The unrolled deconvolver: a convolution that is one, gradients of the resolution, scale."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mantid_exp2sim.inference.bins import VolumeResolution, lay_out
from mantid_exp2sim.networks.unrolled import (
    Convolution,
    NetworkSettings,
    Problem,
    Unrolled,
    blurred,
    gathered,
    pose,
)

SHAPE = (7, 6, 5)


def resolution() -> VolumeResolution:
    edges = [np.arange(n + 1.0) for n in SHAPE]
    covariance = np.diag([0.8, 0.5, 1.0])
    return lay_out(edges, lambda at: np.broadcast_to(covariance, (*(len(x) for x in at), 3, 3)), 2)


def problem(data: np.ndarray, mask: np.ndarray | None = None) -> Problem:
    layout = resolution()
    blur = layout.on(np.zeros(SHAPE, dtype=bool) if mask is None else mask)
    values = (data * blur.measured).astype(np.float32)
    return pose(blur, values, np.maximum(values, 0), 0.1 * values**2, layout.widths, SHAPE)


def test_the_convolution_is_that_of_three_dimensions() -> None:
    own = Convolution(3, 4)
    other = torch.nn.Conv3d(3, 4, 3, padding=1)
    with torch.no_grad():
        # planes: (out, shift · in, n, m); Conv3d: (out, in, n, m, l)
        other.weight[:] = own.planes.weight.reshape(4, 3, 3, 3, 3).permute(0, 2, 3, 4, 1)
        assert own.planes.bias is not None
        assert other.bias is not None
        other.bias[:] = own.planes.bias
        x = torch.randn(1, 3, *SHAPE)
        expected = other(x)[0].permute(3, 0, 1, 2)
        torch.testing.assert_close(own(x[0].permute(3, 0, 1, 2)), expected, rtol=1e-4, atol=1e-5)


def test_the_gradient_of_the_resolution_is_that_of_its_transpose() -> None:
    posed = problem(np.ones(SHAPE), np.random.default_rng(0).random(SHAPE) < 0.2)
    x, direction = torch.rand(SHAPE, requires_grad=True), torch.rand(SHAPE)
    for forward, transposed in ((blurred, gathered), (gathered, blurred)):
        (gradient,) = torch.autograd.grad((forward(posed.blur, x) * direction).sum(), x)
        torch.testing.assert_close(gradient, transposed(posed.blur, direction), rtol=1e-4, atol=1e-5)


def test_an_untrained_network_is_near_to_richardson_lucy() -> None:
    line = np.zeros(SHAPE)
    line[3, 3, 2] = 10
    posed = problem(resolution().kernel.spread(line.astype(np.float32)))
    with torch.no_grad():
        states = Unrolled(NetworkSettings(steps=3, width=4))(posed)
    peaks = [float(posed.mean.max()), *(float(x.max()) for x, _ in states)]
    assert peaks == sorted(peaks)


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 100), st.floats(1e-6, 1e6))
def test_the_result_scales_with_the_data(seed: int, factor: float) -> None:
    torch.manual_seed(seed)
    network = Unrolled(NetworkSettings(steps=2, width=4))
    torch.nn.init.normal_(network.denoiser.last.planes.weight, std=0.05)
    data = np.random.default_rng(seed).gamma(1.0, size=SHAPE)
    with torch.no_grad():
        results = [network(part)[-1][0] * part.scale for part in (problem(data), problem(factor * data))]
    torch.testing.assert_close(results[1] / factor, results[0], rtol=1e-3, atol=1e-4)


def test_what_is_masked_is_not_read_and_0() -> None:
    rng = np.random.default_rng(1)
    mask = rng.random(SHAPE) < 0.3
    data = rng.gamma(1.0, size=SHAPE)
    network = Unrolled(NetworkSettings(steps=2, width=4))
    with torch.no_grad():
        first = network(problem(data, mask))[-1][0].numpy()
        second = network(problem(np.where(mask, 1e5, data), mask))[-1][0].numpy()
    np.testing.assert_array_equal(first, second)
    assert (first[mask] == 0).all()
