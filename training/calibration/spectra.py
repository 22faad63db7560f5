"""Draw spectra as a generator meets them in training, whole or as single cuts, and compute their features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.domain.features import Features, encode
from mantid_exp2sim.inference.intensity import level_factors
from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.simulation.drawn_masks import MaskKind
from mantid_exp2sim.simulation.noise import NOISELESS, MeasurementNoise
from mantid_exp2sim.training.calibration.masks import VARIED, draw_masks, read_masked
from mantid_exp2sim.training.datasets.augmentation import apply_symmetries, draw_symmetries
from mantid_exp2sim.training.datasets.volumes import Volumes

if TYPE_CHECKING:
    from mantid_exp2sim.model.bundle import Bundle
    from mantid_exp2sim.model.card import Card, DataKind, Direction, DomainCard
    from mantid_exp2sim.training.datasets.dataset import DataSet


@dataclass(frozen=True, slots=True)
class Settings:
    """Largest numbers of spectra, and what makes them like the input of a generator."""

    train: int = 300
    fit: int = 250
    other: int = 150
    held: int = 600
    foreign: int = 24
    paired: int = 300
    points: int = 32
    seed: int = 0
    noise: MeasurementNoise = NOISELESS
    intensity_jitter: float = 0.0
    augment: tuple[str, ...] = ()
    masks: tuple[MaskKind, ...] = VARIED

    @classmethod
    def of(cls, card: Card, **changes: Any) -> Settings:
        """Take noise, background, jitter and symmetries from the last recipe on a model's card."""
        recipes: Any = card.training.get("recipes", {})
        stages = recipes.get("translator", ()) if isinstance(recipes, dict) else ()
        data = stages[-1].get("data", {}) if stages else {}
        return cls._with(data, **changes)

    @classmethod
    def recorded(cls, card: DomainCard, **changes: Any) -> Settings:
        """Take those that a model's reference was made with, as far as its card tells them."""
        return cls._with(card.settings, seed=card.seed, points=card.points, **changes)

    @classmethod
    def _with(cls, data: Mapping[str, Any], **changes: Any) -> Settings:
        told: Any = {name: tuple(data[name]) for name in ("augment", "masks") if name in data}
        return cls(
            noise=MeasurementNoise(**data.get("noise", {})),
            intensity_jitter=float(data.get("intensity_jitter", 0.0)),
            **told,
            **changes,
        )

    def record(self) -> dict[str, Any]:
        """Describe them for a card, as :meth:`recorded` reads it."""
        return {
            "noise": self.noise.model_dump(mode="json"),
            "intensity_jitter": self.intensity_jitter,
            "augment": list(self.augment),
            "masks": list(self.masks),
            "training_spectra": self.train,
        }


def kinds_of(card: Card, direction: Direction) -> tuple[DataKind, DataKind]:
    """Return the kind of data that a direction starts from, and the kind that it leads to."""
    return ("convolved", card.target) if direction == "deconvolve" else (card.target, "convolved")


def read_spectra(
    data: DataSet, kind: str, split: str, limit: int, settings: Settings, rng: np.random.Generator
) -> Volumes:
    """Read at most ``limit`` spectra of a split, drawn at random, under masks that are drawn too."""
    rows = np.sort(rng.permutation(data.split(split, kind=kind))[:limit])
    return read_masked(data, kind, rows, draw_masks(data, settings.masks, len(rows), rng))


def as_in_training(
    spectra: Volumes, settings: Settings, rng: np.random.Generator, *, noisy: bool, augment: bool = True
) -> Volumes:
    """Apply symmetries, a random factor, and where ``noisy`` background and noise."""
    n = len(spectra)
    moves = draw_symmetries(rng, n, settings.augment if augment else ())
    x = apply_symmetries(spectra.values.astype(np.float32), moves)
    mask = apply_symmetries(spectra.mask, moves)
    factors = np.exp(settings.intensity_jitter * rng.standard_normal(n)).astype(np.float32)
    x *= factors[:, None, None, None, None]
    if noisy:
        x = settings.noise.apply(rng, x)  # a background for each volume, noise of one level per measurement
    return Volumes(np.where(mask, np.float32(0), x), mask, spectra.energies)


def draw_pairs(
    bundle: Bundle,
    data: DataSet,
    direction: Direction,
    split: str,
    settings: Settings,
    rng: np.random.Generator,
) -> tuple[Volumes, Volumes] | None:
    """Draw spectra of a direction (noisy, not augmented) and their counterparts; None without pairs."""
    if not data.shares_mask:
        return None
    rows = np.sort(rng.permutation(data.split(split))[: settings.paired])
    masks = draw_masks(data, settings.masks, len(rows), rng)
    source, truth = (read_masked(data, kind, rows, masks) for kind in kinds_of(bundle.card, direction))
    plain = replace(settings, intensity_jitter=0.0, augment=())
    return as_in_training(source, plain, rng, noisy=direction == "deconvolve"), truth


def encode_spectra(bundle: Bundle, direction: Direction, spectra: Volumes, settings: Settings) -> Features:
    """Compute the features of spectra; their arrays begin with (n, G)."""
    shape = spectra.values.shape
    with np.errstate(over="ignore"):
        level = level_factors(bundle.card, spectra.values, spectra.mask, spectra.energies)
        leveled: NDArray[Any] = (spectra.values * level).reshape(-1, *shape[2:])
        scaled = bundle.card.scaling.forward(leveled)
    features = encode(
        bundle.network(direction), bundle.card.layout, scaled, spectra.mask.reshape(-1, *shape[2:]),
        spectra.energies.reshape(-1), points=settings.points, seed=settings.seed,
    )  # fmt: skip
    return features.reshape(*shape[:2])


def cut_axis(layout: Layout) -> int | None:
    """Return the axis of a volume (h, k, E) along which a model of this layout takes single cuts, or None.

    >>> cut_axis(Layout(dimension=1, energy="axis")), cut_axis(Layout(dimension=1, energy="separate"))
    (2, 0)
    >>> cut_axis(Layout(dimension=2, energy="separate"))
    """
    if layout.dimension > 1 or layout.energy == "channels":
        return None
    return 2 if layout.energy == "axis" else 0


@dataclass(frozen=True, slots=True, eq=False)
class Cuts:
    """Where single cuts lie: of spectrum ``rows`` (m,) at ``places`` (m, G) of the other axes, flattened."""

    axis: int
    rows: NDArray[np.int64]
    places: NDArray[np.int64]

    @classmethod
    def draw(cls, mask: NDArray[np.bool_], axis: int, count: int, rng: np.random.Generator) -> Cuts:
        """Draw ``count`` cuts of every volume of masks (n, G, h, k, E), where most bins are measured.

        Cuts of which less than half is measured are drawn where a volume has no others.
        """
        shares = 1 - np.moveaxis(mask, 2 + axis, -1).mean(axis=-1).reshape(*mask.shape[:2], -1)
        rows = np.repeat(np.arange(len(mask)), count)
        places = [
            [rng.choice(np.flatnonzero(share >= min(0.5, share.max()))) for share in shares[row]]
            for row in rows
        ]
        return cls(axis, rows, np.array(places))

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """Take the cuts out of an array (n, G, h, k, E), with one bin along the other axes.

        >>> cuts = Cuts(2, np.array([1]), np.array([[3]]))
        >>> cuts.of(np.arange(24).reshape(2, 1, 2, 2, 3)).tolist()
        [[[[[21, 22, 23]]]]]
        """
        last = np.moveaxis(array, 2 + self.axis, -1)
        flat = last.reshape(*array.shape[:2], -1, last.shape[-1])
        lines = flat[self.rows[:, None], np.arange(array.shape[1])[None], self.places]
        shape = [1, 1, 1]
        shape[self.axis] = last.shape[-1]
        return np.ascontiguousarray(lines.reshape(*lines.shape[:2], *shape))

    def spectra(self, spectra: Volumes) -> Volumes:
        """Return spectra of one cut at each incident energy."""
        return Volumes(self.of(spectra.values), self.of(spectra.mask), spectra.energies[self.rows])


def cut_out(spectra: Volumes, axis: int | None, count: int, rng: np.random.Generator) -> Volumes:
    """Cut ``count`` single cuts out of every volume, or return the spectra where ``axis`` is None."""
    return spectra if axis is None else Cuts.draw(spectra.mask, axis, count, rng).spectra(spectra)


def rows_of_cuts(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return where `cut_out` puts the cuts of some spectra; they themselves where nothing was cut (0).

    >>> rows_of_cuts(np.array([0, 2]), 0).tolist(), rows_of_cuts(np.array([0, 2]), 2).tolist()
    ([0, 2], [0, 1, 4, 5])
    """
    return rows if count == 0 else (count * rows[:, None] + np.arange(count)).ravel()
