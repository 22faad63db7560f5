from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim import Axis, Exp2SimError, Histogram
from mantid_exp2sim.mosaic import SHAPE, mosaic_histogram, split
from mantid_exp2sim.plotting import compare, plot
from mantid_exp2sim.plotting.cuts import MAX_SLICES

H = Axis("[H,0,0]", np.linspace(-1, 1, 6), unit="r.l.u.", frame="HKL")
K = Axis("[0,K,0]", np.linspace(-1, 1, 5), unit="r.l.u.", frame="HKL")
L = Axis("[0,0,L]", np.array([-10.0, 10.0]), unit="r.l.u.", frame="HKL")
E = Axis("DeltaE", np.linspace(0, 10, 21), unit="meV", frame="General Frame")


def histogram(*axes: Axis) -> Histogram:
    rng = np.random.default_rng(0)
    shape = tuple(axis.size for axis in axes)
    mask = rng.random(shape) < 0.1
    return Histogram(rng.normal(size=shape), rng.random(shape), mask, axes)


def mosaic() -> Histogram:
    rng = np.random.default_rng(0)
    return mosaic_histogram(rng.random(SHAPE), mask=rng.random(SHAPE) < 0.2)


def texts(figure: Any) -> str:
    return " ".join(
        [axes.get_xlabel() + axes.get_ylabel() + axes.get_title() for axes in figure.axes]
        + [text.get_text() for text in figure.texts]
        + ([figure.get_suptitle()] if figure.get_suptitle() else [])
    )


@pytest.mark.parametrize(
    "axes",
    [(E,), (H, E), (E, H), (H, K), (H, K, E), (E, H, K), (H, K, L), (H, K, L, E), (H, K, E, K, E), (L,)],
)
def test_any_number_of_axes(tmp_path: Path, axes: tuple[Axis, ...]) -> None:
    figure = plot(histogram(*axes), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    shown = texts(figure)
    assert "Intensity" in shown
    if axes == (H, K, L, E):
        assert "[0,0,L] -10 to 10 r.l.u." in shown
        assert f"({MAX_SLICES} of {E.size} bins)" in shown


def test_energy_goes_up_and_values_are_where_they_belong() -> None:
    for axes in ((H, E), (E, H)):
        h = histogram(*axes)
        mesh = plot(h).axes[0].collections[0]
        expected = h.intensity.T if axes[0] is H else h.intensity
        values = mesh.get_array()
        assert values is not None
        drawn = np.ma.filled(values, np.nan)
        np.testing.assert_array_equal(drawn, expected)


def test_mosaic_as_it_is_published() -> None:
    h = mosaic()
    figure = plot(h, title="Title")
    values = figure.axes[0].images[0].get_array()
    assert values is not None
    drawn = np.ma.filled(values, np.nan)
    np.testing.assert_array_equal(drawn, h.intensity)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["25 meV", "35 meV", "50 meV", "70 meV", "100 meV", "140 meV"]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_compare_uses_one_scale(tmp_path: Path, count: int) -> None:
    for h in (mosaic(), split(mosaic())[0], histogram(H, E), histogram(E)):
        together = {f"number {i}": h.replace(intensity=(i + 1) * h.intensity) for i in range(count)}
        figure = compare(together, tmp_path / "a.png", title="All")
        images = [image for axes in figure.axes for image in [*axes.images, *axes.collections]]
        scales = {image.get_clim() for image in images if image.get_array() is not None and h.ndim > 1}
        assert len(scales) == (h.ndim > 1)
        assert figure.get_suptitle() == "All"


def test_different_kinds_are_refused() -> None:
    with pytest.raises(Exp2SimError, match="together"):
        compare({"a": mosaic(), "b": histogram(E)})
    with pytest.raises(Exp2SimError, match="together"):
        compare({})


def test_axes_of_other_kinds_or_units_are_refused() -> None:
    inverse = Axis("[H,0,0]", H.edges, unit="A^-1", frame="HKL")
    for one, other in (((H,), (E,)), ((H,), (inverse,)), ((H, E), (K, E)), ((H, K, E), (H, K, L))):
        with pytest.raises(Exp2SimError, match=r"different kinds.*alone"):
            compare({"a": histogram(*one), "b": histogram(*other)})
    mantid = Axis("[H,0,0]", H.edges, unit="in 1.162 A^-1", frame="HKL")
    compare({"a": histogram(H), "b": histogram(mantid)})


@pytest.mark.parametrize("vmax", [float("nan"), float("inf"), 0.0, -5.0])
def test_an_impossible_scale_is_refused(vmax: float) -> None:
    with pytest.raises(Exp2SimError, match="positive number"):
        plot(histogram(H, E), vmax=vmax)


def test_nothing_to_draw() -> None:
    h = histogram(H, E)
    with pytest.raises(Exp2SimError, match="masked"):
        plot(h.replace(mask=np.ones(h.shape)))


def test_constant_data_and_unknown_ending(tmp_path: Path) -> None:
    h = histogram(H, E)
    plot(h.replace(intensity=np.zeros(h.shape)), tmp_path / "a.png")
    with pytest.raises(Exp2SimError, match="png"):
        plot(h, tmp_path / "a.nonsense")
