"""Workspaces as histograms and back, in scripts."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import mantid_exp2sim
from mantid_exp2sim import Axis, Exp2SimError, Histogram

NUMBERS: Any = np.ones(3)
DIAGONAL = {"[H,0,0]": "[H,H,0]", "[0,K,0]": "[-K,K,0]"}


def with_gaps(histogram: Histogram) -> Histogram:
    mask = np.zeros(histogram.shape, dtype=bool)
    mask[0], mask[-1, 2] = True, True
    return histogram.replace(mask=mask)


@pytest.mark.parametrize("order", ["hke", "ekh", "lhke", "e"])
def test_there_and_back(api: Any, make: Any, order: str) -> None:
    """Axes, projection, units, frames, errors, gaps and incident energy; edges as Mantid keeps them."""
    make(order, seed=4)
    plain = mantid_exp2sim.from_workspace("ws")
    axes = tuple(replace(axis, name=DIAGONAL.get(axis.name, axis.name)) for axis in plain.axes)
    original = Histogram(plain.intensity, plain.variance, plain.mask, axes, plain.metadata)
    original = with_gaps(original) if original.ndim > 1 else original
    workspace = mantid_exp2sim.to_workspace(original, "copy")
    result = mantid_exp2sim.from_workspace(workspace)
    assert api.mtd.doesExist("copy")
    np.testing.assert_array_equal(result.mask, original.mask)
    np.testing.assert_allclose(result.intensity, original.intensity, rtol=1e-12)
    np.testing.assert_allclose(result.variance, original.variance, rtol=1e-12)
    for axis, before in zip(result.axes, original.axes, strict=True):
        assert (axis.name, axis.unit, axis.frame) == (before.name, before.unit, before.frame)
        np.testing.assert_allclose(axis.edges, before.edges, rtol=1e-6, atol=1e-7)
    assert result.metadata["incident_energy"] == 50.0


def test_the_intensity_is_that_of_the_workspace(api: Any, make: Any) -> None:
    workspace = make("hke")
    result = mantid_exp2sim.from_workspace(workspace)
    np.testing.assert_array_equal(result.intensity, np.array(workspace.getSignalArray()))
    np.testing.assert_array_equal(result.variance, np.array(workspace.getErrorSquaredArray()))
    assert mantid_exp2sim.from_workspace("ws", incident_energy=35).metadata["incident_energy"] == 35.0


def test_unequal_bins_are_refused_before_anything_changes(api: Any, make: Any, state: Any) -> None:
    make("hke")
    untouched = state(api.mtd["ws"])
    uneven = Histogram.from_arrays([1.0, 2.0], [Axis("DeltaE", np.array([0.0, 1.0, 3.0]), unit="meV")])
    with pytest.raises(Exp2SimError, match="'DeltaE' have different widths"):
        mantid_exp2sim.to_workspace(uneven, "ws")
    assert state(api.mtd["ws"]) == untouched


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (
            lambda: mantid_exp2sim.from_workspace("nothing"),
            "There is no workspace 'nothing'. There are none.",
        ),
        (lambda: mantid_exp2sim.from_workspace(3.0), "3.0 is no MDHistoWorkspace."),
        (lambda: mantid_exp2sim.to_workspace(NUMBERS, "x"), "It takes a Histogram"),
    ],
)
def test_errors_say_what_and_the_fix(act: Any, text: str) -> None:
    with pytest.raises(Exp2SimError, match=re.escape(text)) as caught:
        act()
    assert caught.value.fix
