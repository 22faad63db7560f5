"""A model on disk: a folder with ``card.json`` and one safetensors file per network.

Nothing here imports torch until a network is asked for, so that a card can be read anywhere and fast.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.card import (
    CARD_FILE,
    MAX_CARD_BYTES,
    MAX_WEIGHT_BYTES,
    ROLES,
    Card,
    Domain,
    Role,
    WeightFile,
    classifier_role,
    read_card,
    weight_file,
)
from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    import torch

    from mantid_exp2sim.classification import Classification
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.translation import Progress

DEFAULT_MODEL = "pcsmo-maps"
_GET_AGAIN = "Get the model again."
_cache: dict[tuple[Path, str], Model] = {}
_lock = threading.RLock()


class Model:
    """A model that was read from a folder. Made by :func:`load_model` or :func:`load_bundle`.

    ``card`` is everything known about it, ``folder`` where it lies and ``checksum`` the SHA-256 of its card,
    which holds the checksums of the weights and so stands for the whole model.
    """

    def __init__(self, folder: Path, card: Card, checksum: str) -> None:
        self.folder = folder
        self.card = card
        self.checksum = checksum
        self._networks: dict[Role, torch.nn.Module] = {}

    def __repr__(self) -> str:
        return f"Model({self.card.name!r}, version {self.card.version}, {self.checksum[:12]})"

    def network(self, role: Role) -> torch.nn.Module:
        """The network of one role, in evaluation mode on the CPU; built and checked at the first call.

        Raises
        ------
        Exp2SimError
            If the model has no such network, torch is missing, or the weights are not what the card says.
        """
        with _lock:
            if role not in self._networks:
                self._networks[role] = _load_network(self, role)
            return self._networks[role]

    def verify(self) -> None:
        """Check size and checksum of every weight file; needs no torch."""
        for role in self.card.weights:
            _read_weights(self, role)

    def check(self, histogram: Histogram, *, incident_energy: float | None = None) -> None:
        """Raise what a translation of these data would raise because of the data; quick and without torch."""
        from mantid_exp2sim.volumes import open_volumes

        open_volumes(histogram, self.card, incident_energy=incident_energy)

    def deconvolve(
        self,
        histogram: Histogram,
        *,
        tile: int | None = None,
        errors: bool = True,
        replicas: int = 16,
        seed: int = 0,
        scale: float | str = 1.0,
        incident_energy: float | None = None,
        progress: Progress | None = None,
    ) -> Histogram:
        """Measurement-like to simulation-like data; see :func:`mantid_exp2sim.translation.translate`."""
        from mantid_exp2sim.translation import translate

        return translate(
            self,
            "deconvolve",
            histogram,
            tile=tile,
            errors=errors,
            replicas=replicas,
            seed=seed,
            scale=scale,
            incident_energy=incident_energy,
            progress=progress,
        )

    def convolve(
        self,
        histogram: Histogram,
        *,
        tile: int | None = None,
        errors: bool = True,
        replicas: int = 16,
        seed: int = 0,
        scale: float | str = 1.0,
        incident_energy: float | None = None,
        progress: Progress | None = None,
    ) -> Histogram:
        """Simulation-like to measurement-like data; see :func:`mantid_exp2sim.translation.translate`."""
        from mantid_exp2sim.translation import translate

        return translate(
            self,
            "convolve",
            histogram,
            tile=tile,
            errors=errors,
            replicas=replicas,
            seed=seed,
            scale=scale,
            incident_energy=incident_energy,
            progress=progress,
        )

    def classify(
        self,
        histogram: Histogram,
        *,
        deconvolve: bool = False,
        domain: Domain | str = "auto",
        attribution: bool = False,
        tile: int | None = None,
        scale: float | str = 1.0,
        incident_energy: float | None = None,
        progress: Progress | None = None,
    ) -> Classification:
        """Which spin-wave model the data show; see :func:`mantid_exp2sim.classification.classify`."""
        from mantid_exp2sim.classification import classify

        return classify(
            self,
            histogram,
            deconvolve=deconvolve,
            domain=domain,
            attribution=attribution,
            tile=tile,
            scale=scale,
            incident_energy=incident_energy,
            progress=progress,
        )


def shipped_models_folder() -> Path:
    """Where the models that come with the package lie."""
    return Path(__file__).parent / "models"


def user_models_folder() -> Path:
    """Where the user's own models lie: ``$EXP2SIM_MODELS`` or ``~/.local/share/mantid_exp2sim/models``."""
    chosen = os.environ.get("EXP2SIM_MODELS")
    if chosen:
        return Path(chosen).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "mantid_exp2sim" / "models"


def list_models() -> dict[str, Path]:
    """Name and folder of every model found; a shipped one comes before the user's of the same name.

    >>> isinstance(list_models(), dict)
    True
    """
    found: dict[str, Path] = {}
    for root in (shipped_models_folder(), user_models_folder()):
        with suppress(OSError):
            for folder in sorted(root.iterdir()):
                if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", folder.name) and (folder / CARD_FILE).is_file():
                    found.setdefault(folder.name, folder)
    return found


def load_model(name_or_path: str | os.PathLike[str] = DEFAULT_MODEL) -> Model:
    """Find a model by its name (:func:`list_models`) or its folder, once: later calls give the same object.

    A model is read again when its card has changed.

    Raises
    ------
    Exp2SimError
        If there is no such model, or it is damaged (see :func:`load_bundle`).

    Examples
    --------
    >>> load_model("no-such-model")
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: There is no model 'no-such-model'. ...
    """
    folder = _find(name_or_path)
    checksum = hashlib.sha256(_card_bytes(folder)).hexdigest()
    with _lock:
        if (folder, checksum) not in _cache:
            _cache[folder, checksum] = load_bundle(folder)
        return _cache[folder, checksum]


def load_bundle(folder: str | os.PathLike[str], *, verify: bool = True) -> Model:
    """Read the model in a folder; with ``verify``, size and checksum of every weight file too.

    The weights themselves are read, and checked in any case, when a network is first used.

    Raises
    ------
    Exp2SimError
        If the folder holds no model, the card is invalid, or a weight file is missing or differs from it.
    """
    path = Path(folder).expanduser().resolve()
    text = _card_bytes(path)
    card = read_card(text, where=str(path / CARD_FILE))
    if not card.weights:
        raise Exp2SimError(f"The card of the model in {path} names no weights.", way_out=_GET_AGAIN)
    model = Model(path, card, hashlib.sha256(text).hexdigest())
    if verify:
        model.verify()
    return model


def save_bundle(
    folder: str | os.PathLike[str],
    card: Card,
    networks: Mapping[Role, torch.nn.Module],
    *,
    overwrite: bool = False,
) -> Card:
    """Write a model: weights of each network, and the card with their sizes and checksums filled in.

    Everything is written to a temporary folder beside ``folder``, read back and checked, and moved into
    place: ``folder`` is whole or not there.

    Raises
    ------
    Exp2SimError
        If ``folder`` exists (and ``overwrite`` is false) or is something else than a model, or the networks
        cannot be read back from what the card says.
    """
    from safetensors.torch import save

    target = Path(folder).expanduser().resolve()
    _check_target(target, overwrite=overwrite)
    with _temporary_folder(target) as temporary:
        weights: dict[Role, WeightFile] = {}
        for role, network in networks.items():
            state = {
                name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
            }
            data = save(state)
            (temporary / weight_file(_known(role))).write_bytes(data)
            weights[role] = WeightFile(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
        complete = Card.model_validate({**card.model_dump(), "weights": weights})
        (temporary / CARD_FILE).write_text(complete.model_dump_json(indent=1) + "\n", encoding="utf-8")
        written = load_bundle(temporary)
        for role in weights:
            written.network(role)
        _move_into_place(temporary, target)
    return complete


def _find(name_or_path: str | os.PathLike[str]) -> Path:
    models = list_models()
    if isinstance(name_or_path, str) and name_or_path in models:
        return models[name_or_path].resolve()
    path = Path(name_or_path).expanduser()
    try:
        if path.name == CARD_FILE and path.is_file():
            path = path.parent
        if path.is_dir():
            return path.resolve()
    except (OSError, ValueError):
        pass
    raise Exp2SimError(
        f"There is no model {str(name_or_path)!r}.",
        why=f"Known models: {', '.join(models) or 'none'}.",
        way_out=f"Give one of these names or a model's folder; your own models go to {user_models_folder()}.",
    )


def _card_bytes(folder: Path) -> bytes:
    return _read_bounded(
        folder / CARD_FILE, MAX_CARD_BYTES, missing=f"{folder} holds no model: it has no {CARD_FILE}."
    )


def _read_bounded(path: Path, limit: int, *, missing: str) -> bytes:
    """At most ``limit`` bytes of a regular file; the size is known before anything is allocated."""
    try:
        if not path.is_file():
            raise Exp2SimError(
                missing, way_out="Give the folder of a model; `exp2sim models` lists those installed."
            )
        size = path.stat().st_size
        if size > limit:
            raise Exp2SimError(
                f"{path} has {size} bytes.", why=f"At most {limit} are taken.", way_out=_GET_AGAIN
            )
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise Exp2SimError(f"Cannot read {path}: {error.strerror or error}.") from error


def _known(role: str) -> Role:
    for known in ROLES:
        if role == known:
            return known
    raise Exp2SimError(f"There is no role {role!r}.", why=f"A network is one of {', '.join(ROLES)}.")


def _read_weights(model: Model, role: Role) -> bytes:
    expected = model.card.weights.get(role)
    if expected is None:
        has = ", ".join(model.card.weights)
        raise Exp2SimError(f"The model {model.card.name!r} has no network for {role}.", why=f"It has {has}.")
    path = model.folder / weight_file(role)
    data = _read_bounded(path, min(expected.size, MAX_WEIGHT_BYTES), missing=f"The model has no file {path}.")
    if len(data) != expected.size or hashlib.sha256(data).hexdigest() != expected.sha256:
        raise Exp2SimError(
            f"{path} is not the file that the model's card describes.",
            why="Its size or checksum differs: it is damaged or was exchanged.",
            way_out=_GET_AGAIN,
        )
    return data


def _load_network(model: Model, role: Role) -> torch.nn.Module:
    data = _read_weights(model, role)
    _need_torch()
    import safetensors.torch
    import torch

    where = f"The weights {weight_file(role)} of the model {model.card.name!r}"
    try:
        state = safetensors.torch.load(data)
    except Exception as error:  # whatever the parser makes of foreign bytes
        raise Exp2SimError(f"{where} cannot be read: {error}.", way_out=_GET_AGAIN) from error
    with torch.device("meta"):
        _check_state(_build(model.card, role), state, where)
    network = _build(model.card, role)
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def _need_torch() -> None:
    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:
        raise Exp2SimError(
            "PyTorch is not installed, or cannot be imported here.",
            why="Networks run on it.",
            way_out="Install it with `pip install torch` or `conda install -c conda-forge pytorch-cpu`.",
        ) from error


def _check_state(network: torch.nn.Module, state: Mapping[str, Any], where: str) -> None:
    """Names, shapes, dtypes and finite values, against a network that holds no memory yet."""
    expected = network.state_dict()
    if set(expected) != set(state):
        odd = sorted(set(expected) ^ set(state))[:3]
        raise Exp2SimError(f"{where} do not fit its network: {', '.join(odd)!s:.200}.", way_out=_GET_AGAIN)
    for name, tensor in state.items():
        wanted = expected[name]
        if tensor.shape != wanted.shape or tensor.dtype != wanted.dtype:
            raise Exp2SimError(
                f"{where} have {name} of shape {tuple(tensor.shape)} and type {tensor.dtype}.",
                why=f"The network on the card takes {tuple(wanted.shape)} and {wanted.dtype}.",
                way_out=_GET_AGAIN,
            )
        if not bool(tensor.isfinite().all()):
            raise Exp2SimError(f"{where} are not finite in {name}.", way_out=_GET_AGAIN)


def _build(card: Card, role: Role) -> torch.nn.Module:
    """The network of a role with random weights; the random numbers of the caller stay as they are."""
    import torch

    from mantid_exp2sim.networks import build_classifier, build_generator

    with torch.random.fork_rng(devices=[]):
        if role in ("deconvolve", "convolve"):
            return build_generator(card.generator, card.layout)
        networks = {classifier_role(domain): c.network for domain, c in card.classifiers.items()}
        return build_classifier(networks[role])


def _check_target(target: Path, *, overwrite: bool) -> None:
    if not target.parent.is_dir():
        raise Exp2SimError(f"The folder {target.parent} does not exist.", way_out="Create it first.")
    if not target.exists():
        return
    if not overwrite:
        raise Exp2SimError(
            f"{target} exists.", way_out="Choose another folder, or ask for it to be replaced."
        )
    foreign = not target.is_dir() or (any(target.iterdir()) and not (target / CARD_FILE).is_file())
    if foreign:
        raise Exp2SimError(
            f"{target} is not a model.", why="Only a model is replaced.", way_out="Remove it yourself."
        )


@contextmanager
def _temporary_folder(target: Path) -> Iterator[Path]:
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move_into_place(temporary: Path, target: Path) -> None:
    temporary.chmod(0o755)
    if not target.exists():
        temporary.rename(target)
        return
    with _temporary_folder(target) as graveyard:
        old = graveyard / "old"
        target.rename(old)
        try:
            temporary.rename(target)
        except OSError:
            old.rename(target)
            raise
