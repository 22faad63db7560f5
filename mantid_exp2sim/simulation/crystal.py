"""A description turned into numbers: the sites of the magnetic cell, the list of bonds, the anisotropy."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.bonds import SAME_PLACE, Sites, coupled_pairs, matches
from mantid_exp2sim.simulation.constants import BOHR_MAGNETON
from mantid_exp2sim.simulation.form_factor import coefficients
from mantid_exp2sim.simulation.material import Description, Site
from mantid_exp2sim.simulation.rotating_frame import RotatingFrame
from mantid_exp2sim.simulation.spin_waves import Bonds, Structure

Integers = NDArray[np.int64]

MAX_SITES = 256


@dataclass(frozen=True, slots=True, eq=False)
class Assembly:
    """Everything of a description that does not depend on its parameters.

    ``cell`` (3, 3): rows are the axes of the magnetic cell in Å (Cartesian); ``positions`` (n, 3) in its
    fractions, ``directions`` (n, 3), ``spins`` (n,) and ``g`` (n, 3, 3); ``field`` (n, 3) in meV and the
    ``frame`` of `Structure`; ``ions`` distinct ions, ``ion`` (n,) the index of each site's; ``first``,
    ``second`` (m,), ``shift`` (m, 3) and ``scale`` (m, 3, 3), the matrix per meV, of the bonds, ``parameter``
    (m,) the index of each bond's constant; ``anisotropy`` (p, n, 3, 3) per unit of each of the
    p parameters.
    """

    description: Description
    cell: Floats
    positions: Floats
    directions: Floats
    spins: Floats
    g: Floats
    field: Floats | None
    frame: RotatingFrame | None
    ions: tuple[str, ...]
    ion: Integers
    first: Integers
    second: Integers
    shift: Integers
    scale: Floats
    parameter: Integers
    anisotropy: Floats

    @property
    def places(self) -> Floats:
        """Cartesian positions (n, 3) in Å."""
        return np.asarray(self.positions @ self.cell)

    @property
    def formula_units(self) -> float:
        """Formula units in the magnetic cell."""
        cell = np.array(self.description.magnetic_cell)
        return float(abs(round(np.linalg.det(cell))) * self.description.formula_units)

    def hamiltonian(self, parameters: ArrayLike) -> tuple[Structure, Bonds, Floats]:
        """Build structure, bonds and anisotropy (n, 3, 3) in meV, in the magnetic cell, for `spin_waves`.

        The directions of the structure are those of the spins, opposite to the moments.
        """
        values = validate_values(self.description, parameters)
        exchange = values[self.parameter, None, None] * self.scale
        spin = -self.directions  # of an electron, opposite to its moment
        structure = Structure(self.positions, spin, self.spins, self.field, self.frame)
        bonds = Bonds(self.first, self.second, self.shift, exchange)
        return structure, bonds, np.einsum("p,pnab->nab", values, self.anisotropy)

    def to_cell(self, q: ArrayLike) -> Floats:
        """Convert (…, 3) in r.l.u. of the lattice to r.l.u. of the magnetic cell."""
        cell = np.array(self.description.magnetic_cell, dtype=float)
        return np.asarray(np.asarray(q, dtype=float) @ cell.T)

    def with_short_steps(self, structure: Structure, bonds: Bonds) -> tuple[Structure, Bonds, Floats]:
        """Choose cells so that as few bonds as possible lead from cell to cell.

        Each site is counted to the cell of a site that it is bound to: the bonds of a spanning tree stay
        inside their cell. Returns the structure with all positions 0, the bonds between its cells, and the
        places of the sites (n, 3) in Å.
        """
        n = len(self.spins)
        steps: list[list[tuple[int, Integers]]] = [[] for _ in range(n)]
        for i, j, shift in zip(self.first, self.second, self.shift, strict=True):
            steps[i].append((int(j), shift))
            steps[j].append((int(i), -shift))
        home: dict[int, Integers] = {}
        for start in range(n):
            if start in home:
                continue
            home[start] = np.zeros(3, dtype=np.int64)
            queue = deque([start])
            while queue:
                i = queue.popleft()
                for j, shift in steps[i]:
                    if j not in home:
                        home[j] = home[i] + shift
                        queue.append(j)
        homes = np.array([home[i] for i in range(n)])
        if self.frame is not None:
            turned = np.einsum("nab,nb->na", self.frame.turns(homes), structure.directions)
            structure = replace(structure, directions=turned)
        structure = replace(structure, positions=np.zeros_like(structure.positions))
        cell = self.shift + homes[self.first] - homes[self.second]
        return structure, replace(bonds, cell=cell), (self.positions + homes) @ self.cell


def validate_values(description: Description, parameters: ArrayLike) -> Floats:
    """Return the parameters of a model (p,) in meV as float64; `Exp2SimError` where they are not that."""
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
    """List sites, bonds and anisotropy of a description; the same object for equal descriptions.

    Raises `Exp2SimError` where sites overlap, a propagation does not fit into the magnetic cell, a bond finds
    no pair, or one pair is coupled twice.

    >>> from mantid_exp2sim.simulation.material import read_description, shipped
    >>> assembly = assemble(read_description(shipped()["rb2mnf4"]))
    >>> len(assembly.spins), len(assembly.parameter)  # sites, and four bonds of each kind
    (2, 8)
    """
    return _assemble(description.model_dump_json())


def _build(description: Description) -> Assembly:
    lattice = description.lattice.vectors()
    multiple = np.array(description.magnetic_cell)
    sites = _sites(description, lattice, multiple)
    bonds = coupled_pairs(description.bonds, sites)
    names, blocks = description.names, sites.blocks
    ions = tuple(dict.fromkeys(site.ion for site in blocks))
    for ion in ions:
        coefficients(ion, description.form_factors)
    g = np.stack([np.array(site.g) * np.eye(3) if np.ndim(site.g) == 0 else site.g for site in blocks])
    return Assembly(
        description, sites.cell, sites.positions, sites.directions,
        np.array([site.spin for site in blocks]), g, _field(description, g, lattice),
        _frame(description, multiple, lattice), ions, np.array([ions.index(site.ion) for site in blocks]),
        np.array([pair[0] for _, pair, _ in bonds]), np.array([pair[1] for _, pair, _ in bonds]),
        np.array([pair[2] for _, pair, _ in bonds]).reshape(-1, 3),
        np.stack([matrix for _, _, matrix in bonds]),
        np.array([names.index(bond.parameter) for bond, _, _ in bonds]),
        _anisotropy(description, blocks, lattice),
    )  # fmt: skip


def _sites(description: Description, lattice: Floats, multiple: Integers) -> Sites:
    count = abs(round(np.linalg.det(multiple)))
    if not 1 <= count <= MAX_SITES:
        raise Exp2SimError(
            f"The magnetic cell {multiple.tolist()} holds {count} cells of the lattice.",
            reason=f"Taken are 1 to {MAX_SITES}.",
            fix="Correct the rows of magnetic_cell: three vectors that are not in one plane.",
        )
    cell = multiple @ lattice
    unit = lattice if description.positions_in == "lattice" else cell
    spins = [spin for site in description.sites for spin in _copies(site, unit, lattice, multiple)]
    if len(spins) > MAX_SITES:
        raise Exp2SimError(
            f"The magnetic cell has {len(spins)} sites.",
            reason=f"At most {MAX_SITES} are taken.",
            fix="Choose a smaller magnetic cell.",
        )
    positions = np.stack([place for _, place, _ in spins]) @ np.linalg.inv(cell)
    _refuse_overlaps(positions, cell)
    directions = np.stack([direction for _, _, direction in spins])
    return Sites(cell, unit, [site for site, _, _ in spins], positions, directions)


def _copies(
    site: Site, unit: Floats, lattice: Floats, multiple: Integers
) -> list[tuple[Site, Floats, Floats]]:
    """(block, place in Å, direction) of every spin that one block of sites stands for."""
    moment = _direction(site.direction, lattice, f"the direction of {site.name!r}")
    places = np.array(site.positions, dtype=float) @ unit
    if site.propagation is None:
        return [(site, place, moment) for place in places]
    turns = multiple @ site.propagation
    if np.abs(turns - np.round(turns)).max() > 1e-6:
        raise Exp2SimError(
            f"The propagation {list(site.propagation)} of {site.name!r} does not fit into the magnetic cell.",
            reason=f"Along its axes the moment turns by {turns.tolist()} turns.",
            fix="Choose a larger magnetic_cell, so that these become whole numbers.",
        )
    copies = []
    for cell in _cells_within(multiple):
        direction = _turned(site, moment, float(np.dot(site.propagation, cell)), lattice)
        copies += [(site, place + cell @ lattice, direction) for place in places]
    return copies


def _turned(site: Site, moment: Floats, turns: float, lattice: Floats) -> Floats:
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


def _cells_within(multiple: Integers) -> Integers:
    """The lattice cells (n, 3) that one magnetic cell holds."""
    corners = np.array(list(product((0, 1), repeat=3))) @ multiple
    low, high = corners.min(axis=0), corners.max(axis=0)
    grid = np.array(list(product(*(range(a, b + 1) for a, b in zip(low, high, strict=True)))))
    fractions = grid @ np.linalg.inv(multiple)
    inside = ((fractions > -1e-9) & (fractions < 1 - 1e-9)).all(axis=1)
    return np.asarray(grid[inside])


def _direction(vector: tuple[float, float, float], lattice: Floats, what: str) -> Floats:
    direction = np.array(vector, dtype=float) @ lattice
    length = np.linalg.norm(direction)
    if length < 1e-9:
        raise Exp2SimError(
            f"{what[0].upper()}{what[1:]} has no length.", fix="Give a vector that is not zero."
        )
    return np.asarray(direction / length)


def _refuse_overlaps(positions: Floats, cell: Floats) -> None:
    step = positions[:, None] - positions[None]
    distance = np.linalg.norm((step - np.round(step)) @ cell, axis=-1) + np.eye(len(positions))
    if distance.min() < 10 * SAME_PLACE:
        i, j = np.unravel_index(distance.argmin(), distance.shape)
        raise Exp2SimError(
            f"Two sites of the magnetic cell are in the same place: {positions[i].round(4).tolist()}.",
            reason=f"They are numbers {i + 1} and {j + 1} of the list.",
            fix="A site with a propagation is repeated in every cell: list it once.",
        )


def _field(description: Description, g: Floats, lattice: Floats) -> Floats | None:
    """−μ_B gᵀB (n, 3) in meV of each spin: H = μ_B B·g·S of an electron."""
    if description.field is None:
        return None
    along = _direction(description.field.direction, lattice, "the direction of the field")
    for number, twin in enumerate(description.twins, start=1):
        matrix = twin.matrix()
        if np.abs(np.linalg.det(matrix) * matrix @ along - along).max() > 1e-6:  # a field is an axial vector
            raise Exp2SimError(
                f"Twin {number} of {description.name} sees the field from another side.",
                reason="The field stays where it is as the crystal is turned, and its moments turn with it.",
                fix="Turn twins about the field, with angle and about, or describe each for itself.",
            )
    return np.asarray(-BOHR_MAGNETON * description.field.tesla * (along @ g))


def _frame(description: Description, multiple: Integers, lattice: Floats) -> RotatingFrame | None:
    spiral = description.rotating_frame
    if spiral is None:
        return None
    axis = _direction(spiral.axis, lattice, "the axis of the rotating frame")
    return RotatingFrame(multiple @ np.array(spiral.propagation), axis)


def _anisotropy(description: Description, blocks: list[Site], lattice: Floats) -> Floats:
    terms = np.zeros((len(description.names), len(blocks), 3, 3))
    for term in description.anisotropy:
        if term.axis is None:
            matrix = np.array(term.matrix)
        else:
            n = _direction(term.axis, lattice, "the axis of an anisotropy")
            matrix = np.outer(n, n)
        applies = [term.sites is None or any(matches(site, name) for name in term.sites) for site in blocks]
        terms[description.names.index(term.parameter), applies] += term.factor * matrix
    return terms
