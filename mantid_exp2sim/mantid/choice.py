"""Which model a user of an algorithm chose: validated on its card, then loaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    from mantid_exp2sim.application.model import Model
    from mantid_exp2sim.model.bundle import Bundle

_NO_TORCH = (
    "PyTorch is not installed in this Mantid's Python. Models run on it. "
    "Install it with `conda install -c conda-forge pytorch-cpu`, then start Workbench again."
)


def find_model(algorithm: Any) -> Path | str:
    """Return what the user chose: the path of a model, or the name of an installed one.

    Raises `Exp2SimError` if nothing is chosen, or the path is not there.
    """
    path = str(algorithm.getProperty("ModelFile").value)
    if path:
        if not Path(path).exists():
            raise Exp2SimError(
                f"There is no model {path}.", fix="Choose the folder or the card.json of a model."
            )
        return Path(path)
    name = str(algorithm.getProperty("Model").value)
    if not name:
        raise Exp2SimError(
            "No model is installed.",
            reason="`exp2sim models` lists those that are.",
            fix="Choose a model's folder in ModelFile, or put it where `exp2sim workbench doctor` says.",
        )
    return name


def validate_model(algorithm: Any) -> tuple[dict[str, str], Bundle | None]:
    """Return what is wrong with the choice, by property, and the model with its card alone.

    No weights are read and torch is not imported.
    """
    from mantid_exp2sim.model import registry
    from mantid_exp2sim.model.bundle import load_bundle

    key = "ModelFile" if algorithm.getProperty("ModelFile").value else "Model"
    try:
        bundle = load_bundle(registry.find_model(find_model(algorithm)), verify=False)
        _require_checksum(bundle, str(algorithm.getProperty("ModelChecksum").value))
    except Exp2SimError as error:
        return {key: str(error)}, None
    return ({key: _NO_TORCH} if importlib.util.find_spec("torch") is None else {}), bundle


def _require_checksum(bundle: Bundle, checksum: str) -> None:
    """Refuse a model other than the one that ``ModelChecksum`` asks for; an empty text asks for none."""
    if checksum and checksum != bundle.checksum:
        raise Exp2SimError(
            f"The model {bundle.card.name!r} has the checksum {bundle.checksum}.",
            reason=f"ModelChecksum asks for {checksum}: it is another model, or another version.",
            fix="Get that model again, or clear ModelChecksum.",
        )


def loader(algorithm: Any) -> Callable[[], Model]:
    """Return a function that loads the chosen model, once per session however often it is called.

    The properties are read here, so that the function can be called in another thread.
    """
    place, checksum = find_model(algorithm), str(algorithm.getProperty("ModelChecksum").value)

    def load() -> Model:
        from mantid_exp2sim.application.model import load_model

        model = load_model(place)
        _require_checksum(model.bundle, checksum)
        return model

    return load
