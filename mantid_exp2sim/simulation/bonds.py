"""The pairs of sites that each bond of a description couples, by shell, distance or vector."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.simulation.material import Bond, Site

Pair = tuple[int, int, tuple[int, int, int]]
"""Numbers of two sites, and the shift of the second's magnetic cell."""

MAX_BONDS = 20_000
MAX_DISTANCE = 60.0
SAME_PLACE = 1e-3
"""Å within which two places are the same, and two distances one shell."""


@dataclass(frozen=True, slots=True, eq=False)
class Sites:
    """The spins of one magnetic cell.

    ``cell`` (3, 3): its axes in Å as rows; ``unit`` (3, 3): those of the vectors of bonds; ``blocks`` the
    description of each site, ``positions`` (n, 3) in fractions of the cell, ``directions`` (n, 3) unit
    vectors of the moments.
    """

    cell: Floats
    unit: Floats
    blocks: list[Site]
    positions: Floats
    directions: Floats


def coupled_pairs(bonds: tuple[Bond, ...], sites: Sites) -> list[tuple[Bond, Pair, Floats]]:
    """List every pair that a bond couples, once, with the matrix (3, 3) per meV from the first to the second.

    Raises `Exp2SimError` where a bond couples no pair, two isotropic ones or two of one parameter couple the
    same, a bond has no direction but a matrix that is not symmetric, or there are too many.
    """
    coupled: dict[Pair, list[Bond]] = {}
    listed: list[tuple[Bond, Pair, Floats]] = []
    for number, bond in enumerate(bonds, start=1):
        pairs = _by_vector(bond, sites, number) if bond.vectors else _by_distance(bond, sites)
        matrix = bond.exchange()
        if not np.array_equal(matrix, matrix.T):
            pairs = _directed(bond, pairs, sites, number)
        if not pairs:
            raise Exp2SimError(
                f"Bond {number} ({bond.parameter}) couples no pair of sites.",
                fix="Check its distances or vectors, the names in 'between', and 'spins'.",
            )
        for pair, turned in {_once(pair): _once(pair) != pair for pair in pairs}.items():
            _refuse_twice(bond, coupled.setdefault(pair, []), number)
            coupled[pair].append(bond)
            listed.append((bond, pair, matrix.T if turned else matrix))
    if len(listed) > MAX_BONDS:
        raise Exp2SimError(
            f"The model has {len(listed)} bonds.",
            reason=f"At most {MAX_BONDS} are taken.",
            fix="Choose shorter bonds or a smaller magnetic cell.",
        )
    return listed


def _refuse_twice(bond: Bond, others: list[Bond], number: int) -> None:
    for other in others:
        if other.parameter == bond.parameter or (other.is_isotropic and bond.is_isotropic):
            raise Exp2SimError(
                f"Bond {number} ({bond.parameter}) couples a pair of sites that is coupled already.",
                reason=f"A bond of {other.parameter} couples it too.",
                fix="Narrow one of them with 'between', 'spins' or vectors.",
            )


def _directed(bond: Bond, pairs: list[Pair], sites: Sites, number: int) -> list[Pair]:
    """The pairs from the start to the end of a bond that has a direction."""
    if bond.vectors is None:
        start, end = bond.between or ("", "")
        towards = [
            [matches(sites.blocks[i], start) and matches(sites.blocks[j], end) for i, j in ((i, j), (j, i))]
            for i, j, _ in pairs
        ]
        clear = bond.between is not None and all(forth != back for forth, back in towards)
        pairs = [p if forth else _turned(p) for p, (forth, _) in zip(pairs, towards, strict=True)]
    else:
        clear = not {_turned(pair) for pair in pairs} & set(pairs)
    if not clear:
        raise Exp2SimError(
            f"Bond {number} ({bond.parameter}) has no direction.",
            reason="Its matrix or vector is not the same from either end.",
            fix="Give each pair once with vectors, or two different names in 'between'.",
        )
    return pairs


def _turned(pair: Pair) -> Pair:
    i, j, (x, y, z) = pair
    return j, i, (-x, -y, -z)


def matches(site: Site, name: str) -> bool:
    """Whether ``name`` is that of the site or of its ion."""
    return name in (site.name, site.ion)


def _once(pair: Pair) -> Pair:
    """The same bond, seen from the end that all agree on."""
    return min(pair, _turned(pair))


def _spins_fit(bond: Bond, sites: Sites) -> Booleans:
    """Pairs (n, n) of sites whose moments point as ``spins`` wants."""
    along = sites.directions @ sites.directions.T
    if bond.spins is None:
        return np.ones_like(along, dtype=bool)
    return np.asarray(along > 0.999 if bond.spins == "parallel" else along < -0.999)


def _allowed(bond: Bond, sites: Sites) -> Booleans:
    """Pairs (n, n) of sites that ``between`` and ``spins`` leave."""
    allowed = _spins_fit(bond, sites)
    if bond.between is not None:
        start, end = (np.array([matches(site, name) for site in sites.blocks]) for name in bond.between)
        allowed &= (start[:, None] & end) | (end[:, None] & start)
    return allowed


def _by_vector(bond: Bond, sites: Sites, number: int) -> list[Pair]:
    start, end = bond.between or (None, None)
    spins_fit = _spins_fit(bond, sites)
    pairs: list[Pair] = []
    for vector in bond.vectors or ():
        step = np.array(vector, dtype=float) @ sites.unit @ np.linalg.inv(sites.cell)
        ends: list[Pair] = []
        for i, site in enumerate(sites.blocks):
            if start is not None and not matches(site, start):
                continue
            miss = sites.positions[i] + step - sites.positions
            shift = np.round(miss)
            distance = np.linalg.norm((miss - shift) @ sites.cell, axis=1)
            j = int(distance.argmin())
            if distance[j] < SAME_PLACE and (end is None or matches(sites.blocks[j], end)):
                ends.append((i, j, _integers(shift[j])))
        if not ends:
            raise Exp2SimError(
                f"Vector {list(vector)} of bond {number} ({bond.parameter}) leads from no site to another.",
                fix="Vectors are in the units of the positions, from between[0] to between[1].",
            )
        pairs += [pair for pair in ends if spins_fit[pair[:2]]]
    return pairs


def _integers(shift: NDArray[np.generic]) -> tuple[int, int, int]:
    x, y, z = (int(number) for number in shift)
    return x, y, z


def _by_distance(bond: Bond, sites: Sites) -> list[Pair]:
    allowed = _allowed(bond, sites)
    if bond.distance is not None:
        low, high = bond.distance
        if high > MAX_DISTANCE:
            raise Exp2SimError(
                f"A bond is {high} Å long.",
                reason=f"Bonds of up to {MAX_DISTANCE} Å are taken.",
                fix="Choose shorter distances.",
            )
        lengths = _pairs_within(high + SAME_PLACE, allowed, sites)
        return [pair for pair, length in lengths.items() if low - SAME_PLACE <= length <= high + SAME_PLACE]
    radius, shell = 6.0, bond.shell or 1
    while radius <= MAX_DISTANCE:
        lengths = _pairs_within(radius, allowed, sites)
        order = np.sort(list(lengths.values()))
        starts = order[np.diff(order, prepend=-1.0) > SAME_PLACE]
        if len(starts) > shell:  # there is a longer one: the shell is whole
            return [pair for pair, length in lengths.items() if starts[shell - 1] <= length < starts[shell]]
        radius *= 1.5
    return []


def _pairs_within(radius: float, allowed: Booleans, sites: Sites) -> dict[Pair, float]:
    """All allowed pairs up to ``radius`` Å, each once, and their lengths."""
    positions, cell = sites.positions, sites.cell
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
    close = (length <= radius) & (length > SAME_PLACE) & allowed
    lengths: dict[Pair, float] = {}
    for s, i, j in np.argwhere(close):
        pair = _once((int(i), int(j), _integers(shifts[s])))
        lengths.setdefault(pair, float(length[s, i, j]))
    return lengths
