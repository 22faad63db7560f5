"""Intensities are brought to the level of the training data, whatever their unit."""

from __future__ import annotations

import numpy as np
import pytest

from mantid_exp2sim.model.levels import IntensityLevels

LEVELS = IntensityLevels(rms=(3.0, 1.0), bins=1000.0)


def spectrum() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.gamma(1.0, 2.0, (2, 10, 10, 10)), rng.random((2, 10, 10, 10)) < 0.1


@pytest.mark.parametrize("unit", [1e-6, 0.1, 10.0, 1e9])
def test_no_unit_changes_the_level(unit: float) -> None:
    values, mask = spectrum()
    plain, scaled = (LEVELS.factor(x, mask, [0, 1]) for x in (values, unit * values))
    assert plain is not None
    assert scaled == pytest.approx(plain / unit, rel=1e-9)


def test_the_levels_are_reached() -> None:
    """Gamma(1, 2) has a mean square of 8; that of both levels is 5."""
    values, mask = spectrum()
    factor = LEVELS.factor(values, mask, [0, 1])
    assert factor == pytest.approx(np.sqrt(5 / 8), rel=0.1)


def test_a_spike_sets_no_scale() -> None:
    values, mask = spectrum()
    spoilt = values.copy()
    spoilt[0, 0, 0, 0], mask[0, 0, 0, 0] = 1e6, False
    assert LEVELS.factor(spoilt, mask, [0, 1]) == pytest.approx(LEVELS.factor(values, mask, [0, 1]), rel=0.02)


def test_a_small_part_or_darkness_has_no_level() -> None:
    values, mask = spectrum()
    mask[:, 1:] = True
    assert LEVELS.factor(values, mask, [0, 1], least=0.2) is None
    assert LEVELS.factor(np.zeros_like(values), mask, [0, 1]) is None
