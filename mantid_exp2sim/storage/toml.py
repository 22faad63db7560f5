"""Settings from a TOML file that a user wrote."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mantid_exp2sim.errors import Exp2SimError

Kind = TypeVar("Kind", bound=BaseModel)


def read_toml(
    path: Path,
    kind: type[Kind],
    *,
    what: str,
    fix: str,
    prepare: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    shipped: Iterable[Path] = (),
) -> Kind:
    """Read and check settings; ``what`` they are and a ``fix`` stand in the errors.

    ``prepare`` may change the table before it is checked, such as read the files that it names. ``shipped``
    files are those that a missing one may have been meant for.

    Raises `Exp2SimError` if the file is missing, is no TOML, or holds something unknown or out of range.
    """
    try:
        raw = tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise Exp2SimError(
            f"Cannot read the {what} {path}: {error.strerror or error}.",
            fix=f"{_meant(path, shipped)}Check its name and folder.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Exp2SimError(f"{path} is no TOML file: {error}.", fix="Mend that line.") from error
    try:
        return kind.model_validate(raw if prepare is None else prepare(raw))
    except ValidationError as error:
        raise Exp2SimError(
            f"The {what} {path} cannot be used: {validation_summary(error, whole=what)}.", fix=fix
        ) from error


def _meant(path: Path, shipped: Iterable[Path]) -> str:
    """A question about the TOML file whose name is the nearest, of the same folder or a shipped one."""
    places = {place.stem: place for place in (*shipped, *path.parent.glob("*.toml"))}
    nearest = get_close_matches(path.stem, list(places), n=1)
    return f"Did you mean {places[nearest[0]]}? " if nearest else ""


def validation_summary(error: ValidationError, limit: int = 3, *, whole: str = "card") -> str:
    """First troubles of a pydantic error on one line, without the values (they may be long or hostile).

    ``whole`` names what was checked, for troubles that no single field has.
    """
    troubles: list[Any] = list(error.errors(include_url=False, include_input=False, include_context=False))
    lines = [f"{_location(trouble['loc']) or whole}: {trouble['msg']}" for trouble in troubles[:limit]]
    more = [f"and {len(troubles) - limit} more"] if len(troubles) > limit else []
    return "; ".join([*lines, *more])


def _location(parts: tuple[int | str, ...]) -> str:
    text = ".".join(str(part) for part in parts)
    return re.sub(r"[^\x20-\x7e]", "?", text)[:100]
