"""From finished runs to a model on disk: ``exp2sim train bundle``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.bundle import load_bundle, save_bundle
from mantid_exp2sim.model.card import Card, ClassifierCard, Role, classifier_role, weight_key
from mantid_exp2sim.storage.locks import locked
from mantid_exp2sim.training.datasets.description import FILE, DatasetDescription, accepted_axes
from mantid_exp2sim.training.datasets.measured import sentence
from mantid_exp2sim.training.trainers.runs import CONFIG, load_classifier, load_generator, read_json

if TYPE_CHECKING:
    from pydantic import BaseModel
    from torch import nn

DIRECTIONS: tuple[Role, Role] = ("deconvolve", "convolve")


def make_bundle(
    out: Path,
    *,
    name: str,
    gan: Path | Sequence[Path],
    classifiers: Mapping[str, Path | Sequence[Path]],
    dataset: Path,
    description: str = "",
    overwrite: bool = False,
) -> Card:
    """Write the best generators of GAN runs and the best classifiers of DUQ runs as a model in ``out``.

    Several runs become members of one role, of which a result is the mean: they differ in nothing but
    their weights. ``classifiers`` maps what a classifier was trained on (``convolved``, ``integrated``,
    ``centre``) to its run or runs. The card tells the recipes, data set and seeds they come from.

    Raises `Exp2SimError` where a run is unfinished, members do not fit together, or the classifiers have
    different classes.
    """
    gans = _listed(gan)
    runs = {domain: _listed(each) for domain, each in classifiers.items()}
    networks: dict[str, nn.Module] = {}
    found = []
    for direction in DIRECTIONS:
        for member, run in enumerate(gans, start=1):
            networks[weight_key(direction, member)], made = load_generator(run, direction)
            found.append(made)
    model = found[0]
    _check_alike("generators", [one.model_copy(update={"mean_intensity": 0.0}) for one in found])
    cards: dict[str, ClassifierCard] = {}
    classes: tuple[str, ...] = ()
    for domain, each in runs.items():
        members = []
        for member, run in enumerate(each, start=1):
            trained = load_classifier(run)
            if trained.model.kind != domain:
                raise Exp2SimError(f"{run} was trained on {trained.model.kind!r}, not {domain!r}.")
            if classes and trained.model.classes != classes:
                raise Exp2SimError(
                    f"The classifier in {run} has other classes: {', '.join(trained.model.classes)}."
                )
            classes = trained.model.classes
            networks[weight_key(classifier_role(domain), member)] = trained.network  # type: ignore[arg-type]
            members.append(trained.model)
        _check_alike(f"{domain} classifiers", members)
        cards[domain] = ClassifierCard(
            network=members[0].network,
            scaling=members[0].scaling,
        )
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
            "axes": accepted_axes(described.axes, described.edges, windows_fixed=windows_fixed, alone=alone),
            "incident_energies": described.distinct_energies,
            "target": model.target,
            "mean_intensity": model.mean_intensity,
            "generator": model.generator,
            "classes": classes,
            "classifiers": cards,
            "training": _training(gans, runs, dataset)
            | ({"measurement": measurement} if measurement else {}),
            "software": {
                package: version(package) for package in ("mantid_exp2sim", "torch", "numpy", "scipy")
            },
        }
    )
    return save_bundle(out, card, networks, overwrite=overwrite)


def _listed(runs: Path | Sequence[Path]) -> list[Path]:
    return [runs] if isinstance(runs, Path) else list(runs)


def _check_alike(what: str, models: Sequence[BaseModel]) -> None:
    if any(model != models[0] for model in models):
        raise Exp2SimError(
            f"The {what} cannot be members of one model.",
            reason="Their networks, layouts, scalings or targets differ.",
            fix="Train them from one recipe with other seeds.",
        )


def _training(gans: list[Path], classifiers: Mapping[str, list[Path]], dataset: Path) -> dict[str, Any]:
    """What the networks were trained on, without any path of this machine."""
    described = DatasetDescription.read(dataset)
    each = {"gan": gans, **{f"classifier_{domain}": runs for domain, runs in classifiers.items()}}
    runs = {
        key if member == 1 else f"{key}-{member}": run
        for key, several in each.items()
        for member, run in enumerate(several, start=1)
    }
    recipes = {key: _without_paths(read_json(run / CONFIG)) for key, run in runs.items()}
    best = {key: read_json(run / "best" / "best.json") for key, run in runs.items()}
    return {
        "dataset": {
            "name": described.name,
            "sha256": hashlib.sha256((dataset / FILE).read_bytes()).hexdigest(),
            "recipe": described.recipe,
            "splits": described.as_json()["splits"] or described.volumes_per_split(),
            "units": described.units,
        },
        "recipes": recipes,
        "validation": best,
    }


def _without_paths(config: Any) -> Any:
    """Only the last part of every folder in a recipe."""
    if isinstance(config, dict):
        return {
            key: _names(value) if key in _PATHS else _without_paths(value) for key, value in config.items()
        }
    return config


_PATHS = ("folder", "start", "mean_with", "files", "mask")


def _names(value: Any) -> Any:
    if isinstance(value, list):
        return [_names(each) for each in value]
    return Path(value).name if isinstance(value, str) else _without_paths(value)


def add_metrics(folder: Path, report: Mapping[str, Any]) -> Card:
    """Write the figures of an evaluation onto a model's card (weights and their checksums stay)."""
    keep = ("split", "mosaics", "seed", "noise", "accuracy", "gap_closed", "null_response")
    metrics = {key: report[key] for key in keep}
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
