from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from mantid_exp2sim import Exp2SimError, load
from mantid_exp2sim.io import spinw
from mantid_exp2sim.io.grids import find_grid
from mantid_exp2sim.io.matlab import read_variables
from mantid_exp2sim.io.matlab.values import Cell, Opaque
from tests.fuzz import fuzz_readers as fuzz

WRITERS = {
    "v5": fuzz.matlab5,
    "v5 packed": lambda content: fuzz.matlab5(content, compressed=True),
    "v7.3": fuzz.matlab73,
}


def same(ours: Any, scipys: Any, where: str = "") -> None:
    """Compare with what scipy reads from the same file."""
    if isinstance(ours, dict):
        record = scipys.reshape(-1)[0]
        assert list(ours) == list(scipys.dtype.names), where
        for name, value in ours.items():
            same(value, record[name], f"{where}.{name}")
    elif isinstance(ours, Cell):
        assert ours.shape == scipys.shape, where
        if scipys.dtype.names:
            return
        for i, value in enumerate(scipys.ravel(order="F")):
            same(ours.items[i], value, f"{where}{{{i}}}")
    elif isinstance(ours, str):
        assert ours == "".join(scipys), where
    else:
        np.testing.assert_array_equal(ours, scipys, err_msg=where)


def test_spinws_own_reference(reference_data: Path) -> None:
    source = reference_data / "pcsmo" / "spinw_goodenough_reference.mat"
    expected = scipy.io.loadmat(source)
    h = load(source)
    np.testing.assert_array_equal(h.intensity, expected["data"][0, 0]["spec"][0, 2].T)
    assert h.shape == (50, 199)
    assert not h.mask.any()
    np.testing.assert_array_equal(h.variance, 0)
    # this file has neither energies nor hkl: nothing is made up for them
    assert [axis.name for axis in h.axes] == ["point", "energy bin"]
    assert [h.find_axis(kind) for kind in ("h", "energy")] == [None, None]
    variables = read_variables(source, is_hdf5=False)
    for name, value in variables.items():
        same(value, expected[name], name)


@pytest.mark.parametrize("kind", WRITERS)
def test_result_of_sw_egrid(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.mat").write_bytes(
        WRITERS[kind]({"spec": fuzz.binned()}) if "5" in kind else fuzz.matlab73(fuzz.binned())
    )
    h = load(tmp_path / "a.mat")
    assert [axis.name for axis in h.axes] == ["[H,0,0]", "[0,K,0]", "DeltaE"]
    assert [h.find_axis(name) for name in ("h", "k", "energy")] == [0, 1, 2]
    np.testing.assert_allclose(h.axes[0].edges, [-0.25, 0.25, 0.75, 1.25])
    np.testing.assert_allclose(h.axes[1].edges, [-0.25, 0.25, 0.75])
    np.testing.assert_array_equal(h.axes[2].edges, np.arange(5.0))
    values = fuzz.binned()["swConv"]
    for q in range(6):
        np.testing.assert_array_equal(h.intensity[q % 3, q // 3], values[:, q])
    assert h.metadata["component"] == "Sperp"


@pytest.mark.parametrize("kind", WRITERS)
def test_result_of_spinwave_with_twins(tmp_path: Path, kind: str) -> None:
    content = fuzz.spectrum()
    (tmp_path / "a.mat").write_bytes(WRITERS[kind](content))
    h = load(tmp_path / "a.mat")
    assert h.shape == (3, 2, 500)
    np.testing.assert_allclose(h.axes[2].edges, np.linspace(0, 1.1 * 2.5, 501))
    assert h.metadata["twins"] == [0.5, 0.5]
    # S = 1 in each of nine components: 3 - |sum of the direction|^2 in each of two modes, 1.5 for the twins
    momenta = content["hkl"].copy()
    momenta[:, 0] = momenta[:, 1]
    units = momenta / np.linalg.norm(momenta, axis=0)
    expected = 2 * 1.5 * (3 - units.sum(axis=0) ** 2)
    sums = (h.intensity * h.axes[2].widths).sum(axis=2)
    np.testing.assert_allclose(sums.ravel(order="F"), expected)
    modes = content["omega"][0, 0][:, 4]
    found = h.axes[2].centres[np.flatnonzero(h.intensity[1, 1])]
    assert np.max(np.abs(found - np.sort(modes))) <= h.axes[2].widths[0] / 2 * (1 + 1e-9)


def test_twins_by_volume(tmp_path: Path) -> None:
    content = {**fuzz.spectrum(), "obj": {"twin": {"vol": np.array([[1.0, 3.0]])}}}
    (tmp_path / "a.mat").write_bytes(fuzz.matlab5({"spec": content}))
    h = load(tmp_path / "a.mat")
    assert h.metadata["twins"] == [0.25, 0.75]
    assert h.shape == (3, 2, 500)
    equal = spinw.from_variables({"s": _plain(content)})
    np.testing.assert_allclose(h.intensity.sum(axis=2), equal.intensity.sum(axis=2) * 1.75 / 1.5)


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    """The cells of a file as the readers give them."""
    return {
        key: Cell(value.shape, tuple(value.ravel(order="F")))
        if np.asarray(value).dtype.kind == "O"
        else value
        for key, value in content.items()
        if key != "obj"
    }


def test_sperp_is_taken_where_it_is(tmp_path: Path) -> None:
    content = {"hkl": np.array([[0.0, 1], [0, 0], [0, 0]]), "omega": np.array([[1.0, 2], [np.nan, 3]])}
    content["Sperp"] = np.array([[5.0, 6], [7, 8]])
    (tmp_path / "a.mat").write_bytes(fuzz.matlab5(content))
    h = load(tmp_path / "a.mat")
    assert h.mask[0].all()  # a mode without a number: nothing is known at this point
    assert (h.intensity[1] * h.axes[1].widths).sum() == pytest.approx(14)


def test_twins_and_components_of_sw_egrid() -> None:
    conv = Cell((2, 2), tuple(np.full((3, 2), value) for value in (1.0, 10.0, 3.0, 30.0)))
    omega = Cell((1, 2), (np.ones((1, 2)), np.ones((1, 2))))
    content = {
        "hkl": np.array([[0.0, 1], [0, 0], [0, 0]]),
        "Evect": np.arange(4.0),
        "swConv": conv,
        "omega": omega,
    }
    # (components, twins): the first component is 1 and 3
    assert spinw.from_variables({"s": content}).intensity[0, 0] == pytest.approx(2)
    content["swConv"] = Cell((1, 2), (np.full((3, 2), 1.0), np.full((3, 2), 4.0)))
    assert spinw.from_variables({"s": content}).intensity[0, 0] == pytest.approx(2.5)
    content["swConv"] = Cell((2, 1), (np.full((3, 2), 1.0), np.full((3, 2), 4.0)))  # the twins are summed
    assert spinw.from_variables({"s": content}).intensity[0, 0] == pytest.approx(1)


def test_centres_as_evect_and_powder() -> None:
    content = {"swConv": np.ones((3, 2)), "Evect": np.array([1.0, 2.0, 3.0]), "hklA": np.array([[2.0, 1.0]])}
    content["swConv"][:, 0] = 7
    h = spinw.from_variables(content)
    np.testing.assert_array_equal(h.axes[1].edges, [0.5, 1.5, 2.5, 3.5])
    assert h.find_axis("modQ") == 0
    np.testing.assert_array_equal(h.intensity[:, 0], [1, 7])


@given(seed=st.integers(0, 2**32), shuffled=st.booleans())
def test_product_grids_along_h_k_l(seed: Any, shuffled: Any) -> None:
    rng = np.random.default_rng(seed)
    values = [np.cumsum(rng.random(rng.integers(1, 5)) + 0.05) - 1 for _ in range(3)]
    points = np.stack([a.ravel(order="F") for a in np.meshgrid(*values, indexing="ij")], axis=1)
    if shuffled:
        points = rng.permutation(points)
    grid = find_grid(points)
    assert grid is not None
    sizes = [len(v) for v in values]
    assert [axis.size for axis in grid.axes] == [n for n in sizes if n > 1]
    places = np.stack(np.unravel_index(grid.places, sizes), axis=1)
    np.testing.assert_allclose([[v[i] for v, i in zip(values, row, strict=True)] for row in places], points)


@given(seed=st.integers(0, 2**32))
def test_product_grids_along_other_directions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = (
        np.linspace(low, high, int(rng.integers(2, 6))) for low, high in np.sort(rng.random((2, 2))) * 4 - 2
    )
    if rng.random() < 0.5:
        first = first[::-1]
    a, b = (x.ravel(order="F") for x in np.meshgrid(first, second, indexing="ij"))
    points = np.outer(a, [1, 1, 0]) + np.outer(b, [0, 0, 1]) + [0, 0.25, 0]
    grid = find_grid(points)
    assert grid is not None
    assert [axis.name for axis in grid.axes] == ["[H,H,0]", "[0,0,L]"]
    assert grid.offset == pytest.approx((0, 0.25, 0))
    i, j = np.unravel_index(grid.places, (len(first), len(second)))
    np.testing.assert_allclose(np.sort(first)[i], a)
    np.testing.assert_allclose(second[j], b)
    centres = grid.axes[0].edges[:-1] + grid.axes[0].widths / 2
    np.testing.assert_allclose(centres, np.sort(first), atol=1e-9)


def test_path_that_is_no_grid(tmp_path: Path) -> None:
    points = np.array([[0.0, 0, 0], [0.5, 0, 0], [1, 0, 0], [1, 0.5, 0], [1, 1, 0]])
    content = {"hkl": points.T, "swConv": np.ones((2, 5)), "Evect": np.arange(3.0)}
    (tmp_path / "a.mat").write_bytes(fuzz.matlab5(content))
    h = load(tmp_path / "a.mat")
    assert [axis.name for axis in h.axes] == ["path", "DeltaE"]
    assert h.metadata["points"] == points.tolist()


def test_horace_image_as_numbers(tmp_path: Path) -> None:
    edges = np.empty((1, 2), dtype=object)
    edges[0, 0], edges[0, 1] = np.arange(4.0)[:, None], np.arange(3.0)[:, None]
    s = np.arange(6.0).reshape(3, 2)
    content = {"s": s, "e": s + 1, "npix": (s > 0) * 3.0, "p": edges, "iint": np.zeros((2, 2))}
    (tmp_path / "a.mat").write_bytes(fuzz.matlab5(content))
    h = load(tmp_path / "a.mat")
    np.testing.assert_array_equal(h.mask, s == 0)
    np.testing.assert_array_equal(h.intensity[~h.mask], s[s > 0])
    assert [axis.kind for axis in h.axes] == [None, None]
    more = {"pax": np.array([[2.0, 4.0]]), "u_to_rlu": np.eye(4)}
    (tmp_path / "a.mat").write_bytes(fuzz.matlab73({**content, **more}))
    h = load(tmp_path / "a.mat")
    assert [axis.kind for axis in h.axes] == ["k", "energy"]
    np.testing.assert_array_equal(h.variance[~h.mask], s[s > 0] + 1)
    moved = {**content, **more, "uoffset": np.array([[1.0, 2.0, 0.0, 5.0]])}
    (tmp_path / "a.mat").write_bytes(fuzz.matlab73(moved))
    h = load(tmp_path / "a.mat")
    np.testing.assert_array_equal(h.axes[0].edges, [2.0, 3.0, 4.0, 5.0])
    np.testing.assert_array_equal(h.axes[1].edges, [5.0, 6.0, 7.0])
    (tmp_path / "a.mat").write_bytes(fuzz.matlab73({**content, "uoffset": np.array([[1.0, 0.0, 0.0, 0.0]])}))
    with pytest.raises(Exp2SimError, match=r"count from \[1.0, 0.0, 0.0\] r.l.u."):
        load(tmp_path / "a.mat")


def test_objects_say_how_to_export_them(tmp_path: Path) -> None:
    body = (
        element(6, np.array([17, 0], "<u4").tobytes())
        + element(1, b"w")
        + element(1, b"MCOS")
        + element(1, b"d2d")
    )
    body += element(14, element(6, np.array([13, 0], "<u4").tobytes()))
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0".ljust(124) + b"\0\x01IM" + element(14, body))
    with pytest.raises(Exp2SimError, match=r"class d2d.*save\(w, 'cut.sqw'\).*struct\('s', w.s"):
        load(tmp_path / "a.mat")
    assert read_variables(tmp_path / "a.mat", is_hdf5=False) == {"w": Opaque("d2d")}


def element(kind: int, content: bytes) -> bytes:
    return np.array([kind, len(content)], "<u4").tobytes() + content + bytes(-len(content) % 8)


def test_obj_of_a_result_is_left_out(tmp_path: Path) -> None:
    import h5py

    (tmp_path / "a.mat").write_bytes(fuzz.matlab73(fuzz.binned()))
    with h5py.File(tmp_path / "a.mat", "a") as file:
        file["spec/obj"] = np.zeros((1, 6), dtype=np.uint32)
        file["spec/obj"].attrs["MATLAB_class"] = np.bytes_(b"spinw")
        file["spec/obj"].attrs["MATLAB_object_decode"] = np.int32(3)
    assert load(tmp_path / "a.mat").shape == (3, 2, 4)


@pytest.mark.parametrize("loop", [True, "group"])
def test_cycles_are_refused(tmp_path: Path, loop: bool | str) -> None:
    (tmp_path / "a.mat").write_bytes(fuzz.matlab73(fuzz.binned(), loop=loop))
    with pytest.raises(Exp2SimError, match="itself"):
        load(tmp_path / "a.mat")


def test_references_that_multiply_are_read_once(tmp_path: Path) -> None:
    import h5py

    (tmp_path / "a.mat").write_bytes(fuzz.matlab73(fuzz.binned()))
    with h5py.File(tmp_path / "a.mat", "a") as file:
        file["#refs#/leaf"] = np.ones((1, 1))
        below = file["#refs#/leaf"]
        for level in range(20):  # 2^20 paths to one leaf
            item = file["#refs#"].create_dataset(f"level{level}", (2, 1), dtype=h5py.ref_dtype)
            item.attrs["MATLAB_class"] = np.bytes_(b"cell")
            item[0, 0] = item[1, 0] = below.ref
            below = item
        file["spec/top"] = np.array([[below.ref]], dtype=h5py.ref_dtype)
        file["spec/top"].attrs["MATLAB_class"] = np.bytes_(b"cell")
    assert load(tmp_path / "a.mat").shape == (3, 2, 4)


def test_several_spectra_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(fuzz.matlab5({"a": fuzz.binned(), "b": fuzz.binned()}))
    with pytest.raises(Exp2SimError, match="2 spectra: a, b"):
        load(tmp_path / "a.mat")


def test_a_mask_is_no_spectrum(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(fuzz.matlab5({"nan_mask": np.ones((2, 2))}))
    with pytest.raises(Exp2SimError, match="nan_mask"):
        load(tmp_path / "a.mat")


def test_sizes_are_checked_before_they_are_believed(tmp_path: Path) -> None:
    flags, name = np.array([6, 0], "<u4").tobytes(), b"x"
    body = element(6, flags) + element(5, np.array([2**30, 2**30], "<i4").tobytes()) + element(1, name)
    body += element(9, bytes(16))
    cell = element(6, np.array([1, 0], "<u4").tobytes()) + element(
        5, np.array([2**31 - 1, 1], "<i4").tobytes()
    )
    for content in (body, cell + element(1, name)):
        (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0".ljust(124) + b"\0\x01IM" + element(14, content))
        with pytest.raises(Exp2SimError):
            load(tmp_path / "a.mat")


def test_bombs_are_refused(tmp_path: Path) -> None:
    import zlib

    packed = zlib.compress(bytes(2**29), 9)
    (tmp_path / "a.mat").write_bytes(
        b"MATLAB 5.0".ljust(124) + b"\0\x01IM" + np.array([15, len(packed)], "<u4").tobytes() + packed
    )
    with pytest.raises(Exp2SimError, match="memory"):
        load(tmp_path / "a.mat")
