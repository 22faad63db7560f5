"""Magnets that are no material: random sites, order and exchange on a lattice, for the general solver.

Collinear orders are the ground state by the sign of their exchange: what couples parallel moments is
ferromagnetic, what couples antiparallel ones antiferromagnetic. Spirals have the wave vector of their J1
and J2. What serves to test is not drawn: no antiferromagnet of checkerboard order on a square lattice, no
honeycomb, no kagome, no chains of zig-zags in a checkerboard of two ions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mantid_exp2sim.simulation.material import Description, Lattice, View
from mantid_exp2sim.simulation.simulation_conditions import log_uniform

IONS = ("Mn2+", "Mn3+", "Mn4+", "Fe2+", "Fe3+", "Co2+", "Ni2+", "Cr3+", "Cu2+", "V3+")
SQUARE = 0.2
"""Logarithm of the ratio of a and b, up to which a lattice counts as square."""
Numbers = dict[str, dict[str, float]]
Vector = tuple[float, float, float]


def draw_magnet(rng: np.random.Generator, lattice: Lattice, view: View) -> Description:
    """Draw a magnet on a lattice; its constants are of an arbitrary scale.

    Not all of them are stable: a solver refuses those that are not.

    >>> cell = Lattice(a=4.0, b=5.0, c=7.0)
    >>> draw_magnet(np.random.default_rng(3), cell, View()).sites[0].spin > 0
    True
    """
    kinds = ["ferromagnet", "two signs", "bilayer", "many", "spiral"]
    kind = str(rng.choice(kinds, p=[0.2, 0.25, 0.15, 0.34, 0.06]))
    orthogonal = lattice.gamma == 90.0
    if kind == "spiral" and orthogonal:
        return _spiral(rng, lattice, view)
    many = {"many": _many, "bilayer": _bilayer, "two signs": _two_signs}.get(kind, _ferromagnet)
    moment = _moment(rng)
    described = many(rng, lattice, moment)
    parameters, bonds = _exchange(rng, _signs(described["sites"], moment))
    anisotropy = _anisotropy(rng, moment, parameters)
    return Description.model_validate(
        {
            "name": kind,
            "lattice": lattice.model_dump(),
            "view": view.model_dump(),
            "parameters": parameters,
            "bonds": bonds,
            "anisotropy": anisotropy,
            "twins": _twins(rng, lattice),
            **described,
        }
    )


def is_square(lattice: Lattice) -> bool:
    """Whether a lattice is near a square one, in the plane of a and b."""
    return abs(np.log(lattice.a / lattice.b)) < SQUARE and abs(lattice.gamma - 90) < 15


def _moment(rng: np.random.Generator) -> Vector:
    directions = [(0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 1.0, 0.0), (1.0, 0.0, 1.0)]
    return directions[int(rng.integers(len(directions)))]


def _site(rng: np.random.Generator, name: str, positions: list[Vector], direction: Any, spin: float) -> Any:
    return {
        "name": name,
        "ion": str(rng.choice(IONS)),
        "spin": spin,
        "positions": positions,
        "direction": direction,
    }


def _spin(rng: np.random.Generator) -> float:
    return float(rng.integers(1, 6)) / 2


def _basis(rng: np.random.Generator, lattice: Lattice) -> list[Vector]:
    """One position in the plane, or two: a hexagonal lattice has one, so that it is no honeycomb."""
    if lattice.gamma == 120.0 or rng.random() < 0.5:
        return [(0.0, 0.0, 0.0)]
    second = [(0.5, 0.5), (0.5, 0.0), (0.0, 0.5), tuple(rng.uniform(0.2, 0.8, 2).tolist())]
    x, y = second[int(rng.integers(len(second)))]
    return [(0.0, 0.0, 0.0), (float(x), float(y), 0.0)]


def _opposite(moment: Vector) -> Vector:
    return (-moment[0], -moment[1], -moment[2])


def _ferromagnet(rng: np.random.Generator, lattice: Lattice, moment: Vector) -> dict[str, Any]:
    positions = _basis(rng, lattice)
    same = rng.random() < 0.4
    return {
        "sites": [
            _site(rng, "M" if same else f"M{number}", [position], moment, _spin(rng))
            for number, position in enumerate(positions)
        ]
    }


def _two_signs(rng: np.random.Generator, lattice: Lattice, moment: Vector) -> dict[str, Any]:
    """A ferrimagnet of two sites, or an order that changes its sign from cell to cell."""
    positions = _basis(rng, lattice)
    if len(positions) == 2 and rng.random() < 0.5:
        low, high = sorted(rng.choice(np.arange(1, 6), 2, replace=False) / 2)
        return {
            "sites": [
                _site(rng, "A", positions[:1], moment, float(high)),
                _site(rng, "B", positions[1:], _opposite(moment), float(low)),
            ]
        }
    ways: list[Vector] = [(0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0)]
    allowed = ways[: 4 if is_square(lattice) else 5]
    way = allowed[int(rng.integers(len(allowed)))]
    cell = np.diag([2 if part else 1 for part in way]).tolist()
    site = _site(rng, "M", positions[:1], moment, _spin(rng))
    return {"magnetic_cell": cell, "sites": [{**site, "propagation": way}]}


def _bilayer(rng: np.random.Generator, lattice: Lattice, moment: Vector) -> dict[str, Any]:
    half = float(rng.uniform(1.2, 2.5)) / lattice.c
    antiparallel = rng.random() < 0.6
    shift = (0.5, 0.5) if rng.random() < 0.2 and lattice.gamma == 90.0 else (0.0, 0.0)
    spin = _spin(rng)
    lower: Vector = (0.0, 0.0, -half)
    upper: Vector = (*shift, half)
    if is_square(lattice) and antiparallel and any(shift):
        shift, upper = (0.0, 0.0), (0.0, 0.0, half)
    return {
        "sites": [
            _site(rng, "L", [lower], moment, spin),
            _site(rng, "U", [upper], _opposite(moment) if antiparallel else moment, spin),
        ]
    }


def _many(rng: np.random.Generator, lattice: Lattice, moment: Vector) -> dict[str, Any]:
    """A cell of several lattice cells, whose sites have signs and kinds at random."""
    shape = [(2, 1), (1, 2), (3, 1), (1, 3), (2, 2), (4, 1), (1, 4), (3, 2)][int(rng.integers(8))]
    basis = _basis(rng, lattice) if shape[0] * shape[1] <= 4 else [(0.0, 0.0, 0.0)]
    places = [(i + x, j + y, 0.0) for i in range(shape[0]) for j in range(shape[1]) for x, y, _ in basis]
    spins = {name: _spin(rng) for name in "PQR"}
    while True:
        signs = rng.choice([-1, 1], len(places))
        checkerboard = all(
            sign == signs[0] * (-1) ** round(x + y) for (x, y, _), sign in zip(places, signs, strict=True)
        )
        if not (checkerboard and is_square(lattice) and len(basis) == 1):
            break
    sites = []
    for place, sign in zip(places, signs, strict=True):
        name = "PQR"[int(rng.integers(3))]
        direction = moment if sign > 0 else _opposite(moment)
        sites.append({**_site(rng, name, [place], direction, spins[name]), "ion": "Mn3+"})
    cell = [[shape[0], 0, 0], [0, shape[1], 0], [0, 0, 1]]
    return {"magnetic_cell": cell, "sites": sites}


def _signs(sites: list[dict[str, Any]], moment: Vector) -> dict[str, set[int]]:
    """Which signs the moments of a name have."""
    signs: dict[str, set[int]] = {}
    for site in sites:
        sign = 1 if tuple(site["direction"]) == moment else -1
        signs.setdefault(site["name"], set()).update({sign, -sign} if "propagation" in site else {sign})
    return signs


def _exchange(rng: np.random.Generator, signs: dict[str, set[int]]) -> tuple[Numbers, list[dict[str, Any]]]:
    """Constants that hold the order, weaker from shell to shell, some of them other between other kinds."""
    parameters: Numbers = {}
    bonds: list[dict[str, Any]] = []
    names = sorted(signs)
    apart = len(names) > 1 and rng.random() < 0.75
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i:]] if apart else [None]
    shells, fall = int(rng.integers(1, 4)), float(rng.uniform(0.1, 0.8))
    for spins, sign in (("parallel", -1.0), ("antiparallel", 1.0)):
        for shell in range(1, shells + 1):
            for pair in pairs:
                ends = [signs[name] for name in pair or ()] or [set.union(*signs.values())] * 2
                if not any(one * int(-sign) in ends[1] for one in ends[0]):
                    continue
                size = fall ** (shell - 1) * log_uniform(rng, (0.3, 1.0))
                name = f"J{len(parameters)}"
                parameters[name] = {"value": sign * size}
                bond = {"parameter": name, "shell": shell, "spins": spins}
                bonds.append(bond if pair is None else {**bond, "between": pair})
    return parameters, bonds


def _anisotropy(rng: np.random.Generator, moment: Vector, parameters: Numbers) -> list[dict[str, Any]]:
    if rng.random() < 0.3:
        return []
    if rng.random() < 0.7:
        parameters["D"] = {"value": -float(rng.uniform(0, 0.3))}
        return [{"parameter": "D", "axis": moment}]
    parameters["D"] = {"value": float(rng.uniform(0, 0.2))}
    hard: Vector = (0.0, 0.0, 1.0) if moment[2] == 0 else (0.0, 1.0, 0.0)
    return [{"parameter": "D", "axis": hard}]


def _twins(rng: np.random.Generator, lattice: Lattice) -> list[dict[str, Any]]:
    if lattice.gamma == 90.0 and abs(np.log(lattice.a / lattice.b)) < 0.08 and rng.random() < 0.5:
        first = float(rng.uniform(0.2, 0.8))
        return [{"weight": first}, {"weight": 1 - first, "axes": "y,x,z"}]
    return [{}]


def _spiral(rng: np.random.Generator, lattice: Lattice, view: View) -> Description:
    """Of J1 < 0 and J2 > −J1/4 along a, or of J1 > 0: k = arccos(−J1/4J2)/2π, where the energy is least."""
    first, second = float(rng.choice([-1.0, 1.0])), float(rng.uniform(0.3, 1.2))
    turn = float(np.arccos(-first / (4 * second)) / (2 * np.pi))
    along, across = ([1, 0, 0], [0, 1, 0]) if rng.random() < 0.5 else ([0, 1, 0], [1, 0, 0])
    twice = [2 * step for step in along]
    axis = _moment(rng) if rng.random() < 0.5 else (0.0, 0.0, 1.0)
    direction = (1.0, 0.0, 0.0) if axis[0] == 0 else (0.0, 1.0, 0.0) if axis[1] == 0 else (-1.0, 1.0, 0.0)
    if axis == (1.0, 1.0, 0.0) or axis == (1.0, 0.0, 1.0):
        axis, direction = (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)
    return Description.model_validate(
        {
            "name": "spiral",
            "lattice": lattice.model_dump(),
            "view": view.model_dump(),
            "parameters": {
                "J1": {"value": first},
                "J2": {"value": second},
                "Ja": {"value": -log_uniform(rng, (0.05, 1.0))},
            },
            "sites": [_site(rng, "M", [(0.0, 0.0, 0.0)], direction, _spin(rng))],
            "bonds": [
                {"parameter": "J1", "vectors": [along]},
                {"parameter": "J2", "vectors": [twice]},
                {"parameter": "Ja", "vectors": [across]},
            ],
            "rotating_frame": {"propagation": [turn * step for step in along], "axis": axis},
        }
    )
