"""Losses of the networks: one module per family, each loss a class with a table in a recipe.

The *dual GAN* is one set of a translator's losses (adversarial, auxiliary, contrastive, identity, cycle),
regression on pairs another, data consistency a third.
"""

from __future__ import annotations

from mantid_exp2sim.training.config import TranslatorLosses
from mantid_exp2sim.training.losses.adversarial import Adversarial, Auxiliary
from mantid_exp2sim.training.losses.contrastive import Contrastive
from mantid_exp2sim.training.losses.cycle import Cycle, Identity
from mantid_exp2sim.training.losses.data_consistency import DataConsistency, KnownResolution
from mantid_exp2sim.training.losses.flux import Flux
from mantid_exp2sim.training.losses.loss import Context, Loss
from mantid_exp2sim.training.losses.paired import Paired, PairedSquare

LOSSES: dict[str, type[Loss]] = {
    "adversarial": Adversarial,
    "auxiliary": Auxiliary,
    "contrastive": Contrastive,
    "identity": Identity,
    "cycle": Cycle,
    "data_consistency": DataConsistency,
    "known_resolution": KnownResolution,
    "flux": Flux,
    "paired": Paired,
    "paired_square": PairedSquare,
}
"""By the names of their tables."""


def make_losses(settings: TranslatorLosses, context: Context) -> list[Loss]:
    """Make the losses of a recipe's ``[losses]``."""
    return [LOSSES[name](name, table, context) for name, table in settings.tables.items()]


def find_needs(settings: TranslatorLosses) -> frozenset[str]:
    """Collect what the losses of a recipe need: networks, parts of a translation, pairs.

    >>> from mantid_exp2sim.training.config import LossSettings
    >>> sorted(find_needs(TranslatorLosses(cycle=LossSettings(weight=1.0))))
    ['back']
    """
    return frozenset().union(*(LOSSES[name].needs for name in settings.tables))
