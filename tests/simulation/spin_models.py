"""Spin models of every kind of term that a description takes, small enough to solve in a moment."""

from __future__ import annotations

from typing import Any

import numpy as np

from mantid_exp2sim.simulation.constants import BOHR_MAGNETON
from mantid_exp2sim.simulation.material import Description

HEXAGONAL = {"a": 3.0, "b": 3.0, "c": 9.0, "gamma": 120}
TETRAGONAL = {"a": 4.0, "b": 4.0, "c": 7.0}
SQUARE_CELL = [[1, 1, 0], [-1, 1, 0], [0, 0, 1]]
HONEYCOMB = [[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0]]
NEIGHBOURS = [[1 / 3, -1 / 3, 0], [1 / 3, 2 / 3, 0], [-2 / 3, -1 / 3, 0]]
"""From the first site of the honeycomb to its three neighbours."""


def site(direction: Any, positions: Any = ((0, 0, 0),), **more: Any) -> dict[str, Any]:
    return {"name": "M", "ion": "Cr3+", "spin": 1.5, "direction": direction, "positions": positions} | more


def bond(parameter: str, **more: Any) -> dict[str, Any]:
    return {"parameter": parameter} | more


def model(
    name: str, lattice: Any, sites: Any, bonds: Any, values: dict[str, float], **more: Any
) -> Description:
    parameters = {key: {"value": value} for key, value in values.items()}
    return Description.model_validate(
        {"name": name, "lattice": lattice, "sites": sites, "bonds": bonds, "parameters": parameters} | more
    )


def chain() -> Description:
    sites = [site([0, 0, 1], propagation=[0.5, 0, 0])]
    bonds = [bond("J", vectors=[[1, 0, 0]])]
    return model(
        "chain", TETRAGONAL, sites, bonds, {"J": 1.2}, magnetic_cell=[[2, 0, 0], [0, 1, 0], [0, 0, 1]]
    )


def triangular() -> Description:
    sites = [site([1, 0, 0], propagation=[1 / 3, 1 / 3, 0], axis=[0, 0, 1])]
    cell = [[1, -1, 0], [1, 2, 0], [0, 0, 1]]
    return model("triangular", HEXAGONAL, sites, [bond("J", shell=1)], {"J": 1.3}, magnetic_cell=cell)


def triangular_spiral() -> Description:
    frame = {"propagation": [1 / 3, 1 / 3, 0], "axis": [0, 0, 1]}
    bonds = [bond("J", shell=1)]
    return model("triangular spiral", HEXAGONAL, [site([1, 0, 0])], bonds, {"J": 1.3}, rotating_frame=frame)


def kagome() -> Description:
    """The q = 0 order with a Dzyaloshinskii-Moriya term along c, which lifts the flat band."""
    places = {"A": [0.5, 0, 0], "B": [0, 0.5, 0], "C": [0.5, 0.5, 0]}
    moments = {"A": [2, 1, 0], "B": [-1, 1, 0], "C": [-1, -2, 0]}
    sites = [site(moments[name], [places[name]], name=name) for name in places]
    bonds = [bond("J", shell=1)]
    bonds += [bond("D", shell=1, between=pair, dm=[0, 0, 1]) for pair in (["A", "B"], ["B", "C"], ["C", "A"])]
    return model("kagome", HEXAGONAL, sites, bonds, {"J": 1.0, "D": -0.1})


def honeycomb() -> Description:
    """A ferromagnet with Dzyaloshinskii-Moriya vectors between second neighbours: a topological gap."""
    sites = [site([0, 0, 1], [place], name=name) for name, place in zip("AB", HONEYCOMB, strict=True)]
    around = [[1, 0, 0], [0, 1, 0], [-1, -1, 0]]
    bonds = [bond("J", shell=1, between=["A", "B"])]
    bonds += [bond("D", vectors=around, between=["A", "A"], dm=[0, 0, 1])]
    bonds += [bond("D", vectors=around, between=["B", "B"], dm=[0, 0, -1])]
    return model("honeycomb", HEXAGONAL, sites, bonds, {"J": -1.0, "D": 0.15})


def kitaev() -> Description:
    sites = [site([0, 0, 1], [place], name=name) for name, place in zip("AB", HONEYCOMB, strict=True)]
    bonds = [bond("J", shell=1, between=["A", "B"])]
    for axis, vector in enumerate(NEIGHBOURS):
        matrix = np.diag(np.eye(3)[axis]).tolist()
        bonds.append(bond("K", vectors=[vector], between=["A", "B"], matrix=matrix))
    field = {"tesla": 2.0, "direction": [0, 0, 1]}
    return model("kitaev", HEXAGONAL, sites, bonds, {"J": -0.4, "K": -1.0}, field=field)


def square_biaxial() -> Description:
    """A square antiferromagnet whose single-ion anisotropy has three different axes."""
    sites = [site([1, 0, 0], propagation=[0.5, 0.5, 0])]
    terms = [{"parameter": "D", "matrix": [[-1, 0, 0], [0, 0.5, 0.2], [0, 0.2, 1]]}]
    bonds, values = [bond("J", shell=1)], {"J": 0.8, "D": 0.1}
    return model(
        "square biaxial", TETRAGONAL, sites, bonds, values, magnetic_cell=SQUARE_CELL, anisotropy=terms
    )


def square_exchange() -> Description:
    """A ferromagnet with symmetric anisotropic exchange that mixes x and y."""
    matrix = [[1.0, 0.2, 0], [0.2, 1.0, 0], [0, 0, 1.3]]
    bonds = [bond("J", shell=1, matrix=matrix)]
    return model("square exchange", TETRAGONAL, [site([0, 0, 1])], bonds, {"J": -0.7})


def xxz() -> Description:
    sites = [site([0, 0, 1], propagation=[0.5, 0.5, 0])]
    bonds = [bond("J", shell=1, components=[1, 1, 1.2])]
    return model("xxz", TETRAGONAL, sites, bonds, {"J": 0.9}, magnetic_cell=SQUARE_CELL)


def ferrimagnet() -> Description:
    """A chain of spins 5/2 and 1, antiparallel."""
    sites = [
        site([0, 0, 1], [[0, 0, 0]], name="A", spin=2.5),
        site([0, 0, -1], [[0.5, 0, 0]], name="B", spin=1.0),
    ]
    return model("ferrimagnet", TETRAGONAL, sites, [bond("J", shell=1)], {"J": 1.1})


def pyrochlore() -> Description:
    """All-in-all-out order of an antiferromagnet with local easy axes, in the primitive cell."""
    lattice = {"a": 7.0, "b": 7.0, "c": 7.0, "alpha": 60, "beta": 60, "gamma": 60}
    places = {"A": [0, 0, 0], "B": [0.5, 0, 0], "C": [0, 0.5, 0], "D": [0, 0, 0.5]}
    middle = np.full(3, 0.125)  # of the tetrahedron that the four sites make, in these fractions
    axes = {name: (middle - np.array(place)).tolist() for name, place in places.items()}
    sites = [site(axes[name], [places[name]], name=name) for name in places]
    terms = [{"parameter": "D", "axis": axes[name], "sites": [name]} for name in places]
    return model("pyrochlore", lattice, sites, [bond("J", shell=1)], {"J": 0.5, "D": -0.3}, anisotropy=terms)


def spiral() -> Description:
    """The frustrated chain J1 < 0, J2 > 0: cos 2πk = −J1/4J2."""
    k = float(np.arccos(0.25) / (2 * np.pi))
    bonds = [
        bond("J1", vectors=[[1, 0, 0]]),
        bond("J2", vectors=[[2, 0, 0]]),
        bond("Jb", vectors=[[0, 1, 0]]),
    ]
    frame = {"propagation": [k, 0, 0], "axis": [0, 0, 1]}
    values = {"J1": -1.0, "J2": 1.0, "Jb": -0.3}
    return model("spiral", TETRAGONAL, [site([1, 0, 0])], bonds, values, rotating_frame=frame)


def two_site_spiral() -> Description:
    """Two ferromagnetic chains side by side, each a Dzyaloshinskii-Moriya helix about the chain."""
    k = float(np.arctan2(0.4, 1.0) / (2 * np.pi))
    along = [[0, 0, 1]]
    bonds = [bond("J", vectors=along), bond("D", vectors=along, dm=[0, 0, 1])]
    bonds.append(bond("Jx", vectors=[[0.5, 0.5, 0], [0.5, -0.5, 0]], between=["A", "B"]))
    sites = [site([1, 0, 0], name="A"), site([-1, 0, 0], [[0.5, 0.5, 0]], name="B", spin=1.5)]
    frame = {"propagation": [0, 0, k], "axis": [0, 0, 1]}
    terms = [{"parameter": "E", "axis": [0, 0, 1]}]
    values = {"J": -1.0, "D": -0.4, "Jx": 0.3, "E": 0.1}
    return model("dm helix", TETRAGONAL, sites, bonds, values, rotating_frame=frame, anisotropy=terms)


def cone() -> Description:
    """The spiral chain in a field along its axis: cos θ = g μ_B B / 2S[J(0) − J(k)] of the cone."""
    raw = spiral().model_dump(mode="json")
    k = 2 * np.pi * raw["rotating_frame"]["propagation"][0]
    stiffness = 2 * 1.5 * ((-1.0 + 1.0) - (-np.cos(k) + np.cos(2 * k)))  # 2S [J(0) − J(k)], of half the bonds
    tesla = 8.0
    up = 2 * BOHR_MAGNETON * tesla / stiffness
    raw |= {"name": "cone", "field": {"tesla": tesla, "direction": [0, 0, 1]}}
    raw["sites"][0]["direction"] = [float(np.sqrt(1 - up**2)) / 4.0, 0, float(up) / 7.0]
    return Description.model_validate(raw)


def canted() -> Description:
    """A square antiferromagnet in a field along c: sin θ = g μ_B B / 8JS towards the field."""
    sine = 2 * BOHR_MAGNETON * 15.0 / (8 * 0.6 * 1.5)
    cosine = float(np.sqrt(1 - sine**2))
    sites = [
        site([sign * cosine / 4, 0, sine / 7], [place], name=name)
        for name, sign, place in (("A", 1, [0, 0, 0]), ("B", -1, [1, 0, 0]))
    ]
    field = {"tesla": 15.0, "direction": [0, 0, 1]}
    bonds = [bond("J", shell=1)]
    return model("canted", TETRAGONAL, sites, bonds, {"J": 0.6}, magnetic_cell=SQUARE_CELL, field=field)


def tensor() -> Description:
    """A ferromagnet with a g tensor in a field along its easy axis, a."""
    sites = [site([1, 0, 0], g=[[2.4, 0, 0], [0.0, 1.9, 0.3], [0, 0.3, 2.1]])]
    terms = [{"parameter": "D", "axis": [1, 0, 0]}]
    field = {"tesla": 5.0, "direction": [1, 0, 0]}
    bonds, values = [bond("J", shell=1)], {"J": -0.5, "D": -0.2}
    return model("g tensor", TETRAGONAL, sites, bonds, values, anisotropy=terms, field=field)


def dm_ferromagnet() -> Description:
    """A chain whose Dzyaloshinskii-Moriya vector is along its moments: q and −q differ."""
    bonds = [bond("J", vectors=[[1, 0, 0]]), bond("D", vectors=[[1, 0, 0]], dm=[0, 0, 1])]
    terms = [{"parameter": "A", "axis": [0, 0, 1]}]
    values = {"J": -1.0, "D": 0.2, "A": -0.5}
    return model("dm ferromagnet", TETRAGONAL, [site([0, 0, -1])], bonds, values, anisotropy=terms)


MODELS = {
    description.name: description
    for description in (
        chain(), triangular(), triangular_spiral(), kagome(), honeycomb(), kitaev(), square_biaxial(),
        square_exchange(), xxz(), ferrimagnet(), pyrochlore(), spiral(), two_site_spiral(), cone(), canted(),
        tensor(), dm_ferromagnet(),
    )
}  # fmt: skip
