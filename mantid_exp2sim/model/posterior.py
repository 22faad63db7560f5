"""A trained posterior on disk: a folder with ``card.json`` and ``posterior.safetensors``.

It is read as a model is: bounded, checked against its card, and into a network only then.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.card import ClassName, Name, Text, WeightFile, Word
from mantid_exp2sim.model.registry import CARD_FILE
from mantid_exp2sim.model.weights import card_bytes, load_state, need_torch, read_checked
from mantid_exp2sim.networks.settings import PosteriorSettings
from mantid_exp2sim.storage.atomic import atomic_folder, sweep
from mantid_exp2sim.storage.toml import validation_summary

if TYPE_CHECKING:
    from mantid_exp2sim.networks.posterior import PosteriorNetwork

WEIGHTS = "posterior.safetensors"
Edge = Annotated[float, Field(gt=-1e5, lt=1e5)]


class PosteriorCard(BaseModel):
    """All that is known of a posterior: what it takes, and the constants that it tells of.

    ``models`` has the constants of each model, by name, with the ranges (low, high) that its uniform prior
    had in the training, in meV. ``edges`` are those of h and k (r.l.u.) and of the energy over the incident
    energy; ``instrument`` the settings of the spectrometer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal[1] = 1
    name: Name
    description: Text = ""
    licence: Word = "GPL-3.0-or-later"
    models: dict[ClassName, dict[Word, tuple[float, float]]] = Field(min_length=1, max_length=20)
    network: PosteriorSettings
    incident_energies: tuple[Annotated[float, Field(gt=0, lt=1e5)], ...] = Field(min_length=1, max_length=100)
    edges: dict[Literal["h", "k", "energy_fraction"], tuple[Edge, ...]]
    instrument: dict[Word, JsonValue]
    training: dict[str, JsonValue] = Field(default_factory=dict)
    metrics: dict[str, JsonValue] = Field(default_factory=dict)
    software: dict[Word, Word] = Field(default_factory=dict)
    weights: WeightFile

    @model_validator(mode="after")
    def _consistent(self) -> PosteriorCard:
        if tuple(len(ranges) for ranges in self.models.values()) != self.network.constants:
            raise ValueError("network has a head for each model, of as many constants")
        if not all(low < high for ranges in self.models.values() for low, high in ranges.values()):
            raise ValueError("ranges are [lowest, highest]")
        windows = len(self.edges.get("energy_fraction", ())) - 1
        if self.network.panels != windows * len(self.incident_energies):
            raise ValueError("panels counts the energy windows of all incident energies")
        return self


@dataclass(frozen=True, slots=True, eq=False)
class TrainedPosterior:
    """A posterior that was read: its card, and its network in evaluation mode on the CPU."""

    card: PosteriorCard
    network: PosteriorNetwork


def read_posterior_card(folder: Path) -> PosteriorCard:
    """Read the card of the posterior in a folder; no torch is needed.

    Raises `Exp2SimError` where there is none, or it is not valid.
    """
    try:
        return PosteriorCard.model_validate_json(card_bytes(folder))
    except ValidationError as error:
        raise Exp2SimError(
            f"{folder / CARD_FILE} is no card of a posterior.",
            reason=f"{validation_summary(error)}.",
            fix="Name the folder of a posterior that `exp2sim bundle --posterior` wrote.",
        ) from error


def load_posterior(folder: Path) -> TrainedPosterior:
    """Read the posterior in a folder.

    Raises `Exp2SimError` where it is missing or damaged, or torch is not installed.
    """
    card = read_posterior_card(folder)
    data = read_checked(folder / WEIGHTS, card.weights)
    need_torch()
    from mantid_exp2sim.networks import build_posterior

    where = f"The weights {WEIGHTS} of the posterior {card.name!r}"
    network = load_state(data, lambda: build_posterior(card.network), where)
    return TrainedPosterior(card, network.eval().requires_grad_(False))


def save_posterior(
    folder: Path, card: PosteriorCard, network: PosteriorNetwork, *, overwrite: bool = False
) -> None:
    """Write a posterior, its card with size and checksum of the weights; read back before it is moved there.

    Raises `Exp2SimError` where ``folder`` exists and holds no posterior, or is not to be replaced.
    """
    target = folder.expanduser().resolve()
    if target.exists() and not (overwrite and (target / WEIGHTS).is_file()):
        raise Exp2SimError(f"{target} exists.", fix="Choose another folder, or ask for it to be replaced.")
    from safetensors.torch import save

    sweep(target.parent)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    data = save(state)
    weights = WeightFile(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    complete = PosteriorCard.model_validate(card.model_dump() | {"weights": weights})
    with atomic_folder(target) as temporary:
        (temporary / WEIGHTS).write_bytes(data)
        (temporary / CARD_FILE).write_text(complete.model_dump_json(indent=1) + "\n", encoding="utf-8")
        load_posterior(temporary)
