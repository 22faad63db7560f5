"""Spectra as a generator meets them in training, and their features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.domain.features import Features, Role, encode
from mantid_exp2sim.simulation.noise import NOISELESS, MeasurementNoise
from mantid_exp2sim.training.datasets.augmentation import apply_symmetries, draw_symmetries
from mantid_exp2sim.training.datasets.volumes import Volumes

if TYPE_CHECKING:
    from mantid_exp2sim.model.bundle import Bundle
    from mantid_exp2sim.model.card import Card, DomainCard
    from mantid_exp2sim.training.datasets.dataset import DataSet

Floats: TypeAlias = NDArray[np.float64]

DIRECTIONS: tuple[Role, Role] = ("deconvolve", "convolve")


@dataclass(frozen=True, slots=True)
class Settings:
    """How many spectra are taken at most, and with what they are made like the generator's input."""

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

    @classmethod
    def of(cls, card: Card, **changes: Any) -> Settings:
        """With the noise, background, jitter and symmetries of the recipe on a model's card."""
        recipes: Any = card.training.get("recipes", {})
        stages = recipes.get("translator", ()) if isinstance(recipes, dict) else ()
        data = stages[-1].get("data", {}) if stages else {}
        return cls._with({**data, **_as_on_card(data.get("noise", {}))}, **changes)

    @classmethod
    def recorded(cls, card: DomainCard) -> Settings:
        """Those that a model's reference was made with, as far as its card tells them."""
        return cls._with(card.settings, seed=card.seed, points=card.points)

    @classmethod
    def _with(cls, data: Mapping[str, Any], **changes: Any) -> Settings:
        noise = {name: data[key] for key, name in NOISE.items() if key in data}
        symmetries: Any = {"augment": tuple(data["augment"])} if "augment" in data else {}
        return cls(
            noise=MeasurementNoise(**noise),
            intensity_jitter=float(data.get("intensity_jitter", 0.0)),
            **symmetries,
            **changes,
        )

    def record(self) -> dict[str, Any]:
        """What a card keeps of them, as :meth:`recorded` reads it."""
        return {
            **_as_on_card(self.noise.model_dump(mode="json")),
            "intensity_jitter": self.intensity_jitter,
            "augment": list(self.augment),
            "training_spectra": self.train,
        }


NOISE = {
    "noise": "counting",
    "background": "background",
    "background_share": "background_share",
    "subtraction_noise": "subtraction",
    "subtraction_share": "subtraction_share",
    "clean_share": "clean_share",
}
"""Fields of the noise by the names that they have in the settings of a card's domain check."""


def _as_on_card(noise: Mapping[str, Any]) -> dict[str, Any]:
    """Give a recipe's ``[data.noise]`` the names of `NOISE`."""
    return {key: noise[name] for key, name in NOISE.items() if name in noise}


def kind_of(card: Card, direction: Role) -> Literal["convolved", "integrated", "centre"]:
    """The kind of data a direction starts from."""
    return "convolved" if direction == "deconvolve" else card.target


def read_spectra(data: DataSet, kind: str, split: str, limit: int, rng: np.random.Generator) -> Volumes:
    """At most ``limit`` spectra of a split, chosen at random."""
    chosen = np.sort(rng.permutation(data.split(split, kind=kind))[:limit])
    return data.volumes(kind, chosen)


def as_in_training(
    spectra: Volumes, settings: Settings, rng: np.random.Generator, *, noisy: bool, augment: bool = True
) -> Volumes:
    """Spectra as a generator meets them: symmetries, a factor, and where ``noisy`` background and noise."""
    n = len(spectra)
    moves = draw_symmetries(rng, n, settings.augment if augment else ())
    x = apply_symmetries(spectra.values.astype(np.float32), moves)
    mask = apply_symmetries(spectra.mask, moves)
    x *= np.exp(settings.intensity_jitter * rng.standard_normal(n)).astype(np.float32)[
        :, None, None, None, None
    ]
    if noisy:
        x = settings.noise.apply(rng, x)  # a background for each volume, noise of one level per measurement
    return Volumes(np.where(mask, np.float32(0), x), mask, spectra.energies)


def encode_spectra(model: Bundle, direction: Role, spectra: Volumes, settings: Settings) -> Features:
    """Features of spectra: their arrays begin with (n, G)."""
    shape = spectra.values.shape
    with np.errstate(over="ignore"):
        scaled = model.card.scaling.forward(spectra.values.reshape(-1, *shape[2:]))
    found = encode(
        model.network(direction), model.card.layout, scaled, spectra.mask.reshape(-1, *shape[2:]),
        spectra.energies.reshape(-1), points=settings.points, seed=settings.seed,
    )  # fmt: skip
    return found.reshape(*shape[:2])
