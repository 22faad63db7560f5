"""A model on disk: a folder with ``card.json`` and one safetensors file per network.

Nothing here imports torch until a network is asked for, so that a card can be read anywhere and fast.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.card import DOMAIN_FILE, Card, Role, WeightFile, read_card, weight_file
from mantid_exp2sim.model.device import CPU, require_device
from mantid_exp2sim.model.registry import CARD_FILE, DEFAULT_MODEL, find_model
from mantid_exp2sim.model.weights import (
    GET_AGAIN,
    card_bytes,
    carry_over,
    load_network,
    read_domain,
    read_weights,
)
from mantid_exp2sim.storage.atomic import atomic_folder, sweep

if TYPE_CHECKING:
    import torch

_LOG = logging.getLogger(__name__)
_cache: dict[tuple[Path, str], Bundle] = {}
_lock = threading.RLock()


class Bundle:
    """Hold a model that was read from a folder: its card, and its networks once they are asked for.

    ``card`` is everything that is known about it, ``folder`` where it lies and ``checksum`` the SHA-256 of
    its card, which holds the checksums of the weights and so stands for the whole model.
    """

    def __init__(self, folder: Path, card: Card, checksum: str) -> None:
        self.folder = folder
        self.card = card
        self.checksum = checksum
        self._networks: dict[tuple[str, str], torch.nn.Module] = {}

    def __repr__(self) -> str:
        return f"Bundle({self.card.name!r}, version {self.card.version}, {self.checksum[:12]})"

    def network(self, key: str, device: str = CPU) -> torch.nn.Module:
        """Return a network in evaluation mode on a device; it is built and checked at the first call.

        ``key`` is a role such as ``deconvolve``, or ``deconvolve-2`` for its second member.

        Raises
        ------
        Exp2SimError
            If the model has no such network, torch or the device is missing, or the weights are not what the
            card says.
        """
        with _lock:
            if (key, device) not in self._networks:
                network = load_network(self.folder, self.card, key)
                _LOG.info("read the network %s of the model %s onto %s", key, self.card.name, device)
                self._networks[key, device] = network if device == CPU else network.to(require_device(device))
            return self._networks[key, device]

    def members(self, role: Role, device: str = CPU) -> list[torch.nn.Module]:
        """Return all networks of a role, the first one first; as :meth:`network`, at least one."""
        return [self.network(key, device) for key in self.card.keys(role) or (role,)]

    def domain_bytes(self) -> bytes:
        """Return the content of ``domain.safetensors``, of the size and checksum on the card.

        Raises
        ------
        Exp2SimError
            If the model keeps no reference of its domain, or the file is damaged.
        """
        return read_domain(self.folder, self.card)


def open_bundle(name_or_path: str | os.PathLike[str] = DEFAULT_MODEL) -> Bundle:
    """Find a model by its name (:func:`list_models`) or its folder; later calls give the same object.

    A model is read again when its card has changed.

    Raises
    ------
    Exp2SimError
        If there is no such model, or it is damaged (see :func:`load_bundle`).

    Examples
    --------
    >>> open_bundle("no-such-model")
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: There is no model 'no-such-model'. ...
    """
    folder = find_model(name_or_path)
    checksum = hashlib.sha256(card_bytes(folder)).hexdigest()
    with _lock:
        if (folder, checksum) not in _cache:
            _cache[folder, checksum] = load_bundle(folder)
        return _cache[folder, checksum]


def load_bundle(folder: str | os.PathLike[str], *, verify: bool = True) -> Bundle:
    """Read the model in a folder; with ``verify``, size and checksum of every weight file too.

    The weights themselves are read, and checked in any case, when a network is first used.

    Raises
    ------
    Exp2SimError
        If the folder holds no model, the card is invalid, or a weight file is missing or differs from it.
    """
    path = Path(folder).expanduser().resolve()
    text = card_bytes(path)
    card = read_card(text, where=str(path / CARD_FILE))
    if not card.weights:
        raise Exp2SimError(f"The card of the model in {path} names no weights.", fix=GET_AGAIN)
    if verify:
        for key in card.weights:
            read_weights(path, card, key)
        if card.domain is not None:
            read_domain(path, card)
    return Bundle(path, card, hashlib.sha256(text).hexdigest())


def save_bundle(
    folder: str | os.PathLike[str],
    card: Card,
    networks: Mapping[str, torch.nn.Module],
    *,
    overwrite: bool = False,
    domain: bytes | None = None,
) -> Card:
    """Write a model: weights of each network, and the card with their sizes and checksums filled in.

    ``domain`` is the content of ``domain.safetensors`` where the card has a section on it; without, the one
    of the model that is replaced is kept, and a card whose networks are others than its loses the section.

    ``networks`` has a network for each role, and for ``deconvolve-2`` and so on where a role has several
    members. Everything is written to a temporary folder beside ``folder``, read back and checked, and moved
    into place: ``folder`` is whole, or as it was. Other files beside a model that is replaced stay.

    Raises
    ------
    Exp2SimError
        If ``folder`` exists (and ``overwrite`` is false) or is something else than a model, or the networks
        cannot be read back from what the card says.
    """
    from safetensors.torch import save

    target = Path(folder).expanduser().resolve()
    _check_target(target, overwrite=overwrite)
    sweep(target.parent)
    if card.domain is not None and domain is None:
        domain = _kept_domain(target, card)
    with atomic_folder(target) as temporary:
        weights: dict[str, WeightFile] = {}
        for key, network in networks.items():
            state = {
                name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
            }
            data = save(state)
            (temporary / weight_file(key)).write_bytes(data)
            weights[key] = WeightFile(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
        described = card.model_dump() | {"weights": weights}
        if card.domain is None or domain is None or not _same_encoders(card, weights):
            described["domain"] = None
        else:
            (temporary / DOMAIN_FILE).write_bytes(domain)
        complete = Card.model_validate(described)
        (temporary / CARD_FILE).write_text(complete.model_dump_json(indent=1) + "\n", encoding="utf-8")
        written = load_bundle(temporary)
        for key in weights:
            written.network(key)
        carry_over(target, temporary)
    return complete


def _kept_domain(target: Path, card: Card) -> bytes | None:
    try:
        return read_domain(target, card)
    except Exp2SimError:
        return None


def _same_encoders(card: Card, weights: Mapping[str, WeightFile]) -> bool:
    """Whether the generators are those on the card, for a reference holds features of its own encoder."""
    directions = [] if card.domain is None else list(card.domain.directions)
    return all(card.weights.get(key) in (None, weights.get(key)) for key in directions)


def _check_target(target: Path, *, overwrite: bool) -> None:
    if not target.parent.is_dir():
        raise Exp2SimError(f"The folder {target.parent} does not exist.", fix="Create it first.")
    if not target.exists():
        return
    if not overwrite:
        raise Exp2SimError(f"{target} exists.", fix="Choose another folder, or ask for it to be replaced.")
    foreign = not target.is_dir() or (any(target.iterdir()) and not (target / CARD_FILE).is_file())
    if foreign:
        raise Exp2SimError(
            f"{target} is not a model.", reason="Only a model is replaced.", fix="Remove it yourself."
        )
