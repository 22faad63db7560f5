"""Models that come and go: packed into one file, checked before they are installed, removed.

A model may come from anyone. It is taken from a folder or a zip file that holds exactly the files its card
names; sizes are compared with the card and with the networks it describes before anything is unpacked or
allocated, no name or path in it is used to write, links are refused and nothing in it is executed. It appears
in the folder of the user's models whole, after all of it was checked, or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.archive_files import Archive, open_archive
from mantid_exp2sim.model.bundle import Bundle, load_bundle
from mantid_exp2sim.model.card import MAX_CARD_BYTES, Card, WeightFile, model_files, read_card
from mantid_exp2sim.model.registry import CARD_FILE, find_model, shipped_models_folder, user_models_folder
from mantid_exp2sim.model.weights import carry_over, check_sizes, model_entries
from mantid_exp2sim.storage.atomic import (
    atomic_folder,
    atomic_path,
    cannot_read,
    cannot_write,
    make_folder,
    require_place,
    sweep,
)

MAX_BYTES = 8 * 2**30
"""Largest model that is taken, unpacked."""
_CHUNK = 2**20
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def install_bundle(
    source: str | Path,
    validate: Callable[[Bundle], None],
    *,
    name: str | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Check a model in a folder or a ``.zip`` file and install it among the user's own.

    ``validate`` raises where something in it cannot be loaded; it is called before the model appears. See
    :func:`mantid_exp2sim.application.install.install_model`.
    """
    path = Path(source).expanduser()
    with open_archive(path) as archive:
        text = archive.read(CARD_FILE, MAX_CARD_BYTES)
        card = read_card(text, where=f"{CARD_FILE} in {path}")
        files = _checked(archive, card, path)
        target = _place(card.name if name is None else name, overwrite=overwrite)
        with atomic_folder(target) as folder:
            (folder / CARD_FILE).write_bytes(text)
            for file, expected in files.items():
                with archive.open(file) as stream:
                    _copy(stream, folder / file, expected)
            validate(load_bundle(folder))
            carry_over(target, folder)
    return load_bundle(target)


def pack_model(model: str | Path, out: str | Path, *, overwrite: bool = False) -> Card:
    """Write a model to one zip file that :func:`install_bundle` takes; the same model gives the same bytes.

    Raises
    ------
    Exp2SimError
        If there is no such model, it is damaged, or ``out`` does not end in ``.zip``, is there already (and
        ``overwrite`` is false) or cannot be written.
    """
    path = Path(out).expanduser()
    if path.suffix.lower() != ".zip":
        raise Exp2SimError(f"{path} ends in {path.suffix or 'nothing'}.", fix="Let it end in .zip.")
    require_place(path, overwrite=overwrite)
    bundle = load_bundle(find_model(model))
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for file in (CARD_FILE, *model_files(bundle.card)):
            info = zipfile.ZipInfo(file)  # dated 1980 whenever it is written
            info.external_attr = 0o644 << 16
            archive.writestr(info, _bytes(bundle.folder / file))
    return bundle.card


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise cannot_read(path, error) from error


def remove_model(name: str) -> Path:
    """Remove one of the user's own models; gives back where it was.

    Raises
    ------
    Exp2SimError
        If there is no such model, it came with the package, or its folder holds other files too.
    """
    folder = user_models_folder() / name
    if not _NAME.fullmatch(name) or not (folder / CARD_FILE).is_file():
        shipped = _NAME.fullmatch(name) and (shipped_models_folder() / name).is_dir()
        why = "It came with the package." if shipped else f"Your own models lie in {user_models_folder()}."
        raise Exp2SimError(
            f"You have no model {name!r:.80}.",
            reason=why,
            fix="`exp2sim models` lists those that are installed.",
        )
    try:
        if folder.is_symlink():
            folder.unlink()
            return folder
        mine = model_entries(folder)
        foreign = sorted(
            entry.name for entry in folder.iterdir() if entry.name not in mine or not entry.is_file()
        )
        if foreign:
            raise Exp2SimError(f"{folder} holds other files too: {foreign[0]!r}.", fix="Remove it yourself.")
        for file in sorted(mine, key=CARD_FILE.__ne__):  # the card first: without it there is no model
            (folder / file).unlink(missing_ok=True)
        folder.rmdir()
    except OSError as error:
        raise cannot_write(folder, error) from error
    return folder


def _checked(archive: Archive, card: Card, path: Path) -> Mapping[str, WeightFile]:
    """The files to take, after names and sizes are what card and networks say; nothing is unpacked yet."""
    files = model_files(card)
    if not card.weights:
        raise Exp2SimError(f"The card of the model in {path} names no weights.", fix="Get the model again.")
    odd = sorted(set(archive.sizes) ^ {CARD_FILE, *files})
    if odd:
        state = "holds a file that" if odd[0] in archive.sizes else "lacks a file that"
        its = "is not part of the model" if odd[0] in archive.sizes else "its card names"
        raise Exp2SimError(f"{path} {state} {its}: {odd[0]!r:.120}.", fix="Get the model again.")
    for file, expected in files.items():
        if archive.sizes[file] != expected.size:
            raise Exp2SimError(
                f"{file} in {path} has {archive.sizes[file]} bytes.",
                reason=f"Its card says {expected.size}.",
                fix="Get the model again.",
            )
    total = sum(expected.size for expected in files.values())
    if total > MAX_BYTES:
        raise Exp2SimError(
            f"The model in {path} takes {total} bytes.",
            reason=f"At most {MAX_BYTES} are taken.",
            fix="Get the model again.",
        )
    check_sizes(card)
    return files


def _copy(stream: BinaryIO, target: Path, expected: WeightFile) -> None:
    """Write at most the expected number of bytes, and see that they are the expected ones."""
    digest, left = hashlib.sha256(), expected.size
    with target.open("xb") as file:
        while chunk := stream.read(min(_CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                break
            digest.update(chunk)
            file.write(chunk)
    if left != 0 or digest.hexdigest() != expected.sha256:
        raise Exp2SimError(
            f"{target.name} is not the file that the model's card describes.",
            reason="Its size or checksum differs: it is damaged or was exchanged.",
            fix="Get the model again.",
        )


def _place(name: str, *, overwrite: bool) -> Path:
    """Where a model of this name goes."""
    if not _NAME.fullmatch(name):
        raise Exp2SimError(
            f"{name!r:.80} is no name of a model.",
            reason="Such a name has a-z, 0-9, '.', '_', '-', at most 64.",
            fix="Choose a name of that kind.",
        )
    if (shipped_models_folder() / name / CARD_FILE).is_file():
        raise Exp2SimError(
            f"A model {name!r} comes with the package and would hide this one.",
            fix="Give another --name.",
        )
    root = make_folder(user_models_folder())
    sweep(root)
    target = root / name
    if target.is_symlink() or (target.exists() and not (overwrite and (target / CARD_FILE).is_file())):
        raise Exp2SimError(
            f"There is a {name!r} in {root}.", fix="Give another --name, or --overwrite a model."
        )
    with contextlib.suppress(OSError):
        return target.parent.resolve() / name
    return target
