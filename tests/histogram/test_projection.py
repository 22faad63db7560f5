"""Directions in reciprocal space, as Mantid, Horace and MDNorm name them, and the axes of a projection."""

from __future__ import annotations

import numpy as np
import pytest

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Histogram, Projection
from mantid_exp2sim.histogram.direction import direction_name
from mantid_exp2sim.histogram.projection import projection_of

EDGES = np.array([0.0, 0.5, 1.0])


@pytest.mark.parametrize(
    ("name", "direction", "offset"),
    [
        ("[H,0,0]", (1, 0, 0), (0, 0, 0)),
        ("[H, H, 0]", (1, 1, 0), (0, 0, 0)),
        ("[HH0]", (1, 1, 0), (0, 0, 0)),
        ("[-K,2K,0]", (-1, 2, 0), (0, 0, 0)),
        ("['-eta', '2eta', 0]", (-1, 2, 0), (0, 0, 0)),
        ("['0.5zeta', '0.5zeta', 'zeta']", (0.5, 0.5, 1), (0, 0, 0)),
        ("[0 0 L]", (0, 0, 1), (0, 0, 0)),
        ("(H,-H,0)", (1, -1, 0), (0, 0, 0)),
        ("[ζ, ζ, 0]", (1, 1, 0), (0, 0, 0)),
        ("[H/2,H/2,0]", (0.5, 0.5, 0), (0, 0, 0)),
        ("[1 1 0]", (1, 1, 0), (0, 0, 0)),
        ("[H,0.5,-1]", (1, 0, 0), (0, 0.5, -1)),
        ("[1+H, 1 - H, 0]", (1, -1, 0), (1, 1, 0)),
        ("K", (0, 1, 0), (0, 0, 0)),
    ],
)
def test_a_name_tells_direction_and_offset(
    name: str, direction: tuple[float, ...], offset: tuple[float, ...]
) -> None:
    axis = Axis(name, EDGES, unit="r.l.u.", frame="HKL")
    assert (axis.direction, axis.offset) == (direction, offset)


@pytest.mark.parametrize("name", ["[H,K,0]", "Q_sample_x", "DeltaE", "|Q|", "[0,0,0]", "[H,0]", "[H//2,0,0]"])
def test_other_names_tell_none(name: str) -> None:
    assert Axis(name, EDGES).direction is None


@pytest.mark.parametrize("vector", [(1, 0, 0), (1, 1, 0), (-1, 2, 0), (0.5, -0.25, 1), (0, 0, -1)])
def test_names_that_are_made_are_read(vector: tuple[float, ...]) -> None:
    assert Axis(direction_name(vector), EDGES).direction == vector


def test_a_coordinate_is_that_of_the_projection() -> None:
    """Q = 0.3 (1, 1, 0) is 0.6 on an axis [0.5H,0.5H,0] and −0.3 on [-H,-H,0]."""
    projection = Projection((1, 1, 0), (0, 0, 1), (-1, 1, 0))
    for name, at in (("[0.5H,0.5H,0]", 0.6), ("[-H,-H,0]", -0.3), ("[HH0]", 0.3)):
        pair = projection.place(Axis(name, np.array([at - 0.1, at + 0.1])))
        assert pair is not None
        slot, place = pair
        assert slot == "h"
        assert place.flipped == (at < 0)
        assert place.axis.centres == pytest.approx(0.3)


def test_an_offset_along_an_axis_moves_its_edges() -> None:
    pair = Projection().place(Axis("[1+H,0,0]", EDGES))
    assert pair is not None
    assert pair[1].axis.edges.tolist() == [1.0, 1.5, 2.0]
    assert Axis("[1+H,0,0]", EDGES).kind is None
    assert Axis("[H,1,0]", EDGES).kind == "h"


def test_two_axes_of_one_direction_are_refused() -> None:
    axes = [Axis("[H,0,0]", EDGES), Axis("[2H,0,0]", EDGES)]
    with pytest.raises(Exp2SimError, match=r"More than one axis could be \[H,0,0\]"):
        Projection().places(axes)


def test_directions_in_one_plane_are_refused() -> None:
    with pytest.raises(Exp2SimError, match="lie in one plane"):
        Projection((1, 0, 0), (2, 0, 0))
    with pytest.raises(Exp2SimError, match="lie in one plane"):
        Projection((1, 0, 0), (0, 1, 0), (1, 1, 0))


def test_the_projection_of_some_data_is_that_of_their_axes() -> None:
    energy = Axis("DeltaE", EDGES, unit="meV")
    assert projection_of([energy, Axis("[0,K,0]", EDGES), Axis("[H,0,0]", EDGES)]) == Projection()
    other = projection_of([Axis("[H,H,0]", EDGES), energy, Axis("[0,0,L]", EDGES)])
    assert (other.first, other.second) == ((1, 1, 0), (0, 0, 1))
    assert projection_of([Axis("|Q|", EDGES), energy]).powder


def test_an_axis_is_found_by_its_direction() -> None:
    axes = [Axis("['zeta', 'zeta', 0]", EDGES), Axis("DeltaE", EDGES, unit="meV")]
    histogram = Histogram.from_arrays(np.ones((2, 2)), axes)
    assert histogram.position("[H,H,0]") == 0
    with pytest.raises(Exp2SimError, match="not one axis"):
        histogram.position("[H,0,0]")
