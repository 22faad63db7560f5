"""Instruments as settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.simulation import resolution
from mantid_exp2sim.simulation.binning import Binning, Kind
from mantid_exp2sim.simulation.instrument import (
    MAPS,
    Instrument,
    coverage_mask,
    load_instrument,
    reached,
    shipped_instruments,
)
from mantid_exp2sim.simulation.measurement import simulate

EDGES = np.linspace(-1, 1, 11)


@pytest.mark.parametrize(
    ("name", "ei", "percent"),
    [
        ("MERLIN", 25.0, (3, 6)),
        ("MARI", 25.0, (2, 6)),
        ("LET", 5.0, (2, 5)),
        ("ARCS", 60.0, (3, 8)),
        ("SEQUOIA", 60.0, (1.5, 5)),
    ],
)
def test_shipped_instruments(name: str, ei: float, percent: tuple[float, float]) -> None:
    """Elastic widths in the range that the instrument is known for; narrower at energy loss."""
    instrument = load_instrument(name.lower())
    assert instrument.name == name
    energy = np.array([0.0, 0.6 * ei])
    sigma = np.sqrt(resolution.covariance(instrument, 0.2, 0.0, energy, ei)[:, 2, 2])
    widths = 100 * resolution.FWHM * sigma / ei
    assert percent[0] < widths[0] < percent[1]
    assert widths[1] < widths[0]
    mask = coverage_mask(3 * EDGES, 3 * EDGES, np.linspace(0.1, 0.6, 4) * ei, ei, instrument=instrument)
    assert 0 < mask.mean() < 1


@pytest.mark.parametrize(("angle", "there"), [(72.0, True), (-72.0, False), (-20.0, True)])
def test_a_detector_sees_where_it_stands(angle: float, there: bool) -> None:
    """In the frame of NXSPE files: LET's detectors reach from -40 to 140 degrees, and Q is ki - kf."""
    from mantid_exp2sim.io.nxspe import Run, momentum_transfer

    nothing = np.zeros((1, 1))
    energy = np.array([4.9, 5.1])
    polar = np.array([np.radians(abs(angle))])
    azimuthal = np.array([np.pi if angle < 0 else 0.0])
    mask = np.zeros((1, 1), dtype=bool)
    run = Run(nothing, nothing, mask, energy, polar, azimuthal, 10.0, {}, is_rings=False)
    qy, qz = momentum_transfer(run, (2 * np.pi, 2 * np.pi))
    assert reached(load_instrument("LET"), qy, qz, np.array([[5.0]]), 10.0).item() is there


def test_every_file_says_where_its_numbers_are_from() -> None:
    assert len(shipped_instruments()) == 5
    for path in shipped_instruments().values():
        text = path.read_text(encoding="utf-8")
        for line in text.splitlines():
            if "=" in line and not line.startswith(("#", "name", "frequencies", "moderator_pulses")):
                tagged = "[1]" in line or "[2]" in line or "[3]" in line or "approximate" in line
                within = line.startswith(("horizontal", "height", "aperture", "chopper =")) or tagged
                assert within or line.startswith("aperture_to_chopper"), (path.name, line)


def test_discs_spread_the_time_as_slot_and_beam_do() -> None:
    let = load_instrument("LET")
    rng = np.random.default_rng(0)
    speed = 2 * 2 * np.pi * let.frequency(5.0) * let.chopper_radius
    slot, beam = (rng.uniform(-0.5, 0.5, 200_000) * w for w in (let.chopper_slit, let.beam_width))
    assert resolution.chopper_variance(let, 5.0) == pytest.approx(((slot + beam) / speed).var(), rel=0.01)


def test_pulse_is_interpolated_and_continued() -> None:
    own = MAPS.model_copy(update={"moderator_tau": None, "moderator_pulses": ((10.0, 20.0), (40.0, 10.0))})
    assert own.pulse(20.0) == pytest.approx(np.sqrt(200) * 1e-6)
    assert own.pulse(160.0) == pytest.approx(5e-6)
    assert own.pulse(2.5) == pytest.approx(40e-6)


def test_own_instrument(tmp_path: Path) -> None:
    text = shipped_instruments()["MERLIN"].read_text(encoding="utf-8")
    path = tmp_path / "own.toml"
    path.write_text(text.replace('name = "MERLIN"', 'name = "own"'), encoding="utf-8")
    assert load_instrument("own.toml", tmp_path).name == "own"
    for old, new in (
        ("sample_to_detector", "sample_to_moon"),
        ("moderator_pulses = [", "moderator_pulses = [[1e9, 1.0], "),
        ("chopper_slit = 0.0002", 'chopper_slit = "narrow"'),
        ("name", "moderator_tau = 3.0\nname"),
    ):
        path.write_text(text.replace(old, new, 1) if old != "name" else text.replace("\nname", "\n" + new, 1))
        with pytest.raises(Exp2SimError, match="cannot be used"):
            load_instrument(str(path))
    with pytest.raises(Exp2SimError, match="no instrument 'HET'"):
        load_instrument("HET")


@pytest.mark.parametrize("azimuth", [0.0, 30.0, 90.0, 180.0, 270.0])
def test_detectors_turn_with_their_azimuth(azimuth: float) -> None:
    """About a beam that is round, the covariance turns with the detector, whose width is not its height."""
    changes = {"chopper": "discs", "moderator_tilt": 0.0, "sample": (0.01, 0.01, 0.01)}
    changes |= {"detector_width": 0.01, "detector_height": 0.05}
    round_beam = MAPS.model_copy(update=changes)
    turn = np.eye(3)
    cosine, sine = np.cos(np.radians(azimuth)), np.sin(np.radians(azimuth))
    turn[:2, :2] = [[cosine, -sine], [sine, cosine]]
    beside = resolution.covariance(round_beam, 0.9, 0.0, 20.0, 50.0)
    turned = resolution.covariance(round_beam, 0.9 * cosine, 0.9 * sine, 20.0, 50.0)
    low = round_beam.model_copy(update={"detector_height": 0.01})
    flat = resolution.covariance(low, 0.9, 0.0, 20.0, 50.0)
    assert beside[1, 1] > 1.2 * flat[1, 1]  # so that the check can fail
    np.testing.assert_allclose(turned, turn @ beside @ turn.T, rtol=1e-9, atol=1e-12)


def energy_width(instrument: Instrument, energy: float, ei: float) -> float:
    """FWHM in meV at Q = 0."""
    return float(resolution.FWHM * np.sqrt(resolution.covariance(instrument, 0.0, 0.0, energy, ei)[2, 2]))


@pytest.mark.parametrize(
    ("name", "energy", "width"),
    [("ARCS", 0.0, 4.12), ("ARCS", 50.0, 2.71), ("SEQUOIA", 0.0, 2.60)],
)
def test_widths_of_resins(name: str, energy: float, width: float) -> None:
    """At 100 meV and 600 Hz, with the moderators of ResINS 'v2'. McVine has 3.97 and 2.25 meV for ARCS."""
    assert energy_width(load_instrument(name), energy, 100.0) == pytest.approx(width, rel=0.03)


@pytest.mark.parametrize("name", ["MAPS", *shipped_instruments()])
def test_widths_are_continuous_in_the_incident_energy(name: str) -> None:
    instrument = load_instrument(name)
    low, high = instrument.incident_energies or (20.0, 150.0)
    energies = np.geomspace(max(low, 20.0), min(high, 170.0), 200)
    fixed = instrument.model_copy(update={"frequencies": ((100.0, 300.0),)})
    widths = np.array([energy_width(fixed, 0.0, ei) / ei for ei in energies])
    assert np.abs(np.diff(np.log(widths))).max() < 0.04


@pytest.mark.parametrize(
    ("name", "ei", "why"),
    [("MAPS", 5.0, "turn away"), ("MERLIN", 400.0, "for 1 to 181 meV"), ("ARCS", 10.0, "for 20 to 1500 meV")],
)
@pytest.mark.parametrize("kind", ["convolved", "integrated", "centre"])
def test_a_shut_chopper_is_refused(name: str, ei: float, why: str, kind: Kind) -> None:
    binning = Binning.regular(ei, bins=(4, 4, 4))
    with pytest.raises(Exp2SimError, match="is shut") as caught:
        simulate("rb2mnf4", binning=binning, instrument=name, kind=kind, grid=6)
    assert why in caught.value.reason
    assert caught.value.fix
