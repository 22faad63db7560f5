"""Volumes of a turning crystal and of a powder, against forward kinematics, sampling and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.banks import Bank
from mantid_exp2sim.simulation.binning import Binning
from mantid_exp2sim.simulation.constants import ENERGY_PER_K2
from mantid_exp2sim.simulation.geometry import Geometry, not_covered
from mantid_exp2sim.simulation.instrument import Instrument, load_instrument
from mantid_exp2sim.simulation.manganite_spectrum import solve_manganite
from mantid_exp2sim.simulation.material import Lattice
from mantid_exp2sim.simulation.measurement import simulate
from mantid_exp2sim.simulation.options import Options
from mantid_exp2sim.simulation.resolution import covariance
from mantid_exp2sim.simulation.scan import Scan, covariances, see
from mantid_exp2sim.simulation.spectrum import MaterialSpinWaves, solve_material
from tests.simulation.test_general import ferromagnet

MERLIN = load_instrument("MERLIN")
EI = 25.0
SCAN = Scan(psi=(0, 180))
HALF = Scan(psi=(20, 70), along=(1, 1, 0), beside=(-1, 1, 0))
BINNING = Binning.regular(EI, bins=(12, 12, 10), h=(-1, 1), k=(-1, 1), energy=(1, 9), third=(-0.2, 0.2))
UPRIGHT = Binning.regular(EI, bins=(10, 10, 10), h=(-0.8, 1), k=(-0.8, 1.1), energy=(1, 9), third=(-0.1, 0.1))


def waves_of(view: tuple[tuple[float, ...], tuple[float, ...]], scan: Scan | None) -> MaterialSpinWaves:
    description = ferromagnet(jc=-0.6, jab=-0.5).viewed(view[0], view[1])  # type: ignore[arg-type]
    return solve_material(description, options=Options(instrument=MERLIN, grid=16, scan=scan))


def edges_of(geometry: Geometry, binning: Binning) -> list[Floats]:
    h, k, _ = geometry.units
    return [h * binning.h_edges, k * binning.k_edges, geometry.ends(binning)[2], binning.energy_edges]


@pytest.mark.parametrize("scan", [SCAN, HALF])
def test_coverage_is_what_neutrons_at_all_angles_reach(scan: Scan) -> None:
    """Forwards: neutrons into random detectors at random psi, turned back into the crystal."""
    square = Instrument.model_validate(
        {**MERLIN.model_dump(), "banks": [Bank(horizontal=(5.0, 70.0), height=(-0.6, 0.3))]}
    )
    material = ferromagnet()
    options, rng, size = Options(instrument=square, scan=scan), np.random.default_rng(1), 2_000_000
    angle, height = np.radians(rng.uniform(5, 70, size)), rng.uniform(-0.6, 0.3, size)
    psi, energy = np.radians(rng.uniform(*scan.psi, size)), rng.uniform(1, 9, size)
    kf = np.stack([np.cos(angle), np.sin(angle), height / square.sample_to_detector], axis=1)
    kf *= (np.sqrt((EI - energy) / ENERGY_PER_K2) / np.linalg.norm(kf, axis=1))[:, None]
    q = np.array([np.sqrt(EI / ENERGY_PER_K2), 0, 0]) - kf
    cosine, sine = np.cos(psi), np.sin(psi)
    along, across = cosine * q[:, 0] + sine * q[:, 1], cosine * q[:, 1] - sine * q[:, 0]
    turned = np.stack([along, across, q[:, 2]], axis=1)
    if scan is HALF:  # its first axis is [1,1,0], 45° from that of the volume
        c = np.sqrt(0.5)
        turned = turned @ np.array([[c, c, 0], [-c, c, 0], [0, 0, 1]])
    edges = edges_of(Geometry(material, options), BINNING)
    counts = np.histogramdd(np.column_stack([turned, energy]), edges)[0][:, :, 0]
    measured = ~not_covered(material, options, BINNING)
    assert measured[counts > 0.2 * np.median(counts[counts > 0])].all()
    assert (measured & (counts == 0)).sum() < 0.01 * measured.sum()
    assert 0.1 < measured.mean() < 0.9


def test_the_resolution_is_that_of_the_detector_in_the_laboratory() -> None:
    """Energy, height and the trace in the plane do not change when the crystal is turned."""
    whole = Scan(psi=(0, 360))
    q = np.array([[0.9, 0.4, 0.3], [-0.5, 1.1, 0.0]])
    seen = see(MERLIN, whole, q, np.full(2, 5.0), EI)
    assert seen.possible.all()
    turned, _ = covariances(MERLIN, whole, q, 5.0, EI)
    ki, kf = np.sqrt(EI / ENERGY_PER_K2), np.sqrt((EI - 5.0) / ENERGY_PER_K2)
    laboratory = np.array([ki, 0, 0]) - kf * seen.outgoing  # (2, N, 3)
    assert np.linalg.norm(laboratory, axis=-1) == pytest.approx(np.tile(np.linalg.norm(q, axis=-1), (2, 1)))
    sides = np.stack([covariance(MERLIN, side[:, 1], side[:, 2], 5.0, EI) for side in laboratory])
    assert seen.measured.any(axis=0).all()
    for number, measured in enumerate(seen.measured.T):
        mean = sides[measured, number].mean(axis=0)
        assert turned[number, 3, 3] == pytest.approx(mean[2, 2], rel=1e-9)
        assert turned[number, 2, 2] == pytest.approx(mean[1, 1], rel=1e-9)


@pytest.mark.parametrize(
    ("view", "binning"), [(((1, 0, 0), (0, 1, 0)), BINNING), (((1, 0, 0), (0, 0, 1)), UPRIGHT)]
)
def test_a_scan_is_the_mean_over_its_bins(
    view: tuple[tuple[float, ...], tuple[float, ...]], binning: Binning
) -> None:
    """Against random Q with the whole covariance of each: noise of the samples is 3 to 6 %."""
    waves, rng, size = waves_of(view, SCAN), np.random.default_rng(0), 250_000
    ends, geometry = waves.geometry.ends(binning), waves.geometry
    low, high = ends[:, 0] - 0.2, ends[:, 1] + 0.2
    x = low + (high - low) * rng.random((size, 3))
    q = x @ waves.twins[0].axes
    omega, amplitude = waves.solve(q)
    energy = omega[:, 0]
    weight = waves.intensity(q, amplitude, np.arange(size), np.zeros(size, dtype=np.intp))
    edges, volume = edges_of(geometry, binning), float(np.prod(high - low)) / size
    bins = np.prod(np.meshgrid(*[np.diff(e) for e in edges], indexing="ij"), axis=0)

    def histogram(points: Floats, weights: Floats) -> Floats:
        return np.asarray(np.histogramdd(points, edges, weights=weights * volume)[0] / bins)[:, :, 0]

    points, axes, possible = np.column_stack([x, energy]), np.eye(4), np.zeros(size, dtype=bool)
    sampled = histogram(points, weight)
    assert error(waves.volume(binning, "integrated"), sampled, np.ones_like(sampled, dtype=bool)) < 0.08
    axes[:3, :3] = geometry.turn
    blurred = points.copy()
    for group in np.array_split(np.argsort(energy), 60):
        cov, possible[group] = covariances(
            MERLIN, SCAN, x[group] @ geometry.turn.T, float(energy[group].mean()), EI
        )
        cov = np.where(possible[group, None, None], axes.T @ cov @ axes, 1e-12 * np.eye(4))
        deviates = rng.normal(size=(len(group), 4))
        blurred[group] += np.einsum("nab,nb->na", np.linalg.cholesky(cov), deviates)
    whole = np.histogramdd(points[~possible], edges)[0][:, :, 0] == 0  # what lies inside the kinematics
    resolved = waves.volume(binning)
    assert whole.mean() > 0.4
    assert error(resolved, histogram(blurred, np.where(possible, weight, 0)), whole) < 0.12
    assert error(waves.volume(binning, "integrated"), resolved, whole) > 0.2  # the blur is not small


def error(values: Floats, truth: Floats, where: Floats) -> float:
    return float(np.linalg.norm((values - truth)[where]) / np.linalg.norm(truth[where]))


def test_a_thin_range_is_a_plane() -> None:
    """At L = ½ a ferromagnet along c has its largest energy, 4S|J| above that in the plane."""
    waves = waves_of(((1, 0, 0), (0, 1, 0)), SCAN)
    thin = Binning.regular(EI, bins=(1, 1, 40), h=(0.98, 1.02), k=(-0.02, 0.02), energy=(0.5, 8.5),
                           third=(0.49, 0.51))  # fmt: skip
    spectrum = waves.volume(thin, "integrated")[0, 0]
    assert thin.centres[2][spectrum.argmax()] == pytest.approx(4 * 0.6, abs=0.1)
    moved = Binning(thin.h_edges, thin.k_edges, thin.energy_edges, EI, third=(-0.51, -0.49))
    assert waves.volume(moved, "integrated") == pytest.approx(waves.volume(thin, "integrated"), rel=1e-6)


def test_a_powder_has_the_mean_over_all_directions() -> None:
    """First moment of an isotropic sample: a ferromagnet's S(|Q|) and its mean energy, by quadrature."""
    description = ferromagnet(jc=-0.6, jab=-0.5)
    waves = solve_material(description, options=Options(instrument=MERLIN, grid=16, powder=True))
    binning = Binning.regular(EI, bins=(6, 1, 24), h=(0.6, 3.0), k=(0, 1), energy=(0.05, 12))
    spectrum = waves.volume(binning, "integrated")[:, 0]
    z, wz = np.polynomial.legendre.leggauss(60)
    phi = 2 * np.pi * (np.arange(60) + 0.5) / 60
    polar, azimuth = np.meshgrid(z, phi, indexing="ij")
    ring = np.sqrt(1 - polar**2)
    sphere = np.stack([ring * np.cos(azimuth), ring * np.sin(azimuth), polar])
    share = np.broadcast_to(wz[:, None] / 120, polar.shape).reshape(-1)
    for number, (low, high) in enumerate(zip(binning.h_edges[:-1], binning.h_edges[1:], strict=True)):
        totals = []
        for size in low + (high - low) * (np.arange(6) + 0.5) / 6:
            q = size * sphere.reshape(3, -1).T
            omega, amplitude = waves.solve(q)
            weight = share * waves.intensity(q, amplitude, np.arange(len(q)), np.zeros(len(q), dtype=np.intp))
            totals.append((weight.sum(), (weight * omega[:, 0]).sum()))
        total, moment = np.mean(totals, axis=0)
        step = np.diff(binning.energy_edges)
        assert spectrum[number] @ step == pytest.approx(total, rel=0.02)
        assert spectrum[number] @ (step * binning.centres[2]) == pytest.approx(moment, rel=0.02)


def test_a_powder_is_seen_between_its_cones() -> None:
    """|Q| is at least ki − kf and at most what the largest angle gives."""
    histogram = simulate(
        ferromagnet(), binning=Binning.regular(EI, bins=(60, 1, 12), h=(0, 6), k=(0, 1), energy=(1, 13)),
        instrument="MERLIN", powder=True, grid=8,
    )  # fmt: skip
    assert [axis.name for axis in histogram.axes] == ["|Q|", "DeltaE"]
    ki = np.sqrt(EI / ENERGY_PER_K2)
    kf = np.sqrt((EI - histogram.axes[1].centres) / ENERGY_PER_K2)
    widest = max(max(map(abs, bank.horizontal)) for bank in MERLIN.banks)
    q = histogram.axes[0].centres[:, None]
    largest = np.sqrt(ki**2 + kf**2 - 2 * ki * kf * np.cos(np.radians(widest)))
    assert histogram.mask[(q < ki - kf - 0.1) & (q < largest)].all()
    assert histogram.mask[q[:, 0] > largest.max() + 0.1].all()
    assert not histogram.mask[(q > ki - kf + 0.4) & (q < largest - 0.4)].mean() > 0.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scan": SCAN}, "range of the third direction"),
        ({"scan": SCAN, "powder": True}, "A powder is not turned"),
        ({"axes": ("[H,K,0]", "[0,0,L]")}, "is no direction"),
        ({"axes": ("[H,1,0]", "[0,0,L]")}, "is no direction"),
        ({"axes": ("[H,H,0]", "[H,0,0]")}, "not normal to each other"),
        ({"powder": True}, "one bin in place of k"),
    ],
)
def test_what_cannot_be_simulated_is_refused(change: dict[str, object], message: str) -> None:
    binning = Binning.regular(EI, bins=(4, 4, 4), energy=(1, 9))
    with pytest.raises(Exp2SimError, match=message):
        simulate(ferromagnet(), binning=binning, instrument="MERLIN", grid=8, **change)  # type: ignore[arg-type]


def test_the_built_in_models_name_the_description_to_take() -> None:
    with pytest.raises(Exp2SimError, match="pcsmo-dimer"):
        solve_manganite("Dimer", [-8.43, 1.52, 1.52, -14.2, 0.92, 0.073], Options(powder=True))
    with pytest.raises(Exp2SimError, match="pcsmo-goodenough"):
        simulate("Goodenough", binning=Binning.regular(EI), axes=("[H,H,0]", "[-K,K,0]"))


def test_psi_is_ascending_and_directions_differ() -> None:
    with pytest.raises(ValueError, match="psi goes from 50 to 20"):
        Scan(psi=(50, 20))
    with pytest.raises(ValueError, match="parallel"):
        Scan(psi=(0, 90), along=(1, 0, 0), beside=(2, 0, 0))
    frame = Scan(psi=(0, 90), along=(1, 1, 0), beside=(0, 0, 1)).frame(Lattice(a=4, b=4, c=5))
    assert frame == pytest.approx(np.array([[1, 1, 0], [0, 0, np.sqrt(2)], [1, -1, 0]]) / np.sqrt(2))
