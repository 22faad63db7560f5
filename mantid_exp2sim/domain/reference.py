"""Write the reference of the domain check to ``domain.safetensors``, and read and validate it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.domain.likeness import COLUMNS, TOP, Reference
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.card import MAX_DOMAIN_BYTES

if TYPE_CHECKING:
    from mantid_exp2sim.model.bundle import Bundle
    from mantid_exp2sim.model.card import Calibrated, Direction, DirectionCard, DomainCard

HALF = ("basis", "white", "points", "held", "fit", "calibration")
"""Stored in half precision; the others in single."""
NAMES = tuple(field.name for field in fields(Reference))
_DIMENSIONS = {
    "energies": "G",
    "center": "GD",
    "scale": "GD",
    "basis": "DR",
    "white": "GRR",
    "axis": "GR",
    "bend": "G3",
    "bend_limit": "G",
    "joint": "JJ",
    "point_center": "C",
    "point_basis": "CK",
    "points": "GPK",
    "held": "GHK",
    "error": "GQ",
    "error_level": "G",
    "fit": "FGY",
    "calibration": "NGY",
}

_references: WeakKeyDictionary[Bundle, dict[str, Reference]] = WeakKeyDictionary()


def domain_card(bundle: Bundle) -> DomainCard:
    """Return the card's section on the domain; `Exp2SimError` where the model keeps no reference."""
    if bundle.card.domain is None:
        bundle.domain_bytes()  # says so
    assert bundle.card.domain is not None
    return bundle.card.domain


def load_reference(bundle: Bundle, direction: Direction, *, cuts: bool = False) -> Reference:
    """Return what a direction's data, or single cuts, are compared with; read and checked at the first call.

    Raises
    ------
    Exp2SimError
        If the model keeps no reference, or its file is damaged.
    """
    return all_references(bundle)[reference_name(direction, cuts=cuts)]


def all_references(bundle: Bundle) -> dict[str, Reference]:
    """Return everything that a model compares data with, by name; as `load_reference`."""
    if bundle not in _references:
        _references[bundle] = read_reference(bundle.domain_bytes(), domain_card(bundle))
    return _references[bundle]


def rounded(reference: Reference) -> Reference:
    """Round a reference as it will be read back: what is calibrated must have the stored precision."""
    return Reference(**{name: _stored(name, getattr(reference, name)).astype(np.float64) for name in NAMES})


def reference_bytes(references: Mapping[str, Reference]) -> bytes:
    """Write references as the file's content, of at most 1 MiB; `Exp2SimError` where it would be more."""
    from safetensors.numpy import save

    tensors = {
        f"{direction}.{name}": np.ascontiguousarray(_stored(name, getattr(reference, name)))
        for direction, reference in references.items()
        for name in NAMES
    }
    data = save(tensors)
    if len(data) > MAX_DOMAIN_BYTES:
        raise Exp2SimError(
            f"The reference of the domain has {len(data)} bytes.",
            reason=f"At most {MAX_DOMAIN_BYTES} are kept with a model.",
            fix="Use fewer spectra or directions.",
        )
    return bytes(data)


def _stored(name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.astype(np.float16 if name in HALF else np.float32)


def read_reference(data: bytes, card: DomainCard) -> dict[str, Reference]:
    """Read a reference for each direction on the card; validate names, shapes, types and finite values."""
    from safetensors.numpy import load

    try:
        tensors = load(data)
    except Exception as error:  # whatever the parser makes of foreign bytes
        raise _damaged(f"it cannot be read: {error!s:.200}") from error
    sections = _sections(card)
    if set(tensors) != {f"{direction}.{name}" for direction in sections for name in NAMES}:
        raise _damaged("it does not hold the arrays of the directions on the card")
    return {name: _validated(tensors, name, section, card.points) for name, section in sections.items()}


def reference_name(direction: str, *, cuts: bool) -> str:
    """Return the name of a direction's reference in the file.

    >>> reference_name("convolve", cuts=True)
    'convolve-cuts'
    """
    return f"{direction}-cuts" if cuts else direction


def _sections(card: DomainCard) -> dict[str, DirectionCard]:
    """Return what the card says of each reference."""
    kinds: list[tuple[Calibrated | None, bool]] = [(card, False), (card.cuts, True)]
    return {
        reference_name(direction, cuts=cuts): section
        for kind, cuts in kinds
        if kind is not None
        for direction, section in kind.directions.items()
    }


def _validated(
    tensors: Mapping[str, npt.NDArray[Any]],
    direction: str,
    section: DirectionCard,
    points: int,
) -> Reference:
    sizes = {"3": 3}
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name in NAMES:
        array = tensors[f"{direction}.{name}"]
        letters = _DIMENSIONS[name]
        same = array.ndim == len(letters) and all(
            sizes.setdefault(letter, size) == size for letter, size in zip(letters, array.shape, strict=True)
        )
        if not same or array.dtype not in (np.float16, np.float32) or not np.isfinite(array).all():
            raise _damaged(f"{direction}.{name} has a wrong shape or type, or is not finite")
        arrays[name] = array.astype(np.float64)
    expected = (
        sizes["Y"] == COLUMNS,
        sizes["J"] == sizes["G"] * TOP,
        sizes["Q"] in (0, sizes["D"]),
        sizes["P"] >= points,
        sizes["N"] > 0,
        sizes["F"] > 0,
    )
    if (
        not all(expected)
        or (sizes["F"], sizes["N"]) != (section.fit, section.calibration)
        or (arrays["energies"] <= 0).any()
    ):
        raise _damaged("its sizes are not those on the card")
    return Reference(**arrays)


def _damaged(reason: str) -> Exp2SimError:
    return Exp2SimError(
        "The reference of the model's domain is damaged.", reason=f"In domain.safetensors {reason}.",
        fix="Get the model again.",
    )  # fmt: skip
