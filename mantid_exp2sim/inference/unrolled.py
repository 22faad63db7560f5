"""The trained deconvolver for any material: reading it, and one volume through it.

A model is a folder with ``deconvolver.json``, the card, and ``network.safetensors``, the weights. Cards are
checked and bounded, and the weights are those whose SHA-256 the card tells.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.inference.bins import ArrangedBlur
from mantid_exp2sim.inference.noise_replicas import noise_key, standard_normal_pair
from mantid_exp2sim.inference.richardson_lucy import positive
from mantid_exp2sim.model.card import WeightFile
from mantid_exp2sim.model.registry import shipped_models_folder
from mantid_exp2sim.model.weights import load_state, read_bounded, read_checked
from mantid_exp2sim.networks.unrolled import NetworkSettings, Unrolled, pose
from mantid_exp2sim.simulation.local_blur import Singles
from mantid_exp2sim.storage.toml import validation_summary

UNIVERSAL = "chopper-any"
"""Name of the shipped deconvolver."""
CARD, WEIGHTS = "deconvolver.json", "network.safetensors"
MAX_CARD_BYTES, MAX_WEIGHT_BYTES = 2**20, 10 * 2**20
REPLICAS = 4
"""Of the data with more noise, for the variance; it is averaged over the resolution."""


class DeconvolverCard(BaseModel):
    """What is known of a trained deconvolver."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Annotated[int, Field(ge=1, le=1)] = 1
    name: str = Field(min_length=1, max_length=64)
    version: str = Field(max_length=40)
    description: str = Field(max_length=2000)
    licence: str = Field(default="GPL-3.0-or-later", max_length=100)
    network: NetworkSettings
    weights: WeightFile
    training: dict[str, JsonValue] = {}

    @field_validator("weights")
    @classmethod
    def _bounded(cls, weights: WeightFile) -> WeightFile:
        if weights.size > MAX_WEIGHT_BYTES:
            raise ValueError(f"at most {MAX_WEIGHT_BYTES} bytes are taken")
        return weights


@dataclass(frozen=True, slots=True, eq=False)
class Deconvolver:
    """A trained deconvolver. Opened by `open_deconvolver`."""

    card: DeconvolverCard
    network: Unrolled


@dataclass(frozen=True, slots=True, eq=False)
class Sharpened:
    """What the network made of one volume, (n, m, l): 0 where not measured."""

    intensity: Floats
    variance: Floats


def open_deconvolver(folder: Path | None = None) -> Deconvolver:
    """Open the deconvolver in a folder, by default the shipped one.

    Raises
    ------
    Exp2SimError
        If there is none, or it is damaged.
    """
    return _opened(shipped_models_folder() / UNIVERSAL if folder is None else folder)


@lru_cache(maxsize=2)
def _opened(folder: Path) -> Deconvolver:
    try:
        text = read_bounded(folder / CARD, MAX_CARD_BYTES, missing=f"There is no file {folder / CARD}.")
        card = DeconvolverCard.model_validate_json(text)
        data = read_checked(folder / WEIGHTS, card.weights)
        network = load_state(data, lambda: Unrolled(card.network), f"The weights {WEIGHTS}")
    except ValidationError as error:
        raise _damaged(folder, f"{validation_summary(error)}.") from error
    except Exp2SimError as error:
        raise _damaged(folder, f"{error.summary} {error.reason}".strip()) from error
    return Deconvolver(card, network.eval())


def _damaged(folder: Path, reason: str) -> Exp2SimError:
    return Exp2SimError(
        f"The deconvolver in {folder} cannot be used.",
        reason=reason,
        fix="Install the package again, or train one (`exp2sim train-deconvolver`).",
    )


def save_deconvolver(folder: Path, network: Unrolled, **about: Any) -> Path:
    """Write a deconvolver; ``about`` are fields of its card."""
    from safetensors.torch import save

    from mantid_exp2sim.storage.atomic import atomic_path

    data = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    weights = WeightFile(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    card = DeconvolverCard(network=network.settings, weights=weights, **about)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(card.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
    for name, content in ((WEIGHTS, data), (CARD, text.encode())):
        with atomic_path(folder / name) as temporary:
            temporary.write_bytes(content)
    _opened.cache_clear()
    return folder


def sharpen(
    deconvolver: Deconvolver,
    blur: ArrangedBlur,
    y: Singles,
    variance: Singles,
    *,
    replicas: int = 0,
    seed: int = 0,
) -> Sharpened:
    """Deconvolve one volume.

    Parameters
    ----------
    y, variance
        (n, m, l), 0 where not measured; the variance of the noise, 0 for none.
    replicas
        Deconvolutions of data with more noise, at least 2, for the variance of the result; 0: it is 0.
    seed
        Of this noise.
    """
    x, scale = _through(deconvolver, blur, y, variance)
    spread = np.zeros(x.shape)
    if replicas and variance.any():
        numbers = np.arange(x.size, dtype=np.uint64).reshape(x.shape)
        for pair in range(0, replicas, 2):
            for field in standard_normal_pair([noise_key(seed, pair, 0)], numbers)[: replicas - pair]:
                noisy = (y + np.sqrt(variance) * field[0]).astype(np.float32)
                other, _ = _through(deconvolver, blur, noisy, variance, scale)
                spread += (other.astype(np.float64) - x) ** 2
        spread = np.maximum(blur.blur(spread / replicas), 0).astype(np.float64)
    return Sharpened(x.astype(np.float64), spread)


def _through(
    deconvolver: Deconvolver, blur: ArrangedBlur, y: Singles, variance: Singles, scale: float | None = None
) -> tuple[Singles, float]:
    """The sharp spectrum, and the scale."""
    layout = blur.layout
    counts = layout.arranged(positive(blur.inner, layout.restored(y)))
    problem = pose(blur, y, counts, variance, layout.widths, layout.shape, scale=scale)
    with torch.inference_mode():
        x, _ = deconvolver.network(problem)[-1]
    return x.numpy() * np.float32(problem.scale), problem.scale
