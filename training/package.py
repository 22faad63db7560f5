"""From finished runs to a model on disk: ``exp2sim train bundle``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.training.runs import CONFIG, load_classifier, load_generator, read_json

from mantid_exp2sim.bundle import load_bundle, save_bundle
from mantid_exp2sim.card import Card, ClassifierCard, Role, classifier_role, mosaic_axes
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.mosaic import INCIDENT_ENERGIES

if TYPE_CHECKING:
    from torch import nn

DIRECTIONS: tuple[Role, Role] = ("deconvolve", "convolve")


def make_bundle(
    out: Path,
    *,
    name: str,
    gan: Path,
    classifiers: Mapping[str, Path],
    dataset: Path,
    description: str = "",
    overwrite: bool = False,
) -> Card:
    """Write the best generators of a GAN run and the best classifiers of DUQ runs as a model in ``out``.

    ``classifiers`` maps what a classifier was trained on (``convolved``, ``integrated``, ``centre``) to its
    run. The card tells the recipes, data set and seeds they come from.

    Raises `Exp2SimError` where a run is unfinished, or where the classifiers have different classes.
    """
    networks: dict[Role, nn.Module] = {}
    model = None
    for direction in DIRECTIONS:
        networks[direction], model = load_generator(gan, direction)
    assert model is not None
    cards: dict[str, ClassifierCard] = {}
    classes: tuple[str, ...] = ()
    for domain, run in classifiers.items():
        trained = load_classifier(run)
        if trained.model.kind != domain:
            raise Exp2SimError(f"{run} was trained on {trained.model.kind!r}, not {domain!r}.")
        if classes and trained.model.classes != classes:
            raise Exp2SimError(
                f"The classifier in {run} has other classes: {', '.join(trained.model.classes)}."
            )
        classes = trained.model.classes
        networks[classifier_role(domain)] = trained.network  # type: ignore[arg-type]
        cards[domain] = ClassifierCard(
            network=trained.model.network,
            scaling=trained.model.scaling,
            partial=read_json(run / CONFIG)["data"].get("leave_out", 0) > 0,
        )
    card = Card.model_validate(
        {
            "name": name,
            "description": description,
            "scaling": model.scaling,
            "layout": model.layout,
            "axes": mosaic_axes(windows_fixed=model.layout.energy == "channels"),
            "incident_energies": INCIDENT_ENERGIES,
            "target": model.target,
            "mean_intensity": model.mean_intensity,
            "generator": model.generator,
            "classes": classes,
            "classifiers": cards,
            "training": _training(gan, classifiers, dataset),
            "software": {
                package: version(package) for package in ("mantid_exp2sim", "torch", "numpy", "scipy")
            },
        }
    )
    return save_bundle(out, card, networks, overwrite=overwrite)


def _training(gan: Path, classifiers: Mapping[str, Path], dataset: Path) -> dict[str, Any]:
    """What the networks were trained on, without any path of this machine."""
    text = (dataset / "dataset.json").read_bytes()
    described = json.loads(text)
    runs = {"gan": gan, **{f"classifier_{domain}": run for domain, run in classifiers.items()}}
    recipes = {key: _without_paths(read_json(run / CONFIG)) for key, run in runs.items()}
    best = {key: read_json(run / "best" / "best.json") for key, run in runs.items()}
    return {
        "dataset": {
            "name": described["recipe"]["name"],
            "sha256": hashlib.sha256(text).hexdigest(),
            "recipe": described["recipe"],
            "splits": described["splits"],
            "units": described.get("units", ""),
        },
        "recipes": recipes,
        "validation": best,
    }


def _without_paths(config: Any) -> Any:
    """Only the last part of every folder in a recipe."""
    if isinstance(config, dict):
        return {
            key: Path(value).name
            if isinstance(value, str)
            and key in ("folder", "start", "classifier_target", "classifier_convolved")
            else _without_paths(value)
            for key, value in config.items()
        }
    return config


def add_metrics(folder: Path, report: Mapping[str, Any]) -> Card:
    """Write the figures of an evaluation onto a model's card (weights and their checksums stay)."""
    loaded = load_bundle(folder)
    networks: dict[Role, nn.Module] = {role: loaded.network(role) for role in loaded.card.weights}
    keep = ("split", "mosaics", "seed", "noise", "accuracy", "gap_closed", "null_response")
    metrics = {key: report[key] for key in keep}
    metrics["relative_l2"] = {
        direction: {name: error["mean"] for name, error in errors.items()}
        for direction, errors in report["relative_l2"].items()
    }
    metrics["flux"] = {direction: flux["all"] for direction, flux in report["flux"].items()}
    card = loaded.card.model_copy(update={"metrics": metrics})
    return save_bundle(folder, card, networks, overwrite=True)
