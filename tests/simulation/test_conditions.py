"""Conditions of measurement: each does what its formula says, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.simulation.conditions import Measurement, MeasurementConditions, move
from mantid_exp2sim.simulation.coverage import mosaic_coverage_mask
from mantid_exp2sim.simulation.drawn_masks import draw_mask
from mantid_exp2sim.simulation.instrument import kinematics
from mantid_exp2sim.simulation.noise import MeasurementNoise
from mantid_exp2sim.simulation.options import Options
from mantid_exp2sim.simulation.simulation_conditions import SimulationConditions
from mantid_exp2sim.simulation.surroundings import phonon_sheets, smooth_background
from mantid_exp2sim.simulation.volume_bins import MOSAIC, VolumeBins

ENERGIES = np.array([25.0, 100.0])
OWN = mosaic_coverage_mask()[[0, 4]]


def measured(
    level: float = 4.0, *, samples: int = 1, seed: int = 0, measured_mask: Any = None, **ranges: Any
) -> Measurement:
    convolved = np.broadcast_to(np.float32(level), (samples, 2, *MOSAIC.shape))
    conditions = MeasurementConditions.model_validate(ranges)
    rng = np.random.default_rng(seed)
    return conditions.measure(rng, convolved, convolved, OWN, MOSAIC, ENERGIES, measured_mask=measured_mask)


def inside(measurement: Measurement) -> NDArray[Any]:
    return measurement.values[~measurement.mask].astype(float)


def centres(edges: tuple[float, ...]) -> NDArray[Any]:
    return np.asarray(0.5 * (np.array(edges)[1:] + np.array(edges)[:-1]))


def test_by_default_nothing_changes() -> None:
    measurement = measured()
    assert (measurement.values == np.where(OWN, 0, 4)).all()
    assert (measurement.truth == 4).all()
    assert (measurement.mask == OWN).all()


def test_the_seed_settles_everything() -> None:
    ranges: dict[str, Any] = {
        "phonons": [0, 1], "elastic_tail": [0, 1], "background": [0, 1], "spurions": [0, 3],
        "efficiency": [0, 0.2], "counts": [1, 10], "masks": ["tubes", "layout", "shifted"],
        "debye_waller": [0, 0.02], "temperature": [0, 300], "shift": [0, 0.02], "intensity": [0.1, 10],
    }  # fmt: skip
    first, again, other = (measured(samples=2, seed=seed, **ranges) for seed in (1, 1, 2))
    assert (first.values == again.values).all()
    assert (first.mask == again.mask).all()
    assert (first.truth == again.truth).all()
    assert not (first.values == other.values).all()
    assert not (first.values[0] == first.values[1]).all()


def test_counts_have_poisson_statistics() -> None:
    """N/c of N ~ Poisson(cI) has mean I and variance I/c, and it is a whole number of 1/c."""
    values = inside(measured(counts=[5, 5]))
    error = np.sqrt(4 / 5 / values.size)
    assert values.mean() == pytest.approx(4, abs=5 * error)
    assert values.var() == pytest.approx(4 / 5, rel=0.05)
    assert (5 * values) == pytest.approx(np.round(5 * values), abs=1e-4)
    weak = inside(measured(0.1, counts=[5, 5]))
    assert (weak == 0).mean() == pytest.approx(np.exp(-0.5), abs=0.02)


def test_a_subtracted_background_leaves_its_counts() -> None:
    """Mean I, variance (I + 2b)/c of a background b that is counted twice."""
    values = inside(measured(counts=[5, 5], subtracted=[1.5, 1.5]))
    assert values.mean() == pytest.approx(4, abs=0.06)
    assert values.var() == pytest.approx((4 + 2 * 6) / 5, rel=0.05)
    assert values.min() < 0
    errors = measured(counts=[5, 5], subtracted=[1.5, 1.5], intensity=[3, 3])
    told = errors.variance[~errors.mask].mean()
    assert told == pytest.approx(9 * (4 + 2 * 6) / 5, rel=0.02)
    assert inside(measured(counts=[5, 5], subtracted=[1.5, 1.5], cut_negatives=1)).min() == 0


@pytest.mark.parametrize("name", ["phonons", "elastic_tail", "background"])
def test_what_is_beside_the_spin_waves_has_its_share(name: str) -> None:
    values = measured(4.0, **dict[str, Any]({name: [0.3, 0.3]}))
    assert inside(values).sum() == pytest.approx(1.3 * 4 * (~values.mask).sum(), rel=1e-5)
    assert (values.truth == 4).all()


def test_without_spin_waves_the_rest_stays() -> None:
    measurement = measured(background=[0.5, 0.5], empty=1)
    assert (measurement.truth == 0).all()
    assert inside(measurement).sum() == pytest.approx(0.5 * 4 * (~measurement.mask).sum(), rel=1e-5)


def test_the_elastic_tail_falls_as_a_lorentzian() -> None:
    tail = measured(elastic_tail=[1, 1]).values[0, 0] - 4
    profile = np.array([tail[..., e][~OWN[0][..., e]].mean() for e in range(10)])
    energies = centres(MOSAIC.energy)
    curve = np.polyfit(energies**2, 1 / profile, 1)
    assert np.polyval(curve, energies**2) == pytest.approx(1 / profile, rel=1e-3)
    assert 0.02 <= np.sqrt(curve[1] / curve[0]) <= 0.06


def test_phonons_rise_with_q_and_temperature() -> None:
    """At the zone boundary, where the same ω is seen at other Q: intensities are as Q²."""
    tops = (10.0, 60.0)
    sheets = phonon_sheets(MOSAIC, 25.0, tops=tops)
    squares = MOSAIC.q_squared(25.0)
    near, far = (29, 29), (10, 10)  # (h, k) = (½, ½) in bins on either side of 0: the same ω and Q
    assert sheets[near] == pytest.approx(sheets[far], rel=0.2)
    edge, corner = (39, 20), (39, 39)  # (1, 0) and (1, 1): equivalent points
    window = 7
    ratio = squares[corner][window] / squares[edge][window]
    tails = phonon_sheets(MOSAIC, 25.0, tops=(1e-3, 16.0))  # the optical branch alone
    assert tails[corner][window] / tails[edge][window] == pytest.approx(ratio, rel=0.05)
    warm = phonon_sheets(MOSAIC, 25.0, tops=(1e-3, 16.0), temperature=300.0)
    expected = 1 / (1 - np.exp(-16.0 / (0.0861733 * 300)))
    assert warm[corner][window] / tails[corner][window] == pytest.approx(expected, rel=0.02)


def test_a_background_falls_with_energy_and_rises_with_q() -> None:
    shape = smooth_background(MOSAIC, 100.0, decay=0.3, rise=0.0)
    assert shape[0, 0, 5] / shape[0, 0, 0] == pytest.approx(np.exp(-0.3 / 0.3))
    rising = smooth_background(MOSAIC, 100.0, decay=0.3, rise=1.0) / shape
    assert rising.max() == pytest.approx(2)


def test_the_sample_acts_on_both_kinds_of_data() -> None:
    """exp(−Q²⟨u²⟩/3)·kf/ki·(n + 1), at the centre of a bin."""
    measurement = measured(debye_waller=[0.01, 0.01], flux_factor=1, temperature=[290.1, 290.1])
    energy = 100.0 * centres(MOSAIC.energy)[3]
    across = 2 * np.pi * np.hypot(centres(MOSAIC.h)[30] / 5.408, centres(MOSAIC.k)[25] / 5.4599)
    along, kf = kinematics(across, energy, 100.0)
    ki = np.sqrt(100.0 / 2.0721)
    expected = 4 * np.exp(-(across**2 + along**2) * 0.01 / 3) * kf / ki / (1 - np.exp(-energy / 25.0))
    assert measurement.truth[0, 1, 30, 25, 3] == pytest.approx(float(expected), rel=1e-3)
    seen = ~measurement.mask
    assert measurement.values[seen] == pytest.approx(measurement.truth[seen])


def test_an_intensity_is_a_unit() -> None:
    measurement = measured(samples=300, background=[0.2, 0.2], intensity=[0.1, 10])
    factors = measurement.truth[:, 0, 0, 0, 0] / 4
    assert np.log10(factors).mean() == pytest.approx(0, abs=0.15)
    assert np.log10(factors).std() == pytest.approx(2 / np.sqrt(12), rel=0.1)
    totals = measurement.values.sum(axis=(1, 2, 3, 4), dtype=float)
    assert totals / factors == pytest.approx(totals[0] / factors[0], rel=1e-4)


def test_masks_leave_out_what_they_say() -> None:
    assert not measured(masks=["none"]).mask.any()
    lost = measured(masks=["tubes"], samples=20).mask
    assert lost[:, OWN].all()
    assert 0.01 < (lost.mean() - OWN.mean()) < 0.4
    layouts = measured(masks=["layout"], samples=5).mask
    assert layouts.mean(axis=(1, 2, 3, 4)).max() <= 0.7
    assert len({layout.tobytes() for layout in layouts}) == 5
    real = np.roll(OWN, 3, axis=1)
    assert (measured(masks=["measured"], measured_mask=real).mask[0] == real).all()
    with pytest.raises(Exp2SimError, match="measured mask"):
        measured(masks=["measured"])
    shifted = measured(masks=["shifted"], seed=3).mask[0]
    moves = [(h, k) for h in range(-2, 3) for k in range(-2, 3)]
    inner = (slice(None), slice(2, -2), slice(2, -2))
    assert any((np.roll(OWN, at, axis=(1, 2))[inner] == shifted[inner]).all() for at in moves)


def test_detectors_of_other_efficiency() -> None:
    values = measured(efficiency=[0.1, 0.1], masks=["none"]).values[0]
    assert np.ptp(values, axis=-1).max() == pytest.approx(0, abs=1e-5)
    assert values[..., 0].std() / 4 == pytest.approx(0.1, rel=0.1)


def test_spurions_and_clipping() -> None:
    spotted = inside(measured(spurions=[5, 5], masks=["none"]))
    assert spotted.max() > 2 * 4
    assert (spotted > 4.5).mean() < 0.02
    assert inside(measured(spurions=[5, 5], masks=["none"], clip=[0.9, 0.9])).max() < 4.1


def test_noise_is_that_of_the_noise_table() -> None:
    values = inside(measured(noise=MeasurementNoise(counting=(0.7, 0.7)).model_dump()))
    assert values.var() == pytest.approx(0.7 * 4, rel=0.05)
    noisy = measured(noise={"counting": (0.7, 0.7)}, intensity=[2, 2])
    assert noisy.variance[~noisy.mask].mean() == pytest.approx(4 * 0.7 * 4, rel=0.05)


def test_a_crystal_turns_and_shifts() -> None:
    square = VolumeBins(MOSAIC.h, MOSAIC.k, MOSAIC.energy, (4.0, 4.0))
    volumes = np.random.default_rng(0).random((1, *square.shape))
    turned = move(volumes, square, 0, 0, 90.0)
    assert turned == pytest.approx(np.rot90(volumes, 1, axes=(1, 2)), abs=1e-6)
    step = float(np.diff(square.h).mean())
    shifted = move(volumes, square, step, 0, 0)
    assert shifted[:, 8:-8] == pytest.approx(volumes[:, 7:-9], abs=1e-3)
    assert move(np.ones((1, *square.shape)), square, 0.01, 0.02, 3.0) == pytest.approx(1)


def test_a_simulation_is_drawn_in_its_ranges() -> None:
    conditions = SimulationConditions(
        frequency_factor=(0.5, 0.5), frequency_offset=(50.0, 50.0), width_scale=(1.1, 1.1),
        sample_factor=(2.0, 2.0), line_width=(0.4, 0.4), first_twin=(0.3, 0.3), physics=("paper_compatible",),
    )  # fmt: skip
    options = conditions.draw(np.random.default_rng(0), Options())
    assert options.instrument.frequency(140.0) == 400 / 2 + 50
    assert options.instrument.width_scale == pytest.approx(1.1)
    assert options.instrument.sample == pytest.approx((0.02, 0.1, 0.02))
    assert (options.line_width, options.physics) == (0.4, "paper_compatible")
    assert options.shares_of((0.5, 0.5)) == pytest.approx((0.3, 0.7))


@pytest.mark.parametrize("table", [{"phonons": [1, 0]}, {"masks": []}, {"intensity": [0, 1]}, {"fog": 1}])
def test_a_table_that_cannot_be_meant_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MeasurementConditions.model_validate(table)


def test_bins_that_no_detector_reaches_have_no_layout() -> None:
    far = VolumeBins(tuple(edge + 50 for edge in MOSAIC.h), MOSAIC.k, MOSAIC.energy, MOSAIC.lattice)
    none = np.zeros((1, *MOSAIC.shape), dtype=bool)
    with pytest.raises(Exp2SimError, match="No layout of detectors"):
        draw_mask(np.random.default_rng(0), "layout", none, far, np.array([25.0]))
