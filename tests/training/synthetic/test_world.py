"""Made-up materials: the same from a seed again, right in the mean, never of the held-out families."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mantid_exp2sim.simulation.conditions import MeasurementConditions
from mantid_exp2sim.simulation.crystal import assemble
from mantid_exp2sim.simulation.material import Lattice, View
from mantid_exp2sim.training.synthetic.world.held_out import held_out_setting, materials
from mantid_exp2sim.training.synthetic.world.magnets import draw_magnet
from mantid_exp2sim.training.synthetic.world.pairs import cached_pairs, draw_pairs
from mantid_exp2sim.training.synthetic.world.samples import CLEAN, measured_sample, resolution_of
from mantid_exp2sim.training.synthetic.world.settings import draw_setting

SEED, CUT = 1, 5
"""A setting that is a cut along the energy: quick."""


def test_pairs_are_the_same_from_a_seed_again_and_kept_in_a_folder(tmp_path: Path) -> None:
    drawn = cached_pairs(tmp_path, SEED, CUT)
    (tmp_path / "1-00005.npz").rename(tmp_path / "1-00006.npz")
    again = draw_pairs(SEED, CUT, 2)
    np.testing.assert_array_equal(drawn.convolved[:2], again.convolved)
    np.testing.assert_array_equal(drawn.integrated[:2], again.integrated)
    read = cached_pairs(tmp_path, SEED, 6)
    np.testing.assert_array_equal(read.convolved, drawn.convolved)
    assert read.kinds == drawn.kinds


def test_a_pair_has_mean_1_where_measured_and_the_same_total_twice() -> None:
    pairs = draw_pairs(SEED, CUT, 3)
    measured = ~pairs.setting.mask
    np.testing.assert_allclose([part[measured].mean() for part in pairs.convolved], 1, rtol=1e-5)
    assert (pairs.integrated >= 0).all()


def test_settings_have_a_chopper_that_is_open_and_bins_that_are_measured() -> None:
    for number in range(40, 46):
        setting = draw_setting(3, number)
        energy = setting.binning.incident_energy
        assert setting.options.instrument.is_open(energy)
        assert (~setting.mask).mean() >= 0.3
        assert setting.binning.energy_edges[-1] < energy


@pytest.mark.parametrize("gamma", [90.0, 120.0])
def test_no_magnet_of_a_held_out_family_is_drawn(gamma: float) -> None:
    """On a square lattice no neighbours are all antiparallel, and on a hexagonal one there is one site."""
    lattice = Lattice(a=4.0, b=4.0, c=15.0, gamma=gamma)
    view = View() if gamma == 90.0 else View(vertical=(-0.5, 1.0, 0.0))
    for seed in range(60):
        magnet = draw_magnet(np.random.default_rng(seed), lattice, view)
        if magnet.rotating_frame is not None:
            continue
        structure = assemble(magnet).hamiltonian(np.array(magnet.values))[0]
        cell = np.array(magnet.magnetic_cell) @ lattice.vectors()
        places = np.concatenate(
            [(structure.positions + np.array([i, j, 0])) @ cell for i in (-1, 0, 1) for j in (-1, 0, 1)]
        )
        moments = np.tile(structure.directions, (9, 1))
        steps = places[None] - structure.positions[:, None] @ cell
        near = np.abs(np.linalg.norm(steps, axis=-1) - 4.0) < 0.01
        parallel = np.einsum("na,ma->nm", structure.directions, moments)[near]
        in_plane = near & (np.abs(steps[..., 2]) < 0.01)
        if gamma == 90.0:
            assert not in_plane.any() or parallel.max() > 0.5 or in_plane.sum(axis=1).max() < 4
        else:
            assert in_plane.sum(axis=1).max(initial=0) in (0, 6)


def test_conditions_act_on_the_data_alone() -> None:
    pairs = draw_pairs(SEED, CUT, 1)
    resolution = resolution_of(pairs.setting)
    noisy = MeasurementConditions(counts=(50.0, 50.0), background=(0.5, 0.5))
    clean, seen = (
        measured_sample(
            np.random.default_rng(0), pairs.setting, resolution, pairs.convolved[0], pairs.integrated[0], of
        )
        for of in (CLEAN, noisy)
    )
    assert clean is not None
    assert seen is not None
    truths = [float(sample.truth.sum()) * sample.problem.scale for sample in (clean, seen)]
    totals = [float(sample.problem.data.sum()) * sample.problem.scale for sample in (clean, seen)]
    assert truths[1] == pytest.approx(truths[0], rel=1e-4)
    assert totals[1] == pytest.approx(1.5 * totals[0], rel=0.15)
    assert float(clean.problem.sigma.max()) == 0 < float(seen.problem.sigma.max())


def test_a_held_out_material_is_measured_where_its_bands_are() -> None:
    material = next(material for material in materials() if material.name == "square AF 1")
    assert material.top == pytest.approx(4 * 2.5 * 0.65, rel=0.02)  # 4 J S of the square lattice
    setting = held_out_setting(material, "MERLIN", bins=(4, 4, 3), grid=8)
    assert setting.binning.incident_energy == pytest.approx(1.5 * material.top, abs=0.06)
