from __future__ import annotations

import dataclasses
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mantid_exp2sim import Axis, Exp2SimError, Histogram, load, save
from mantid_exp2sim.io.horace.image import b_matrix, image_of, pack, unpack_header
from tests.fuzz import fuzz_readers as fuzz

BLOCK = {"sqw_2d_1.sqw": 985421, "test_sqw_file_read_write_v3_1.sqw": 3001}
"""Where the data block of an sqw file begins, found by hand."""


def image(content: bytes, start: int = 26) -> tuple[tuple[int, ...], list[np.ndarray], list[np.ndarray], int]:
    """Axes, s, e, npix of a data block, read anew with struct and numpy."""
    place = start
    for _ in range(3):
        place += 4 + struct.unpack_from("<i", content, place)[0]
    place += 4 * 30
    rows, width = struct.unpack_from("<2i", content, place)
    place += 8 + rows * width
    (count,) = struct.unpack_from("<i", content, place)
    place += 4 + 12 * (4 - count)
    plotted = struct.unpack_from(f"<{count}i", content, place)
    place += 4 * count
    edges = []
    for _ in range(count):
        (size,) = struct.unpack_from("<i", content, place)
        edges.append(np.frombuffer(content, "<f4", size, place + 4))
        place += 4 + 4 * size
    place += 4 * count
    shape = tuple(len(part) - 1 for part in edges)
    arrays = []
    for code in ("<f4", "<f4", "<i8"):
        array = np.frombuffer(content, code, int(np.prod(shape)), place)
        place += array.nbytes
        arrays.append(array.reshape(shape, order="F"))
    return plotted, edges, arrays, place


def check(h: Histogram, content: bytes, start: int = 26) -> int:
    _, edges, (s, e, npix), end = image(content, start)
    assert h.shape == s.shape
    for axis, expected in zip(h.axes, edges, strict=True):
        np.testing.assert_array_equal(axis.edges, expected.astype(float))
    np.testing.assert_array_equal(h.mask, npix == 0)
    np.testing.assert_array_equal(h.intensity[~h.mask], s[npix > 0].astype(float))
    np.testing.assert_array_equal(h.variance[~h.mask], e[npix > 0].astype(float))
    assert np.all(np.isnan(h.intensity[h.mask]))
    return end


@pytest.mark.parametrize(
    ("name", "shape", "kinds"),
    [("w1d_d1d", (81,), [None]), ("w2d_qe_d2d", (81, 72), [None, "energy"])],
)
def test_dnd_of_version_2_comes_back_byte_for_byte(
    reference_data: Path,
    tmp_path: Path,
    name: str,
    shape: tuple[int, int] | tuple[int],
    kinds: list[str | None] | list[None],
) -> None:
    source = reference_data / "horace" / f"{name}.sqw"
    content = source.read_bytes()
    h = load(source)
    assert check(h, content) == len(content)
    assert h.shape == shape
    assert [axis.kind for axis in h.axes] == kinds
    assert h.axes[0].name == "[H,H,0]"
    assert (h.axes[0].unit, h.axes[0].frame) == ("r.l.u.", "HKL")
    assert h.metadata["lattice"]["a"] == pytest.approx(3.84985)
    assert h.metadata["integrated"][0] == {"axis": "[-H,H,0]", "range": pytest.approx([-0.1, 0.1])}
    assert h.metadata["integrated"][1] == {"axis": "[0,0,L]", "range": [None, None]}
    assert "incident_energy" not in h.metadata
    save(h, tmp_path / "out.sqw")
    assert (tmp_path / "out.sqw").read_bytes() == content


@pytest.mark.parametrize(
    ("name", "energy", "names"),
    [
        ("sqw_2d_1.sqw", 34.96, ["[H,H,0]", "[0,0,L]"]),
        ("test_sqw_file_read_write_v3_1.sqw", 50.0, ["Q_\\zeta", "Q_\\xi", "Q_\\eta", "DeltaE"]),
    ],
)
def test_image_of_an_sqw_file(
    reference_data: Path, tmp_path: Path, name: str, energy: float, names: list[str]
) -> None:
    source = reference_data / "horace" / name
    content = source.read_bytes()
    h = load(source)
    end = check(h, content, BLOCK[name])
    assert end < len(content)  # the pixels are there and not read
    assert [axis.name for axis in h.axes] == names
    assert h.metadata["incident_energy"] == pytest.approx(energy)
    save(h, tmp_path / "out.sqw")
    # what is written is the very block of the sqw file
    head = struct.pack("<i6sdii", 6, b"horace", 2.0, 0, h.ndim)
    assert (tmp_path / "out.sqw").read_bytes() == head + content[BLOCK[name] : end]


def test_axes_in_inverse_angstrom_are_no_reciprocal_axes(reference_data: Path) -> None:
    h = load(reference_data / "horace" / "test_sqw_file_read_write_v3_1.sqw")
    assert [axis.unit for axis in h.axes] == ["A^-1"] * 3 + ["meV"]
    assert [h.find_axis(kind) for kind in ("h", "k", "l", "energy")] == [None, None, None, 3]


def test_version_4_holds_the_same_as_version_2(reference_data: Path, tmp_path: Path) -> None:
    new = load(reference_data / "horace" / "faccess_dnd_v4_sample.sqw")
    old = load(reference_data / "horace" / "sqw_2d_1.sqw")
    content = (reference_data / "horace" / "faccess_dnd_v4_sample.sqw").read_bytes()
    values = np.frombuffer(content, "<f8", 2 * 176, 1080 + 12).reshape(2, 11, 16).transpose(0, 2, 1)
    npix = np.frombuffer(content, "<u8", 176, 1080 + 12 + 16 * 176).reshape(11, 16).T
    np.testing.assert_array_equal(new.mask, npix == 0)
    np.testing.assert_array_equal(new.intensity[~new.mask], values[0][npix > 0])
    np.testing.assert_array_equal(new.variance[~new.mask], values[1][npix > 0])
    np.testing.assert_array_equal(new.mask, old.mask)
    np.testing.assert_allclose(new.intensity, old.intensity, rtol=1e-6)
    np.testing.assert_allclose(new.variance, old.variance, rtol=1e-6)
    for ours, theirs in zip(new.axes, old.axes, strict=True):
        assert (ours.name, ours.unit, ours.frame) == (theirs.name, theirs.unit, theirs.frame)
        np.testing.assert_allclose(ours.edges, theirs.edges, atol=1e-6)
    assert new.find_axis("l") == 1
    save(new, tmp_path / "out.d2d")
    assert np.array_equal(image((tmp_path / "out.d2d").read_bytes())[2][2], npix)


def test_deconvolved_result_keeps_projection_and_pixels(reference_data: Path, tmp_path: Path) -> None:
    source = reference_data / "horace" / "w2d_qe_d2d.sqw"
    h = load(source)
    save(h.replace(intensity=h.intensity * 2), tmp_path / "out.sqw")
    before, after = source.read_bytes(), (tmp_path / "out.sqw").read_bytes()
    start = len(before) - 16 * h.intensity.size
    assert before[:start] == after[:start]
    np.testing.assert_array_equal(image(after)[2][0], 2 * image(before)[2][0])
    np.testing.assert_array_equal(image(after)[2][2], image(before)[2][2])
    hidden = h.mask.copy()
    hidden[:3] = True
    save(h.replace(mask=hidden), tmp_path / "less.sqw")
    np.testing.assert_array_equal(load(tmp_path / "less.sqw").mask, hidden)


@given(seed=st.integers(0, 2**32), ndim=st.integers(1, 4))
def test_any_histogram_that_horace_can_hold_comes_back(
    tmp_path_factory: pytest.TempPathFactory, seed: Any, ndim: Any
) -> None:
    rng = np.random.default_rng(seed)
    known = [("[H,0,0]", "r.l.u.", "HKL"), ("[0,K,0]", "r.l.u.", "HKL"), ("[0,0,L]", "r.l.u.", "HKL")]
    known.append(("DeltaE", "meV", "General Frame"))
    chosen = [known[i] for i in rng.permutation(4)[:ndim]]
    shape = tuple(rng.integers(1, 5, ndim))
    edges = [np.cumsum(rng.random(n + 1) + 0.1).astype(np.float32).astype(float) for n in shape]
    axes = [Axis(name, e, unit=u, frame=f) for (name, u, f), e in zip(chosen, edges, strict=True)]
    values, errors = (rng.random(shape).astype(np.float32).astype(float) for _ in range(2))
    mask = rng.random(shape) < 0.3
    mask.flat[0] = False
    h = Histogram(values, errors, mask, tuple(axes), {"title": "t"})
    path = tmp_path_factory.mktemp("horace") / f"a.d{ndim}d"
    save(h, path)
    again = load(path)
    assert again.metadata["title"] == "t"
    order = [[axis.name for axis in h.axes].index(axis.name) for axis in again.axes]
    for name in ("intensity", "variance", "mask"):
        np.testing.assert_array_equal(getattr(again, name), getattr(h, name).transpose(order))
    for i, axis in zip(order, again.axes, strict=True):
        np.testing.assert_array_equal(axis.edges, h.axes[i].edges)
        assert (axis.unit, axis.frame) == (h.axes[i].unit, h.axes[i].frame)
    save(again, path.with_name("b.sqw"))
    assert path.with_name("b.sqw").read_bytes() == path.read_bytes()


def test_values_without_pixels_and_nan_survive(tmp_path: Path) -> None:
    content = bytearray(fuzz.saved(".d2d"))
    (s, e, npix), end = image(bytes(content))[2:]
    s, npix = s.copy(), npix.copy()
    s[0, 0], npix[1, 1], s[2, 2] = np.nan, 0, 7
    npix[2, 2] = 0
    start = end - 16 * s.size
    content[start:] = s.tobytes("F") + e.tobytes("F") + npix.tobytes("F")
    (tmp_path / "a.sqw").write_bytes(content)
    h = load(tmp_path / "a.sqw")
    assert h.mask[0, 0]
    assert h.mask[1, 1]
    save(h, tmp_path / "b.sqw")
    assert (tmp_path / "b.sqw").read_bytes() == bytes(content)


def test_modulus_of_q(tmp_path: Path) -> None:
    axes = [Axis("|Q|", np.array([0.5, 1.0, 1.5]), unit="A^-1"), fuzz.AXES[1]]
    h = Histogram.from_arrays(np.ones((2, 5)), axes)
    save(h, tmp_path / "a.sqw")
    again = load(tmp_path / "a.sqw")
    assert (again.find_axis("modQ"), again.find_axis("energy")) == (0, 1)
    np.testing.assert_array_equal(again.axes[0].edges, axes[0].edges)


def _with_offset(offset: list[float], **changes: Any) -> bytes:
    """A cut along [H,H,0] and the energy, counted from another place."""
    axes = [
        Axis("[H,H,0]", np.array([-0.5, 0.0, 0.5]), unit="r.l.u.", frame="HKL"),
        Axis("DeltaE", np.array([0.0, 1.0, 2.0, 3.0]), unit="meV"),
    ]
    made = image_of(Histogram.from_arrays(np.arange(6.0).reshape(2, 3), axes))
    ranges = ((2, -0.1, 0.1), (3, -0.2, 0.2))
    return pack(dataclasses.replace(made, offset=np.array(offset), integrated=ranges, **changes))


def test_edges_count_from_the_offset_of_the_projection(tmp_path: Path) -> None:
    (tmp_path / "a.d2d").write_bytes(_with_offset([2.0, 3.0, 0.5, 10.0]))
    h = load(tmp_path / "a.d2d")
    # (2, 3, 0.5) = 2 (1, 1, 0) + 1 (0, 1, 0) + 0.5 (0, 0, 1)
    np.testing.assert_allclose(h.axes[0].edges, [1.5, 2.0, 2.5])
    np.testing.assert_allclose(h.axes[1].edges, [10.0, 11.0, 12.0, 13.0])
    for found, low, high in zip(h.metadata["integrated"], (0.9, 0.3), (1.1, 0.7), strict=True):
        assert found["range"] == pytest.approx([low, high])
    save(h, tmp_path / "b.d2d")
    assert (tmp_path / "b.d2d").read_bytes() == (tmp_path / "a.d2d").read_bytes()
    for other in ("b.nxs", "b.npz"):
        save(h, tmp_path / other)
        np.testing.assert_allclose(load(tmp_path / other).axes[0].edges, [1.5, 2.0, 2.5])


def test_a_modulus_about_another_place_is_no_modulus_of_q(tmp_path: Path) -> None:
    labels = (b"|Q|", b"theta", b"phi", b"E")
    (tmp_path / "a.d2d").write_bytes(_with_offset([0.0] * 4, labels=labels))
    assert load(tmp_path / "a.d2d").axes[0].kind == "modQ"
    (tmp_path / "a.d2d").write_bytes(_with_offset([2.0, 0.0, 0.0, 0.0], labels=labels))
    axis = load(tmp_path / "a.d2d").axes[0]
    assert (axis.name, axis.kind) == ("|Q-(2,0,0)|", None)


def test_angles_are_no_directions_of_the_lattice(tmp_path: Path) -> None:
    labels = (b"|Q|", b"theta", b"phi", b"E")
    changes: dict[str, Any] = {"plotted": (2, 4), "integrated": ((1, 0.0, 1.0), (3, -180.0, 180.0))}
    content = _with_offset([0.0] * 4, labels=labels, projection=np.eye(4))
    made = unpack_header(content[26:])
    moved = dataclasses.replace(made, **changes, s=np.ones((2, 3)), e=np.ones((2, 3)), npix=np.ones((2, 3)))
    (tmp_path / "a.d2d").write_bytes(pack(moved))
    h = load(tmp_path / "a.d2d")
    assert (h.axes[0].name, h.axes[0].unit, h.axes[0].kind) == ("theta", "degree", None)
    assert [found["axis"] for found in h.metadata["integrated"]] == ["|Q|", "phi"]


@pytest.mark.parametrize("version", [2.0, 3.0, 3.1, 3.3])
def test_versions_of_sqw(tmp_path: Path, version: float) -> None:
    (tmp_path / "a.sqw").write_bytes(fuzz.sqw(version))
    h = load(tmp_path / "a.sqw")
    assert h.metadata["incident_energy"] == 50.0
    assert h.metadata["horace"]["version"] == version
    assert (h.find_axis("h"), h.find_axis("energy")) == (0, 1)
    np.testing.assert_array_equal(h.intensity, fuzz.histogram().intensity)


def test_version_4_of_any_dimension(tmp_path: Path) -> None:
    for shape in ((4,), (3, 2), (2, 3, 4), (2, 2, 2, 3)):
        signal = np.arange(np.prod(shape), dtype=float).reshape(shape)
        (tmp_path / "a.sqw").write_bytes(fuzz.sqw4(signal))
        h = load(tmp_path / "a.sqw")
        npix = np.arange(signal.size).reshape(shape) % 3
        np.testing.assert_array_equal(h.mask, npix == 0)
        np.testing.assert_array_equal(h.intensity[~h.mask], signal[npix > 0])
        np.testing.assert_array_equal(h.variance[~h.mask], signal[npix > 0] + 1)
        assert h.metadata["incident_energy"] == 50
        assert [axis.kind for axis in h.axes] == ["h", "k", "l", "energy"][: len(shape)]


def test_version_4_projection_without_lengths(tmp_path: Path) -> None:
    cell = {"alatt": np.array([3.0, 3.0, 5.0]), "angdeg": np.array([90.0, 90, 120])}
    projection = {**cell, "u": np.array([1.0, 1, 0]), "v": np.array([0.0, 0, 1]), "type": b"raa"}
    (tmp_path / "a.sqw").write_bytes(fuzz.sqw4(np.ones((2, 2)), projection, ulen=np.zeros((0, 0))))
    h = load(tmp_path / "a.sqw")
    assert [axis.name for axis in h.axes] == ["[H,H,0]", "y"]
    assert [axis.unit for axis in h.axes] == ["r.l.u.", "A^-1"]
    matrix = np.array(h.metadata["horace"]["projection"])[:3, :3]
    lengths = np.linalg.norm(b_matrix(cell["alatt"], cell["angdeg"]) @ matrix, axis=0)
    np.testing.assert_allclose(lengths[1:], 1)


def test_b_matrix_of_a_hexagonal_cell() -> None:
    b = b_matrix(np.array([3.0, 3.0, 5.0]), np.array([90.0, 90.0, 120.0]))
    assert np.linalg.norm(b[:, 0]) == pytest.approx(4 * np.pi / 3 / np.sqrt(3))
    assert b[:, 0] @ b[:, 1] / np.linalg.norm(b[:, 0]) ** 2 == pytest.approx(0.5)
    assert np.linalg.norm(b[:, 2]) == pytest.approx(2 * np.pi / 5)


@pytest.mark.parametrize(
    ("name", "axes", "says"),
    [
        ("a.d1d", fuzz.AXES, "1 dimensions"),
        ("a.sqw", (fuzz.AXES[0], Axis("time", np.arange(6.0))), "neither|nor"),
        (
            "a.sqw",
            (Axis("[H,0,0]", 1e9 + np.arange(4.0), unit="r.l.u.", frame="HKL"), fuzz.AXES[1]),
            "single",
        ),
    ],
)
def test_what_horace_has_no_place_for(tmp_path: Path, name: str, axes: tuple[Axis, Axis], says: str) -> None:
    h = Histogram.from_arrays(np.ones(tuple(axis.size for axis in axes)), list(axes))
    with pytest.raises(Exp2SimError, match=says):
        save(h, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("place", "code", "value", "says"),
    [
        (10, "<d", 1.0, "version"),
        (18, "<i", 7, "kind"),
        (22, "<i", 0, "single number"),
        (22, "<i", 3, "dimensions"),
        (26, "<i", -5, "length"),
        (26, "<i", 2**31 - 1, "length"),
    ],
)
def test_damaged_headers(tmp_path: Path, place: int, code: str, value: float, says: str) -> None:
    content = bytearray(fuzz.saved(".sqw"))
    struct.pack_into(code, content, place, value)
    (tmp_path / "a.sqw").write_bytes(content)
    with pytest.raises(Exp2SimError, match=says):
        load(tmp_path / "a.sqw")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    for content in (fuzz.saved(".sqw"), fuzz.sqw4(np.ones((2, 2)))):
        for size in range(len(content)):
            (tmp_path / "a.sqw").write_bytes(content[:size])
            with pytest.raises(Exp2SimError):
                load(tmp_path / "a.sqw")


def test_two_thousand_million_structs_of_nothing_take_nothing(tmp_path: Path) -> None:
    content = fuzz.sqw4(np.ones((2, 2)))
    runs = fuzz.serial({"array_dat": [{"efix": np.array([50.0]), "emode": np.array([1.0])}]})
    assert content.endswith(runs)
    nothing = struct.pack("<BBII", 24, 1, 2**31, 0).ljust(len(runs), b"\0")
    (tmp_path / "a.d2d").write_bytes(content.removesuffix(runs) + nothing)
    tracemalloc.start()
    h = load(tmp_path / "a.d2d")
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
    assert "incident_energy" not in h.metadata


def test_prototype_files_say_so(tmp_path: Path) -> None:
    (tmp_path / "a.d2d").write_bytes(b"\x05\x00\x00\x00hello" + bytes(100))
    with pytest.raises(Exp2SimError, match="prototype"):
        load(tmp_path / "a.d2d")
