"""Histograms as objects of scipp and xarray and back, and what a notebook shows of them."""

from __future__ import annotations

import re
import subprocess
import sys
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.histogram.projection import projection_of

sc = pytest.importorskip("scipp")
xr = pytest.importorskip("xarray")

AXES = (
    Axis("[H,H,0]", np.array([-1.0, -0.25, 0.1, 2.0]), unit="r.l.u.", frame="HKL", label="along H"),
    Axis("[-K,K,0]", np.array([0.0, 0.5]), unit="r.l.u.", frame="HKL"),
    Axis("DeltaE", np.array([1.0, 1.1, 1.3, 1.7, 2.5]), unit="meV", frame="General Frame"),
)
METADATA = {
    "incident_energy": 70.0,
    "title": "a <b> & c",
    "lattice": {"a": 3.9},
    "history": [{"command": "rebin"}],
}
NUMBERS: Any = np.ones(3)
WAYS = ("scipp", "xarray")


def measurement() -> Histogram:
    rng = np.random.default_rng(3)
    values = rng.gamma(2.0, 5.0, (3, 1, 4))
    mask = rng.random(values.shape) < 0.3
    return Histogram(values, values + 0.5, mask, AXES, METADATA)


def there(histogram: Histogram, way: str) -> Any:
    return histogram.to_scipp() if way == "scipp" else histogram.to_xarray()


def back(data: Any, way: str) -> Histogram:
    return Histogram.from_scipp(data) if way == "scipp" else Histogram.from_xarray(data)


def assert_same(result: Histogram, original: Histogram) -> None:
    for name in ("intensity", "variance", "mask"):
        np.testing.assert_array_equal(getattr(result, name), getattr(original, name), strict=True)
    assert [axis.name for axis in result.axes] == [axis.name for axis in original.axes]
    for axis, before in zip(result.axes, original.axes, strict=True):
        np.testing.assert_array_equal(axis.edges, before.edges, strict=True)
        assert (axis.unit, axis.frame, axis.label) == (before.unit, before.frame, before.label)
    assert dict(result.metadata) == dict(original.metadata)
    assert projection_of(result.axes).names == projection_of(original.axes).names


@pytest.mark.parametrize("way", WAYS)
def test_a_round_trip_keeps_everything(way: str) -> None:
    assert_same(back(there(measurement(), way), way), measurement())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("order", [("DeltaE", "[H,H,0]", "[-K,K,0]"), ("[-K,K,0]", "DeltaE", "[H,H,0]")])
def test_axes_may_be_transposed_there(way: str, order: tuple[str, ...]) -> None:
    data = there(measurement(), way)
    result = back(data.transpose(*order, ...) if way == "xarray" else data.transpose(list(order)), way)
    np.testing.assert_array_equal(result.intensity, measurement().transpose(*order).intensity)
    np.testing.assert_array_equal(result.mask, measurement().transpose(*order).mask)


@pytest.mark.parametrize("way", WAYS)
def test_a_range_taken_there_is_the_same_as_a_cut_here(way: str) -> None:
    data = there(measurement(), way)
    part = data["DeltaE", 1:3] if way == "scipp" else data.isel(DeltaE=slice(1, 3))
    here = measurement().cut({"DeltaE": (1.1, 1.7)}, keep=True)
    result = back(part, way)
    np.testing.assert_array_equal(result.intensity, here.intensity)
    np.testing.assert_array_equal(result.axes[2].edges, [1.1, 1.3, 1.7])


@pytest.mark.parametrize("way", WAYS)
def test_an_axis_sliced_away_there_is_told(way: str) -> None:
    data = there(measurement(), way)
    result = back(data["DeltaE", 2] if way == "scipp" else data.isel(DeltaE=2), way)
    assert result.metadata["integrated"] == [{"axis": "DeltaE", "range": [1.3, 1.7]}]
    np.testing.assert_array_equal(result.intensity, measurement().intensity[:, :, 2])


def test_scipp_has_units_errors_and_masks() -> None:
    array = measurement().to_scipp()
    assert array.coords["DeltaE"].unit == sc.Unit("meV")
    assert array.coords.is_edges("DeltaE")
    total, here = sc.nansum(array), measurement()
    assert total.value == pytest.approx(np.nansum(here.intensity))
    assert total.variance == pytest.approx(np.nansum(here.variance))


def test_inverse_angstroms_are_no_amperes() -> None:
    powder = Histogram.from_arrays([1.0, 2.0], [Axis("|Q|", np.arange(3.0), unit="A^-1")])
    assert powder.to_scipp().coords["|Q|"].to(unit="1/nm").values.tolist() == [0.0, 10.0, 20.0]
    assert Histogram.from_scipp(powder.to_scipp()).axes[0].unit == "A^-1"
    assert powder.to_xarray()["|Q|"].attrs["units"] == "1/angstrom"


def test_an_axis_converted_in_scipp_has_its_new_unit() -> None:
    array = measurement().to_scipp()
    array.coords["DeltaE"] = array.coords["DeltaE"].to(unit="eV")
    axis = Histogram.from_scipp(array).axes[2]
    assert axis.unit == "eV"
    np.testing.assert_allclose(axis.edges, 1e-3 * AXES[2].edges)


def test_arithmetic_in_scipp_comes_back() -> None:
    here, array = measurement(), measurement().to_scipp()
    result = Histogram.from_scipp(array + array.copy())
    np.testing.assert_allclose(result.variance, (here + here).variance)
    np.testing.assert_array_equal(result.mask, here.mask)


def test_an_array_of_scipp_itself() -> None:
    """Two masks, one of them along one axis; centres in place of edges; no errors; float32."""
    values = sc.array(
        dims=["Q", "energy"], values=np.arange(6.0, dtype=np.float32).reshape(2, 3), unit="counts"
    )
    coords = {"Q": sc.array(dims=["Q"], values=[1.0, 2.0], unit="1/angstrom")}
    coords["energy"] = sc.array(dims=["energy"], values=[0.0, 2.0, 4.0, 8.0], unit="meV")
    masks = {
        "beam stop": sc.array(dims=["Q"], values=[True, False]),
        "spurion": sc.array(dims=["Q", "energy"], values=[[False] * 3, [False, True, False]]),
    }
    result = Histogram.from_scipp(sc.DataArray(values, coords=coords, masks=masks))
    assert result.mask.tolist() == [[True, True, True], [False, True, False]]
    assert result.intensity[1, 2] == 5.0
    assert result.variance[1, 2] == 0.0
    assert result.axes[0].edges.tolist() == [0.5, 1.5, 2.5]
    assert [axis.kind for axis in result.axes] == ["modQ", "energy"]
    assert result.metadata == {"intensity_unit": "counts"}


def test_an_array_of_xarray_itself() -> None:
    centres = {"h": [0.5, 1.5], "energy": [1.0, 2.0, 4.0]}
    array = xr.DataArray([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]], dims=["h", "energy"], coords=centres)
    array["energy"].attrs["units"] = "meV"
    result = Histogram.from_xarray(array)
    assert result.mask.tolist() == [[False, True, False], [False, False, False]]
    assert result.axes[0].edges.tolist() == [0.0, 1.0, 2.0]
    assert result.axes[1].edges.tolist() == [0.5, 1.5, 3.0, 5.0]
    assert result.axes[1].unit == "meV"


@pytest.mark.parametrize("way", WAYS)
def test_what_was_changed_there_leaves_the_histogram_as_it_was(way: str) -> None:
    original = measurement()
    data = there(original, way)
    (data if way == "scipp" else data["intensity"]).values[...] = 0.0
    np.testing.assert_array_equal(original.intensity, measurement().intensity)


def test_files_of_both_keep_everything(tmp_path: Path) -> None:
    """Scipp's own HDF5 files; xarray's dictionaries, which its writers take."""
    measurement().to_scipp().save_hdf5(tmp_path / "a.h5")
    assert_same(Histogram.from_scipp(sc.io.load_hdf5(tmp_path / "a.h5")), measurement())
    assert_same(
        Histogram.from_xarray(xr.Dataset.from_dict(measurement().to_xarray().to_dict())), measurement()
    )


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda: Histogram.from_scipp(sc.scalar(1.0)), "It takes a scipp.DataArray"),
        (lambda: Histogram.from_scipp(sc.DataArray(sc.arange("x", 3.0))), "The axis 'x' has no coordinate"),
        (lambda: Histogram.from_xarray(NUMBERS), "It takes an xarray Dataset or DataArray"),
        (lambda: Histogram.from_xarray(xr.DataArray(np.ones(3), dims="x")), "The axis 'x' has no coordinate"),
        (lambda: Histogram.from_xarray(xr.Dataset({"counts": 1.0})), "It has counts"),
        (lambda: Histogram.from_xarray(measurement().to_xarray().isel(DeltaE=[0, 2])), "are no neighbours"),
        (lambda: Histogram.from_xarray(xr.DataArray([1.0], dims="x", coords={"x": [0.0]})), "no bin edges"),
        (
            lambda: Histogram.from_arrays(np.ones((1, 1)), [AXES[1], AXES[1]]).to_scipp(),
            "Two axes have one name",
        ),
    ],
)
def test_errors_say_what_and_the_fix(act: Any, text: str) -> None:
    with pytest.raises(Exp2SimError, match=re.escape(text)) as caught:
        act()
    assert caught.value.fix


@pytest.mark.parametrize("library", WAYS)
def test_a_library_that_is_missing_is_named(library: str) -> None:
    code = f"""
import sys
sys.modules[{library!r}] = None
from mantid_exp2sim import Axis, Histogram
try:
    Histogram.from_arrays([1.0], [Axis("x", [0.0, 1.0])]).to_{library}()
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"Exp2SimError {library} is not installed. Install it with `pip install {library}`" in done.stdout


def test_one_line_says_what_it_is() -> None:
    text = repr(measurement())
    assert text.startswith(
        "Histogram(3 × 1 × 4 bins: [H,H,0] -1 to 2 r.l.u., [-K,K,0] 0 to 0.5 r.l.u., DeltaE 1 to"
    )
    assert f"{(~measurement().mask).sum()} measured, incident energy 70 meV)" in text
    assert len(text) < 200


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_notebook_shows_a_picture_and_escaped_words(axes: int) -> None:
    histogram = measurement()
    for name in ("[H,H,0]", "[-K,K,0]")[: 3 - axes]:
        histogram = histogram.integrate(name, minimum_measured=0.01)
    html = histogram._repr_html_()
    assert "<strong>a &lt;b&gt; &amp; c</strong>" in html
    assert "<b>" not in html
    encoded = re.search(r"base64,([\w+/=]+)", html)
    assert encoded is not None
    picture = matplotlib.image.imread(BytesIO(b64decode(encoded[1])))
    assert picture.shape == (280, 420, 4)
    assert len(np.unique(picture.reshape(-1, 4), axis=0)) > 20


def test_a_measurement_with_nothing_measured_has_a_picture() -> None:
    empty = Histogram.from_arrays(
        np.full((2, 3), np.nan),
        [Axis("x", np.arange(3.0)), Axis("y", np.arange(4.0))],
    )
    assert "0 measured" in empty._repr_html_()
