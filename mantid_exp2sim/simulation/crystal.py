"""A description turned into numbers: the sites of the magnetic cell, the list of bonds, the anisotropy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.simulation.form_factor import coefficients
from mantid_exp2sim.simulation.material import Bond, Description, Site
from mantid_exp2sim.simulation.spin_waves import Bonds, Structure

FloatArray = NDArray[np.float64]
Pair = tuple[int, int, tuple[int, int, int]]

MAX_SITES = 256
MAX_BONDS = 20_000
MAX_DISTANCE = 60.0
SAME = 1e-3
"""Å within which two places are one, and two distances one shell."""


@dataclass(frozen=True, slots=True, eq=False)
class Assembly:
    """Everything of a description that does not depend on its parameters.

    ``cell`` (3, 3): rows are the axes of the magnetic cell in Å (Cartesian); ``positions`` (n, 3) in its
    fractions, ``directions`` (n, 3), ``spins`` and ``g`` (n,); ``ions`` distinct ions, ``ion`` (n,) the index
    of each site's; ``first``, ``second`` (m,), ``shift`` (m, 3) and ``scale`` (m, 3) of the bonds,
    ``parameter`` (m,) the index of each bond's constant; ``anisotropy`` (p, n, 3, 3) per unit of each of the
    p parameters.
    """

    description: Description
    cell: FloatArray
    positions: FloatArray
    directions: FloatArray
    spins: FloatArray
    g: FloatArray
    ions: tuple[str, ...]
    ion: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    shift: NDArray[np.int64]
    scale: FloatArray
    parameter: NDArray[np.int64]
    anisotropy: FloatArray

    @property
    def places(self) -> FloatArray:
        """Cartesian positions (n, 3) in Å."""
        return np.asarray(self.positions @ self.cell)

    @property
    def formula_units(self) -> float:
        """In the magnetic cell."""
        cell = np.array(self.description.magnetic_cell)
        return float(abs(round(np.linalg.det(cell))) * self.description.formula_units)

    def hamiltonian(self, parameters: ArrayLike) -> tuple[Structure, Bonds, FloatArray]:
        """Structure, bonds and anisotropy (n, 3, 3) in meV for `spinwave.solve`, in the magnetic cell."""
        values = check_values(self.description, parameters)
        exchange = (values[self.parameter, None] * self.scale)[:, :, None] * np.eye(3)
        structure = Structure(self.positions, self.directions, self.spins)
        bonds = Bonds(self.first, self.second, self.shift, exchange)
        return structure, bonds, np.einsum("p,pnab->nab", values, self.anisotropy)

    def to_cell(self, q: ArrayLike) -> FloatArray:
        """(…, 3) in r.l.u. of the lattice to r.l.u. of the magnetic cell."""
        return np.asarray(
            np.asarray(q, dtype=float) @ np.array(self.description.magnetic_cell, dtype=float).T
        )


def check_values(description: Description, parameters: ArrayLike) -> FloatArray:
    """The parameters of a model (p,) in meV as float64, or `Exp2SimError`."""
    values = np.asarray(parameters, dtype=float)
    if values.shape != (len(description.names),) or not np.isfinite(values).all():
        raise Exp2SimError(
            f"The model {description.name} takes {len(description.names)} finite numbers in meV.",
            reason=f"Got {values.tolist()}.",
            fix=f"Give {', '.join(description.names)} in this order.",
        )
    return values


@lru_cache(maxsize=16)
def _assemble(text: str) -> Assembly:
    return _build(Description.model_validate_json(text))


def assemble(description: Description) -> Assembly:
    """Sites, bonds and anisotropy of a description; the same object for equal descriptions.

    Raises `Exp2SimError` where sites overlap, a propagation does not fit into the magnetic cell, a bond finds
    no pair, or one pair is coupled twice.

    >>> from .description import read_description, shipped
    >>> found = assemble(read_description(shipped()["rb2mnf4"]))
    >>> len(found.spins), len(found.parameter)  # sites, and four bonds of each kind
    (2, 8)
    """
    return _assemble(description.model_dump_json())


def _build(description: Description) -> Assembly:
    lattice = description.lattice.vectors()
    multiple = np.array(description.magnetic_cell)
    count = abs(round(np.linalg.det(multiple)))
    if not 1 <= count <= MAX_SITES:
        raise Exp2SimError(
            f"The magnetic cell {multiple.tolist()} holds {count} cells of the lattice.",
            reason=f"Taken are 1 to {MAX_SITES}.",
        )
    cell = multiple @ lattice
    unit = lattice if description.positions_in == "lattice" else cell
    sites: list[tuple[Site, FloatArray, FloatArray]] = []
    for site in description.sites:
        sites += _copies(site, unit, lattice, multiple)
    if len(sites) > MAX_SITES:
        raise Exp2SimError(f"The magnetic cell has {len(sites)} sites; at most {MAX_SITES} are taken.")
    positions = np.stack([place for _, place, _ in sites]) @ np.linalg.inv(cell)
    _refuse_overlaps(positions, cell)
    blocks = [site for site, _, _ in sites]
    directions = np.stack([direction for _, _, direction in sites])
    pairs = _all_bonds(description, blocks, positions, directions, cell, unit)
    names = description.names
    ions = tuple(dict.fromkeys(site.ion for site in blocks))
    for ion in ions:
        coefficients(ion, description.form_factors)
    return Assembly(
        description, cell, positions, directions,
        np.array([site.spin for site in blocks]), np.array([site.g for site in blocks]),
        ions, np.array([ions.index(site.ion) for site in blocks]),
        np.array([pair[0] for _, pair in pairs]), np.array([pair[1] for _, pair in pairs]),
        np.array([pair[2] for _, pair in pairs]).reshape(-1, 3),
        np.array([bond.factor * np.array(bond.components) for bond, _ in pairs]),
        np.array([names.index(bond.parameter) for bond, _ in pairs]),
        _anisotropy(description, blocks, lattice),
    )  # fmt: skip


def _copies(
    site: Site, unit: FloatArray, lattice: FloatArray, multiple: NDArray[np.int64]
) -> list[tuple[Site, FloatArray, FloatArray]]:
    """(block, place in Å, direction) of every spin that one block of sites stands for."""
    moment = _direction(site.direction, lattice, f"the direction of {site.name!r}")
    places = np.array(site.positions, dtype=float) @ unit
    if site.propagation is None:
        return [(site, place, moment) for place in places]
    if np.abs(multiple @ site.propagation - np.round(multiple @ site.propagation)).max() > 1e-6:
        raise Exp2SimError(
            f"The propagation {list(site.propagation)} of {site.name!r} does not fit into the magnetic cell.",
            reason=f"Along its axes the moment turns by {(multiple @ site.propagation).tolist()} turns.",
            fix="Choose a larger magnetic_cell, so that these become whole numbers.",
        )
    found = []
    for cell in _cells_within(multiple):
        direction = _turned(site, moment, float(np.dot(site.propagation, cell)), lattice)
        found += [(site, place + cell @ lattice, direction) for place in places]
    return found


def _turned(site: Site, moment: FloatArray, turns: float, lattice: FloatArray) -> FloatArray:
    angle = 2 * np.pi * turns
    if site.axis is not None:
        n = _direction(site.axis, lattice, f"the axis of {site.name!r}")
        along = n * (n @ moment)
        turned = along + (moment - along) * np.cos(angle) + np.cross(n, moment) * np.sin(angle)
        return np.asarray(turned)
    if abs(abs(np.cos(angle)) - 1) > 1e-6:
        raise Exp2SimError(
            f"The propagation of {site.name!r} turns its moment by {turns:g} turns.",
            reason="Without an axis it can only keep or change its sign.",
            fix="Give the axis about which the moment turns.",
        )
    return np.asarray(moment * np.sign(np.cos(angle)))


def _cells_within(multiple: NDArray[np.int64]) -> NDArray[np.int64]:
    """The lattice cells (n, 3) that one magnetic cell holds."""
    corners = np.array(list(product((0, 1), repeat=3))) @ multiple
    low, high = corners.min(axis=0), corners.max(axis=0)
    grid = np.array(list(product(*(range(a, b + 1) for a, b in zip(low, high, strict=True)))))
    fractions = grid @ np.linalg.inv(multiple)
    inside = ((fractions > -1e-9) & (fractions < 1 - 1e-9)).all(axis=1)
    return np.asarray(grid[inside])


def _direction(vector: tuple[float, float, float], lattice: FloatArray, what: str) -> FloatArray:
    found = np.array(vector, dtype=float) @ lattice
    length = np.linalg.norm(found)
    if length < 1e-9:
        raise Exp2SimError(f"{what[0].upper()}{what[1:]} has no length.")
    return np.asarray(found / length)


def _refuse_overlaps(positions: FloatArray, cell: FloatArray) -> None:
    step = positions[:, None] - positions[None]
    distance = np.linalg.norm((step - np.round(step)) @ cell, axis=-1) + np.eye(len(positions))
    if distance.min() < 10 * SAME:
        i, j = np.unravel_index(distance.argmin(), distance.shape)
        raise Exp2SimError(
            f"Two sites of the magnetic cell are in the same place: {positions[i].round(4).tolist()}.",
            reason=f"They are numbers {i + 1} and {j + 1} of the list.",
            fix="A site with a propagation is repeated in every cell: list it once.",
        )


def _all_bonds(
    description: Description,
    blocks: list[Site],
    positions: FloatArray,
    directions: FloatArray,
    cell: FloatArray,
    unit: FloatArray,
) -> list[tuple[Bond, Pair]]:
    found: dict[Pair, Bond] = {}
    for number, bond in enumerate(description.bonds, start=1):
        allowed = _allowed(bond, blocks, directions)
        if bond.vectors is not None:
            pairs = _by_vector(bond, blocks, positions, cell, unit, number)
            pairs = [pair for pair in pairs if _spins_fit(bond, directions, pair)]
        else:
            pairs = _by_distance(bond, allowed, positions, cell)
        if not pairs:
            raise Exp2SimError(
                f"Bond {number} ({bond.parameter}) couples no pair of sites.",
                fix="Check its distances or vectors, the names in 'between', and 'spins'.",
            )
        for pair in dict.fromkeys(_once(pair) for pair in pairs):
            if pair in found:
                raise Exp2SimError(
                    f"Bond {number} ({bond.parameter}) couples a pair of sites that {found[pair].parameter} "
                    "couples too.",
                    fix="Narrow one of them with 'between', 'spins' or vectors.",
                )
            found[pair] = bond
    if len(found) > MAX_BONDS:
        raise Exp2SimError(f"The model has {len(found)} bonds; at most {MAX_BONDS} are taken.")
    return [(bond, pair) for pair, bond in found.items()]


def _once(pair: Pair) -> Pair:
    """The same bond, seen from the end that all agree on."""
    i, j, (x, y, z) = pair
    return min((i, j, (x, y, z)), (j, i, (-x, -y, -z)))


def _matches(site: Site, name: str) -> bool:
    return name in (site.name, site.ion)


def _allowed(bond: Bond, blocks: list[Site], directions: FloatArray) -> NDArray[np.bool_]:
    """Pairs (n, n) of sites that ``between`` and ``spins`` leave."""
    n = len(blocks)
    allowed = np.ones((n, n), dtype=bool)
    if bond.between is not None:
        one, other = (np.array([_matches(site, name) for site in blocks]) for name in bond.between)
        allowed &= (one[:, None] & other) | (other[:, None] & one)
    if bond.spins is not None:
        product_ = directions @ directions.T
        allowed &= product_ > 0.999 if bond.spins == "parallel" else product_ < -0.999
    return allowed


def _spins_fit(bond: Bond, directions: FloatArray, pair: Pair) -> bool:
    along = float(directions[pair[0]] @ directions[pair[1]])
    return bond.spins is None or (along > 0.999 if bond.spins == "parallel" else along < -0.999)


def _by_vector(
    bond: Bond, blocks: list[Site], positions: FloatArray, cell: FloatArray, unit: FloatArray, number: int
) -> list[Pair]:
    found: list[Pair] = []
    for vector in bond.vectors or ():
        step = np.array(vector, dtype=float) @ unit @ np.linalg.inv(cell)
        before = len(found)
        for i, site in enumerate(blocks):
            if bond.between is not None and not _matches(site, bond.between[0]):
                continue
            miss = positions[i] + step - positions
            shift = np.round(miss)
            distance = np.linalg.norm((miss - shift) @ cell, axis=1)
            j = int(distance.argmin())
            if distance[j] < SAME and (bond.between is None or _matches(blocks[j], bond.between[1])):
                found.append((i, j, (int(shift[j, 0]), int(shift[j, 1]), int(shift[j, 2]))))
        if len(found) == before:
            raise Exp2SimError(
                f"Vector {list(vector)} of bond {number} ({bond.parameter}) leads from no site to another.",
                fix="Vectors are in the units of the positions, from between[0] to between[1].",
            )
    return found


def _by_distance(
    bond: Bond, allowed: NDArray[np.bool_], positions: FloatArray, cell: FloatArray
) -> list[Pair]:
    if bond.distance is not None:
        if bond.distance[1] > MAX_DISTANCE:
            raise Exp2SimError(f"Bonds of up to {MAX_DISTANCE} Å are taken, not of {bond.distance[1]} Å.")
        pairs, lengths = _pairs_within(bond.distance[1] + SAME, allowed, positions, cell)
        low, high = bond.distance[0] - SAME, bond.distance[1] + SAME
        return [pair for pair, length in zip(pairs, lengths, strict=True) if low <= length <= high]
    radius = 6.0
    while radius <= MAX_DISTANCE:
        pairs, lengths = _pairs_within(radius, allowed, positions, cell)
        order = np.sort(lengths)
        starts = order[np.diff(order, prepend=-1.0) > SAME]
        if len(starts) > (bond.shell or 1):  # one more than wanted: the shell is whole
            low = starts[(bond.shell or 1) - 1]
            high = starts[bond.shell or 1]
            return [pair for pair, length in zip(pairs, lengths, strict=True) if low <= length < high]
        radius *= 1.5
    return []


def _pairs_within(
    radius: float, allowed: NDArray[np.bool_], positions: FloatArray, cell: FloatArray
) -> tuple[list[Pair], FloatArray]:
    """All allowed pairs up to ``radius`` Å, each once, and their lengths."""
    spacing = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)  # between the planes of each axis
    spread = np.ptp(positions, axis=0)
    reach = np.ceil(radius / spacing + spread).astype(int)
    if len(positions) ** 2 * np.prod(2.0 * reach + 1) > 2e7:
        raise Exp2SimError(
            f"Bonds of {radius:.1f} Å in this magnetic cell are too many to list.",
            fix="Give vectors, or a smaller distance.",
        )
    shifts = np.array(list(product(*(range(-n, n + 1) for n in reach))))
    step = positions[None, None] + shifts[:, None, None] - positions[None, :, None]
    length = np.linalg.norm(step @ cell, axis=-1)
    close = (length <= radius) & (length > SAME) & allowed
    found: dict[Pair, float] = {}
    for s, i, j in np.argwhere(close):
        shift = (int(shifts[s, 0]), int(shifts[s, 1]), int(shifts[s, 2]))
        found.setdefault(_once((int(i), int(j), shift)), float(length[s, i, j]))
    return list(found), np.array(list(found.values()))


def _anisotropy(description: Description, blocks: list[Site], lattice: FloatArray) -> FloatArray:
    found = np.zeros((len(description.names), len(blocks), 3, 3))
    for term in description.anisotropy:
        n = _direction(term.axis, lattice, "the axis of an anisotropy")
        chosen = [term.sites is None or any(_matches(site, name) for name in term.sites) for site in blocks]
        found[description.names.index(term.parameter), chosen] += term.factor * np.outer(n, n)
    return found
