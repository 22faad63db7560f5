"""Resolution of a direct-geometry chopper spectrometer in (Q, E): the eleven variables of Tobyfit.

Linear map and variances after T. G. Perring (thesis, Cambridge 1991), as in Horace's Tobyfit. Frames: x
along the neutron, y horizontal, z up; the sample's c axis along the incident beam. Everything inside in m, s
and Å⁻¹.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf

from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.constants import ENERGY_PER_K2, SPEED_PER_K
from mantid_exp2sim.simulation.instrument import Instrument, kinematics

VARIABLES = (
    "moderator time", "aperture y", "aperture z", "chopper time",
    "sample x", "sample y", "sample z", "detector depth", "detector width", "detector height", "time bin",
)  # fmt: skip
FWHM = float(np.sqrt(8 * np.log(2)))


def chopper_variance(instrument: Instrument, incident_energy: float) -> float:
    """Compute the variance of the time of passage through the chopper in s².

    pk²/6 · (1 − γ⁴/10)/(1 − γ²/6) for γ < 1 and pk²/6 · 0.6 γ (√γ − 2)² (√γ + 8)/(√γ + 4) for 1 ≤ γ < 4, with
    pk = w/(2RΩ), γ = (2R/pk)|1/s − 1/v| and s = 2Ωρ, for a Fermi chopper; (w² + b²)/12 over the square of the
    relative speed of the slots for a pair of discs (a slot of width w sweeps over a beam of width b).
    Raises `Exp2SimError` where the chopper is shut.
    """
    instrument.refuse_shut(incident_energy)
    omega = 2 * np.pi * instrument.frequency(incident_energy)
    if instrument.chopper == "discs":
        crossing = 2 * omega * instrument.chopper_radius  # m/s at which one slot passes the other
        return float((instrument.chopper_slit**2 + instrument.beam_width**2) / 12 / crossing**2)
    pulse = instrument.chopper_slit / (2 * instrument.chopper_radius * omega)
    gamma = instrument.slit_mismatch(incident_energy)
    if gamma < 1:
        shape = (1 - gamma**4 / 10) / (1 - gamma**2 / 6)
    else:
        root = np.sqrt(gamma)
        shape = 0.6 * gamma * (root - 2) ** 2 * (root + 8) / (root + 4)
    return float(pulse**2 / 6 * shape)


def pulse_variance(instrument: Instrument, incident_energy: float) -> float:
    """Compute the variance of the pulse in time, in s²: 3τ², or that of the first discs where it is less."""
    cut = instrument.pulse_half_base(incident_energy) ** 2 / 6
    return float(min(3 * instrument.pulse(incident_energy) ** 2, cut))


def variable_variances(instrument: Instrument, incident_energy: float) -> Floats:
    """Compute the variances of the eleven `VARIABLES`, (11,), in s² and m²."""
    uniform = [
        *instrument.sample,
        instrument.detector_depth,
        instrument.detector_width,
        instrument.detector_height,
    ]
    return instrument.width_scale**2 * np.array(
        [
            pulse_variance(instrument, incident_energy),
            instrument.aperture[0] ** 2 / 12,
            instrument.aperture[1] ** 2 / 12,
            chopper_variance(instrument, incident_energy),
            *(width**2 / 12 for width in uniform),
            (instrument.time_bin * 1e-6) ** 2 / 12,
        ]
    )


def draw_variables(
    instrument: Instrument, incident_energy: float, size: int, rng: np.random.Generator
) -> Floats:
    """Draw the eleven variables (size, 11) about their means, from their true distributions.

    The moderator pulse is t² exp(−t/τ), i.e. a gamma distribution of order 3, or the triangle of the first
    discs where that is narrower; lengths and the time bin are
    uniform; the chopper pulse is taken as triangular of the right variance.
    """
    scale = np.sqrt(12 * variable_variances(instrument, incident_energy))
    draws = rng.uniform(-0.5, 0.5, (size, 11)) * scale
    tau = instrument.pulse(incident_energy)
    cut = instrument.pulse_half_base(incident_energy)
    pulse = rng.triangular(-cut, 0.0, cut, size) if cut**2 / 6 < 3 * tau**2 else rng.gamma(3.0, tau, size)
    draws[:, 0] = instrument.width_scale * (pulse - (0.0 if cut**2 / 6 < 3 * tau**2 else 3 * tau))
    half_base = instrument.width_scale * np.sqrt(6 * chopper_variance(instrument, incident_energy))
    draws[:, 3] = rng.triangular(-half_base, 0.0, half_base, size)
    return draws


def linear_map(
    instrument: Instrument, qy: ArrayLike, qz: ArrayLike, energy: ArrayLike, incident_energy: float
) -> Floats:
    """Compute the matrix (…, 4, 11) from the variables to (δQx, δQy, δQz, δE), in Å⁻¹ and meV.

    ``qy`` (horizontal), ``qz`` (vertical) in Å⁻¹ and ``energy`` in meV broadcast together. NaN where the
    point cannot be reached.
    """
    qy, qz, energy = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (qy, qz, energy)))
    along, kf = kinematics(np.hypot(qy, qz), energy, incident_energy)
    ki = np.sqrt(incident_energy / ENERGY_PER_K2)
    outgoing = np.stack([ki - along, -qy, -qz], axis=-1) / kf[..., None]
    return direction_map(instrument, outgoing, kf, incident_energy)


def direction_map(instrument: Instrument, outgoing: Floats, kf: Floats, incident_energy: float) -> Floats:
    """Compute the matrix of `linear_map` for neutrons that leave along the unit vectors ``outgoing`` (…, 3).

    ``kf`` (…) in Å⁻¹. They may fly backwards.
    """
    ki = np.sqrt(incident_energy / ENERGY_PER_K2)
    f = _lab_to_secondary(outgoing)
    vi, vf = SPEED_PER_K * ki, SPEED_PER_K * kf
    x0, x1 = instrument.moderator_to_chopper, instrument.chopper_to_sample
    xa, x2 = instrument.aperture_to_chopper, instrument.sample_to_detector
    omega = 2 * np.pi * instrument.frequency(incident_energy)
    tilt = np.tan(np.radians(instrument.moderator_tilt))
    g1 = 1 - omega * (x0 + x1) * tilt / vi
    g2 = 1 - omega * (x0 - xa) * tilt / vi
    f1, f2 = 1 + x1 / x0 * g1, 1 + x1 / x0 * g2
    # discs open alike over the whole beam: the time does not depend on where a neutron crosses
    den = omega * (xa + x1) if instrument.chopper == "fermi" else np.inf
    s = np.eye(3)
    # δki in the incident frame, rows (x, y, z)
    incident = np.zeros((3, 11))
    cpi, cti = ki * vi / x0, ki / (xa + x1)
    incident[0, [0, 1, 3]] = cpi, -cpi * g1 / den, -cpi
    incident[0, 4:7] = cpi * g2 / den * s[1]
    incident[1, 1], incident[2, 2] = -cti, -cti
    incident[1, 4:7], incident[2, 4:7] = cti * s[1], cti * s[2]
    # δkf in the secondary frame
    final = np.zeros((*kf.shape, 3, 11))
    cpf, ctf = kf * vf / x2, kf / x2
    d = np.eye(3)
    final[..., 0, 0] = -cpf * x1 / x0
    final[..., 0, 1] = cpf * f1 / den
    final[..., 0, 3] = cpf * (x0 + x1) / x0
    final[..., 0, 4:7] = cpf[..., None] * (s[0] / vi - f[..., 0, :] / vf[..., None] - f2 / den * s[1])
    final[..., 0, 7:10] = (cpf / vf)[..., None] * d[0]
    final[..., 0, 10] = -cpf
    for row in (1, 2):
        final[..., row, 4:7] = -ctf[..., None] * f[..., row, :]
        final[..., row, 7:10] = ctf[..., None] * d[row]
    delta_q = incident - np.swapaxes(f, -1, -2) @ final
    delta_e = 2 * ENERGY_PER_K2 * (ki * incident[0] - kf[..., None] * final[..., 0, :])
    return np.concatenate([delta_q, delta_e[..., None, :]], axis=-2)


def _lab_to_secondary(outgoing: Floats) -> Floats:
    """Rotation (…, 3, 3) to the frame of a detector: first row ``outgoing`` (…, 3), second in the plane of
    scattering. So the width and the height of a detector turn with its azimuth, as in Tobyfit.
    """
    across = np.hypot(outgoing[..., 1], outgoing[..., 2])[..., None]
    straight = np.broadcast_to([1.0, 0.0], outgoing[..., 1:].shape)  # at 2θ = 0 the plane is horizontal
    azimuth = np.where(across > 1e-12, outgoing[..., 1:] / np.maximum(across, 1e-12), straight)
    in_plane = np.concatenate([-across, outgoing[..., :1] * azimuth], axis=-1)
    return np.stack([outgoing, in_plane, np.cross(outgoing, in_plane)], axis=-2)


def covariance(
    instrument: Instrument, qy: ArrayLike, qz: ArrayLike, energy: ArrayLike, incident_energy: float
) -> Floats:
    """Compute the covariance M·diag(variances)·Mᵀ of (Qy, Qz, E), (…, 3, 3) in Å⁻², Å⁻¹ meV and meV².

    Arguments as in `linear_map`.

    >>> import numpy as np
    >>> from mantid_exp2sim.simulation.instrument import MAPS
    >>> sigma = np.sqrt(covariance(MAPS, 0.0, 0.0, 35.0, 70.0)[2, 2])
    >>> round(100 * FWHM * float(sigma) / 70.0, 1)  # energy width at half of Ei, in % of Ei
    3.6
    """
    matrix = linear_map(instrument, qy, qz, energy, incident_energy)[..., 1:, :]
    return (matrix * variable_variances(instrument, incident_energy)) @ np.swapaxes(matrix, -1, -2)


@dataclass(frozen=True, slots=True)
class RadialResolution:
    """The covariance of one incident energy and energy transfer as a smooth function of Q = (Qy, Qz).

    With c ∥ ki the instrument is nearly symmetric about the beam, so that var(Qy) = ``yy`` + ``radial`` Qy²,
    var(Qz) = ``zz`` + ``radial`` Qz², cov(Qy, Qz) = ``radial`` Qy Qz, cov(Q, E) = ``slope`` Q and
    var(E) = ``ee`` + ``ee_q2`` Q². Units Å⁻¹ and meV. ``residual`` is the largest deviation from
    `covariance` at the fitted points, in units of the widths.
    """

    yy: float
    zz: float
    radial: float
    slope: float
    ee: float
    ee_q2: float
    residual: float

    def scaled(self, width_scale: float) -> RadialResolution:
        """Return the resolution with all widths times ``width_scale``."""
        names = ("yy", "zz", "radial", "slope", "ee", "ee_q2")
        return replace(self, **{name: getattr(self, name) * width_scale**2 for name in names})


def radial_fit(
    instrument: Instrument, energy: float, incident_energy: float, q_max: float, *, points: int = 9
) -> RadialResolution:
    """Fit `RadialResolution` by least squares to `covariance` on a grid of |Qy|, |Qz| ≤ ``q_max`` (Å⁻¹).

    Points outside the kinematic range are left out.
    """
    line = np.linspace(-q_max, q_max, points)
    qy, qz = (v.ravel() for v in np.meshgrid(line, line, indexing="ij"))
    with np.errstate(invalid="ignore", divide="ignore"):
        cov = covariance(instrument, qy, qz, energy, incident_energy)
    good = np.isfinite(cov).all(axis=(1, 2))
    return fit_covariances(qy[good], qz[good], cov[good])


def fit_covariances(qy: Floats, qz: Floats, cov: Floats) -> RadialResolution:
    """Fit `RadialResolution` by least squares to covariances (N, 3, 3) of (Qy, Qz, E) at points in Å⁻¹."""
    ones, zero = np.ones_like(qy), np.zeros_like(qy)
    rows = np.concatenate(
        [
            np.stack([ones, zero, qy**2], axis=1),
            np.stack([zero, ones, qz**2], axis=1),
            np.stack([zero, zero, qy * qz], axis=1),
        ]
    )
    values = np.concatenate([cov[:, 0, 0], cov[:, 1, 1], cov[:, 0, 1]])
    yy, zz, radial = np.linalg.lstsq(rows, values, rcond=None)[0]
    slope = float((cov[:, 0, 2] @ qy + cov[:, 1, 2] @ qz) / max(float(qy @ qy + qz @ qz), 1e-30))
    ee, ee_q2 = np.linalg.lstsq(np.stack([ones, qy**2 + qz**2], axis=1), cov[:, 2, 2], rcond=None)[0]
    sigma_q, sigma_e = np.sqrt(min(yy, zz)), np.sqrt(ee)
    residual = max(
        float(np.abs(values - rows @ (yy, zz, radial)).max()) / sigma_q**2,
        float(np.abs(cov[:, :2, 2] - slope * np.stack([qy, qz], axis=1)).max()) / (sigma_q * sigma_e),
        float(np.abs(cov[:, 2, 2] - ee - ee_q2 * (qy**2 + qz**2)).max()) / sigma_e**2,
    )
    return RadialResolution(float(yy), float(zz), float(radial), slope, float(ee), float(ee_q2), residual)


def normal_cdf(x: Floats) -> Floats:
    """Compute the share of a normal distribution below ``x``."""
    return np.asarray(0.5 * (1 + erf(x * np.sqrt(0.5))))


def blur_matrices(bins: Floats, lower: Floats, upper: Floats, sigma: Floats) -> tuple[Floats, Floats]:
    """Make matrices from cell means to bin means under a Gaussian blur, and their derivative by the source.

    ``bins`` (m + 1,) edges; ``lower`` and ``upper`` (n,) borders of the cells, ``sigma`` (n,) per cell (0:
    plain rebinning). Both (m, n).

    >>> value, _ = blur_matrices(np.arange(4.0), np.array([1.0]), np.array([2.0]), np.array([0.2]))
    >>> value[:, 0].round(3).tolist()
    [0.08, 0.84, 0.08]
    """
    sigma = np.maximum(sigma, 1e-9)

    def integrals(border: Floats) -> tuple[Floats, Floats]:  # once and twice, up to each edge of the bins
        x = bins[:, None] - border
        once = normal_cdf(x / sigma)
        return once, x * once + sigma * np.exp(-0.5 * (x / sigma) ** 2) / np.sqrt(2 * np.pi)

    low, high = integrals(lower), integrals(upper)
    width = np.diff(bins)[:, None]
    slope, value = ((a[1:] - b[1:] - a[:-1] + b[:-1]) / width for a, b in zip(low, high, strict=True))
    return value, -slope


@lru_cache(maxsize=32)
def beam_table(
    instrument: Instrument, energies: tuple[float, ...], incident_energy: float, q_max: float
) -> tuple[Floats, Floats]:
    """Tabulate the resolution on and off the kinematic surface against energy and |Q⊥|.

    A deviation from it is η = δQ∥ − ∂Q∥/∂Q⊥ · δQ⊥. Returns (q, table): ``q`` (32,) in Å⁻¹ up to ``q_max``
    or the kinematic limit, and ``table`` (energies, 32, 5): var(E), cov(E, Q⊥)/Q⊥, var(η), cov(η, E) and
    cov(η, Q⊥)/Q⊥, the mean of the horizontal and the vertical direction. Where energies depend on Q∥, a
    measured energy deviates by δE − ∂ω/∂Q∥ · η.
    """
    limit = np.sqrt((incident_energy - max(energies)) / ENERGY_PER_K2)
    q = np.linspace(0.0, min(q_max, 0.98 * float(limit)), 32) + 1e-6
    variances = variable_variances(instrument, incident_energy)
    energy = np.asarray(energies)[:, None]
    _, kf = kinematics(q, energy, incident_energy)
    climb = (q / np.sqrt(kf**2 - q**2))[..., None]
    tables = []
    for axis, at in ((1, (q, 0.0)), (2, (0.0, q))):
        matrix = linear_map(instrument, at[0], at[1], energy, incident_energy)
        beside = matrix[..., 0, :] - climb * matrix[..., axis, :]
        e, across = matrix[..., 3, :], matrix[..., axis, :] / q[:, None]
        pairs = ((e, e), (e, across), (beside, beside), (beside, e), (beside, across))
        tables.append(np.stack([(a * b * variances).sum(axis=-1) for a, b in pairs], axis=-1))
    return q, 0.5 * (tables[0] + tables[1])
