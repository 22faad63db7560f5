"""Cards and networks of small models with random weights."""

from __future__ import annotations

from typing import Any

from mantid_exp2sim import mosaic
from mantid_exp2sim.model.card import Card, ClassifierCard, mosaic_axes
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.networks import ClassifierSettings, GeneratorSettings
from mantid_exp2sim.networks.layout import Layout


def tiny_networks(card: Card) -> dict[Any, Any]:
    """Build the networks of a card with random weights."""
    import torch

    from mantid_exp2sim.networks import build_classifier, build_generator

    torch.manual_seed(3)
    networks: dict[Any, Any] = {
        "deconvolve": build_generator(card.generator, card.layout),
        "convolve": build_generator(card.generator, card.layout),
    }
    for generator in networks.values():
        for name, parameter in generator.named_parameters():
            if name.startswith("last"):
                torch.nn.init.normal_(parameter, std=0.05)
    for domain, classifier in card.classifiers.items():
        networks[f"classifier_{domain}"] = build_classifier(classifier.network)
        networks[f"classifier_{domain}"].length_scale.fill_(3.0)
    return networks


def tiny_card(name: str, **changes: Any) -> Card:
    """Describe a model of mosaics with a classifier for each kind of data."""
    settings: dict[str, Any] = {
        "name": name,
        "description": "Random weights, for tests.",
        "scaling": Scaling(intensity_scale=5.0),
        "layout": Layout(windows=10),
        "axes": mosaic_axes(),
        "incident_energies": mosaic.INCIDENT_ENERGIES,
        "mean_intensity": 7.0,
        "generator": GeneratorSettings(width=4, blocks=1),
        "classes": ("Dimer", "Goodenough"),
        "classifiers": {
            "integrated": ClassifierCard(
                network=ClassifierSettings(panels=60, width=4, features=8, centroid=4), threshold=0.0
            ),
            "convolved": ClassifierCard(
                network=ClassifierSettings(panels=10, width=4, features=8, centroid=4),
                scaling=Scaling(intensity_scale=3.0, gain=0.5),
                threshold=1.0,
            ),
        },
    }
    return Card(**{**settings, **changes})
