from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from mantid_exp2sim import Axis, Exp2SimError, Histogram, load, save
from mantid_exp2sim.io.masks import coverage_picture
from mantid_exp2sim.mosaic import SHAPE, VOLUMES_SHAPE, is_mosaic, mosaic_histogram, volumes_from_picture


def picture(seed: int = 0) -> np.ndarray:
    """A picture whose gaps are stored as 0, as in the published arrays."""
    values = np.random.default_rng(seed).random(SHAPE) + 0.1
    values[coverage_picture()] = 0
    return values


def write(path: Path, array: np.ndarray) -> Path:
    np.save(path, array, allow_pickle=False)
    return path


@pytest.mark.parametrize("lead", [(), (1,), (1, 1)])
def test_mosaic_with_computed_coverage(
    tmp_path: Path, lead: tuple[()] | tuple[int, int] | tuple[int]
) -> None:
    h = load(write(tmp_path / "a.npy", picture().reshape(*lead, *SHAPE)))
    assert is_mosaic(h)
    np.testing.assert_array_equal(h.mask, coverage_picture())
    np.testing.assert_array_equal(h.intensity[~h.mask], picture()[~h.mask])
    assert h.metadata["mask_source"] == "computed coverage"


def test_the_measurement_and_its_mask(reference_data: Path) -> None:
    folder = reference_data / "pcsmo"
    data = np.load(folder / "measured_4K_clipped_120.npy", allow_pickle=False)
    stored = scipy.io.loadmat(folder / "nanmask.mat")["nan_mask"].astype(bool)
    h = load(folder / "measured_4K_clipped_120.npy", mask=folder / "nanmask.mat")
    np.testing.assert_array_equal(h.mask, np.flipud(stored))
    np.testing.assert_array_equal(h.intensity[~h.mask], data[~h.mask])
    assert "upside down" in h.metadata["mask_source"]
    again = load(folder / "measured_4K_clipped_120.npy", mask=np.flipud(stored))
    np.testing.assert_array_equal(again.mask, h.mask)
    computed = load(folder / "measured_4K_clipped_120.npy")
    assert np.mean(computed.mask == h.mask) > 0.92
    assert load(folder / "tobyfit_goodenough_best_fit.npy").shape == SHAPE


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("gaps", ["zero", "filled"])
def test_mask_is_laid_upright(tmp_path: Path, turned: bool, gaps: str) -> None:
    values = picture() if gaps == "zero" else np.ones(SHAPE)
    mask = coverage_picture()
    given_mask = mask[::-1] if turned else mask
    h = load(write(tmp_path / "a.npy", values), mask=write(tmp_path / "m.npy", given_mask))
    np.testing.assert_array_equal(h.mask, mask)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_a_mask_of_data_stays_where_it_is(tmp_path: Path, name: str) -> None:
    """One that hides what was measured is no mask that lies upside down."""
    values, mask = np.zeros(SHAPE), np.zeros(SHAPE, dtype=bool)
    values[:40] = 5.0
    mask[:40, :40] = True
    save(mosaic_histogram(values), tmp_path / name)
    h = load(tmp_path / name, mask=mask)
    assert h.mask[:40, :40].all()
    assert not h.mask[:40, 160:180].all()
    assert h.metadata["mask_source"] == "given"


def test_masks_of_other_shapes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npy", picture())
    mask = coverage_picture()
    for form in (mask.astype(float)[None], np.where(mask, np.nan, 0.0), volumes_from_picture(mask)):
        np.testing.assert_array_equal(load(path, mask=form).mask, mask)
    scipy.io.savemat(tmp_path / "m.mat", {"mask": mask.astype(np.uint8), "name": "text"})
    np.testing.assert_array_equal(load(path, mask=tmp_path / "m.mat").mask, mask)


@pytest.mark.parametrize("mask", [np.zeros((3, 3)), np.full(SHAPE, 2.0), np.array(["a"]), np.ones(SHAPE)])
def test_bad_masks(tmp_path: Path, mask: np.ndarray) -> None:
    path = write(tmp_path / "a.npy", picture())
    with pytest.raises(Exp2SimError):
        load(path, mask=mask)


def test_bad_mask_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npy", picture())
    (tmp_path / "text.mat").write_text("hello")
    (tmp_path / "short.mat").write_bytes(b"MATLAB 5.0 MAT-file" + b" " * 200)
    scipy.io.savemat(tmp_path / "two.mat", {"a": np.zeros(SHAPE), "b": np.zeros(SHAPE)})
    for name in ("none.npy", "text.mat", "short.mat", "two.mat"):
        with pytest.raises(Exp2SimError):
            load(path, mask=tmp_path / name)


def test_own_nan_gaps_come_back_as_they_are(tmp_path: Path) -> None:
    mask = np.roll(coverage_picture(), 3, axis=1)
    h = mosaic_histogram(picture(), mask=mask)
    save(h, tmp_path / "a.npy")
    again = load(tmp_path / "a.npy")
    np.testing.assert_array_equal(again.mask, mask)
    np.testing.assert_array_equal(again.intensity, h.intensity)


def test_one_nan_does_not_replace_the_coverage(tmp_path: Path) -> None:
    values = picture()
    values[120, 200] = np.nan
    h = load(write(tmp_path / "a.npy", values))
    assert h.mask[120, 200]
    assert h.mask.sum() >= coverage_picture().sum()


@pytest.mark.parametrize("shape", [(3, 2, *SHAPE), (2, *SHAPE), (6, *SHAPE), (2, 60, 60, 60)])
def test_several_spectra_need_an_index(tmp_path: Path, shape: tuple[int, ...] | tuple[int, int, int]) -> None:
    values = np.ones(shape, dtype=np.float32) * np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    path = write(tmp_path / "a.npy", values)
    with pytest.raises(Exp2SimError, match="index"):
        load(path)
    index = (1, 0) if len(shape) == 4 and shape[1:] != (60, 60, 60) else 1
    h = load(path, index=index)
    assert np.nanmax(h.intensity) == 1
    with pytest.raises(Exp2SimError, match=f"no entry.*go from 0 to {shape[0] - 1}"):
        load(path, index=99)
    with pytest.raises(Exp2SimError, match="no entry"):
        load(path, index=(0,) * len(shape))


@pytest.mark.parametrize("shape", [SHAPE, (1, *SHAPE), (60, 60, 60)])
def test_one_spectrum_needs_no_index(tmp_path: Path, shape: tuple[int, int, int] | tuple[int, int]) -> None:
    path = write(tmp_path / "a.npy", np.ones(shape))
    with pytest.raises(Exp2SimError, match="Leave the index out"):
        load(path, index=7)
    with pytest.raises(Exp2SimError, match="no entry"):
        load(path, index=(0, 0))


def test_volume_at_140_mev(tmp_path: Path) -> None:
    h = load(write(tmp_path / "a.npy", np.ones((60, 60, 60))))
    assert [h.find_axis(kind) for kind in ("h", "k", "energy")] == [0, 1, 2]
    assert h.metadata["incident_energy"] == 140
    np.testing.assert_allclose(h.axes[0].centres, np.linspace(-1, 1, 60))
    np.testing.assert_allclose(h.axes[2].edges[[0, -1]], [14, 98])
    assert 0.02 < h.mask.mean() < 0.6


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(5),
        np.zeros((240, 399)),
        np.zeros((400, 240)),
        np.zeros(()),
        np.zeros((0, 240, 400)),
        np.full(SHAPE, np.nan),
        np.ones(SHAPE, dtype=complex),
        np.full(SHAPE, "a"),
    ],
)
def test_bad_arrays(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(Exp2SimError):
        load(write(tmp_path / "a.npy", array))


def test_pickles_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(Exp2SimError, match="objects"):
        load(tmp_path / "a.npy")


def test_missing_empty_unknown(tmp_path: Path) -> None:
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "text.npy").write_text("hello world, this is text")
    (tmp_path / "w.sqw").write_bytes(b"\x06\0\0\0horace" + b"\0" * 20)
    for name in ("none.npy", "empty.npy", "text.npy", "w.sqw", "."):
        with pytest.raises(Exp2SimError):
            load(tmp_path / name)


def test_claims_of_size_are_checked(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**9)}
    )
    (tmp_path / "a.npy").write_bytes(stream.getvalue() + b"\0" * 64)
    with pytest.raises(Exp2SimError, match="incomplete"):
        load(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("about.npy", stream.getvalue())
    with pytest.raises(Exp2SimError, match="claims"):
        load(tmp_path / "a.npz")


def test_zip_bombs_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("about.npy", b"\0" * 2**28)
    with pytest.raises(Exp2SimError, match="unpacks"):
        load(tmp_path / "a.npz")


@given(seed=st.integers(0, 2**32), ndim=st.integers(1, 3))
def test_npz_keeps_everything(tmp_path_factory: pytest.TempPathFactory, seed: Any, ndim: Any) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 5, ndim))
    axes = tuple(
        Axis(f"a{i}", np.cumsum(rng.random(n + 1) + 0.1), "u", "HKL", "Label") for i, n in enumerate(shape)
    )
    mask = rng.random(shape) < 0.3
    mask.flat[0] = False
    h = Histogram(rng.normal(size=shape), rng.random(shape), mask, axes, {"x": [1, {"y": "z"}]})
    folder = tmp_path_factory.mktemp("npz")
    save(h, folder / "a.npz")
    save(h, folder / "b.npz")
    again = load(folder / "a.npz")
    assert (folder / "a.npz").read_bytes() == (folder / "b.npz").read_bytes()
    assert again.metadata == h.metadata
    for name in ("intensity", "variance", "mask"):
        np.testing.assert_array_equal(getattr(again, name), getattr(h, name))
    for ours, theirs in zip(again.axes, axes, strict=True):
        np.testing.assert_array_equal(ours.edges, theirs.edges)
        assert (ours.name, ours.unit, ours.frame, ours.label) == (
            theirs.name,
            theirs.unit,
            theirs.frame,
            theirs.label,
        )


def test_what_save_refuses(tmp_path: Path) -> None:
    mosaic = mosaic_histogram(picture())
    line = Histogram.from_arrays(np.ones(2), [Axis("x", np.arange(3.0))])
    for h, name in (
        (mosaic, "a.nxs"),
        (line, "a.npy"),
        (line, "a.txt"),
        (line, "a"),
        (line, "none/a.npz"),
    ):
        with pytest.raises(Exp2SimError):
            save(h, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_mask_on_other_formats(tmp_path: Path) -> None:
    line = Histogram.from_arrays(np.ones(2), [Axis("x", np.arange(3.0))])
    for name in ("a.npz", "a.nxs"):
        save(line, tmp_path / name)
        assert load(tmp_path / name, mask=[True, False]).mask.tolist() == [True, False]
        with pytest.raises(Exp2SimError, match="no measured bin"):
            load(tmp_path / name, mask=[True, True])
        with pytest.raises(Exp2SimError, match="index"):
            load(tmp_path / name, index=0)


@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_damaged_files_raise_only_our_error(tmp_path: Path, ending: str) -> None:
    if ending == ".npy":
        path = write(tmp_path / "a.npy", np.ones(VOLUMES_SHAPE)[0, 0])
    else:
        save(Histogram.from_arrays(np.ones(9), [Axis("x", np.arange(10.0))]), tmp_path / "a.npz")
        path = tmp_path / "a.npz"
    good = path.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(200):
        content = bytearray(good)
        for _ in range(int(rng.integers(1, 8))):
            content[int(rng.integers(min(len(content), 2000)))] = int(rng.integers(256))
        if rng.random() < 0.3:
            content = content[: int(rng.integers(len(content)))]
        path.write_bytes(content)
        with np.errstate(all="ignore"), contextlib.suppress(Exp2SimError):
            load(path)
