"""The two maps between data and networks, and their inverses."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.networks.layout import Layout

Dimension = Literal[1, 2, 3]
Energy = Literal["channels", "axis", "separate"]
LAYOUTS: list[tuple[Dimension, Energy]] = [
    (3, "axis"),
    (2, "channels"),
    (2, "separate"),
    (2, "axis"),
    (1, "axis"),
    (1, "channels"),
    (1, "separate"),
]
scalings = st.builds(
    Scaling,
    kind=st.sampled_from(["asinh", "linear"]),
    intensity_scale=st.floats(0.01, 1e3),
    gain=st.floats(0.1, 10),
)


def _layout(
    dimension: Literal[1, 2, 3], energy: Literal["channels", "axis", "separate"], windows: int
) -> Layout:
    return Layout(dimension=dimension, energy=energy, windows=windows if energy == "channels" else 1)


@given(scaling=scalings, x=st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=20))
def test_scaling_is_invertible_and_odd(scaling: Any, x: Any) -> None:
    x = np.array(x)
    y = scaling.forward(x)
    np.testing.assert_allclose(scaling.inverse(y), x, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(scaling.forward(-x), -y)


@given(scaling=scalings)
def test_tensors_are_treated_as_arrays_are(scaling: Any) -> None:
    x = np.linspace(-20, 20, 11)
    for method in (scaling.forward, scaling.inverse):
        values = x if method != scaling.inverse else scaling.forward(x)
        np.testing.assert_allclose(method(torch.from_numpy(values)).numpy(), method(values), rtol=1e-12)
    assert scaling.forward(torch.zeros(3, dtype=torch.float32)).dtype == torch.float32


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), 1e40])
def test_scaling_refuses(value: float) -> None:
    with pytest.raises(ValidationError):
        Scaling(intensity_scale=value)


@pytest.mark.parametrize(("dimension", "energy"), LAYOUTS)
@given(shape=st.tuples(*[st.integers(1, 6)] * 4))
def test_unstack_undoes_fold(dimension: Dimension, energy: Energy, shape: tuple[int, int, int, int]) -> None:
    layout = _layout(dimension, energy, shape[3])
    x = torch.arange(float(np.prod(shape))).reshape(shape)
    folded = layout.fold(x)
    assert folded.shape[1] == layout.out_channels
    assert folded.ndim == 2 + dimension
    assert torch.equal(layout.unstack(folded, x.shape), x)
    if not layout.folded:
        assert torch.equal(layout.unstack(folded), x)


@pytest.mark.parametrize(("dimension", "energy"), LAYOUTS)
def test_every_sample_is_told_its_own_incident_energy_and_mask(dimension: Dimension, energy: Energy) -> None:
    layout = _layout(dimension, energy, 5)
    ei = torch.tensor([25.0, 50.0, 140.0])
    x = torch.log(ei / 50)[:, None, None, None].expand(3, 2, 4, 5)
    mask = (torch.arange(120).reshape(3, 2, 4, 5) % 3 == 0).float()
    stacked = layout.stack(x, mask, ei)
    c = layout.channels
    assert stacked.shape[1] == layout.in_channels == 2 * c + 1
    torch.testing.assert_close(stacked[:, :c], stacked[:, -1:].expand_as(stacked[:, :c]))
    assert torch.equal(layout.unstack(stacked[:, c : 2 * c], x.shape), mask)


def test_layouts_that_cannot_be() -> None:
    for wrong in ({"dimension": 3}, {"dimension": 2, "energy": "axis", "windows": 3}, {"dimension": 4}):
        with pytest.raises(ValidationError):
            Layout(**wrong)
    with pytest.raises(ValueError, match="expected a tensor"):
        Layout(windows=10).fold(torch.zeros(1, 4, 4, 9))
    with pytest.raises(ValueError, match="unstack needs the shape"):
        Layout(energy="separate").unstack(torch.zeros(6, 1, 4, 4))
