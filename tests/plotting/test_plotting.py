from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from mantid_exp2sim import Axis, Exp2SimError, Histogram
from mantid_exp2sim.domain.check import DomainReport
from mantid_exp2sim.mosaic import SHAPE, mosaic_histogram, split
from mantid_exp2sim.plotting import compare, plot
from mantid_exp2sim.plotting.cuts import MAX_SLICES
from mantid_exp2sim.plotting.domain import draw_domain
from mantid_exp2sim.plotting.views import difference, errors_of, ratio, view

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


CELL = {"a": 3.0, "b": 3.0, "c": 5.0, "alpha": 90.0, "beta": 90.0, "gamma": 120.0}


def drawn_points(figure: Any) -> Any:
    """Corners (rows + 1, columns + 1, 2) of the bins of a map, in the picture's coordinates."""
    return figure.axes[0].collections[0].get_coordinates()


def test_a_hexagonal_map_has_its_own_angle_and_lengths() -> None:
    """In Å⁻¹ the (1, 0) and (0, 1) of a hexagonal lattice are equally far from 0, at 60°."""
    points = drawn_points(plot(histogram(H, K).replace(metadata={"lattice": CELL})))
    along_h, along_k = points[0, -1] - points[0, 0], points[-1, 0] - points[0, 0]
    assert np.linalg.norm(along_h) == pytest.approx(np.linalg.norm(along_k))
    cosine = along_h @ along_k / (np.linalg.norm(along_h) * np.linalg.norm(along_k))
    assert np.degrees(np.arccos(cosine)) == pytest.approx(60.0)


def test_lengths_of_an_orthorhombic_lattice_make_the_aspect() -> None:
    cell = {**CELL, "b": 6.0, "gamma": 90.0}
    figure = plot(histogram(H, K).replace(metadata={"lattice": cell}))
    assert figure.axes[0].get_aspect() == pytest.approx(0.5)
    assert plot(histogram(H, K)).axes[0].get_aspect() == 1.0


def test_labels_are_as_people_write_them() -> None:
    q = Axis("Q_\\xi", np.linspace(0, 1, 6), unit="A^-1", frame="QSample")
    assert plot(histogram(q)).axes[0].get_xlabel() == "Qξ (Å⁻¹)"
    axis = Axis("DeltaE", np.linspace(0, 1, 6), unit="DeltaE", frame="General Frame")
    assert plot(histogram(axis)).axes[0].get_xlabel() == "Energy transfer (meV)"


def test_a_cut_names_the_ranges_it_was_integrated_over() -> None:
    line = view(histogram(H, K, E), line="energy", ranges={"h": (-0.2, 0.2), "k": (-0.5, 1.388e-16)})
    title = plot(line).axes[0].get_title()
    assert "[H,0,0] -0.2 to 0.2 r.l.u." in title
    assert "[0,K,0] -0.5 to 0 r.l.u." in title


def test_difference_ratio_and_errors() -> None:
    axis = Axis("DeltaE", np.arange(3.0), unit="meV")
    one = Histogram.from_arrays([6.0, 2.0], [axis], [4.0, 0.0])
    other = Histogram.from_arrays([3.0, 0.0], [axis])
    np.testing.assert_array_equal(difference(one, other).intensity, [3.0, 2.0])
    np.testing.assert_array_equal(ratio(one, other).intensity, [2.0, np.nan])
    np.testing.assert_array_equal(errors_of(one).intensity, [2.0, np.nan])
    assert plot(ratio(one, other)).axes[0].get_ylabel() == "Ratio"
    assert plot(errors_of(one)).axes[0].get_ylabel().startswith("Error (1 σ)")
    with pytest.raises(Exp2SimError, match="no errors"):
        errors_of(other)


def test_a_difference_is_drawn_on_a_scale_about_0() -> None:
    h = histogram(H, K)
    low, high = plot(difference(h, 2 * h)).axes[0].collections[0].get_clim()
    assert low == -high


def test_scale_is_as_asked() -> None:
    h = histogram(H, E).replace(intensity=np.abs(histogram(H, E).intensity))
    mesh = plot(h, vmin=0.1, vmax=2.0, log=True).axes[0].collections[0]
    assert isinstance(mesh.norm, LogNorm)
    assert mesh.get_clim() == (0.1, 2.0)
    assert plot(histogram(E), log=True).axes[0].get_yscale() == "log"
    for vmin, vmax, log in ((3.0, 2.0, False), (-1.0, 2.0, True), (float("nan"), None, False)):
        with pytest.raises(Exp2SimError, match="scale"):
            plot(h, vmin=vmin, vmax=vmax, log=log)
    with pytest.raises(Exp2SimError, match="logarithmic"):
        plot(h.replace(intensity=-h.intensity), log=True)


def test_plot_into_axes_of_another_figure() -> None:
    figure = Figure(figsize=(9, 3))
    for axes, h in zip(figure.subplots(1, 3), (histogram(E), histogram(H, E), mosaic()), strict=True):
        assert plot(h, title="here", ax=axes) is figure
        assert "here" in axes.get_title() + axes.get_title(loc="left")
    with pytest.raises(Exp2SimError, match="one pair of axes"):
        plot(histogram(H, K, E), ax=figure.axes[0])


def test_strange_data_are_drawn_beyond_the_limit() -> None:
    inside = np.linspace(0, 3, 100)
    for score in (0.5, 6.0, 500.0):
        axes = draw_domain(DomainReport(0.1, 1.0, "trustworthy", score, 4.0), inside).axes[0]
        limit, data = (float(np.asarray(line.get_xdata())[0]) for line in axes.lines)
        assert (data > limit) == (score > 4.0)
        assert data <= axes.get_xlim()[1]
    words = [text.get_text() for text in axes.texts]
    assert words == ["limit 4", "these data 500 →"]
