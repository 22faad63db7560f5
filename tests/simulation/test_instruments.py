"""Instruments as settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.simulation import resolution
from mantid_exp2sim.simulation.binning import Binning, Kind
from mantid_exp2sim.simulation.coverage import coverage_mask, reached
from mantid_exp2sim.simulation.instrument import MAPS, Instrument, load_instrument, shipped_instruments
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


RESINS = [  # package, Ei (meV), Hz, FWHM (meV) at E = 0 and Ei/2: "PyChop_fit" of ResINS, its newest versions
    ("LET", "High Flux", 2.5, 240.0, 0.0481, 0.0296),
    ("LET", "High Flux", 4.0, 240.0, 0.0898, 0.0516),
    ("LET", "High Flux", 8.04, 240.0, 0.2347, 0.122),
    ("LET", "High Flux", 12.0, 240.0, 0.4149, 0.2057),
    ("LET", "High Flux", 20.0, 240.0, 0.8767, 0.4212),
    ("LET", "High Flux", 28.0, 240.0, 1.4392, 0.6797),
    ("LET", "Intermediate", 2.5, 240.0, 0.042, 0.0275),
    ("LET", "Intermediate", 4.0, 240.0, 0.0761, 0.0466),
    ("LET", "Intermediate", 8.04, 240.0, 0.1913, 0.1045),
    ("LET", "Intermediate", 12.0, 240.0, 0.3327, 0.1707),
    ("LET", "Intermediate", 20.0, 240.0, 0.6956, 0.3411),
    ("LET", "Intermediate", 28.0, 240.0, 1.1358, 0.5427),
    ("LET", "High Resolution", 2.5, 280.0, 0.0333, 0.0225),
    ("LET", "High Resolution", 5.0, 280.0, 0.0854, 0.0548),
    ("LET", "High Resolution", 8.04, 280.0, 0.1539, 0.0903),
    ("LET", "High Resolution", 12.0, 280.0, 0.2602, 0.1412),
    ("LET", "High Resolution", 20.0, 280.0, 0.5337, 0.2715),
    ("MARI", "S", 15.0, 200.0, 0.4543, 0.2922),
    ("MARI", "S", 30.0, 200.0, 1.1449, 0.655),
    ("MARI", "S", 60.0, 300.0, 2.137, 1.1962),
    ("MARI", "S", 100.0, 400.0, 3.5669, 2.0559),
    ("MERLIN", "G", 10.0, 150.0, 0.388, 0.2078),
    ("MERLIN", "G", 25.0, 200.0, 1.157, 0.6219),
    ("MERLIN", "G", 50.0, 300.0, 2.2357, 1.2195),
    ("MERLIN", "G", 100.0, 400.0, 5.4383, 3.2185),
    ("MERLIN", "G", 150.0, 450.0, 8.5952, 5.0116),
    ("ARCS", "ARCS-100-1.5-AST", 30.0, 300.0, 1.0387, 0.6224),
    ("ARCS", "ARCS-100-1.5-AST", 60.0, 420.0, 2.3382, 1.4694),
    ("ARCS", "ARCS-100-1.5-AST", 100.0, 600.0, 4.1178, 2.7108),
    ("ARCS", "ARCS-100-1.5-AST", 200.0, 600.0, 7.086, 3.8043),
    ("SEQUOIA", "SEQ-100-2.0-AST", 30.0, 300.0, 0.7561, 0.5615),
    ("SEQUOIA", "SEQ-100-2.0-AST", 60.0, 420.0, 1.6087, 1.2072),
    ("SEQUOIA", "SEQ-100-2.0-AST", 100.0, 600.0, 2.6042, 1.9805),
    ("SEQUOIA", "SEQ-100-2.0-AST", 200.0, 600.0, 5.471, 3.8646),
]
LARGEST_DIFFERENCE = {"LET": 0.18, "MARI": 0.13, "MERLIN": 0.14, "ARCS": 0.04, "SEQUOIA": 0.02}
"""Of these widths; the instruments' files say why."""


@pytest.mark.parametrize(("name", "package", "ei", "frequency", "elastic", "half"), RESINS)
def test_widths_over_a_grid_of_resins(
    name: str, package: str, ei: float, frequency: float, elastic: float, half: float
) -> None:
    """As far from ResINS as the files say, and near to it for LET with what ResINS leaves out left out.

    It has no sample and no detectors for LET, and takes every pulse as a Gaussian of the measured FWHM; that
    of t² exp(-t/τ), which has a tail, is 20 % wider.
    """
    instrument = load_instrument(name).with_package(package)
    instrument = instrument.model_copy(update={"frequencies": ((ei, frequency),)})
    widths = [energy_width(instrument, energy, ei) for energy in (0.0, ei / 2)]
    np.testing.assert_allclose(widths, [elastic, half], rtol=LARGEST_DIFFERENCE[name])
    if name == "LET":
        gaussian = tuple((energy, 0.8324 * tau) for energy, tau in instrument.moderator_pulses)
        bare = {"sample": (1e-6,) * 3, "detector_depth": 1e-6, "moderator_pulses": gaussian}
        instrument = instrument.model_copy(update=bare)
        widths = [energy_width(instrument, energy, ei) for energy in (0.0, ei / 2)]
        np.testing.assert_allclose(widths, [elastic, half], rtol=0.05)


@pytest.mark.parametrize(
    ("ei", "frequency", "pulse", "elastic", "half"),
    [
        (25.0, 300.0, 36.0, 0.7172, 0.5331),
        (50.0, 200.0, 25.18, 2.3265, 1.4734),
        (70.0, 250.0, 20.51, 3.1002, 1.9711),
        (100.0, 300.0, 22.58, 4.7202, 3.1425),
    ],
)
def test_maps_differs_from_resins_by_the_pulse_alone(
    ei: float, frequency: float, pulse: float, elastic: float, half: float
) -> None:
    """MAPS has the pulse of the published Tobyfit analysis, which makes it 9 to 42 % wider.

    ResINS takes the FWHM ``pulse`` (µs) as that of a Gaussian, and a sample 2 mm thick.
    """
    tau = pulse / (resolution.FWHM * np.sqrt(3))
    changes = {"moderator_tau": None, "moderator_pulses": ((ei, tau),), "sample": (0.002, 0.002, 0.05)}
    maps = MAPS.model_copy(update={"frequencies": ((ei, frequency),), **changes})
    widths = [energy_width(maps, energy, ei) for energy in (0.0, ei / 2)]
    np.testing.assert_allclose(widths, [elastic, half], rtol=0.01)
    usual = MAPS.model_copy(update={"frequencies": ((ei, frequency),)})
    for energy, width in ((0.0, elastic), (ei / 2, half)):
        assert 1.05 < energy_width(usual, energy, ei) / width < 1.45


def test_let_against_tobyfit() -> None:
    """At 8.04 meV, 280 Hz, 20 mm: 0.1507 meV and 4.62e-4, 7.88e-4 Å⁻², with a pulse of 99 µs, not 69 µs."""
    let = load_instrument("LET").with_package("Intermediate")
    let = let.model_copy(update={"frequencies": ((8.04, 280.0),)})
    assert energy_width(let, 2.0, 8.04) == pytest.approx(0.1507, rel=0.1)
    covariance = resolution.covariance(let, 0.0, 0.0, 2.0, 8.04)
    np.testing.assert_allclose(np.diag(covariance)[:2], [4.62e-4, 7.88e-4], rtol=0.15)


def test_the_first_discs_cut_a_long_pulse() -> None:
    """A triangle of half base 40 mm / (4π · 75 Hz · 0.29 m), where the moderator's pulse is longer."""
    let = load_instrument("LET").model_copy(update={"frequencies": ((1.0, 300.0),)})
    triangle = 0.04 / (4 * np.pi * 75.0 * 0.29) / np.sqrt(6)
    long = let.model_copy(update={"moderator_pulses": ((5.0, 100.0),)})
    short = let.model_copy(update={"moderator_pulses": ((5.0, 10.0),)})
    assert resolution.pulse_variance(long, 5.0) == pytest.approx(triangle**2)
    assert resolution.pulse_variance(short, 5.0) == pytest.approx(3e-10)
    for instrument, spread in ((long, triangle), (short, np.sqrt(3e-10))):
        draws = resolution.draw_variables(instrument, 5.0, 100_000, np.random.default_rng(2))
        assert draws[:, 0].std() == pytest.approx(spread, rel=0.02)
        assert abs(draws[:, 0].mean()) < 0.02 * spread


def test_packages_of_let_differ_in_slot_and_pulse() -> None:
    let = load_instrument("LET")
    assert let.with_package("High Flux") == let
    widths = [
        energy_width(let.with_package(name), 0.0, 5.0)
        for name in ("high flux", "Intermediate", "High Resolution")
    ]
    assert widths[0] > widths[1] > widths[2]
    with pytest.raises(Exp2SimError, match="no package 'S'") as caught:
        let.with_package("S")
    assert "High Flux, Intermediate, High Resolution" in caught.value.reason


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
