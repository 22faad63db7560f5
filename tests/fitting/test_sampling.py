"""Draws of the posterior, where the likelihood is one of closed form."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from mantid_exp2sim import FitOptions
from mantid_exp2sim.fitting.sampling import sample
from mantid_exp2sim.fitting.search import Mode, Objective
from mantid_exp2sim.histogram import Floats

SD = np.array([0.02, 0.05])
MODE = Mode(np.array([0.5, 0.4]), np.diag(SD**2), 3.0)


def objective(loss: Callable[[Floats, int], float], samples: int = 400) -> Objective:
    """A likelihood that is a function of two constants between 0 and 1."""
    model = SimpleNamespace(name="two constants", bounds=np.array([[0.0, 1.0], [0.0, 1.0]]))
    options = FitOptions(samples=samples, seed=1)
    return cast(Objective, SimpleNamespace(options=options, bins=(), model=model, loss=loss))


def bell(draw: Floats, grid: int) -> float:
    return float(MODE.loss + 0.5 * (((draw - MODE.free) / SD) ** 2).sum())


def silent(text: str) -> None:
    """Tell nothing."""


def test_a_gaussian_likelihood() -> None:
    posterior = sample(objective(bell), (MODE,), 1.0, silent)
    assert posterior.mean() == pytest.approx(MODE.free, abs=0.01)
    assert np.sqrt(np.diag(posterior.covariance())) == pytest.approx(SD, rel=0.15)
    assert posterior.log_evidence == pytest.approx(np.log(2 * np.pi * SD.prod()) - MODE.loss, abs=0.1)
    assert posterior.effective is not None
    assert 100 < posterior.effective <= 400


def lone(draw: Floats, grid: int) -> float:
    return MODE.loss if draw[0] > MODE.free[0] + 2.2 * SD[0] else np.inf


@pytest.mark.parametrize("loss", [lambda draw, grid: np.inf, lone])
def test_draws_without_weight_leave_the_gaussian(loss: Callable[[Floats, int], float]) -> None:
    posterior = sample(objective(loss, samples=40), (MODE,), 4.0, silent)
    assert posterior.effective is None
    assert np.sqrt(np.diag(posterior.covariance())) == pytest.approx(2 * SD, rel=0.1)
    assert np.isfinite(posterior.log_evidence)


def test_a_constant_that_the_data_say_nothing_about_fills_its_bounds() -> None:
    wide = Mode(MODE.free, np.diag([SD[0] ** 2, 1e6]), MODE.loss)
    posterior = sample(objective(bell, samples=0), (wide,), 1.0, silent)
    assert posterior.interval(0.95)[1] == pytest.approx([0.0, 1.0])
    assert np.sqrt(posterior.covariance()[0, 0]) == pytest.approx(SD[0], rel=0.1)
