"""Files that users have, and that were read wrongly once: each test makes its own input of the same kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from mantid_exp2sim import Exp2SimError, Histogram, load
from mantid_exp2sim.histogram import Axis
from mantid_exp2sim.io.matlab.values import Cell
from mantid_exp2sim.io.spinw import from_variables
from tests.fuzz import fuzz_readers as fuzz

Array = npt.NDArray[np.float64]


def totals(h: Histogram) -> Array:
    """Integrate a density per meV over the energy, the last axis."""
    return np.asarray((h.intensity * h.axes[-1].widths).sum(axis=-1))


def grid() -> tuple[Array, Array]:
    """Points (3, 5, 4) and energies (2, 5, 4) of a square lattice, as ``sw_qgrid`` orders them."""
    h, k = np.meshgrid(np.linspace(0, 1, 5), np.linspace(0, 0.6, 4), indexing="ij")
    omega = 1 + 2 * (1 - np.cos(2 * np.pi * h) * np.cos(2 * np.pi * k))
    return np.stack([h, k, 0 * h]), np.stack([omega, -omega])


@pytest.mark.parametrize("centres", [False, True])
@pytest.mark.parametrize("bins", [40, 80])
def test_sums_of_sw_egrid_are_densities(bins: int, centres: bool) -> None:
    edges = np.linspace(0, 40, bins + 1)
    modes = np.linspace(2, 38, 36001)  # a continuum of strength 1 per meV
    sums = np.histogram(modes, edges, weights=np.full(modes.size, 36 / modes.size))[0]
    points = np.stack([np.linspace(-1, 1, 3), np.zeros(3), np.zeros(3)])
    vector = (edges[1:] + edges[:-1]) / 2 if centres else edges
    h = from_variables({"spec": {"hkl": points, "swConv": np.tile(sums, (3, 1)).T, "Evect": vector}})
    np.testing.assert_allclose(h.intensity[:, (edges[:-1] >= 2) & (edges[1:] <= 38)], 1, rtol=2e-3)
    np.testing.assert_allclose(totals(h), 36)


def test_density_in_bins_of_different_widths() -> None:
    content = {"hklA": np.array([[1.0, 2.0]]), "swConv": np.array([[1.0, 2], [4, 8]]), "Evect": [[0.0, 1, 5]]}
    h = from_variables({"spec": {**content, "Evect": np.array(content["Evect"])}})
    np.testing.assert_array_equal(h.intensity, [[1, 1], [2, 2]])


@pytest.mark.parametrize("twins", [1, 2])
def test_grid_of_sw_egrid(twins: int) -> None:
    hkl, omega = grid()
    binned = np.arange(8 * 5 * 4.0).reshape(8, 5, 4)
    parts: Any = binned if twins == 1 else Cell((1, 2), (binned, 3 * binned))
    modes: Any = omega if twins == 1 else Cell((1, 2), (omega, omega))
    spectrum = {"hkl": hkl, "omega": modes, "swConv": parts, "Evect": np.linspace(0, 8, 9)}
    h = from_variables({"spec": spectrum})
    assert [axis.kind for axis in h.axes] == ["h", "k", "energy"]
    np.testing.assert_allclose(h.intensity, (1 if twins == 1 else 2) * binned.transpose(1, 2, 0))


def test_grid_of_spinwave() -> None:
    hkl, omega = grid()
    h = from_variables({"spec": {"hkl": hkl, "omega": omega, "Sperp": np.ones(omega.shape)}})
    assert h.shape == (5, 4, 500)
    np.testing.assert_allclose(totals(h), 1)
    energy = h.axes[2].centres[h.intensity.argmax(axis=2)]
    np.testing.assert_allclose(energy, omega[0], atol=h.axes[2].widths[0])


def test_rounding_on_a_bragg_point_is_no_mode() -> None:
    h = np.linspace(0, 1, 11)
    omega = 8 * np.abs(np.sin(np.pi * h))
    omega[[0, -1]] = 3e-7
    strength = np.where(omega > 1e-3, 8 / np.maximum(omega, 1e-3), 2.4e8)
    points = np.stack([h, 0 * h, 0 * h])
    result = from_variables({"spec": {"hkl": points, "omega": omega[None], "Sperp": strength[None]}})
    assert totals(result)[[0, -1]].sum() == 0
    assert totals(result)[5] == pytest.approx(1.0)


def test_points_with_imaginary_modes_are_unknown() -> None:
    h = np.linspace(0, 1, 11)
    omega = np.sqrt((9 * np.cos(2 * np.pi * h)).astype(complex))
    points = np.stack([h, 0 * h, 0 * h])
    result = from_variables({"spec": {"hkl": points, "omega": omega[None], "Sperp": np.ones((1, 11))}})
    np.testing.assert_array_equal(result.mask.all(axis=1), (h > 0.25) & (h < 0.75))
    assert not result.mask[[0, 1, 2, 8, 9, 10]].any()


def test_equal_twins_are_said_to_be_assumed() -> None:
    hkl, omega = grid()
    cells = {"omega": Cell((1, 2), (omega, omega)), "Sperp": Cell((1, 2), (omega * 0 + 1, omega * 0 + 3))}
    assumed = from_variables({"spec": {"hkl": hkl, **cells}})
    assert assumed.metadata["left_out"] == ["volumes of the twins: equal ones are assumed"]
    told = {"twin": {"vol": np.array([[3.0, 1.0]])}}
    weighted = from_variables({"spec": {"hkl": hkl, **cells, "obj": told}})
    assert "left_out" not in weighted.metadata
    np.testing.assert_allclose(totals(weighted), 0.75 * 1 + 0.25 * 3)


def test_twins_by_volumes_that_are_given(tmp_path: Path) -> None:
    hkl, omega = grid()
    cells = fuzz.cells(omega, omega), fuzz.cells(omega * 0 + 1, omega * 0 + 3)
    spec = {"hkl": hkl, "omega": cells[0], "Sperp": cells[1]}
    (tmp_path / "a.mat").write_bytes(fuzz.matlab5({"spec": spec}))
    (tmp_path / "b.mat").write_bytes(fuzz.matlab73(spec))
    for name in ("a.mat", "b.mat"):
        h = load(tmp_path / name, twins=(3, 1))
        np.testing.assert_allclose(totals(h), 0.75 * 1 + 0.25 * 3)
        assert h.metadata["twins"] == [0.75, 0.25]
        assert "left_out" not in h.metadata


@pytest.mark.parametrize("twins", [(3,), (1, 2, 3), (0, 0), (1, -1), (1, np.nan)])
def test_volumes_that_are_not_those_of_the_twins(twins: tuple[float, ...]) -> None:
    hkl, omega = grid()
    spec = {"hkl": hkl, "omega": Cell((1, 2), (omega, omega)), "Sperp": Cell((1, 2), (omega, omega))}
    with pytest.raises(Exp2SimError, match="holds 2 twins"):
        from_variables({"spec": spec}, twins=twins)


def test_twins_that_are_summed_already() -> None:
    hkl, omega = grid()
    spec = {"hkl": hkl, "omega": Cell((1, 2), (omega, omega)), "swConv": np.ones((2, 5, 4))}
    with pytest.raises(Exp2SimError, match="summed already"):
        from_variables({"spec": {**spec, "Evect": np.arange(3.0)}}, twins=(3, 1))


def test_twins_that_sw_egrid_left_empty() -> None:
    hkl, _ = grid()
    spec = {"hkl": hkl, "swConv": Cell((1, 2), (np.ones((2, 5, 4)), np.zeros((0, 0))))}
    with pytest.raises(Exp2SimError, match="different shapes") as refusal:
        from_variables({"spec": {**spec, "Evect": np.arange(3.0)}})
    assert "sw_egrid(spec)" in refusal.value.fix


def path_scan(count: int = 5) -> dict[str, Any]:
    """Γ – (1/2, 0, 0) – (1/2, 1/2, 0) – Γ of a cubic lattice with a = 2π Å, as ``sw_qscan`` gives it."""
    legs = np.array([[0.0, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0], [0, 0, 0]]).T
    parts = [np.linspace(legs[:, i], legs[:, i + 1], count)[: count - (i < 2)] for i in range(3)]
    points = np.concatenate(parts).T
    return {"hkl": points, "hklA": points.copy(), "swConv": np.ones((2, points.shape[1]))}


@pytest.mark.parametrize("shape", [(), (13,), (1, 13), (13, 1, 1)])
def test_path_through_reciprocal_space(shape: tuple[int, ...]) -> None:
    spec = path_scan() | {"Evect": np.arange(3.0)[:, None]}
    if shape:
        spec |= {key: spec[key].reshape(-1, *shape) for key in ("hkl", "hklA", "swConv")}
    h = from_variables({"spec": spec})
    assert [(axis.name, axis.unit) for axis in h.axes] == [("path", "A^-1"), ("DeltaE", "meV")]
    assert h.shape == (13, 2)
    np.testing.assert_allclose(h.axes[0].centres[4], 0.5)  # the corner (1/2, 0, 0)
    np.testing.assert_allclose(h.metadata["points"][8], [0.5, 0.5, 0])


def test_path_that_stands_still_is_counted() -> None:
    points = np.array([[0.0, 0, 0], [0.5, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0]]).T
    spec = {"hkl": points, "hklA": points, "swConv": np.ones((2, 4)), "Evect": np.arange(3.0)}
    axis = from_variables({"spec": spec}).axes[0]
    assert (axis.name, axis.unit) == ("path", "")
    np.testing.assert_array_equal(axis.centres, [1, 2, 3, 4])


def write_nxspe(path: Path, *, scaling: int = 1, psi: float = np.nan, azimuthal_width: float = 0.4) -> Path:
    count, energy = 12, np.linspace(0, 45, 10)
    with h5py.File(path, "w") as file:
        run = file.create_group("run")
        run["definition"] = "NXSPE"
        run["NXSPE_info/fixed_energy"] = [50.0]
        run["NXSPE_info/psi"] = [psi]
        run["NXSPE_info/ki_over_kf_scaling"] = np.array([scaling], dtype="i4")
        run["data/data"], run["data/error"] = np.ones((count, 9)), np.full((count, 9), 0.1)
        run["data/energy"] = energy
        run["data/polar"], run["data/azimuthal"] = np.linspace(5, 60, count), np.linspace(-170, 170, count)
        run["data/azimuthal_width"] = np.full(count, azimuthal_width)
    return path


def test_data_that_hold_kf_over_ki_are_freed_of_it(tmp_path: Path) -> None:
    free = load(write_nxspe(tmp_path / "free.nxspe"))
    held = load(write_nxspe(tmp_path / "held.nxspe", scaling=0))
    ratio = np.broadcast_to(np.sqrt(50 / (50 - np.arange(2.5, 45, 5))), free.shape)
    assert ratio[0, [0, -1]] == pytest.approx([1.026, 2.582], abs=1e-3)
    np.testing.assert_allclose(held.intensity, free.intensity * ratio)
    np.testing.assert_allclose(held.variance, free.variance * ratio**2)
    assert held.metadata["ki_over_kf_scaling"] == 1


@pytest.mark.parametrize(
    ("wrong", "words"), [({"azimuthal_width": 60.0}, "rings"), ({"psi": 45.0}, "psi = 45")]
)
def test_no_crystal_along_the_beam(tmp_path: Path, wrong: dict[str, float], words: str) -> None:
    path = write_nxspe(tmp_path / "run.nxspe", **wrong)  # type: ignore[arg-type]
    assert load(path).find_axis("modQ") == 0
    with pytest.raises(Exp2SimError, match=words) as refusal:
        load(path, lattice=(5.4, 5.4))
    assert refusal.value.fix


def test_processed_workspace_says_how_to_write_it(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "run.nxspe", "w") as file:
        file.create_group("mantid_workspace_1")
    with pytest.raises(Exp2SimError, match="SaveNXSPE, or ConvertToMD, BinMD and SaveMD"):
        load(tmp_path / "run.nxspe")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("['zeta', 0, 0]", "h"),
        ("[0, 'eta', 0]", "k"),
        ("[H00]", "h"),
        ("[0K0]", "k"),
        ("[00L]", "l"),
        ("[H, 0, 0]", "h"),
        ("[HH0]", None),
    ],
)
def test_names_of_axes_in_other_programs(name: str, kind: str | None) -> None:
    axis = Axis(name, np.array([0.0, 1.0]), unit="r", frame="HKL")
    assert Histogram.from_arrays([1.0], [axis]).axes[0].kind == kind


@pytest.mark.parametrize("stored", [(4, 1), (4, 1, 1)])
def test_horace_4_with_trailing_singletons(tmp_path: Path, stored: tuple[int, ...]) -> None:
    (tmp_path / "cut.sqw").write_bytes(fuzz.sqw4(np.arange(4.0)))
    (tmp_path / "matlab.sqw").write_bytes(fuzz.sqw4(np.arange(4.0), stored=stored))
    plain, padded = load(tmp_path / "cut.sqw"), load(tmp_path / "matlab.sqw")
    np.testing.assert_array_equal(padded.intensity, plain.intensity)
    np.testing.assert_array_equal(padded.axes[0].edges, plain.axes[0].edges)


def test_horace_4_with_more_dimensions_than_its_header(tmp_path: Path) -> None:
    (tmp_path / "a.sqw").write_bytes(fuzz.sqw4(np.arange(4.0), stored=(2, 2)))
    with pytest.raises(Exp2SimError, match="dimensions of the header"):
        load(tmp_path / "a.sqw")


def test_nxspe_with_dimensions_of_length_one(tmp_path: Path) -> None:
    plain = load(write_nxspe(tmp_path / "plain.nxspe"))
    with h5py.File(write_nxspe(tmp_path / "matlab.nxspe"), "a") as file:
        shapes = {"energy": (1, 10), "polar": (12, 1), "azimuthal": (1, 12), "data": (1, 12, 9)}
        for name, shape in shapes.items():
            values = file[f"run/data/{name}"][()]
            del file[f"run/data/{name}"]
            file[f"run/data/{name}"] = values.reshape(shape)
    padded = load(tmp_path / "matlab.nxspe")
    np.testing.assert_array_equal(padded.intensity, plain.intensity)


@pytest.mark.parametrize("shape", [(4, 1), (1, 4), (4, 1, 1)])
def test_masks_of_matlab_have_more_dimensions(tmp_path: Path, shape: tuple[int, ...]) -> None:
    from scipy.io import savemat

    (tmp_path / "cut.sqw").write_bytes(fuzz.sqw4(np.arange(4.0)))
    savemat(str(tmp_path / "mask.mat"), {"mask": np.array([0, 0, 1, 0]).reshape(shape)})
    plain, masked = load(tmp_path / "cut.sqw"), load(tmp_path / "cut.sqw", mask=tmp_path / "mask.mat")
    np.testing.assert_array_equal(masked.mask, plain.mask | np.array([False, False, True, False]))
