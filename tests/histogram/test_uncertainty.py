"""A variance of 0 says that the error is not known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mantid_exp2sim import Histogram, load, save
from mantid_exp2sim.cli.look import describe
from mantid_exp2sim.histogram import Axis
from tests.fuzz import fuzz_readers as fuzz


def line(intensity: list[float], variance: list[float]) -> Histogram:
    axis = Axis("DeltaE", np.arange(len(intensity) + 1.0), unit="meV", frame="General Frame")
    return Histogram.from_arrays(intensity, [axis], np.array(variance))


def test_sum_of_counts_has_their_variance() -> None:
    counts = np.random.default_rng(1).poisson(0.3, 40_000).astype(float)
    wide = line(counts.tolist(), counts.tolist()).rebin({"DeltaE": 100})  # most bins are 0 ± 0
    total, variance = wide.intensity * 100, wide.variance * 100**2
    np.testing.assert_allclose(variance, total)
    assert np.var(total) == pytest.approx(variance.mean(), rel=0.15)


def test_intensity_without_error_leaves_none_to_a_mean() -> None:
    wide = line([4.0, 5.0, 4.0, 0.0, 3.0, 0.0], [4.0, 0.0, 4.0, 0.0, 0.0, 0.0]).rebin({"DeltaE": 2})
    np.testing.assert_array_equal(wide.intensity, [4.5, 2.0, 1.5])
    np.testing.assert_array_equal(wide.variance, [0.0, 1.0, 0.0])


def test_calculation_has_no_errors_to_lose() -> None:
    measured, calculated = line([4.0, 9.0], [4.0, 9.0]), line([1.0, 1.0], [0.0, 0.0])
    np.testing.assert_array_equal((measured - calculated).variance, [4.0, 9.0])


def test_intensity_without_error_leaves_none_to_a_difference() -> None:
    run, background = line([4.0, 9.0, 0.0], [4.0, 0.0, 0.0]), line([1.0, 1.0, 2.0], [1.0, 1.0, 2.0])
    for h in (run - background, background + run):
        np.testing.assert_array_equal(h.variance, [5.0, 0.0, 2.0])


@pytest.mark.parametrize("ending", [".nxs", ".d1d", ".npz"])
def test_errors_that_are_not_known_are_told_of_any_file(tmp_path: Path, ending: str) -> None:
    save(line([4.0, 0.0, 5.0], [4.0, 0.0, 0.0]), tmp_path / f"run{ending}")
    about = describe(load(tmp_path / f"run{ending}"))
    assert (about["has_errors"], about["unknown_errors"]) == (True, 2)
    save(line([4.0, 0.0, 5.0], [0.0, 0.0, 0.0]), tmp_path / f"calculated{ending}")
    about = describe(load(tmp_path / f"calculated{ending}"))
    assert (about["has_errors"], about["unknown_errors"]) == (False, 0)


@pytest.mark.parametrize(("values", "variance"), [([4.0, 0.0], 1.0), ([4.0, 3.0], 0.0)])
def test_detectors_without_counts(tmp_path: Path, values: list[float], variance: float) -> None:
    """Two detectors at one angle: an empty one adds no variance, one with an unknown error leaves none."""
    data, error = np.tile(np.array(values)[:, None], 3), np.array([[2.0, 2, 2], [0, 0, 0]])
    changes = {"data/data": data, "data/error": error, "data/energy": np.array([0.0, 1, 2, 3])}
    changes |= {"data/polar": np.array([30.0, 30.0]), "data/azimuthal": np.array([0.0, 90.0])}
    (tmp_path / "run.nxspe").write_bytes(fuzz.nxspe(**changes))
    h = load(tmp_path / "run.nxspe")
    np.testing.assert_array_equal(h.intensity[~h.mask], np.mean(values))
    np.testing.assert_array_equal(h.variance[~h.mask], variance)
