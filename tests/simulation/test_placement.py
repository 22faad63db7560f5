"""Where bins lie in the laboratory: against the widths that the instrument has there, found another way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.simulation.binning import Binning
from mantid_exp2sim.simulation.instrument import MAPS, load_instrument
from mantid_exp2sim.simulation.local_blur import local_blur
from mantid_exp2sim.simulation.manganite import BEST_FIT, LATTICE
from mantid_exp2sim.simulation.manganite_spectrum import solve_manganite
from mantid_exp2sim.simulation.material import Lattice
from mantid_exp2sim.simulation.options import Options
from mantid_exp2sim.simulation.placement import place
from mantid_exp2sim.simulation.resolution import covariance
from mantid_exp2sim.simulation.resolution_operator import ResolutionOperator
from mantid_exp2sim.simulation.widths import resolution

CUBE = Lattice(a=4.0, b=4.0, c=4.0)
UNIT = 2 * np.pi / 4.0
ENERGY = Axis("DeltaE", np.linspace(5, 35, 11), unit="meV")


def axis(name: str, low: float = -2.0, high: float = 2.0) -> Axis:
    return Axis(name, np.linspace(low, high, 21), unit="r.l.u.", frame="HKL")


def data(*axes: Axis, **metadata: Any) -> Histogram:
    return Histogram.from_arrays(np.ones([a.size for a in axes]), axes, metadata=metadata)


def test_still_crystal_has_the_covariance_across_the_beam() -> None:
    placement = place(data(axis("[H,0,0]"), axis("[0,K,0]"), ENERGY), MAPS, 50.0, lattice=CUBE)
    assert placement.sample == "still"
    at = [np.array([0.7]), np.array([-0.4]), np.array([12.0])]
    scale = np.diag([1 / UNIT, 1 / UNIT, 1.0])
    expected = scale @ covariance(MAPS, 0.7 * UNIT, -0.4 * UNIT, 12.0, 50.0) @ scale
    np.testing.assert_allclose(placement.covariances(at)[0, 0, 0], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("hkl", [(1.0, 0.0, 0.0), (0.6, 0.8, 0.0), (0.0, -1.2, 0.0)])
def test_turned_crystal_has_the_widths_of_the_instrument_there(hkl: tuple[float, float, float]) -> None:
    """Along Q, across it and in energy, of a point in the horizontal plane; the sides differ little."""
    merlin = load_instrument("MERLIN")
    cut = data(axis("[H,0,0]"), axis("[0,K,0]"), axis("[0,0,L]"), ENERGY)
    placement = place(cut, merlin, 50.0, lattice=CUBE)
    assert placement.sample == "turned"
    at = [np.array([value]) for value in (*hkl, 15.0)]
    got = placement.covariances(at)[0, 0, 0, 0]
    there = resolution(merlin, 50.0, energy=15.0, hkl=hkl, lattice=(4.0, 4.0, 4.0)).covariance[0]
    assert got[3, 3] == pytest.approx(there[3, 3], rel=0.01)
    assert got[2, 2] * UNIT**2 == pytest.approx(there[2, 2], rel=0.01)
    assert np.trace(got[:2, :2]) * UNIT**2 == pytest.approx(there[0, 0] + there[1, 1], rel=0.02)


def test_powder_has_the_width_along_q() -> None:
    """From the deviations of (ki, kf) by Monte Carlo: |Q| and E of each."""
    from mantid_exp2sim.simulation.resolution import direction_map, draw_variables

    mari = load_instrument("MARI")
    length, energy, ei = 2.5, 8.0, 25.0
    powder = data(Axis("|Q|", np.linspace(0.5, 4, 11), unit="A^-1"), ENERGY)
    got = place(powder, mari, ei).covariances([np.array([length]), np.array([energy])])[0, 0]
    ki, kf = np.sqrt(ei / 2.0721), np.sqrt((ei - energy) / 2.0721)
    cosine = (ki**2 + kf**2 - length**2) / (2 * ki * kf)
    outgoing = np.array([cosine, -np.sqrt(1 - cosine**2), 0.0])
    draws = draw_variables(mari, ei, 200_000, np.random.default_rng(0))
    change = draws @ direction_map(mari, outgoing, np.array(kf), ei).T
    modulus = np.linalg.norm(np.array([ki, 0, 0]) - kf * outgoing + change[:, :3], axis=1)
    np.testing.assert_allclose(got, np.cov(modulus, change[:, 3]), rtol=0.03)


def test_integrated_ranges_say_where_a_slice_lies() -> None:
    entries = [{"axis": "[0,K,0]", "range": [0.9, 1.1]}, {"axis": "[0,0,L]", "range": [-0.1, 0.1]}]
    whole = place(data(axis("[H,0,0]"), axis("[0,K,0]"), axis("[0,0,L]"), ENERGY), MAPS, 60.0, lattice=CUBE)
    cut = place(
        data(axis("[H,0,0]"), ENERGY, integrated=entries), MAPS, 60.0, lattice=CUBE, vertical=(0, 0, 1)
    )
    h, energy = np.array([0.5]), np.array([20.0])
    expected = whole.covariances([h, np.array([1.0]), np.array([0.0]), energy])[0, 0, 0, 0]
    np.testing.assert_allclose(cut.covariances([h, energy])[0, 0], expected[np.ix_([0, 3], [0, 3])])


@pytest.mark.parametrize("energies", [10, 40], ids=["windows", "fine bins"])
def test_the_blur_is_that_of_simulated_pairs(energies: int) -> None:
    """At least 55 % of the way from `integrated` to `convolved`, and as the operator of the training."""
    binning = Binning.regular(140.0, bins=(30, 30, energies))
    waves = solve_manganite("Goodenough", BEST_FIT["Goodenough"], Options(grid=20))
    sharp, seen = (waves.volume(binning, kind) for kind in ("integrated", "convolved"))
    axes = (
        Axis("[H,0,0]", binning.h_edges, unit="r.l.u.", frame="HKL"),
        Axis("[0,K,0]", binning.k_edges, unit="r.l.u.", frame="HKL"),
        Axis("DeltaE", binning.energy_edges, unit="meV"),
    )
    lattice = Lattice(a=LATTICE[0], b=LATTICE[1], c=LATTICE[2])
    placement = place(data(*axes), MAPS, 140.0, lattice=lattice)
    again = local_blur([a.edges for a in axes], placement.covariances).on().blur(sharp)
    error, before = np.linalg.norm(again - seen), np.linalg.norm(sharp - seen)
    assert error < 0.45 * before
    x, energy = torch.from_numpy(sharp)[None].float(), torch.tensor([140.0])
    other = ResolutionOperator([binning])(x, energy)[0].numpy()
    assert np.linalg.norm(again - other) < 0.04 * np.linalg.norm(seen)


def test_directions_that_are_not_normal_are_coordinates() -> None:
    """Hexagonal h and k: a change of h alone is no change of Q along a* alone."""
    hexagonal = Lattice(a=4.0, b=4.0, c=6.0, gamma=120.0)
    cut = place(data(axis("[H,0,0]"), axis("[0,K,0]"), ENERGY), MAPS, 50.0, lattice=hexagonal)
    at = [np.array([0.3]), np.array([0.2]), np.array([10.0])]
    got = cut.covariances(at)[0, 0, 0]
    steps = 2 * np.pi * np.linalg.inv(hexagonal.vectors()).T[:2]
    first = steps[0] / np.linalg.norm(steps[0])
    across = np.stack([first, np.cross(np.cross(*steps) / np.linalg.norm(np.cross(*steps)), first)])
    q = across @ (0.3 * steps[0] + 0.2 * steps[1])
    to_q = np.zeros((3, 3))
    to_q[:2, :2], to_q[2, 2] = (steps @ across.T).T, 1
    expected = covariance(MAPS, q[0], q[1], 10.0, 50.0)
    np.testing.assert_allclose(to_q @ got @ to_q.T, expected, rtol=1e-9, atol=1e-12)


def test_what_no_neutron_reaches_has_a_finite_covariance() -> None:
    for axes in ((axis("[H,0,0]", -9, 9), axis("[0,K,0]", -9, 9)), (axis("[H,H,0]", -9, 9),)):
        placement = place(data(*axes, ENERGY), MAPS, 36.0, lattice=CUBE)
        centres = [a.centres for a in (*axes, ENERGY)]
        values = np.linalg.eigvalsh(placement.covariances(centres))
        assert np.isfinite(values).all()
        assert (values > -1e-9).all()


@pytest.mark.parametrize(
    ("name", "step", "origin"),
    [
        ("[-K,2K,0]", (-1, 2, 0), (0, 0, 0)),
        ("[H,-H,0.5]", (1, -1, 0), (0, 0, 0.5)),
        ("['zeta', 'zeta', 0]", (1, 1, 0), (0, 0, 0)),
        ("[H,0.5,0]", (1, 0, 0), (0, 0.5, 0)),
        ("[H/2,1+H/2,0]", (0.5, 0.5, 0), (0, 1, 0)),
    ],
)
def test_names_are_directions(name: str, step: tuple[float, ...], origin: tuple[float, ...]) -> None:
    direction = place(data(axis(name), ENERGY), MAPS, 50.0, lattice=CUBE).directions[0]
    np.testing.assert_allclose(direction.step, UNIT * np.array(step), atol=1e-12)
    np.testing.assert_allclose(direction.origin, UNIT * np.array(origin), atol=1e-12)


@pytest.mark.parametrize(
    ("histogram", "options", "message"),
    [
        (data(axis("[H,0,0]"), ENERGY), {}, "--lattice"),
        (data(axis("[H,0,0]")), {"lattice": CUBE}, "energy transfer of the data is not known"),
        (data(Axis("temperature", np.arange(4.0)), ENERGY), {"lattice": CUBE}, "neither energy"),
        (data(axis("[H,K,0]"), ENERGY), {"lattice": CUBE}, "neither energy"),
        (data(axis("[H,0,0]"), Axis("|Q|", np.arange(4.0))), {"lattice": CUBE}, "mix"),
        (
            data(axis("[H,0,0]"), ENERGY),
            {"lattice": CUBE, "beam": (0, 0, 1), "vertical": (0, 1, 0)},
            "Leave one out",
        ),
    ],
)
def test_what_cannot_be_placed_is_refused(
    histogram: Histogram, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(Exp2SimError, match=message):
        place(histogram, MAPS, 50.0, **options)
