"""What a translator is trained on: which samples are convolved data and which the target."""

from __future__ import annotations

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.training.config import TranslatorConfig
from mantid_exp2sim.training.datasets.dataset import Integers
from mantid_exp2sim.training.datasets.measured import KIND, Measurement
from mantid_exp2sim.training.datasets.patches import check_patch
from mantid_exp2sim.training.datasets.sampler import Batches, DataSet, Domain, Mixture, halves


def domain_indices(dataset: DataSet, config: TranslatorConfig) -> tuple[Integers, Integers]:
    """Select samples of convolved data and of the target: no parameter set in both, unless pairs are used.

    Raises `Exp2SimError` where the recipe asks for pairs and the data set has none.
    """
    limit, target = config.data.limit, config.data.target
    if dataset.shares_mask:
        indices = dataset.split("train", limit)
        if config.losses.needs_pairs:
            return indices, indices
        first, second = halves(dataset.labels(indices), config.run.seed)
        return indices[first], indices[second]
    kinds = dataset.description.kinds
    both = [
        dataset.split("train", limit, kind=kind) if kind in kinds else np.zeros(0, dtype=np.int64)
        for kind in (KIND, target)
    ]
    if config.losses.needs_pairs:
        both = [
            indices[dataset.counterparts(indices, kind) >= 0] if len(indices) else indices
            for indices, kind in zip(both, (KIND, target), strict=True)
        ]
        if not len(both[0]):
            raise Exp2SimError(
                f"The data set {dataset.folder} has no pairs, and the loss needs them.",
                fix="Build it with pairs = true, or leave [losses.paired] and [losses.paired_square] out.",
            )
    if not config.losses.needs_pairs and len(both[0]) and len(both[1]):
        return _disjoint(dataset, config, both[0], both[1])
    return both[0], both[1]


def _disjoint(
    dataset: DataSet, config: TranslatorConfig, first: Integers, second: Integers
) -> tuple[Integers, Integers]:
    """Take each parameter set that both domains have from one of them."""
    groups = [dataset.groups(first, KIND), dataset.groups(second, config.data.target)]
    common = np.intersect1d(groups[0], groups[1])
    if not len(common):
        return first, second
    labels = dataset.labels(first, KIND)[[int(np.argmax(groups[0] == group)) for group in common]]
    first_half, second_half = (common[half] for half in halves(labels, config.run.seed))
    return first[~np.isin(groups[0], second_half)], second[~np.isin(groups[1], first_half)]


def translator_sources(
    dataset: DataSet,
    config: TranslatorConfig,
    scaling: Scaling,
    convolved: Integers,
    target: Integers,
    measurement: Measurement | None = None,
) -> dict[str, Batches]:
    """Make the source of each direction: convolved data for ``deconvolve``, the target for ``convolve``."""
    if config.data.patch is not None:
        check_patch(config.data.patch, config.network.layout)
    paired = config.losses.needs_pairs
    kinds = {"deconvolve": (KIND, config.data.target), "convolve": (config.data.target, KIND)}
    alone = config.data.measured is not None and config.data.measured.share == 1
    sources: dict[str, Batches] = {}
    for number, (name, (kind, other)) in enumerate(kinds.items()):
        is_first = name == "deconvolve"
        if is_first and alone and measurement is not None:
            sources[name] = _measured(measurement, config, scaling)
            continue
        domain = Domain(
            dataset,
            config.data,
            kind=kind,
            indices=convolved if is_first else target,
            scaling=scaling,
            batch=config.schedule.batch,
            seed=config.run.seed,
            stream=number,
            noisy=is_first,
            other=other if paired else None,
        )
        sources[name] = domain
        if is_first and measurement is not None and config.data.measured is not None:
            measured = _measured(measurement, config, scaling)
            sources[name] = Mixture(domain, measured, share=config.data.measured.share)
    return sources


def _measured(measurement: Measurement, config: TranslatorConfig, scaling: Scaling) -> Domain:
    """Samples of the measurement: its noise is its own, its background and intensity vary."""
    return Domain(
        measurement.dataset,
        config.data,
        kind=KIND,
        indices=measurement.indices,
        scaling=scaling,
        batch=config.schedule.batch,
        seed=config.run.seed,
        stream=2,
        background=True,
    )
