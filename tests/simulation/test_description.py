"""Descriptions: what they refuse, and the energies of what they describe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.simulation import manganite
from mantid_exp2sim.simulation import spin_waves as spinwave
from mantid_exp2sim.simulation.crystal import assemble
from mantid_exp2sim.simulation.form_factor import coefficients, form_factor
from mantid_exp2sim.simulation.manganite import ModelName
from mantid_exp2sim.simulation.material import Description, find_description, read_description, shipped


def energies(description: Description, parameters: Any, q: np.ndarray) -> np.ndarray:
    assembly = assemble(description)
    structure, bonds, anisotropy = assembly.hamiltonian(parameters)
    return spinwave.solve(structure, bonds, assembly.to_cell(q), anisotropy=anisotropy)[0]


@pytest.mark.parametrize("model", ["Goodenough", "Dimer"])
def test_described_manganite_is_the_built_in_one(model: ModelName) -> None:
    description = read_description(shipped()[f"pcsmo-{model.lower()}"])
    assert description.names == manganite.PARAMETERS[model]
    assert description.values == manganite.BEST_FIT[model]
    assert description.ranges == tuple((float(a), float(b)) for a, b in manganite.RANGES[model])
    q = np.random.default_rng(0).random((40, 3)) * 2
    found = energies(description, description.values, q)
    wanted = manganite.solve_reduced(model, description.values, 2 * q[:, :2]).energy.reshape(40, 16)
    assert np.abs(found - np.sort(wanted, axis=1)).max() < 1e-6


def test_rb2mnf4_has_the_closed_form() -> None:
    """ω = √(A² − B²), A = 4S[J1 − J2(1 − g2)], B = 4S J1 g1, over the whole range of the constants."""
    description = read_description(shipped()["rb2mnf4"])
    rng = np.random.default_rng(0)
    assert description.ranges == ((0.0, 1.0), (-0.2, 0.2))
    for j1, j2 in ((0.65, 0.0), (0.9, 0.2), (0.5, -0.2), (0.15, 0.05)):
        h, k, l_ = rng.uniform(-2, 2, (3, 200))
        g1 = (np.cos(2 * np.pi * h) + np.cos(2 * np.pi * k)) / 2
        g2 = np.cos(2 * np.pi * h) * np.cos(2 * np.pi * k)
        a, b = 10 * (j1 - j2 * (1 - g2)), 10 * j1 * g1
        found = energies(description, (j1, j2), np.stack([h, k, l_], axis=1))
        assert np.abs(found - np.sqrt(a**2 - b**2)[:, None]).max() < 1e-5


def test_triangular_antiferromagnet_has_the_closed_form() -> None:
    """120° order by a propagation vector and an axis: ω = 3JS √((1 − γ)(1 + 2γ)) in the turning frame."""
    description = Description.model_validate(
        {
            "name": "triangle",
            "lattice": {"a": 3, "b": 3, "c": 9, "gamma": 120},
            "magnetic_cell": [[1, -1, 0], [1, 2, 0], [0, 0, 1]],
            "parameters": {"J": {"value": 1.3}},
            "sites": [
                {
                    "name": "M", "ion": "Cr3+", "spin": 1.5, "direction": [1, 0, 0],
                    "positions": [[0, 0, 0]], "propagation": [1 / 3, 1 / 3, 0], "axis": [0, 0, 1],
                }
            ],
            "bonds": [{"parameter": "J", "shell": 1}],
        }
    )  # fmt: skip
    assert assemble(description).parameter.size == 9
    q = np.random.default_rng(1).random((30, 3))
    found = energies(description, description.values, q)

    def wanted(shift: float) -> np.ndarray:
        h, k = (q[:, :2] + shift).T
        gamma = (np.cos(2 * np.pi * h) + np.cos(2 * np.pi * k) + np.cos(2 * np.pi * (h + k))) / 3
        return np.asarray(3 * 1.3 * 1.5 * np.sqrt((1 - gamma) * (1 + 2 * gamma)))

    branches = np.sort(np.stack([wanted(shift) for shift in (0, 1 / 3, -1 / 3)], axis=1), axis=1)
    assert np.abs(found - branches).max() < 1e-5


def test_easy_axis_opens_a_gap() -> None:
    raw = read_description(shipped()["rb2mnf4"]).model_dump(mode="json")
    raw["parameters"]["D"] = {"value": -0.01}
    raw["anisotropy"] = [{"parameter": "D", "axis": [0, 0, 1]}]
    found = energies(Description.model_validate(raw), (0.65, 0.0, -0.01), np.zeros((1, 3)))
    a = 10 * 0.65 + 5 * 0.01  # 4SJ + 2S|D|
    assert found[0] == pytest.approx(np.sqrt(a**2 - 6.5**2), abs=1e-5)


@pytest.mark.parametrize("ion", ["Mn2+", "Fe", "Ru1+", "Ce3+", "Pr3+", "Yb3+", "U4+", "Am7+"])
def test_form_factors_of_the_table_are_one_at_zero(ion: str) -> None:
    assert form_factor(ion, 0.0) == pytest.approx(1.0, abs=0.004)
    assert 0 < form_factor(ion, 3.0) < 0.95


def test_a_form_factor_is_that_of_the_international_tables() -> None:
    assert coefficients("Mn2+") == (0.4220, 17.6840, 0.5948, 6.0050, 0.0043, -0.6090, -0.0219)
    assert coefficients("Tb3+") == (0.0177, 25.5095, 0.2921, 10.5769, 0.7133, 3.5122, -0.0231)
    own = (1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert coefficients("Mn2+", {"Mn2+": own}) == own


BOND = {"parameter": "J1"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"colour": "red"}, "colour"),
        ({"lattice": {"a": 4, "b": 4, "c": -1}}, "greater than 0"),
        ({"lattice": {"a": 4, "b": 4, "c": 4, "alpha": 170, "gamma": 20}}, "No cell has the angles"),
        ({"magnetic_cell": [[1, 0, 0], [1, 0, 0], [0, 0, 1]]}, "holds 0 cells"),
        ({"magnetic_cell": [[3, 0, 0], [0, 2, 0], [0, 0, 1]]}, "does not fit into the magnetic cell"),
        ({"bonds": [BOND | {"shell": 1}]}, "used by no bond"),
        ({"bonds": [BOND | {"shell": 1, "distance": [1, 2]}]}, "give one of shell"),
        ({"bonds": [BOND | {"shell": 1}, {"parameter": "J3", "shell": 2}]}, "not among the parameters"),
        ({"bonds": [BOND | {"shell": 1}, {"parameter": "J2", "distance": [4, 4.5]}]}, "coupled already"),
        ({"bonds": [BOND | {"shell": 1}, {"parameter": "J2", "distance": [1, 2]}]}, "couples no pair"),
        ({"bonds": [BOND | {"shell": 1}, {"parameter": "J2", "vectors": [[0.3, 0, 0]]}]}, "from no site"),
        (
            {"bonds": [BOND | {"shell": 1, "between": ["Mn", "Fe"]}, {"parameter": "J2", "shell": 2}]},
            "no name and no ion",
        ),
        (
            {"bonds": [BOND | {"shell": 1, "spins": "parallel"}, {"parameter": "J2", "shell": 2}]},
            "coupled already",
        ),
        ({"parameters": {"J1": {"value": 1, "range": [2, 1]}, "J2": {"value": 0}}}, "not ascending"),
        ({"twins": [{"axes": "x,x,z"}]}, "not a permutation"),
        ({"twins": [{"rotation": [[1, 0, 0], [0, 2, 0], [0, 0, 1]]}]}, "not an orthogonal matrix"),
    ],
)
def test_wrong_descriptions(changes: dict[str, Any], why: str) -> None:
    raw = read_description(shipped()["rb2mnf4"]).model_dump(mode="json")
    with pytest.raises(ValueError, match=why):  # of pydantic, or Exp2SimError
        assemble(Description.model_validate({**raw, **changes}))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ion": "Xx9+"}, "No form factor is known"),
        ({"positions": [[0, 0, 0], [0, 0, 0]]}, "in the same place"),
        ({"direction": [0, 0, 0]}, "has no length"),
        ({"propagation": [0.5, 0.25, 0]}, "does not fit"),
    ],
)
def test_wrong_sites(changes: dict[str, Any], why: str) -> None:
    raw = read_description(shipped()["rb2mnf4"]).model_dump(mode="json")
    raw["sites"][0] |= changes
    with pytest.raises(Exp2SimError, match=why):
        assemble(Description.model_validate(raw))


def test_files_of_descriptions(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    with pytest.raises(Exp2SimError, match="no description"):
        find_description(str(path))
    path.write_text("name = ", encoding="utf-8")
    assert find_description("own.toml", tmp_path) == path
    with pytest.raises(Exp2SimError, match="no TOML"):
        read_description(path)
    with pytest.raises(Exp2SimError, match="Cannot read"):
        read_description(tmp_path)
    own = {"Xx9+": [0.5, 10, 0.5, 5, 0, 1, 0]}
    raw = read_description(shipped()["rb2mnf4"]).model_dump(mode="json")
    raw["sites"][0]["ion"] = "Xx9+"
    assert assemble(Description.model_validate({**raw, "form_factors": own})).ions == ("Xx9+",)
