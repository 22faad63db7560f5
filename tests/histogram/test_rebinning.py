"""Bins onto other bins, cuts, means, transposition and arithmetic of histograms."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binned_statistic, binned_statistic_2d

from mantid_exp2sim import Axis, Exp2SimError, Histogram, load, save
from mantid_exp2sim.io.axes import integrated_axis
from mantid_exp2sim.io.hdf5 import array_value
from mantid_exp2sim.io.mdhisto import build_tree
from mantid_exp2sim.mosaic import mosaic_histogram
from mantid_exp2sim.nexus import Link, NexusTree

H = Axis("[H,0,0]", np.linspace(-1.0, 1.0, 13), unit="r.l.u.", frame="HKL")
K = Axis("[0,K,0]", np.linspace(0.0, 2.0, 9), unit="r.l.u.", frame="HKL")
E = Axis("DeltaE", np.linspace(0.0, 30.0, 31), unit="meV", frame="General Frame")
SEEDS = st.integers(0, 2**32 - 1)


def random(seed: int, *axes: Axis, gaps: float = 0.0) -> Histogram:
    rng = np.random.default_rng(seed)
    shape = tuple(axis.size for axis in axes)
    mask = rng.random(shape) < gaps
    metadata = {"incident_energy": 50.0, "title": "random"}
    return Histogram(rng.normal(5, 2, shape), rng.gamma(2, 1, shape), mask, axes, metadata)


def total(histogram: Histogram) -> float:
    volume = np.ones(())
    for axis in histogram.axes:
        volume = volume[..., None] * axis.widths
    return float(np.nansum(histogram.intensity * volume))


@given(SEEDS, st.floats(0.0, 0.9), st.floats(1.0, 7.0), st.floats(-3.0, 10.0), st.floats(0.01, 1.0))
def test_a_constant_stays_constant_also_beside_gaps(
    seed: int, gaps: float, width: float, low: float, share: float
) -> None:
    measured = random(seed, H, E, gaps=gaps)
    constant = measured.replace(intensity=np.full(measured.shape, 2.5))
    result = constant.rebin({"energy": (low, width, 25.0), "h": 0.4}, minimum_measured=share)
    np.testing.assert_allclose(result.intensity[~result.mask], 2.5)
    assert np.isnan(result.intensity[result.mask]).all()


@given(SEEDS, st.sampled_from([1, 2, 3, 5, 6, 10, 15, 30]), st.sampled_from([1, 2, 3, 4, 6, 12]))
def test_the_total_stays_where_all_is_measured(seed: int, width: int, bins: int) -> None:
    measured = random(seed, H, E)
    result = measured.rebin({"DeltaE": width, "[H,0,0]": bins / 6})
    assert result.shape == (12 // bins, 30 // width)
    assert total(result) == pytest.approx(total(measured))
    assert not result.mask.any()


def test_values_and_variances_are_those_of_scipy() -> None:
    measured = random(1, H, E)
    wide = measured.rebin({"h": 0.5, "energy": 5})
    x, y = [grid.ravel() for grid in np.meshgrid(H.centres, E.centres, indexing="ij")]
    edges = [axis.edges for axis in wide.axes]
    mean = binned_statistic_2d(x, y, measured.intensity.ravel(), "mean", edges).statistic
    np.testing.assert_allclose(wide.intensity, mean)
    sums = binned_statistic_2d(x, y, measured.variance.ravel(), "sum", edges).statistic
    np.testing.assert_allclose(wide.variance, sums / 15**2)
    line = measured.cut({"energy": (5, 10)})
    np.testing.assert_allclose(line.intensity, measured.intensity[:, 5:10].mean(axis=1))


def test_gaps_are_left_out_of_the_mean() -> None:
    measured = random(2, E, gaps=0.4)
    wide = measured.rebin({"DeltaE": 6}, minimum_measured=0.01)
    good = ~measured.mask
    mean = binned_statistic(E.centres[good], measured.intensity[good], "mean", wide.axes[0].edges).statistic
    np.testing.assert_allclose(wide.intensity, mean)


@given(SEEDS, st.sampled_from([0.2, 0.5, 1.0]))
def test_what_was_not_measured_is_nan_and_nothing_else(seed: int, share: float) -> None:
    measured = random(seed, H, E, gaps=0.5)
    wide = measured.rebin({"energy": 5}, minimum_measured=share)
    counts = (~measured.mask).reshape(12, 6, 5).sum(axis=2)
    np.testing.assert_array_equal(wide.mask, counts < 5 * share)
    np.testing.assert_array_equal(np.isnan(wide.intensity), wide.mask)
    np.testing.assert_array_equal(np.isnan(wide.variance), wide.mask)


def test_bins_shared_by_two_count_by_their_overlap() -> None:
    axis = Axis("DeltaE", np.array([0.0, 2.0, 4.0]), unit="meV")
    measured = Histogram.from_arrays([1.0, 4.0], [axis], [2.0, 2.0])
    middle = measured.rebin({"DeltaE": (1.5, 2.0, 3.5)})
    np.testing.assert_allclose(middle.intensity, [(0.5 * 1 + 1.5 * 4) / 2])
    cut = measured.cut({"DeltaE": (1.0, 4.0)}, keep=True)
    np.testing.assert_allclose(cut.axes[0].edges, [1.0, 2.0, 4.0])
    np.testing.assert_allclose(cut.intensity, [1.0, 4.0])
    np.testing.assert_allclose(cut.variance, [4.0, 2.0])  # half of the counts


def test_edges_in_single_precision_are_the_same_edges() -> None:
    axis = Axis("DeltaE", (0.1 * np.arange(101)).astype(np.float32).astype(np.float64), unit="meV")
    measured = Histogram.from_arrays(np.arange(100.0), [axis])
    np.testing.assert_allclose(measured.rebin({"DeltaE": 0.1}).intensity, np.arange(100.0))
    np.testing.assert_allclose(
        measured.rebin({"DeltaE": 0.5}).intensity, np.arange(100.0).reshape(20, 5).mean(axis=1)
    )


def test_what_was_integrated_is_told_as_readers_do() -> None:
    volume = random(3, H, K, E)
    line = volume.cut({"k": (0.5, 1.0)}).integrate("energy")
    assert line.shape == (12,)
    assert line.metadata["incident_energy"] == 50.0
    for kind, limits in (("k", [0.5, 1.0]), ("energy", [0.0, 30.0])):
        axis = integrated_axis(line, kind)
        assert axis is not None
        np.testing.assert_allclose(axis.edges, limits)
    np.testing.assert_allclose(line.intensity, volume.intensity[:, 2:4].mean(axis=(1, 2)))
    assert [step["command"] for step in line.metadata["history"]] == ["cut", "cut"]


def test_an_axis_in_another_unit_is_not_told_in_that_of_the_model() -> None:
    axis = Axis("[0,K,0]", K.edges, unit="A^-1", frame="QSample")
    assert integrated_axis(random(3, H, axis).integrate("k"), "k") is None


@pytest.mark.parametrize("ending", ["nxs", "npz", "d2d"])
def test_results_are_written_after_data_from_a_file(tmp_path: Path, ending: str) -> None:
    save(random(4, H, K, E, gaps=0.1), tmp_path / "in.nxs")
    measured = load(tmp_path / "in.nxs")
    for result in (measured.cut({"k": (0, 1)}), measured.transpose().integrate("k").transpose()):
        save(result, tmp_path / f"out.{ending}", overwrite=True)
        again = load(tmp_path / f"out.{ending}")
        np.testing.assert_array_equal(again.mask, result.mask)
        np.testing.assert_allclose(again.intensity, result.intensity, rtol=1e-6)
    save(measured - 1, tmp_path / "out.nxs", overwrite=True)
    np.testing.assert_allclose(load(tmp_path / "out.nxs").intensity, measured.intensity - 1)


def test_horace_files_tell_over_what_data_were_integrated(tmp_path: Path) -> None:
    line = random(3, H, K, E).cut({"k": (0.5, 1.0), "energy": (10, 20)})
    save(line, tmp_path / "line.d1d")
    again = load(tmp_path / "line.d1d")
    for kind, limits in (("k", [0.5, 1.0]), ("energy", [10.0, 20.0])):
        axis = integrated_axis(again, kind)
        assert axis is not None
        np.testing.assert_allclose(axis.edges, limits)
    assert integrated_axis(again, "l") is None


def test_sample_and_logs_of_a_mantid_file_stay(tmp_path: Path) -> None:
    measured = random(4, H, K, E).replace(metadata={})
    log = NexusTree({}, {"value": array_value(np.array([50.0]))})
    experiment = NexusTree({}, {"logs": NexusTree({}, {"Ei": log, "again": Link("soft", "/gone")})})
    entry = build_tree(measured).get("MDHistoWorkspace")
    assert isinstance(entry, NexusTree)
    tree = NexusTree({}, {"MDHistoWorkspace": entry.with_children({"experiment0": experiment})})
    measured = dataclasses.replace(measured, nexus=tree)
    for result in (measured.rebin({"energy": 3}), measured.integrate("k").transpose()):
        save(result, tmp_path / "out.nxs", overwrite=True)
        again = load(tmp_path / "out.nxs")
        assert again.metadata["incident_energy"] == 50.0
        np.testing.assert_allclose(again.intensity, result.intensity)
        save(again + 1, tmp_path / "more.nxs", overwrite=True)
        assert load(tmp_path / "more.nxs").metadata["incident_energy"] == 50.0


def test_transposed_twice_is_the_identity() -> None:
    measured = random(5, H, K, E, gaps=0.2)
    turned = measured.transpose()
    assert turned.shape == (31 - 1, 8, 12)
    np.testing.assert_array_equal(turned.intensity, measured.intensity.T)
    back = turned.transpose()
    for name in ("intensity", "variance", "mask"):
        np.testing.assert_array_equal(getattr(back, name), getattr(measured, name))
    assert [axis.name for axis in back.axes] == [axis.name for axis in measured.axes]
    assert measured.transpose("energy", "h", "[0,K,0]").shape == (30, 12, 8)


def test_arithmetic_with_numbers() -> None:
    measured = random(6, E, gaps=0.2)
    for result, intensity, variance in (
        (measured + 1, measured.intensity + 1, measured.variance),
        (2 - measured, 2 - measured.intensity, measured.variance),
        (np.float64(3) * measured, 3 * measured.intensity, 9 * measured.variance),
        (measured / 2, measured.intensity / 2, measured.variance / 4),
    ):
        np.testing.assert_allclose(result.intensity, intensity)
        np.testing.assert_allclose(result.variance, variance)
        np.testing.assert_array_equal(result.mask, measured.mask)
    np.testing.assert_allclose((1 / measured * measured).intensity[~measured.mask], 1.0)
    assert (measured * 2).metadata["history"][-1]["command"] == "multiply"


def test_errors_of_products_are_those_of_many_draws() -> None:
    rng = np.random.default_rng(7)
    left, right = rng.normal(10, 0.2, 200_000), rng.normal(4, 0.1, 200_000)
    axis = Axis("DeltaE", np.array([0.0, 1.0]), unit="meV")
    ours = Histogram.from_arrays([10.0], [axis], [0.04]), Histogram.from_arrays([4.0], [axis], [0.01])
    assert (ours[0] * ours[1]).variance[0] == pytest.approx(np.var(left * right), rel=0.02)
    assert (ours[0] / ours[1]).variance[0] == pytest.approx(np.var(left / right), rel=0.02)
    assert (ours[0] - ours[1]).variance[0] == pytest.approx(np.var(left - right), rel=0.02)
    assert (ours[0] + ours[1]).intensity[0] == 14.0


def test_masks_join_and_a_division_by_0_is_masked() -> None:
    left, right = random(8, E, gaps=0.2), random(9, E, gaps=0.2)
    np.testing.assert_array_equal((left - right).mask, left.mask | right.mask)
    zero = Histogram.from_arrays(np.where(np.arange(30) == 3, 0.0, 2.0), [E])
    full = Histogram.from_arrays(np.ones(30), [E])
    np.testing.assert_array_equal((full / zero).mask, np.arange(30) == 3)


def test_metadata_that_differ_are_left_out() -> None:
    left, right = random(8, E), random(9, E)
    assert (left + right).metadata["incident_energy"] == 50.0
    other = right.replace(metadata={"incident_energy": 60.0})
    assert "incident_energy" not in (left + other).metadata


VOLUME = random(10, H, E)


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda h: h.rebin({"energy": 0.5}), "finer"),
        (lambda h: h.rebin({"energy": 0}), "no bins"),
        (lambda h: h.rebin({"energy": np.nan}), "no bins"),
        (lambda h: h.rebin({"energy": (10, 2, 5)}), "no bins"),
        (lambda h: h.rebin({"energy": (40, 2, 50)}), "no bin from 40 to 50"),
        (lambda h: h.rebin({"energy": (0, 1, 1e9)}), "bins"),
        (lambda h: h.rebin({"energy": (1, 2)}), "LOW,WIDTH,HIGH"),
        (lambda h: h.rebin({"energy": "x"}), "LOW,WIDTH,HIGH"),
        (lambda h: h.rebin({"k": 2}), "DeltaE"),
        (lambda h: h.rebin({"energy": 2, "DeltaE": 3}), "twice"),
        (lambda h: h.rebin({}), "at least one axis"),
        (lambda h: h.rebin({"energy": 2}, minimum_measured=0), "share"),
        (lambda h: h.cut({"energy": (5, 2)}), "no range"),
        (lambda h: h.cut({"energy": (np.nan, 2)}), "no range"),
        (lambda h: h.cut({"energy": (50, 60)}), "goes from 0 to 30 meV"),
        (lambda h: h.cut({"energy": 5}), "LOW,HIGH"),
        (lambda h: h.integrate("energy", "h"), "No axis would be left"),
        (lambda h: h.transpose("energy"), "every axis once"),
        (lambda h: h / 0, "no finite values"),
        (lambda h: h * np.inf, "no finite values"),
        (lambda h: h + 10**400, "no finite values"),
        (lambda h: h.integrate("h", minimum_measured="half"), "share"),
        (lambda h: h - h.rebin({"energy": 2}), "same bins"),
        (lambda h: h - h.transpose(), "same bins"),
        (lambda h: h - h.integrate("h"), "same bins"),
    ],
)
def test_errors_say_what_and_the_fix(act: Any, text: str) -> None:
    with pytest.raises(Exp2SimError, match=text) as caught:
        act(VOLUME)
    assert caught.value.fix


def test_a_mosaic_is_refused_but_has_arithmetic() -> None:
    mosaic = mosaic_histogram(np.ones((240, 400)))
    for act in (lambda: mosaic.rebin({"row": 2}), mosaic.transpose, lambda: mosaic.integrate("row")):
        with pytest.raises(Exp2SimError, match="split"):
            act()
    assert ((mosaic - 1).intensity == 0).all()


def test_sums_that_are_too_large_are_masked() -> None:
    large = Histogram.from_arrays(np.where(np.arange(30) < 2, 1.7e308, 1.0), [E])
    assert large.rebin({"energy": 2}).mask.tolist() == [True] + 14 * [False]
    assert (large * 2).mask.tolist() == 2 * [True] + 28 * [False]


def test_other_objects_are_no_operands() -> None:
    with pytest.raises(TypeError):
        VOLUME + np.ones(VOLUME.shape)
    with pytest.raises(TypeError):
        VOLUME * "2"
