"""Linear spin-wave theory for any structure: in a magnetic cell, or a spiral in its rotating frame.

``H = Σ_bonds S_i·J_ij·S_j + Σ_i S_i·A_i·S_i − Σ_i h_i·S_i``, each bond counted once, in meV; positions in
fractions of the magnetic cell, Q in r.l.u. of that cell. Colpa's Cholesky method (Physica A 93 (1978) 327)
on the 2N×2N form of Toth and Lake, J. Phys.: Condens. Matter 27 (2015) 166002.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.rotating_frame import RotatingFrame

ComplexArray = NDArray[np.complex128]

IMAGINARY = 1e-6
"""meV above which the imaginary part of an energy is more than rounding."""


class UnstableStructureError(Exp2SimError):
    """The assumed spin structure is not the ground state of these exchange constants.

    ``place`` (3,) in r.l.u. of the magnetic cell is where it shows most, ``imaginary`` the imaginary part of
    an energy there in meV (0: the energies are real, some below 0).
    """

    place: Floats | None = None
    imaginary: float = 0.0

    @property
    def energies(self) -> str:
        """Say what is wrong with the energies."""
        return f"imaginary, up to {self.imaginary:.3g}i meV" if self.imaginary else "below 0"


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """Spins of one magnetic cell.

    ``positions`` (n, 3) in fractions of the cell, ``directions`` (n, 3) unit vectors of the ordered spins
    (Cartesian; of electrons: opposite to their moments), ``spins`` (n,) lengths S; ``field`` (n, 3) in meV
    what each spin is drawn to, −μ_B gᵀB. With a ``frame`` these are the spins of the first cell, and they
    turn from cell to cell.
    """

    positions: Floats
    directions: Floats
    spins: Floats
    field: Floats | None = None
    frame: RotatingFrame | None = None

    def __post_init__(self) -> None:
        """Validate the shapes and that every direction is a unit vector."""
        n = len(self.positions)
        shapes = (self.positions.shape, self.directions.shape, self.spins.shape)
        if shapes != ((n, 3), (n, 3), (n,)) or n == 0:
            raise Exp2SimError(
                "A structure needs (n, 3), (n, 3) and (n,) arrays.",
                reason=f"Got shapes {shapes}.",
                fix="Give positions, directions and spins of the same sites.",
            )
        if not np.allclose(np.linalg.norm(self.directions, axis=1), 1.0):
            raise Exp2SimError(
                "The directions of the moments must be unit vectors.", fix="Divide each by its length."
            )

    @property
    def fields(self) -> Floats:
        """The field (n, 3) in meV, zeros where there is none."""
        return np.zeros_like(self.directions) if self.field is None else self.field


@dataclass(frozen=True, slots=True, eq=False)
class Bonds:
    """Exchange bonds, each counted once: site ``first`` couples to ``second`` in the cell shifted by
    ``cell``.

    ``first`` and ``second`` (m,) integers, ``cell`` (m, 3) integers, ``exchange`` (m, 3, 3) in meV (an
    isotropic J is ``J·1``).
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    cell: NDArray[np.int64]
    exchange: Floats

    @classmethod
    def isotropic(cls, bonds: list[tuple[int, int, tuple[int, int, int], float]]) -> Bonds:
        """Make bonds with scalar exchange J (meV) from tuples (first, second, cell, J)."""
        return cls(
            np.array([b[0] for b in bonds], dtype=np.int64),
            np.array([b[1] for b in bonds], dtype=np.int64),
            np.array([b[2] for b in bonds], dtype=np.int64).reshape(-1, 3),
            np.array([b[3] for b in bonds], dtype=float)[:, None, None] * np.eye(3),
        )


def refuse_torque(name: str, structure: Structure, bonds: Bonds, anisotropy: Floats) -> None:
    """Raise `UnstableStructureError` where a moment does not point along its own field.

    There are no spin waves about such a structure. ``name`` is the model's, ``anisotropy`` (n, 3, 3) in meV.
    """
    bonds = in_frame(structure, bonds, anisotropy)
    n, s = structure.directions, structure.spins[:, None]
    fields = 2 * s * np.einsum("nab,nb->na", anisotropy, n) - structure.fields
    moment = s * n
    np.add.at(fields, bonds.first, np.einsum("mab,mb->ma", bonds.exchange, moment[bonds.second]))
    np.add.at(fields, bonds.second, np.einsum("mba,mb->ma", bonds.exchange, moment[bonds.first]))
    torque = np.linalg.norm(np.cross(n, fields), axis=1)
    largest = np.abs(bonds.exchange).max(initial=0.0) * structure.spins.max()
    largest += np.abs(anisotropy).max(initial=0.0) + np.abs(structure.fields).max()
    if torque.max() > 1e-6 * max(largest, 1e-12):
        site = int(torque.argmax())
        raise UnstableStructureError(
            f"The structure of {name} is no equilibrium of these exchange constants.",
            reason=f"The field on spin {site + 1} is not along its moment ({torque[site]:.3g} meV "
            "across it).",
            fix="Correct the directions of the moments, or the bonds.",
        )


def in_frame(structure: Structure, bonds: Bonds, anisotropy: Floats) -> Bonds:
    """Return the bonds as the rotating frame of a structure sees them; without one, as they are.

    Raises `Exp2SimError` where bonds, anisotropy or field are not symmetric about the axis of the frame.
    """
    frame = structure.frame
    if frame is None:
        return bonds
    frame.refuse_asymmetric(bonds.exchange, "An exchange matrix")
    frame.refuse_asymmetric(anisotropy, "An anisotropy")
    if np.abs(structure.fields @ frame.cross).max() > 1e-9:
        raise Exp2SimError(
            "The field is not along the axis of the rotating frame.",
            reason="A spiral that turns about another axis does not keep its shape in it.",
            fix="Choose the field along the axis, or describe the whole period with a magnetic_cell.",
        )
    return replace(bonds, exchange=bonds.exchange @ frame.turns(bonds.cell))


def _local_frames(directions: Floats) -> tuple[ComplexArray, Floats]:
    """Vectors u = e1 + i e2 and v = e3 of each moment's own frame, both (n, 3)."""
    helper = np.where(np.abs(directions[:, 2:3]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    e1 = np.cross(helper, directions)
    e1 /= np.linalg.norm(e1, axis=1, keepdims=True)
    e2 = np.cross(directions, e1)
    return e1 + 1j * e2, directions


def quadratic_form(structure: Structure, bonds: Bonds, anisotropy: Floats, q: ArrayLike) -> ComplexArray:
    """Build the boson matrix h(q), ``H = Σ_q x†(q) h(q) x(q)``, x = (b(q), b†(−q)); Toth and Lake eq. 25-26.

    ``anisotropy`` (n, 3, 3) in meV, ``q`` (nq, 3) in r.l.u.; result complex (nq, 2n, 2n) in meV.
    """
    q = np.atleast_2d(np.asarray(q, dtype=float))
    n = len(structure.positions)
    u, v = _local_frames(structure.directions)
    i, j, spins = bonds.first, bonds.second, structure.spins
    step = structure.positions[j] + bonds.cell - structure.positions[i]
    phase = np.exp(2j * np.pi * q @ step.T)
    root = 0.5 * np.sqrt(spins[i] * spins[j])
    exchange = bonds.exchange
    normal = root * np.einsum("ma,mab,mb->m", u[i], exchange, u[j].conj())
    pair = root * np.einsum("ma,mab,mb->m", u[i], exchange, u[j])
    pair_back = root * np.einsum("ma,mab,mb->m", u[j], exchange.transpose(0, 2, 1), u[i])
    mean_field = np.einsum("ma,mab,mb->m", v[i], exchange, v[j])
    a = np.zeros((len(q), n, n), dtype=complex)
    b = np.zeros_like(a)
    c = np.zeros(n)
    for m in range(len(i)):
        a[:, i[m], j[m]] += normal[m] * phase[:, m]
        a[:, j[m], i[m]] += np.conj(normal[m] * phase[:, m])
        b[:, i[m], j[m]] += pair[m] * phase[:, m]
        b[:, j[m], i[m]] += pair_back[m] * np.conj(phase[:, m])
        c[i[m]] += spins[j[m]] * mean_field[m]
        c[j[m]] += spins[i[m]] * mean_field[m]
    c += 2 * spins * np.einsum("na,nab,nb->n", v, anisotropy, v) - (structure.fields * v).sum(axis=1)
    on_site = spins * np.einsum("na,nab,nb->n", u, anisotropy, u.conj()).real
    on_site_pair = spins * np.einsum("na,nab,nb->n", u, anisotropy, u)
    sites = np.arange(n)
    a[:, sites, sites] += on_site - c
    b[:, sites, sites] += on_site_pair
    # the lower right block is A(-q)*; A(-q)* has the phases of A(q) and conjugated couplings
    a_minus = np.zeros_like(a)
    for m in range(len(i)):
        a_minus[:, i[m], j[m]] += np.conj(normal[m]) * phase[:, m]
        a_minus[:, j[m], i[m]] += normal[m] * np.conj(phase[:, m])
    a_minus[:, sites, sites] += on_site - c
    return np.block([[a, b], [b.conj().transpose(0, 2, 1), a_minus]])


def _root(h: ComplexArray, regularisation: float, q: Floats) -> ComplexArray:
    """L of h = L L†, with as little on the diagonal as rounding asks for, and ``regularisation`` at the most.

    A zero mode comes out at √(2 · shift · h): also with exchange of 100 meV it stays below 5e-4 meV.
    """
    identity = np.eye(h.shape[1])
    rounding = 1e-14 * h.shape[1] * float(np.abs(np.diagonal(h, axis1=1, axis2=2)).max())
    try:
        return np.asarray(np.linalg.cholesky(h + min(rounding, regularisation) * identity), dtype=complex)
    except np.linalg.LinAlgError:
        h = h + regularisation * identity
    try:
        return np.asarray(np.linalg.cholesky(h), dtype=complex)
    except np.linalg.LinAlgError as error:
        raise _unstable(h, q) from error


def _unstable(h: ComplexArray, q: Floats) -> UnstableStructureError:
    """The error for forms h (nq, 2n, 2n), not all positive definite, and where it is worst."""
    lowest = np.linalg.eigvalsh(h)[:, 0]
    metric = np.repeat([1.0, -1.0], h.shape[1] // 2)
    imaginary = np.abs(np.linalg.eigvals(metric[:, None] * h[lowest <= 0]).imag).max(axis=1, initial=0.0)
    largest = float(imaginary.max(initial=0.0))
    place = q[lowest <= 0][imaginary.argmax()] if largest > IMAGINARY else q[lowest.argmin()]
    error = UnstableStructureError(
        "The spin-wave form is not positive definite.",
        reason=f"At q = {place.round(4).tolist()} of the magnetic cell the structure is no ground state.",
        fix="Change the constants or the structure.",
    )
    error.place, error.imaginary = place, largest if largest > IMAGINARY else 0.0
    return error


def modes(
    structure: Structure,
    bonds: Bonds,
    q: ArrayLike,
    *,
    anisotropy: Floats | None = None,
    regularisation: float = 1e-9,
) -> tuple[Floats, ComplexArray]:
    """Compute energies and amplitudes of the spin waves at T = 0.

    Arguments as in `solve`. Returns (omega, amplitude): omega (nq, m) in meV, ascending; amplitude
    (nq, n, 3, m) = [q, site, Cartesian direction, mode] of the fluctuation of each spin in units of ħ, √(S/2)
    included. Site phases are those of the quadratic form: differences of true positions. There are m = n
    modes; in a rotating frame m = 3n, those of the frame at q − k, q and q + k one after the other.

    Raises `UnstableStructureError` where h(q) is not positive definite.
    """
    q = np.atleast_2d(np.asarray(q, dtype=float))
    anisotropy = np.zeros((len(structure.spins), 3, 3)) if anisotropy is None else anisotropy
    bonds = in_frame(structure, bonds, anisotropy)
    if structure.frame is None:
        return _modes(structure, bonds, anisotropy, q, regularisation)
    energies, amplitudes = [], []
    for shift, projection in zip((-1, 0, 1), structure.frame.projections(), strict=True):
        k = shift * structure.frame.propagation
        omega, amplitude = _modes(structure, bonds, anisotropy, q + k, regularisation)
        phase = np.exp(2j * np.pi * structure.positions @ k)  # cells turn as a whole, not the places in them
        energies.append(omega)
        amplitudes.append(np.einsum("n,ab,qnbm->qnam", phase, projection, amplitude))
    return np.concatenate(energies, axis=1), np.concatenate(amplitudes, axis=3)


def _modes(
    structure: Structure, bonds: Bonds, anisotropy: Floats, q: Floats, regularisation: float
) -> tuple[Floats, ComplexArray]:
    """`modes` of one cell, with the bonds of its frame."""
    n = len(structure.positions)
    lower = _root(quadratic_form(structure, bonds, anisotropy, q), regularisation, q)
    metric = np.concatenate([np.ones(n), -np.ones(n)])
    # K = L†, H = L L†; eigenvalues of K g K† come in pairs ±ω
    upper = np.swapaxes(lower.conj(), 1, 2)
    middle = upper @ (metric[:, None] * lower)
    values, vectors = np.linalg.eigh(0.5 * (middle + np.swapaxes(middle.conj(), 1, 2)))
    omega = values[:, n:]
    # T = K⁻¹ U √E: the columns of positive energy, E = g·diag
    transform = np.linalg.solve(upper, vectors[:, :, n:] * np.sqrt(omega)[:, None, :])
    u, _ = _local_frames(structure.directions)
    u = u * np.sqrt(structure.spins / 2.0)[:, None]
    amplitude = u.conj()[:, :, None] * transform[:, :n, None] + u[:, :, None] * transform[:, n:, None]
    return np.ascontiguousarray(omega), amplitude


def solve(
    structure: Structure,
    bonds: Bonds,
    q: ArrayLike,
    *,
    anisotropy: Floats | None = None,
    form_factor: Floats | None = None,
    regularisation: float = 1e-9,
) -> tuple[Floats, ComplexArray]:
    """Compute energies and correlation functions of the spin waves at T = 0.

    ``structure`` and ``bonds`` as described there; ``q`` (nq, 3) in r.l.u. of the magnetic cell;
    ``anisotropy`` (n, 3, 3) in meV (none by default); ``form_factor`` (nq, n) multiplies each site's
    amplitude (1 by default). ``regularisation`` in meV is the most that is added to the diagonal, so that
    zero modes pass (Colpa's method wants a positive definite form).

    Returns (omega, sab): omega (nq, m) in meV as in `modes`, and sab (nq, m, 3, 3), the S^αβ per magnetic
    cell (Cartesian), with the moment lengths in units of ħ: ∫S(ω)dω sums to S/2 per spin and transverse
    direction for a ferromagnet.

    Raises `UnstableStructureError` where h(q) is not positive definite.

    >>> import numpy as np
    >>> chain = Structure(np.zeros((1, 3)), np.array([[0.0, 0.0, 1.0]]), np.array([1.0]))
    >>> omega, _ = solve(chain, Bonds.isotropic([(0, 0, (1, 0, 0), -1.0)]), [[0.5, 0, 0]])
    >>> round(float(omega[0, 0]), 6)  # 4 S |J|
    4.0
    """
    omega, amplitude = modes(structure, bonds, q, anisotropy=anisotropy, regularisation=regularisation)
    if form_factor is not None:
        amplitude = amplitude * np.asarray(form_factor)[:, :, None, None]
    total = amplitude.sum(axis=1)
    return omega, np.einsum("qam,qbm->qmab", total, total.conj())
