"""Finding models: those that come with the package and the user's own. Imports nothing heavy."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from mantid_exp2sim.errors import Exp2SimError, did_you_mean, require

CARD_FILE = "card.json"
DEFAULT_MODEL = "pcsmo-maps"


def shipped_models_folder() -> Path:
    """Where the models that come with the package lie."""
    return Path(__file__).parents[1] / "models"


def user_models_folder() -> Path:
    """Where the user's own models lie: ``$EXP2SIM_MODELS`` or ``~/.local/share/mantid_exp2sim/models``."""
    folder = os.environ.get("EXP2SIM_MODELS")
    if folder:
        return Path(folder).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "mantid_exp2sim" / "models"


def list_models() -> dict[str, Path]:
    """Name and folder of every model found; a shipped one comes before the user's of the same name.

    >>> isinstance(list_models(), dict)
    True
    """
    folders: dict[str, Path] = {}
    for root in (shipped_models_folder(), user_models_folder()):
        with suppress(OSError):
            for folder in sorted(root.iterdir()):
                if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", folder.name) and (folder / CARD_FILE).is_file():
                    folders.setdefault(folder.name, folder)
    return folders


def find_model(name_or_path: str | os.PathLike[str]) -> Path:
    """The folder of a model, given by its name, its folder or its card.

    Raises
    ------
    Exp2SimError
        If there is none.
    """
    require(
        name_or_path,
        (str, os.PathLike),
        "the name of a model, or the path of its folder",
        fix="`exp2sim models` lists those installed.",
    )
    if not os.fspath(name_or_path):
        raise Exp2SimError("A model's name is empty.", fix="`exp2sim models` lists those installed.")
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
        reason=f"Known models: {', '.join(models) or 'none'}.",
        fix=f"{did_you_mean(str(name_or_path), models)}Give one of these names or a model's folder; your own "
        f"models go to {user_models_folder()}.",
    )
