"""Is this measurement inside the model's domain?

Encoder features of the data's volumes (:mod:`mantid_exp2sim.domain.features`) are compared with those of the
training set, kept in the model's ``domain.safetensors``. Seven numbers say how far they are, each
conditional on the incident energy: the residual of the feature moments off the subspace that the training
spectra fill (given how far they reach within it), their place on the axis that parts the two domains (its
mean, and its largest deviation to either side), the Mahalanobis distance of all incident energies together,
the debiased optimal-transport distance of feature points, how the intensity is shared between the incident
energies, and how far the gaps are from those of the training set. Their upper tails, each in units of its own
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

from mantid_exp2sim.domain.features import encode
from mantid_exp2sim.domain.likeness import FAR, Reference, conformal_p, extreme, together
from mantid_exp2sim.domain.reference import domain_card, load_reference
from mantid_exp2sim.domain.transport import NotConverged, published_distribution
from mantid_exp2sim.errors import Exp2SimError, OutsideDomainError
from mantid_exp2sim.model.card import DIRECTIONS

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.inference.prepare import Prepared
    from mantid_exp2sim.inference.volumes import Volumes
    from mantid_exp2sim.model.bundle import Bundle
    from mantid_exp2sim.model.card import Calibrated, Direction, DomainCard

Floats = npt.NDArray[np.float64]
Verdict = Literal["trustworthy", "expert opinion", "untrustworthy", "not known"]

MAX_BLOCKS = 16
ENOUGH = 0.5
"""Data with less than this share of the measured bins of the calibration are never called untrustworthy."""


@dataclass(frozen=True, slots=True)
class DomainCheck:
    """How far data lie from a model's domain.

    ``p_value``: share of in-domain spectra that look as foreign or more (None: not known). ``distance``: the
    debiased optimal-transport distance of encoder features to those of the training set, mean over volumes,
    in units of the whitened features. ``score``: what the p-value ranks, and ``limit`` the score above which
    the data are untrustworthy. ``expected_error``: relative L2 distance of the translation to the truth that
    the features foretell for data of the domain (None: not known). ``note`` says what limits the answer, if
    anything does.
    """

    p_value: float | None
    distance: float | None
    verdict: Verdict
    score: float | None = None
    limit: float | None = None
    direction: str = "deconvolve"
    note: str = ""
    expected_error: float | None = None

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
class Measured:
    """Of a histogram: parts (groups, Y), groups, mean transport distance, expected error (NaN: not known)."""

    parts: Floats
    groups: list[int]
    distance: float
    expected_error: float


@dataclass(frozen=True, slots=True, eq=False)
class Gauge:
    """What the volumes of one direction are measured with."""

    bundle: Bundle
    role: Direction
    reference: Reference
    regularisation: float
    shape: tuple[int, ...]
    """Bins (h, k, E) of the calibration's volumes, or cuts."""
    points: int
    seed: int
    cuts: bool = False
    """Whether the calibration is one of single cuts, which may lie anywhere in a volume."""

    @classmethod
    def of(cls, bundle: Bundle, role: Direction, *, cuts: bool = False) -> Gauge:
        """The one that is kept with a model, of volumes or of single cuts."""
        card, reference = domain_card(bundle), load_reference(bundle, role, cuts=cuts)
        own = calibrated(card, cuts=cuts)
        epsilon = own.directions[role].regularisation
        return cls(bundle, role, reference, epsilon, own.shape, card.points, card.seed, cuts)

    def blocks(
        self, volume: npt.NDArray[Any], mask: npt.NDArray[np.bool_], energy: float, factor: float
    ) -> list[tuple[Floats, float, float]]:
        """Parts (Y,), expected error and Σ intensity² of each measured block of a volume (h, k, E)."""
        made, energies = [], np.array([energy])
        groups = self.reference.group(energies)
        aligned = mask.shape == self.shape and not self.cuts
        for region in blocks(mask.shape, self.shape):
            hidden = mask[region]
            if hidden.all():
                continue
            card, values = self.bundle.card, volume[region]
            found = encode(
                self.bundle.network(self.role), card.layout, card.scaling.forward(values * factor)[None],
                hidden[None], energies, points=self.points, seed=self.seed,
            )  # fmt: skip
            try:
                parts = self.reference.parts(found, groups, self.regularisation, aligned=aligned)[0]
            except NotConverged:  # farther away than can be measured
                parts = np.full(self.reference.calibration.shape[-1], np.inf)
            error = self.reference.errors(found.moments, groups)
            square = float(np.square(values[~hidden], dtype=np.float64).sum())
            made.append((parts, np.nan if error is None else float(error[0]), square))
        return made


def calibrated(card: DomainCard, *, cuts: bool) -> Calibrated:
    """The card's section on volumes, or on single cuts."""
    return card.cuts if cuts and card.cuts is not None else card


def measure(gauge: Gauge, volumes: Volumes, factor: float) -> Measured:
    """What the volumes of one histogram are made of.

    A volume with more bins than the calibration's is cut into blocks of their size, and their parts averaged.
    The gaps are looked at where the volume has the bins of the calibration.
    """
    made: dict[int, list[tuple[Floats, float, float]]] = {}
    energies, intensity = volumes.incident_energies, volumes.intensity
    for number, group in enumerate(gauge.reference.group(energies)):
        if not bool(volumes.mask[number].all()):
            found = gauge.blocks(intensity[number], volumes.mask[number], float(energies[number]), factor)
            made.setdefault(group, []).extend(found)
    groups = sorted(made)
    errors, squares = (np.array([block[n] for group in groups for block in made[group]]) for n in (1, 2))
    return Measured(
        np.stack([np.mean([block[0] for block in made[group]], axis=0) for group in groups]),
        groups,
        float(np.mean([np.mean([np.exp(block[0][FAR]) for block in made[group]]) for group in groups])),
        float(together(errors, squares)),
    )


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


def check_volumes(bundle: Bundle, volumes: Volumes, factor: float, role: Direction) -> DomainCheck:
    """The domain check of volumes that were opened already; ``factor`` as in a translation."""
    settings = bundle.card.domain
    if settings is None or role not in settings.directions:
        return DomainCheck(
            None, None, "not known", direction=role, note="the model keeps no reference for it"
        )
    cuts = compares_cuts(settings, volumes)
    own, gauge = calibrated(settings, cuts=cuts), Gauge.of(bundle, role, cuts=cuts)
    reference = gauge.reference
    with np.errstate(over="ignore", invalid="ignore"):
        found = measure(gauge, volumes, factor)
    parts, groups, distance = found.parts, found.groups, found.distance
    inside = reference.scores(reference.calibration[:, groups], groups)
    limit = own.directions[role].limit * extreme(inside)
    score, plain = (
        float(reference.scores(parts[None], groups, gaps=gaps)[0]) if np.isfinite(parts).all() else np.inf
        for gaps in (True, False)
    )
    text = np.ascontiguousarray(volumes.intensity).tobytes()
    uniform = float(np.random.default_rng([settings.seed, zlib.crc32(text)]).random())
    p_value = conformal_p(score, inside, uniform)
    share = _share(own, volumes)
    note = "" if share >= ENOUGH else f"calibrated on larger data: {100 * share:.0f} % of their measured bins"
    verdict = judge(settings, p_value, plain, limit)
    if note and verdict == "untrustworthy":
        verdict = "expert opinion"
    if not np.isfinite([distance, score]).all():
        distance, score = float("inf"), float("inf")
    expected = found.expected_error if np.isfinite(found.expected_error) else None
    return DomainCheck(p_value, distance, verdict, score, limit, role, note, expected)


def compares_cuts(card: DomainCard, volumes: Volumes) -> bool:
    """Whether data are compared with single cuts: where the card has such, and they are no whole volumes."""
    return card.cuts is not None and _share(card, volumes) < ENOUGH


def _share(own: Calibrated, volumes: Volumes) -> float:
    """The measured bins, as a share of those of as many calibration volumes or cuts."""
    measured = (~volumes.mask).reshape(len(volumes.mask), -1).sum(axis=1)
    return float(measured.sum()) / max(own.measured_bins * float((measured > 0).sum()), 1.0)


def judge(settings: DomainCard, p_value: float, score: float, limit: float) -> Verdict:
    """p → verdict, by the thresholds on the card. ``score`` is the one without the gaps: other gaps than
    those of the training set ask for an expert, and refuse nothing.
    """
    if p_value >= settings.trustworthy:
        return "trustworthy"
    return "untrustworthy" if score > limit else "expert opinion"


def check_domain(prepared: Prepared, direction: Direction = "deconvolve") -> DomainCheck:
    """Say whether prepared data are inside the domain that ``direction`` was trained on; computed once.

    ``deconvolve`` asks for measurement-like data, ``convolve`` for simulation-like ones. A model without a
    reference gives the verdict "not known". The answer depends on the data and the seed on the card alone.

    Raises
    ------
    Exp2SimError
        If the model's files are damaged.
    """
    if direction not in DIRECTIONS:
        raise Exp2SimError(
            f"direction is {direction!r}.",
            reason="It takes 'deconvolve' or 'convolve'.",
            fix="Give one of these.",
        )
    return prepared.once(
        ("domain", direction),
        lambda: check_volumes(prepared.bundle, prepared.volumes, prepared.factor, direction),
    )


def require_domain(prepared: Prepared, direction: Direction) -> DomainCheck:
    """Check the domain; raise `OutsideDomainError` where data are untrustworthy and not forced."""
    report = check_domain(prepared, direction)
    if report.verdict == "untrustworthy" and not prepared.options.force:
        kind = "measurement-like" if direction == "deconvolve" else "simulation-like"
        raise OutsideDomainError(
            f"The data are outside what the model {prepared.bundle.card.name!r} was trained on "
            f"({report.words()}).",
            reason=f"They differ more from its {kind} training data than anything of that kind that "
            "was seen, so its result cannot be trusted.",
            fix="Check axes, units and mask (`exp2sim check`), use another model, or force it "
            "(`--force`, property Force, force=True).",
        )
    return report


def with_verdict(result: Histogram, found: DomainCheck) -> Histogram:
    """A translated histogram with the domain check in the last entry of its history."""
    history = list(result.metadata["history"])
    history[-1] = {**history[-1], "domain": found.to_dict()}
    return result.replace(metadata={**result.metadata, "history": history})


def distributions(
    prepared: Prepared, direction: Direction = "deconvolve", *, size: int = 20, repeats: int = 1000
) -> Mapping[str, Floats]:
    """The published comparison for a ridge plot: training, held-out and new against training points.

    Each float64 (repeats,), 20 points against 20; the training points against another half of themselves.
    Incident energies that the data do not have are left out.

    Raises `Exp2SimError` where the model keeps no reference.
    """
    bundle, volumes = prepared.bundle, prepared.volumes
    settings = domain_card(bundle)
    cuts = compares_cuts(settings, volumes)
    reference = load_reference(bundle, direction, cuts=cuts)
    groups = reference.group(volumes.incident_energies)
    measured = [number for number in range(len(groups)) if not volumes.mask[number].all()]
    groups = [groups[number] for number in measured]
    scaled = bundle.card.scaling.forward(volumes.intensity[measured] * prepared.factor)
    shape = volumes.intensity.shape[1:]  # each cut is a sample of its own: all of them can be looked at
    region = blocks(shape, shape if cuts else settings.shape)[0]
    found = encode(
        bundle.network(direction), bundle.card.layout, scaled[(slice(None), *region)],
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
