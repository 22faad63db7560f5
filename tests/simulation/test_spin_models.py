"""Spin models against closed forms, where pySpinW is wrong or cannot say, and against themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.simulation import spin_waves as spinwave
from mantid_exp2sim.simulation.binning import KINDS, Binning
from mantid_exp2sim.simulation.constants import BOHR_MAGNETON
from mantid_exp2sim.simulation.crystal import assemble
from mantid_exp2sim.simulation.material import Description
from mantid_exp2sim.simulation.options import Options
from mantid_exp2sim.simulation.spectrum import solve_material
from tests.simulation import spin_models
from tests.simulation.spin_models import HEXAGONAL, MODELS, TETRAGONAL, bond, model, site

FloatArray = NDArray[np.float64]
POINT = {"Cr3+": (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)}
"""A form factor of 1."""
VIEW = {"horizontal": [1, 1, 0], "vertical": [1, -1, 0]}
"""Axes that are normal to each other wherever a and b are equal."""


def solved(description: Description, q: FloatArray) -> tuple[FloatArray, NDArray[np.complex128]]:
    assembly = assemble(description)
    structure, bonds, anisotropy = assembly.hamiltonian(description.values)
    return spinwave.solve(structure, bonds, assembly.to_cell(q), anisotropy=anisotropy)


def changed(description: Description, **changes: Any) -> Description:
    return Description.model_validate(description.model_dump(mode="json") | changes)


def test_a_ferrimagnet_has_the_closed_form() -> None:
    """ω = √[J²(S1 + S2)² − b²] ∓ J(S1 − S2), b = 2J√(S1S2) cos πh, and the intensity of each by Bogoliubov.

    The lower mode turns the larger spin: S^xx = ½ (√S1 cosh θ − √S2 sinh θ)², tanh 2θ = b / J(S1 + S2), and
    the upper one has S1 and S2 exchanged.
    """
    h, j, s1, s2 = np.linspace(0.05, 0.95, 7), 1.1, 2.5, 1.0
    omega, sab = solved(spin_models.ferrimagnet(), np.stack([h, 0.3 * h, 0 * h], axis=1))
    b = 2 * j * np.sqrt(s1 * s2) * np.cos(np.pi * h)
    root, shift = np.sqrt((j * (s1 + s2)) ** 2 - b**2), j * (s1 - s2)
    np.testing.assert_allclose(omega, np.stack([root - shift, root + shift], axis=1), atol=1e-6)
    theta = 0.5 * np.arctanh(b / (j * (s1 + s2)))
    lower = 0.5 * (np.sqrt(s1) * np.cosh(theta) - np.sqrt(s2) * np.sinh(theta)) ** 2
    upper = 0.5 * (np.sqrt(s2) * np.cosh(theta) - np.sqrt(s1) * np.sinh(theta)) ** 2
    np.testing.assert_allclose(sab[:, :, 0, 0].real, np.stack([lower, upper], axis=1), rtol=1e-6)


def test_a_ferromagnet_with_dm_vectors_along_its_spins_is_not_reciprocal() -> None:
    """ω(q) = 2|J|S(1 − cos q) + 2DS sin q + 2|A|S for spins along D, moments against it."""
    h = np.linspace(-0.5, 0.5, 11)
    q = 2 * np.pi * h
    expected = 2 * 1.5 * (1 - np.cos(q)) + 2 * 0.2 * 1.5 * np.sin(q) + 2 * 0.5 * 1.5
    omega, _ = solved(spin_models.dm_ferromagnet(), np.stack([h, 0 * h, 0 * h], axis=1))
    np.testing.assert_allclose(omega[:, 0], expected, atol=1e-6)


def test_a_field_adds_the_zeeman_energy() -> None:
    """g μ_B B with the component of the g tensor along the moments: 2.4 · 0.05788 meV/T · 5 T."""
    description = spin_models.tensor()
    q = np.random.default_rng(0).random((4, 3))
    without = solved(changed(description, field=None), q)[0]
    np.testing.assert_allclose(solved(description, q)[0] - without, 2.4 * 0.0578838 * 5.0, atol=1e-5)


def test_the_spiral_has_the_closed_form() -> None:
    """ω(q) = 2S √{[J(q) − J(k)] [½ J(q+k) + ½ J(q−k) − J(k)]}, J(q) the sum over half of the neighbours."""
    description = spin_models.spiral()
    h = np.linspace(0.03, 0.47, 9)
    k = float(np.arccos(0.25) / (2 * np.pi))

    def coupling(x: Any) -> Any:
        return -np.cos(2 * np.pi * x) + np.cos(4 * np.pi * x) - 0.3

    def energy(x: Any) -> Any:
        across = 0.5 * (coupling(x + k) + coupling(x - k)) - coupling(k)
        return 2 * 1.5 * np.sqrt((coupling(x) - coupling(k)) * across)

    omega, _ = solved(description, np.stack([h, 0 * h, 0 * h], axis=1))
    np.testing.assert_allclose(omega, np.stack([energy(h - k), energy(h), energy(h + k)], axis=1), atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_the_simulator_has_the_intensities_of_the_solver(name: str) -> None:
    """Other cells for the sites, phases and turns put in later: Σ_m I and Σ_m ω I are the same."""
    description = changed(MODELS[name], form_factors=POINT, view=VIEW)
    waves = solve_material(description)
    rlu = np.random.default_rng(5).uniform(0.1, 1.4, (6, 3))
    q = 2 * np.pi * rlu @ np.linalg.inv(description.lattice.vectors()).T
    omega, amplitude = waves.solve(q)
    row, mode = (index.ravel() for index in np.indices(omega.shape))
    intensity = waves.intensity(q[row], amplitude, row, mode).reshape(omega.shape) / waves.unit_strength
    energies, sab = solved(description, rlu)
    g = 0.5 * assemble(description).g[0]
    unit = q / np.linalg.norm(q, axis=1)[:, None]
    across = np.eye(3) - unit[:, :, None] * unit[:, None, :]
    expected = np.einsum("qab,ac,qmcd,bd->qm", across, g, sab, g).real
    for power in (0, 1):
        sums = (omega**power * intensity).sum(axis=1), (energies**power * expected).sum(axis=1)
        np.testing.assert_allclose(*sums, rtol=1e-6)


def test_a_commensurate_spiral_is_that_of_its_magnetic_cell() -> None:
    """k = 1/5 in a rotating frame and in a cell of five, with a field along the axis, by intensity."""
    bonds = [bond("J1", vectors=[[1, 0, 0]]), bond("J2", vectors=[[2, 0, 0]])]
    values = {"J1": -4 * float(np.cos(0.4 * np.pi)), "J2": 1.0, "A": 0.2}
    terms = [{"parameter": "A", "axis": [0, 0, 1]}]
    more: dict[str, Any] = {"anisotropy": terms, "form_factors": POINT}
    frame = {"propagation": [0.2, 0, 0], "axis": [0, 0, 1]}
    turning = model("frame", TETRAGONAL, [site([1, 0, 0])], bonds, values, rotating_frame=frame, **more)
    sites = [site([1, 0, 0], propagation=[0.2, 0, 0], axis=[0, 0, 1])]
    cell = [[5, 0, 0], [0, 1, 0], [0, 0, 1]]
    whole = model("cell", TETRAGONAL, sites, bonds, values, magnetic_cell=cell, **more)
    q = np.random.default_rng(6).random((5, 3))
    (omega, sab), (folded, of_five) = solved(turning, q), solved(whole, q)
    for power in range(4):
        sums = np.einsum("qm,qmab->qab", omega**power, sab), np.einsum("qm,qmab->qab", folded**power, of_five)
        np.testing.assert_allclose(sums[0], sums[1] / 5, atol=1e-6)


@pytest.mark.parametrize(("chain", "grid", "within"), [(0.0, 40, 0.01), (-0.05, 16, 0.05)])
def test_volumes_of_a_spiral_are_those_of_its_magnetic_cell(chain: float, grid: int, within: float) -> None:
    """The 120° order in three sites and in a rotating frame; the grid under the bins is another one."""
    edges = np.linspace(-1, 1, 9)
    binning, options = Binning(edges, edges, np.linspace(0.5, 7, 6), 16.0), Options(grid=grid)
    volumes = []
    for description in (spin_models.triangular(), spin_models.triangular_spiral()):
        raw: dict[str, Any] = description.model_dump(mode="json") | {"view": VIEW}
        if chain:
            raw["parameters"]["Jc"] = {"value": chain}
            raw["bonds"].append(bond("Jc", vectors=[[0, 0, 1]]))
        waves = solve_material(Description.model_validate(raw), options=options)
        volumes.append({kind: waves.volume(binning, kind) for kind in KINDS})
    for kind in KINDS:
        cell, frame = (volume[kind] for volume in volumes)
        limit = 1e-9 if kind == "centre" else within
        assert np.linalg.norm(frame - cell) < limit * np.linalg.norm(cell), kind


def test_a_field_turns_moments_towards_it() -> None:
    """Moments along the field are stable and cost g μ_B B; against it they are refused."""
    field = {"tesla": 10.0, "direction": [0, 0, 1]}
    bonds = [bond("J", shell=1)]
    up = model("up", TETRAGONAL, [site([0, 0, 1])], bonds, {"J": -1.0}, field=field)
    assert solved(up, np.zeros((1, 3)))[0][0, 0] == pytest.approx(20 * BOHR_MAGNETON, abs=1e-6)
    down = model("down", TETRAGONAL, [site([0, 0, -1])], bonds, {"J": -1.0}, field=field)
    with pytest.raises(spinwave.UnstableStructureError, match="energies are below 0"):
        solve_material(down)


def test_a_twin_turned_by_an_angle_is_that_of_its_matrix() -> None:
    about = {"angle": 120, "about": [0, 0, 1], "weight": 3}
    twins = changed(spin_models.triangular(), twins=[{}, about]).twins
    c, s = -0.5, np.sqrt(0.75)
    np.testing.assert_allclose(twins[1].matrix(), [[c, -s, 0], [s, c, 0], [0, 0, 1]], atol=1e-12)
    waves = solve_material(
        changed(
            spin_models.triangular(),
            twins=[{}, about],
            view={"horizontal": [1, 0, 0], "vertical": [-1, 2, 0]},
        )
    )
    assert [twin.weight for twin in waves.twins] == [0.25, 0.75]


SPIRAL = {"propagation": [0.2, 0, 0], "axis": [0, 0, 1]}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"bonds": [bond("J", shell=1, dm=[0, 0, 1])]}, "has no direction"),
        ({"bonds": [bond("J", shell=1, matrix=[[1, 1, 0], [0, 1, 0], [0, 0, 1]])]}, "has no direction"),
        ({"bonds": [bond("J", vectors=[[1, 0, 0], [-1, 0, 0]], dm=[0, 0, 1])]}, "has no direction"),
        (
            {"bonds": [bond("J", shell=1, dm=[0, 0, 1], components=[1, 1, 2])]},
            "one of components",
        ),
        ({"bonds": [bond("J", shell=1), bond("J", vectors=[[1, 0, 0]], dm=[0, 0, 1])]}, "coupled already"),
        ({"anisotropy": [{"parameter": "J"}]}, "one of axis and matrix"),
        ({"anisotropy": [{"parameter": "J", "matrix": [[0, 1, 0], [0, 0, 0], [0, 0, 0]]}]}, "is symmetric"),
        ({"field": {"tesla": 1, "direction": [0, 0, 0]}}, "has no length"),
        (
            {"field": {"tesla": 1, "direction": [1, 0, 0]}, "twins": [{}, {"angle": 90}]},
            "Twin 2 of wrong",
        ),
        ({"twins": [{"angle": 90, "axes": "y,x,z"}]}, "one of angle, rotation and axes"),
        ({"twins": [{"angle": 90, "about": [0, 0, 0]}]}, "about has no length"),
        ({"rotating_frame": SPIRAL | {"propagation": [0.5, 0, 0]}}, "is collinear"),
        ({"rotating_frame": SPIRAL | {"axis": [0, 0, 0]}}, "has no length"),
        (
            {"rotating_frame": SPIRAL, "sites": [site([1, 0, 0], propagation=[0.5, 0, 0])]},
            "rotating_frame or the propagation",
        ),
        (
            {"rotating_frame": SPIRAL, "bonds": [bond("J", shell=1, components=[1, 2, 1])]},
            "An exchange matrix is not symmetric about the axis",
        ),
        (
            {"rotating_frame": SPIRAL, "anisotropy": [{"parameter": "J", "axis": [1, 0, 0]}]},
            "An anisotropy is not symmetric about the axis",
        ),
        ({"rotating_frame": SPIRAL, "field": {"tesla": 1, "direction": [1, 0, 0]}}, "not along the axis"),
    ],
)
def test_wrong_terms_are_refused(changes: dict[str, Any], why: str) -> None:
    description = model("wrong", HEXAGONAL, [site([1, 0, 0])], [bond("J", shell=1)], {"J": -1.0})
    with pytest.raises(ValueError, match=why) as caught:  # of pydantic, or Exp2SimError
        solve_material(changed(description, **changes))
    assert not isinstance(caught.value, Exp2SimError) or caught.value.fix
