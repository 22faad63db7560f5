"""From finished runs to a model on disk: ``exp2sim train bundle``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.bundle import load_bundle, save_bundle
from mantid_exp2sim.model.card import DIRECTIONS, Card, ClassifierCard, classifier_role, weight_key
from mantid_exp2sim.model.posterior import PosteriorCard, save_posterior
from mantid_exp2sim.storage.locks import locked
from mantid_exp2sim.training.datasets.description import FILE, DatasetDescription, accepted_axes
from mantid_exp2sim.training.datasets.measured import sentence
from mantid_exp2sim.training.trainers.run_folder import read_best, read_stages
from mantid_exp2sim.training.trainers.trained import (
    TranslatorModel,
    load_classifier,
    load_generator,
    load_posterior,
)

if TYPE_CHECKING:
    from pydantic import BaseModel
    from torch import nn


def make_bundle(
    out: Path,
    *,
    name: str,
    translators: Sequence[Path],
    classifiers: Mapping[str, Sequence[Path]],
    dataset: Path,
    description: str = "",
    overwrite: bool = False,
) -> Card:
    """Write the best networks of runs of translators and of classifiers as a model in ``out``.

    Several runs become members of one role, of which a result is the mean: they differ in nothing but
    their weights. ``classifiers`` maps what a classifier was trained on (``convolved``, ``integrated``,
    ``centre``) to its runs. The card tells the recipes, data set and seeds they come from.

    Raises `Exp2SimError` where a run is unfinished, members do not fit together, or the classifiers have
    different classes.
    """
    networks: dict[str, nn.Module] = {}
    model = _add_translators(networks, translators)
    cards = {kind: _add_classifiers(networks, kind, runs) for kind, runs in classifiers.items()}
    runs = chain.from_iterable(classifiers.values())
    classes = _common_classes({run: load_classifier(run)[1].classes for run in runs})
    described = DatasetDescription.read(dataset)
    measurement = model.measurement or described.measurement()
    windows_fixed = model.layout.energy == "channels" or bool(classifiers)
    alone = (*model.layout.folded, "h") if model.layout.takes_k_for_h else model.layout.folded
    card = Card.model_validate(
        {
            "name": name,
            "description": "\n".join(filter(None, (description, sentence(measurement)))),
            "scaling": model.scaling,
            "layout": model.layout,
            "axes": accepted_axes(
                described.axes,
                described.edges,
                windows_fixed=windows_fixed,
                alone=alone,
                projection=described.projection,
            ),
            "projection": described.projection,
            "instrument": described.instrument,
            "incident_energies": described.distinct_energies,
            "target": model.target,
            "mean_intensity": model.mean_intensity,
            "generator": model.generator,
            "classes": classes,
            "classifiers": cards,
            "training": _training(translators, classifiers, dataset)
            | ({"measurement": measurement} if measurement else {}),
            "software": _software(),
        }
    )
    return save_bundle(out, card, networks, overwrite=overwrite)


def _add_translators(networks: dict[str, nn.Module], runs: Sequence[Path]) -> TranslatorModel:
    models = []
    for direction in DIRECTIONS:
        for member, run in enumerate(runs, start=1):
            networks[weight_key(direction, member)], model = load_generator(run, direction)
            models.append(model)
    _require_alike("generators", [model.model_copy(update={"mean_intensity": 0.0}) for model in models])
    return models[0]


def _add_classifiers(networks: dict[str, nn.Module], kind: str, runs: Sequence[Path]) -> ClassifierCard:
    models = []
    for member, run in enumerate(runs, start=1):
        networks[weight_key(classifier_role(kind), member)], model = load_classifier(run)  # type: ignore[arg-type]
        if model.kind != kind:
            raise Exp2SimError(
                f"{run} was trained on {model.kind!r}, not {kind!r}.",
                reason="A classifier reads the kind of data that it was trained on.",
                fix=f"Name it as --classifier {model.kind}={run}.",
            )
        models.append(model)
    _require_alike(f"{kind} classifiers", models)
    return ClassifierCard(network=models[0].network, scaling=models[0].scaling)


def _common_classes(classes: Mapping[Path, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the classes that all classifiers have."""
    first = next(iter(classes.values()), ())
    for run, names in classes.items():
        if names != first:
            raise Exp2SimError(
                f"The classifier in {run} has other classes: {', '.join(names)}.",
                reason=f"The first has {', '.join(first)}.",
                fix="Train all classifiers of a model on data sets of the same classes.",
            )
    return first


def _require_alike(what: str, models: Sequence[BaseModel]) -> None:
    if any(model != models[0] for model in models):
        raise Exp2SimError(
            f"The {what} cannot be members of one model.",
            reason="Their networks, layouts, scalings or targets differ.",
            fix="Train them from one recipe with other seeds.",
        )


def _training(
    translators: Sequence[Path], classifiers: Mapping[str, Sequence[Path]], dataset: Path
) -> dict[str, Any]:
    """Tell what the networks were trained on, without any path of this machine."""
    roles = {"translator": translators, **{f"classifier_{kind}": runs for kind, runs in classifiers.items()}}
    runs = {
        role if member == 1 else f"{role}-{member}": run
        for role, members in roles.items()
        for member, run in enumerate(members, start=1)
    }
    return {
        "dataset": _about(dataset),
        "recipes": {role: _without_paths(read_stages(run)) for role, run in runs.items()},
        "validation": {role: read_best(run) for role, run in runs.items()},
    }


def _about(dataset: Path) -> dict[str, Any]:
    described = DatasetDescription.read(dataset)
    return {
        "name": described.name,
        "sha256": hashlib.sha256((dataset / FILE).read_bytes()).hexdigest(),
        "recipe": described.recipe,
        "splits": described.as_json()["splits"] or described.volumes_per_split(),
        "units": described.units,
    }


def _software() -> dict[str, str]:
    return {package: version(package) for package in ("mantid_exp2sim", "torch", "numpy", "scipy")}


def _without_paths(value: Any, *, is_path: bool = False) -> Any:
    """Leave only the last part of every path in a recipe."""
    if isinstance(value, dict):
        return {key: _without_paths(item, is_path=key in PATHS) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_paths(item, is_path=is_path) for item in value]
    return Path(value).name if is_path and isinstance(value, str) else value


PATHS = ("folder", "start", "files", "mask")
"""Settings of a recipe that name files."""


def add_metrics(folder: Path, report: Mapping[str, Any]) -> Card:
    """Write the figures of an evaluation onto a model's card (weights and their checksums stay)."""
    names = ("split", "mosaics", "seed", "noise", "accuracy", "gap_closed", "null_response")
    metrics = {key: report[key] for key in names}
    metrics["relative_l2"] = {
        direction: {name: error["mean"] for name, error in errors.items()}
        for direction, errors in report["relative_l2"].items()
    }
    metrics["flux"] = {direction: flux["all"] for direction, flux in report["flux"].items()}
    return change_card(folder, metrics=metrics)


def held(folder: Path) -> AbstractContextManager[None]:
    """Hold a model that a long calculation will write to: another such one is refused at its start.

    The lock lies beside the folder, which is exchanged as a whole when it is written.
    """
    return locked(folder.parent / f".{folder.name}.writing", "model")


def change_card(folder: Path, **fields: Any) -> Card:
    """Write a model again with some fields of its card changed; the weights stay."""
    loaded = load_bundle(folder)
    networks = {key: loaded.network(key) for key in loaded.card.weights}
    return save_bundle(folder, loaded.card.model_copy(update=fields), networks, overwrite=True)


def make_posterior(
    out: Path, *, run: Path, dataset: Path, description: str = "", overwrite: bool = False
) -> PosteriorCard:
    """Write the best posterior of a run in ``out``, with a card that tells what it takes and knows.

    Raises `Exp2SimError` where the run is unfinished, or its data set does not tell its bins.
    """
    network, model = load_posterior(run)
    described = DatasetDescription.read(dataset)
    if described.format != 1 or not described.edges:
        raise Exp2SimError(
            f"The data set {dataset} does not tell the edges of its bins.",
            fix="Name the one that `exp2sim simulate dataset` made for this run.",
        )
    card = PosteriorCard.model_validate(
        {
            "name": out.name,
            "description": description,
            "models": model.models,
            "network": model.network,
            "incident_energies": described.incident_energies,
            "edges": described.edges,
            "instrument": described.instrument,
            "training": {
                "dataset": _about(dataset),
                "recipe": _without_paths(read_stages(run)),
            },
            "metrics": read_best(run),
            "software": _software(),
            "weights": {"sha256": "0" * 64, "size": 8},
        }
    )
    save_posterior(out, card, network, overwrite=overwrite)
    return card
