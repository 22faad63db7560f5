from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mantid_exp2sim import Exp2SimError, load
from tests.fuzz import fuzz_readers as fuzz


def brute_force(
    path: Path, edges_of_q: list[np.ndarray], lattice: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum every bin of every spectrum in a loop, from the file's own arrays."""
    with h5py.File(path) as file:
        entry = next(iter(file.values()))
        data, error = entry["data/data"][()], entry["data/error"][()]
        energy, polar, azimuthal = (entry[f"data/{n}"][()] for n in ("energy", "polar", "azimuthal"))
        incident = entry["NXSPE_info/fixed_energy"][0]
    shape = (*(len(e) - 1 for e in edges_of_q), data.shape[1])
    sums, squares, count = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    ki = np.array([np.sqrt(incident / 2.0721), 0, 0])
    for j in range(data.shape[1]):
        centre = (energy[j] + energy[j + 1]) / 2
        if centre > incident:
            continue
        for i in range(data.shape[0]):
            if not np.isfinite(data[i, j]) or data[i, j] < -1e29:
                continue
            t, p = np.radians([polar[i], azimuthal[i]])
            direction = np.array([np.cos(t), np.sin(t) * np.cos(p), np.sin(t) * np.sin(p)])
            q = ki - np.sqrt((incident - centre) / 2.0721) * direction
            values = [np.linalg.norm(q)] if lattice is None else q[1:] * lattice / (2 * np.pi)
            place = [
                int(np.searchsorted(e, v, side="right")) - 1 for e, v in zip(edges_of_q, values, strict=True)
            ]
            if all(0 <= a < n for a, n in zip(place, shape[:-1], strict=True)):
                where = (*place, j)
                sums[where] += data[i, j]
                squares[where] += error[i, j] ** 2
                count[where] += 1
    return sums, squares, count


def test_mari_to_modulus_and_energy(reference_data: Path) -> None:
    source = reference_data / "nxspe" / "MAR11001_test.nxspe"
    h = load(source)
    assert h.shape[1] == 110
    assert (h.find_axis("modQ"), h.find_axis("energy")) == (0, 1)
    assert h.axes[0].unit == "A^-1"
    np.testing.assert_allclose(h.axes[1].edges, np.arange(-10, 101) / 10, atol=1e-12)
    assert h.metadata["incident_energy"] == pytest.approx(12.97283725)
    assert h.metadata["psi"] == 0
    sums, squares, count = brute_force(source, [h.axes[0].edges])
    # a detector at a bin's very edge may fall to either side of it in the last bit
    same = np.isclose(np.where(h.mask, 0, h.intensity), sums / np.maximum(count, 1), rtol=1e-9)
    assert same.mean() > 0.999
    assert np.mean((count == 0) == h.mask) > 0.999
    np.testing.assert_allclose(
        np.where(h.mask, 0, h.variance)[same], (squares / np.maximum(count, 1) ** 2)[same], rtol=1e-9
    )


def test_given_lattice_to_h_k_energy(tmp_path: Path) -> None:
    data = np.arange(1, 21.0).reshape(4, 5)
    data[1], data[2, 3] = np.nan, -1e30
    (tmp_path / "a.nxspe").write_bytes(fuzz.nxspe(**{"data/data": data}))
    h = load(tmp_path / "a.nxspe", lattice=(5.4, 5.5))
    assert [h.find_axis(kind) for kind in ("h", "k", "energy")] == [0, 1, 2]
    sums, squares, count = brute_force(
        tmp_path / "a.nxspe", [h.axes[0].edges, h.axes[1].edges], np.array([5.4, 5.5])
    )
    assert count.sum() == 14
    np.testing.assert_array_equal(h.mask, count == 0)
    np.testing.assert_allclose(h.intensity[~h.mask], (sums / np.maximum(count, 1))[count > 0])
    np.testing.assert_allclose(h.variance[~h.mask], (squares / np.maximum(count, 1) ** 2)[count > 0])
    # azimuthal 0 is along a: kf points to +y there, so Q = ki - kf has h < 0 and k = 0
    first = np.argwhere(h.intensity == 1)
    assert h.axes[0].centres[first[0, 0]] < 0
    assert abs(h.axes[1].centres[first[0, 1]]) < 0.06


def test_every_bin_of_every_spectrum_goes_somewhere(tmp_path: Path) -> None:
    (tmp_path / "a.nxspe").write_bytes(fuzz.nxspe())
    h = load(tmp_path / "a.nxspe")
    sums, _, count = brute_force(tmp_path / "a.nxspe", [h.axes[0].edges])
    np.testing.assert_allclose(h.intensity[~h.mask], (sums / np.maximum(count, 1))[count > 0])
    assert count.sum() == 20


def test_energy_and_frequency_of_the_chopper(tmp_path: Path) -> None:
    changes = {"NXSPE_info/fixed_energy": np.array([np.nan]), "instrument/fermi/energy": np.array([50.0])}
    (tmp_path / "a.nxspe").write_bytes(
        fuzz.nxspe(**changes, **{"instrument/fermi/rotation_speed": np.array([200.0])})
    )
    h = load(tmp_path / "a.nxspe")
    assert h.metadata["incident_energy"] == 50
    assert h.metadata["chopper_frequency"] == 200
    assert "psi" not in h.metadata


@pytest.mark.parametrize(
    "changes",
    [
        {"NXSPE_info/fixed_energy": np.array([-1.0])},
        {"data/energy": np.linspace(60, 70, 6)},
        {"data/energy": np.linspace(5, -5, 6)},
        {"data/energy": np.arange(9.0)},
        {"data/polar": np.arange(3.0)},
        {"data/error": None},
        {"data/data": np.full((4, 5), np.nan)},
        {"data/data": np.full((4, 5), -1e30)},
        {"data/polar": np.full(4, np.nan)},
        {"definition": np.array([b"NXsomething"])},
    ],
)
def test_bad_files(tmp_path: Path, changes: dict[str, None] | dict[str, np.ndarray]) -> None:
    (tmp_path / "a.nxspe").write_bytes(fuzz.nxspe(**changes))
    with pytest.raises(Exp2SimError):
        load(tmp_path / "a.nxspe")


@pytest.mark.parametrize("lattice", [(0.0, 5.0), (np.nan, 5.0), (5.0,)])
def test_bad_lattices(tmp_path: Path, lattice: Any) -> None:
    (tmp_path / "a.nxspe").write_bytes(fuzz.nxspe())
    with pytest.raises(Exp2SimError, match="lattice"):
        load(tmp_path / "a.nxspe", lattice=lattice)


def test_lattice_is_for_nxspe_only(tmp_path: Path) -> None:
    (tmp_path / "a.sqw").write_bytes(fuzz.saved(".sqw"))
    with pytest.raises(Exp2SimError, match="NXSPE"):
        load(tmp_path / "a.sqw", lattice=(5.0, 5.0))
