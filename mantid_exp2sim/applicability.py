"""Is this measurement inside the model's domain?

Encoder features of the data's volumes (:mod:`mantid_exp2sim.encoder`) are compared with those of the
training set, kept in the model's ``domain.safetensors``. Five numbers say how far they are, each
conditional on the incident energy: the residual of the feature moments off the subspace that the training
spectra fill (given how far they reach within it), their place on the axis that parts the two domains (its
mean, and its largest deviation to either side), the Mahalanobis distance of all incident energies together,
and the debiased optimal-transport distance of feature points. Their upper tails, each in units of its own
in-domain spread, add up in squares to one score, whose p-value is the rank among held-out in-domain spectra
(split conformal: Vovk, Gammerman, Shafer 2005): uniform for spectra of the domain, whatever the score.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.encoder import Features, Role, encode
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.transport import published_distribution, sinkhorn_divergence

if TYPE_CHECKING:
    from mantid_exp2sim.bundle import Model
    from mantid_exp2sim.card import DomainCard
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.volumes import Volumes

Floats = npt.NDArray[np.float64]
Verdict = Literal["trustworthy", "expert opinion", "untrustworthy", "not known"]

TOP = 8
"""Leading directions of the feature moments that are kept one by one."""
PARTS = 3
"""Further columns of the parts of a volume: residual, domain axis, log of the transport distance."""
FLOOR = 0.05
MAX_BLOCKS = 16
ENOUGH = 0.5
"""Data with less than this share of the measured bins of the calibration are never called untrustworthy."""


@dataclass(frozen=True, slots=True)
class DomainCheck:
    """How far data lie from a model's domain.

    ``p_value``: share of in-domain spectra that look as foreign or more (None: not known). ``distance``: the
    debiased optimal-transport distance of encoder features to those of the training set, mean over volumes,
    in units of the whitened features. ``score``: what the p-value ranks, and ``limit`` the score above which
    the data are untrustworthy. ``note`` says what limits the answer, if anything does.
    """

    p_value: float | None
    distance: float | None
    verdict: Verdict
    score: float | None = None
    limit: float | None = None
    direction: str = "deconvolve"
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON.

        >>> DomainCheck(None, None, "not known").to_dict()["verdict"]
        'not known'
        """
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def words(self) -> str:
        """One line for people.

        >>> DomainCheck(0.4, 1.25, "trustworthy").words()
        'domain: trustworthy (p = 0.4, distance 1.25)'
        """
        if self.p_value is None:
            return f"domain: {self.verdict}{f' ({self.note})' if self.note else ''}"
        note = f"; {self.note}" if self.note else ""
        return f"domain: {self.verdict} (p = {self.p_value:.2g}, distance {self.distance:.3g}{note})"


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What a direction's training set looks like; G incident energies, D moments, R directions, J = `TOP`.

    ``energies`` (G,) meV; ``center``, ``scale`` (G, D); ``basis`` (D, R) shared by all; ``white`` (G, R, R)
    from there to independent directions of unit variance, the widest first; ``axis`` (G, R) that parts the
    domains; ``bend`` (G, 3) the residual expected at a given reach, ``bend_limit`` (G,); ``joint`` (G·J, G·J)
    covariance of the leading directions over all energies; ``point_center`` (C,), ``point_basis`` (C, K)
    whiten points; ``points``, ``held`` (G, P, K) of the training and of held-out spectra; ``fit`` and
    ``calibration`` (n, G, J + `PARTS`): parts of held-out spectra, which set the scales, and which the
    p-value ranks among.
    """

    energies: Floats
    center: Floats
    scale: Floats
    basis: Floats
    white: Floats
    axis: Floats
    bend: Floats
    bend_limit: Floats
    joint: Floats
    point_center: Floats
    point_basis: Floats
    points: Floats
    held: Floats
    fit: Floats
    calibration: Floats

    def group(self, energies: npt.NDArray[Any]) -> list[int]:
        """The number of the nearest incident energy (in its logarithm) of each."""
        distances = np.abs(np.log(np.asarray(energies)[:, None] / self.energies[None]))
        return [int(index) for index in distances.argmin(axis=1)]

    def whiten(self, points: Floats) -> Floats:
        """Feature points (…, C) to (…, K) of unit variance over the training set."""
        whitened: Floats = (points - self.point_center) @ self.point_basis
        return whitened

    def reduce(self, moments: Floats, groups: Sequence[int]) -> tuple[Floats, Floats]:
        """Moments (V, D) to independent directions (V, R) and the place on the domain axis (V,)."""
        g = list(groups)
        reduced = ((moments - self.center[g]) / self.scale[g]) @ self.basis
        return np.einsum("vi,vij->vj", reduced, self.white[g]), (reduced * self.axis[g]).sum(axis=1)

    def distances(self, points: Floats, groups: Sequence[int], regularisation: float) -> Floats:
        """Debiased transport distance (V,) of points (V, N, C) to as many of the training set."""
        count = points.shape[1]
        return sinkhorn_divergence(
            self.whiten(points), self.points[list(groups), :count], regularisation=regularisation
        )

    def parts(self, features: Features, groups: Sequence[int], regularisation: float) -> Floats:
        """Per volume what the score is made of: (V, J + `PARTS`)."""
        g = list(groups)
        y, place = self.reduce(features.moments, g)
        reach, residual = spread(y)
        bent = np.minimum(reach, self.bend_limit[g])
        residual = residual - (self.bend[g] * np.stack([np.ones_like(bent), bent, bent**2], axis=1)).sum(
            axis=1
        )
        far = np.log(np.maximum(self.distances(features.points, g, regularisation), 1e-6))
        return np.column_stack([3 * np.arcsinh(y[:, :TOP] / 3), residual, place, far])

    def scores(self, parts: Floats, groups: Sequence[int]) -> Floats:
        """Score (n,) of spectra whose volumes at ``groups`` have ``parts`` (n, len(groups), J + `PARTS`)."""
        g = list(groups)
        raw = self._raw(parts, g, self.fit[:, g])
        usual = self._raw(self.fit[:, g], g, self.fit[:, g])
        middle = np.median(usual, axis=0)
        width = np.maximum(np.quantile(usual, 0.95, axis=0) - middle, 1e-9)
        tails = np.maximum((raw - middle) / width, 0.0)
        total: Floats = np.sqrt((tails**2).sum(axis=1))
        return total

    def _raw(self, parts: Floats, groups: list[int], fit: Floats) -> Floats:
        """The five numbers (n, 5) of spectra."""
        columns = np.concatenate([np.arange(TOP) + TOP * group for group in groups])
        covariance = self.joint[np.ix_(columns, columns)]
        lead = parts[..., :TOP].reshape(len(parts), -1)
        mahalanobis = (lead * np.linalg.solve(covariance, lead.T).T).sum(axis=1) / lead.shape[1]
        residual, place, far = (parts[..., TOP + number] for number in range(PARTS))
        middle = np.median(fit[..., TOP + 1], axis=0)
        width = np.maximum(fit[..., TOP + 1].std(axis=0), 1e-9)
        return np.column_stack(
            [
                residual.mean(axis=1),
                place.mean(axis=1),
                np.abs((place - middle) / width).max(axis=1),
                np.log(np.maximum(mahalanobis, 1e-12)),
                far.mean(axis=1),
            ]
        )


def spread(y: Floats) -> tuple[Floats, Floats]:
    """Logarithmic reach within the leading directions and residual in the others, of whitened (V, R)."""
    reach = np.log((y[:, :TOP] ** 2).mean(axis=1) + FLOOR)
    rest = y[:, TOP:] if y.shape[1] > TOP else y
    return reach, np.log((rest**2).mean(axis=1) + 1e-12)


def extreme(scores: Floats) -> float:
    """The 99 % quantile of in-domain scores: the limit is a multiple of it.

    >>> extreme(np.arange(101.0))
    99.0
    """
    return float(np.quantile(scores, 0.99))


def conformal_p(score: float, calibration: Floats, uniform: float) -> float:
    """Rank p-value of a score among n in-domain scores, ties broken by a uniform number.

    >>> round(conformal_p(2.5, np.array([1.0, 2.0, 3.0]), 0.5), 3)
    0.375
    """
    above, same = int((calibration > score).sum()), int((calibration == score).sum())
    return float((above + uniform * (same + 1)) / (len(calibration) + 1))


def measure(model: Model, volumes: Volumes, factor: float, role: Role) -> tuple[Floats, list[int], Floats]:
    """Parts (groups, J + `PARTS`), groups and transport distances of the volumes of one histogram.

    A volume with more bins than the calibration's is cut into blocks of their size, and their parts averaged.
    """
    settings, reference = model.domain_card(), model.domain_reference(role)
    made: dict[int, list[tuple[Floats, float]]] = {}
    for number, group in enumerate(reference.group(volumes.incident_energies)):
        if bool(volumes.mask[number].all()):
            continue
        energy = volumes.incident_energies[number : number + 1]
        for region in blocks(volumes.intensity.shape[1:], settings.shape):
            mask = volumes.mask[number][region]
            if mask.all():
                continue
            scaled = model.card.scaling.forward(volumes.intensity[number][region] * factor)
            found = encode(
                model.network(role), model.card.layout, scaled[None], mask[None], energy,
                points=settings.points, seed=settings.seed,
            )  # fmt: skip
            parts = reference.parts(found, [group], settings.directions[role].regularisation)[0]
            made.setdefault(group, []).append((parts, float(np.exp(parts[-1]))))
    groups = sorted(made)
    parts = np.stack([np.mean([p for p, _ in made[group]], axis=0) for group in groups])
    return parts, groups, np.array([np.mean([d for _, d in made[group]]) for group in groups])


def blocks(shape: Sequence[int], size: Sequence[int]) -> list[tuple[slice, ...]]:
    """Regions of ``size`` (or less, where the shape is smaller) that cover a shape; at most `MAX_BLOCKS`.

    >>> blocks((40, 90), (40, 40))
    [(slice(0, 40, None), slice(0, 40, None)), (slice(0, 40, None), slice(25, 65, None)), \
(slice(0, 40, None), slice(50, 90, None))]
    """
    spans = []
    for bins, wanted in zip(shape, size, strict=True):
        count = -(-bins // wanted)
        starts = np.linspace(0, max(bins - wanted, 0), count).astype(int)
        spans.append([slice(int(start), int(min(start + wanted, bins))) for start in starts])
    found = list(product(*spans))
    if len(found) <= MAX_BLOCKS:
        return found
    return [found[index] for index in np.linspace(0, len(found) - 1, MAX_BLOCKS).astype(int)]


def check_volumes(model: Model, volumes: Volumes, factor: float, role: Role) -> DomainCheck:
    """The domain check of volumes that were opened already; ``factor`` as in a translation."""
    settings = model.card.domain
    if settings is None or role not in settings.directions:
        return DomainCheck(
            None, None, "not known", direction=role, note="the model keeps no reference for it"
        )
    reference = model.domain_reference(role)
    with np.errstate(over="ignore", invalid="ignore"):
        parts, groups, far = measure(model, volumes, factor, role)
    distance = float(far.mean())
    limit_factor = settings.directions[role].limit
    inside = reference.scores(reference.calibration[:, groups], groups)
    limit = limit_factor * extreme(inside)
    score = float(reference.scores(parts[None], groups)[0]) if np.isfinite(parts).all() else np.inf
    text = np.ascontiguousarray(volumes.intensity).tobytes()
    uniform = float(np.random.default_rng([settings.seed, zlib.crc32(text)]).random())
    p_value = conformal_p(score, inside, uniform)
    share = float((~volumes.mask).sum()) / max(settings.measured_bins * len(groups), 1)
    note = "" if share >= ENOUGH else f"calibrated on larger data: {100 * share:.0f} % of their measured bins"
    verdict = judge(settings, p_value, score, limit)
    if note and verdict == "untrustworthy":
        verdict = "expert opinion"
    if not np.isfinite([distance, score]).all():
        distance, score = float("inf"), float("inf")
    return DomainCheck(p_value, distance, verdict, score, limit, role, note)


def judge(settings: DomainCard, p_value: float, score: float, limit: float) -> Verdict:
    """p → verdict, by the thresholds on the card."""
    if p_value >= settings.trustworthy:
        return "trustworthy"
    return "untrustworthy" if score > limit else "expert opinion"


def check_domain(
    model: Model,
    histogram: Histogram,
    *,
    direction: Role = "deconvolve",
    scale: float | str = 1.0,
    incident_energy: float | None = None,
) -> DomainCheck:
    """Say whether a histogram is inside the domain that ``direction`` was trained on.

    ``deconvolve`` asks for measurement-like data, ``convolve`` for simulation-like ones. A model without a
    reference gives the verdict "not known". The answer depends on the data and the seed on the card alone.

    Raises
    ------
    Exp2SimError
        If the model does not take such data at all, or its files are damaged.
    """
    from mantid_exp2sim.translation import intensity_factor
    from mantid_exp2sim.volumes import open_volumes

    if direction not in ("deconvolve", "convolve"):
        raise Exp2SimError(f"direction is {direction!r}.", why="It takes 'deconvolve' or 'convolve'.")
    volumes = open_volumes(histogram, model.card, incident_energy=incident_energy)
    return check_volumes(model, volumes, intensity_factor(scale, volumes, model.card), direction)


def require_domain(
    model: Model,
    histogram: Histogram,
    direction: Role,
    *,
    force: bool,
    scale: float | str = 1.0,
    incident_energy: float | None = None,
) -> DomainCheck:
    """`check_domain`, and an error where the data are untrustworthy and ``force`` is not given."""
    found = check_domain(model, histogram, direction=direction, scale=scale, incident_energy=incident_energy)
    if found.verdict == "untrustworthy" and not force:
        kind = "measurement-like" if direction == "deconvolve" else "simulation-like"
        raise Exp2SimError(
            f"The data are outside what the model {model.card.name!r} was trained on ({found.words()}).",
            why=f"They differ more from its {kind} training data than anything of that kind that was seen, "
            "so its result cannot be trusted.",
            way_out="Check axes, units and mask (`exp2sim check`), use another model, or force it "
            "(`--force`, property Force, force=True).",
        )
    return found


def with_verdict(result: Histogram, found: DomainCheck) -> Histogram:
    """A translated histogram with the domain check in the last entry of its history."""
    history = list(result.metadata["history"])
    history[-1] = {**history[-1], "domain": found.to_dict()}
    return result.replace(metadata={**result.metadata, "history": history})


def distributions(
    model: Model, histogram: Histogram, *, direction: Role = "deconvolve", scale: float | str = 1.0,
    incident_energy: float | None = None, size: int = 20, repeats: int = 1000,
) -> Mapping[str, Floats]:  # fmt: skip
    """The published comparison for a ridge plot: training, held-out and new against training points.

    Each float64 (repeats,), 20 points against 20; the training points against another half of themselves.
    Incident energies that the data do not have are left out.

    Raises `Exp2SimError` where the model keeps no reference.
    """
    from mantid_exp2sim.translation import intensity_factor
    from mantid_exp2sim.volumes import open_volumes

    settings, reference = model.domain_card(), model.domain_reference(direction)
    volumes = open_volumes(histogram, model.card, incident_energy=incident_energy)
    factor = intensity_factor(scale, volumes, model.card)
    groups = reference.group(volumes.incident_energies)
    measured = [number for number in range(len(groups)) if not volumes.mask[number].all()]
    groups = [groups[number] for number in measured]
    scaled = model.card.scaling.forward(volumes.intensity[measured] * factor)
    region = blocks(volumes.intensity.shape[1:], settings.shape)[0]
    found = encode(
        model.network(direction), model.card.layout, scaled[(slice(None), *region)],
        volumes.mask[measured][(slice(None), *region)], volumes.incident_energies[measured],
        points=reference.points.shape[1], seed=settings.seed,
    )  # fmt: skip
    flat = {
        "training": reference.points[groups][:, 1::2],
        "held out": reference.held[groups],
        "new": reference.whiten(found.points),
    }
    against = reference.points[groups][:, ::2].reshape(-1, reference.points.shape[-1])
    return {
        name: published_distribution(
            points.reshape(-1, points.shape[-1]), against, size=size, repeats=repeats, seed=settings.seed
        )
        for name, points in flat.items()
    }
