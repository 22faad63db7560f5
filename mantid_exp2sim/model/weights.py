"""Reading a model's files: bounded, checked against the card, and into a network only then."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.card import (
    DOMAIN_FILE,
    MAX_CARD_BYTES,
    MAX_WEIGHT_BYTES,
    Card,
    WeightFile,
    classifier_role,
    model_files,
    read_card,
    role_of,
    weight_file,
)
from mantid_exp2sim.model.registry import CARD_FILE
from mantid_exp2sim.storage.atomic import cannot_read

if TYPE_CHECKING:
    import torch

Network = TypeVar("Network", bound="torch.nn.Module")
GET_AGAIN = "Get the model again."
_HEADER, _HEADER_ENTRY = 4096, 256
"""What a safetensors file may have beside its tensors, in bytes: in all, and for each tensor."""


def card_bytes(folder: Path) -> bytes:
    """The text of a model's card, of bounded size."""
    return read_bounded(
        folder / CARD_FILE, MAX_CARD_BYTES, missing=f"{folder} holds no model: it has no {CARD_FILE}."
    )


def model_entries(folder: Path) -> set[str]:
    """Names of what belongs to the model in a folder; what else lies there is somebody's own."""
    try:
        named = set(model_files(read_card(card_bytes(folder), where=CARD_FILE)))
    except Exp2SimError:  # of a card that cannot be read: what a model may hold
        named = {file.name for file in folder.glob("*.safetensors")}
    return {CARD_FILE, *named}


def carry_over(old: Path, new: Path) -> None:
    """Copy what lies beside a model into the folder that takes its place.

    Raises
    ------
    Exp2SimError
        If something of it cannot be read.
    """
    if not old.is_dir():
        return
    mine = model_entries(old) | {entry.name for entry in new.iterdir()}
    try:
        for entry in old.iterdir():
            if entry.name in mine:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.copytree(entry, new / entry.name, symlinks=True)
            else:
                shutil.copy2(entry, new / entry.name, follow_symlinks=False)
    except OSError as error:
        raise Exp2SimError(
            f"Cannot keep what lies beside the model in {old}: {error}.",
            fix="Move it elsewhere, or write the model to another folder.",
        ) from error


def read_bounded(path: Path, limit: int, *, missing: str) -> bytes:
    """Read at most ``limit`` bytes of a regular file; the size is known before anything is allocated.

    Raises `Exp2SimError` where it cannot be read or is larger, and says ``missing`` where there is none.
    """
    try:
        if not path.is_file():
            raise Exp2SimError(
                missing, fix="Give the folder of a model; `exp2sim models` lists those installed."
            )
        size = path.stat().st_size
        if size > limit:
            raise Exp2SimError(
                f"{path} has {size} bytes.", reason=f"At most {limit} are taken.", fix=GET_AGAIN
            )
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise cannot_read(path, error) from error


def read_weights(folder: Path, card: Card, key: str) -> bytes:
    """The bytes of a weight file, if size and checksum are those on the card."""
    expected = card.weights.get(key)
    if expected is None:
        has = ", ".join(card.weights)
        raise Exp2SimError(
            f"The model {card.name!r} has no network for {key}.",
            reason=f"It has {has}.",
            fix="Use a model that has one.",
        )
    return read_checked(folder / weight_file(key), expected)


def read_domain(folder: Path, card: Card) -> bytes:
    """The bytes of ``domain.safetensors``, if size and checksum are those on the card."""
    if card.domain is None:
        raise Exp2SimError(
            f"The model {card.name!r} keeps no reference of its domain.",
            reason="It was made without one, so it cannot say whether data are like its training data.",
            fix="Make one with `exp2sim domain MODEL DATASET`, or use another model.",
        )
    return read_checked(folder / DOMAIN_FILE, card.domain.file)


def read_checked(path: Path, expected: WeightFile) -> bytes:
    """The bytes of a file, if size and checksum are those that a card tells."""
    data = read_bounded(path, min(expected.size, MAX_WEIGHT_BYTES), missing=f"The model has no file {path}.")
    if len(data) != expected.size or hashlib.sha256(data).hexdigest() != expected.sha256:
        raise Exp2SimError(
            f"{path} is not the file that the model's card describes.",
            reason="Its size or checksum differs: it is damaged or was exchanged.",
            fix=GET_AGAIN,
        )
    return data


def load_network(folder: Path, card: Card, key: str) -> torch.nn.Module:
    """The network of a key of ``card.weights``, in evaluation mode, without gradients.

    Its weights are laid out as a translation needs them from the start: a change later would change the last
    digits of what comes after.
    """
    data = read_weights(folder, card, key)
    need_torch()
    from mantid_exp2sim.networks.generator import Generator

    where = f"The weights {weight_file(key)} of the model {card.name!r}"
    network = load_state(data, lambda: _build(card, key), where)
    if isinstance(network, Generator):
        network.prepare()
    return network.eval().requires_grad_(False)


def load_state(data: bytes, build: Callable[[], Network], where: str) -> Network:
    """Build a network and put weights into it that fit in names, shapes and types and are finite.

    The random numbers of the caller stay as they are.

    Raises `Exp2SimError` where they cannot be read, or do not fit; ``where`` names them in errors.
    """
    import safetensors.torch
    import torch

    try:
        state = safetensors.torch.load(data)
    except Exception as error:  # whatever the parser makes of foreign bytes
        raise Exp2SimError(f"{where} cannot be read: {error}.", fix=GET_AGAIN) from error
    with torch.random.fork_rng(devices=[]):
        with torch.device("meta"):
            _check_state(build(), state, where)
        network = build()
    network.load_state_dict(state)
    return network


def check_sizes(card: Card) -> None:
    """Compare the sizes of the weight files with the networks on the card, which hold no memory here."""
    need_torch()
    import torch

    for key, expected in card.weights.items():
        with torch.device("meta"):
            state = _build(card, key).state_dict()
        need = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
        if not need < expected.size <= need + _HEADER + _HEADER_ENTRY * len(state):
            raise Exp2SimError(
                f"{weight_file(key)} has {expected.size} bytes.",
                reason=f"The network on the card takes {need}.",
                fix="Get the model again.",
            )


def need_torch() -> None:
    """Raise `Exp2SimError` where torch cannot be imported."""
    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:
        raise Exp2SimError(
            "PyTorch is not installed, or cannot be imported here.",
            reason="Networks run on it.",
            fix="Install it with `pip install torch` or `conda install -c conda-forge pytorch-cpu`.",
        ) from error


def _check_state(network: torch.nn.Module, state: Mapping[str, Any], where: str) -> None:
    """Names, shapes, dtypes and finite values, against a network that holds no memory yet."""
    expected = network.state_dict()
    if set(expected) != set(state):
        odd = sorted(set(expected) ^ set(state))[:3]
        raise Exp2SimError(f"{where} do not fit its network: {', '.join(odd)!s:.200}.", fix=GET_AGAIN)
    for name, tensor in state.items():
        like = expected[name]
        if tensor.shape != like.shape or tensor.dtype != like.dtype:
            raise Exp2SimError(
                f"{where} have {name} of shape {tuple(tensor.shape)} and type {tensor.dtype}.",
                reason=f"The network on the card takes {tuple(like.shape)} and {like.dtype}.",
                fix=GET_AGAIN,
            )
        if not bool(tensor.isfinite().all()):
            raise Exp2SimError(f"{where} are not finite in {name}.", fix=GET_AGAIN)


def _build(card: Card, key: str) -> torch.nn.Module:
    """The network of a key with random weights; the random numbers of the caller stay as they are."""
    import torch

    from mantid_exp2sim.networks import build_classifier, build_generator

    role = role_of(key)
    with torch.random.fork_rng(devices=[]):
        if role in ("deconvolve", "convolve"):
            return build_generator(card.generator, card.layout)
        networks = {classifier_role(domain): c.network for domain, c in card.classifiers.items()}
        return build_classifier(networks[role])
