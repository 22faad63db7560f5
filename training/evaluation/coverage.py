"""What is measured on some spectra alone: coverage of the errors, panels that decide, the domain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.inference.options import TranslationOptions
from mantid_exp2sim.inference.prepare import prepare
from mantid_exp2sim.inference.translate import translate
from mantid_exp2sim.model.bundle import Bundle
from mantid_exp2sim.model.card import classifier_role
from mantid_exp2sim.model.error_model import NORMAL_95
from mantid_exp2sim.training.calibration.coverage import coverage
from mantid_exp2sim.training.calibration.error_model import Conditions
from mantid_exp2sim.training.datasets.bins import volume_axes
from mantid_exp2sim.training.datasets.description import BinEdges
from mantid_exp2sim.training.datasets.sampler import DataSet
from mantid_exp2sim.training.datasets.spectra import Spectra

if TYPE_CHECKING:
    from mantid_exp2sim.networks.duq import Duq

NOT_KNOWN = "not known"
CONTROLS, CONTROL_BINS = 100, 16_000_000
"""So many spectra of each control of the domain check, and at most so many bins, of 135 bytes each."""
COVERAGE_BINS = 12 * 96_000
"""Bins whose errors are counted, two spectra at least; every member translates each replica of them."""


def domain_reports(model: Bundle, data: DataSet, seed: int) -> dict[str, Any]:
    """``domain``, and ``domain_of_cuts`` where the reference is one of single cuts."""
    reports = {"domain": domain_report(model, data, seed)}
    if model.card.domain is not None and model.card.domain.cuts is not None:
        reports["domain_of_cuts"] = domain_report(model, data, seed, cuts=True)
    return reports


def domain_report(model: Bundle, data: DataSet, seed: int, *, cuts: bool = False) -> Any:
    """The domain measure on every control set, or that it is not known."""
    from mantid_exp2sim.training.calibration.domain_report import control_report

    if model.card.domain is None:
        return {NOT_KNOWN: "the model's card has no domain section"}
    count = min(CONTROLS, max(1, CONTROL_BINS // int(np.prod(data.description.shape))))
    try:
        return control_report(model, data, seed, count=count, cuts=cuts)
    except Exp2SimError as error:
        return {NOT_KNOWN: str(error)}


def coverage_report(model: Bundle, spectra: Spectra, split: str, count: int) -> dict[str, Any]:
    """Coverage of the errors: as a user meets them, and of the card's own calibration where it has one."""
    most = max(2, COVERAGE_BINS // int(np.prod(spectra.data.description.shape)))
    report = _coverage(model, spectra, min(count, most))
    if not model.card.errors or count < 1:
        return report
    limit = min(3 * count, most)
    conditions = Conditions(noise=spectra.noise, seed=spectra.seed)
    calibrated = coverage(model, spectra.data.folder, split=split, limit=limit, conditions=conditions)
    return {**report, "calibration": calibrated}


def _coverage(model: Bundle, spectra: Spectra, count: int) -> dict[str, Any]:
    """How often the truth lies within the errors of a deconvolution, over measured bins.

    Of measurement-like input, whose own variance is given: volume by volume, as a user would.
    """
    edges = spectra.edges
    if edges is None or count < 1:
        return {NOT_KNOWN: "the data set does not tell its edges, or no spectrum was asked for"}
    inside: list[NDArray[Any]] = []
    for number, (histogram, truth) in enumerate(_volumes(spectra, edges, count)):
        try:
            prepared = prepare(histogram, model, TranslationOptions(seed=number))
            parts = translate(prepared, "deconvolve", parts=True)
        except Exp2SimError as error:
            return {NOT_KNOWN: str(error)}
        result = parts.histogram
        measured = ~result.mask
        distance = np.abs(result.intensity - truth)[measured]
        half = np.sqrt(result.variance[measured])
        wide = NORMAL_95 * half if parts.half_95 is None else parts.half_95[measured]
        bright = truth[measured] > 0.1 * truth[measured].max()
        inside.append(np.stack([distance <= half, distance <= wide, bright]))
    counts = np.concatenate(inside, axis=1)
    bright = counts[:, counts[2].astype(bool)]
    return {
        "spectra": count,
        "bins": int(counts.shape[1]),
        "68": float(counts[0].mean()),
        "95": float(counts[1].mean()),
        "68_bright": float(bright[0].mean()) if bright.size else None,
        "95_bright": float(bright[1].mean()) if bright.size else None,
        "members": len(model.members("deconvolve")),
        "calibrated": parts.calibrated,
    }


def _volumes(
    spectra: Spectra, edges: BinEdges, count: int
) -> Iterator[tuple[Histogram, NDArray[np.float64]]]:
    """Measurement-like volumes as histograms, with their true counterparts."""
    for batch in spectra.batches(count):
        for measured, truth in zip(batch.measured.numpy(), batch.target.numpy(), strict=True):
            for number, energy in enumerate(spectra.data.energies.tolist()):
                values = measured[number].astype(float)
                histogram = Histogram.from_arrays(
                    values,
                    volume_axes(edges, energy),
                    variance=spectra.noise.counting[1] * np.maximum(values, 0),
                    mask=spectra.data.mask[number],
                    metadata={"incident_energy": energy},
                )
                yield histogram, truth[number].astype(float)


def panel_report(model: Bundle, spectra: Spectra, count: int) -> dict[str, Any]:
    """Which panels the classifier of simulation-like data looks at, over spectra of the target.

    For each spectrum the score of its true class; see `mantid_exp2sim.inference.attribution`. ``weights`` and
    ``occlusion`` (Ei, E) are means over the spectra, ``deciding`` the mean of |occlusion|.
    """
    from mantid_exp2sim.inference.attribution import by_energy, panel_attention, shares

    domain = model.card.target
    card = model.card.classifiers.get(domain)
    if card is None or card.network.panels != spectra.mask.shape[0] * spectra.mask.shape[3] or count < 1:
        return {NOT_KNOWN: "the model has no classifier of whole spectra"}
    import torch

    members: list[Duq] = model.members(classifier_role(domain))  # type: ignore[assignment]
    scaling, measured = card.scaling or model.card.scaling, ~spectra.data.mask
    weights, occlusion = [], []
    for batch in spectra.batches(count):
        x = torch.where(spectra.mask, 0.0, scaling.forward(batch.target))
        attention = panel_attention(members, x, spectra.mask.expand_as(x), torch.from_numpy(batch.label))
        weights += [shares(bins, measured) for bins in attention.bins]
        occlusion.append(attention.occlusion)
    dropped = np.concatenate(occlusion)
    report: dict[str, Any] = {
        "spectra": len(dropped),
        "weights": np.mean(weights, axis=0).tolist(),
        "occlusion": dropped.mean(axis=0).tolist(),
        "deciding": np.abs(dropped).mean(axis=0).tolist(),
    }
    edges = spectra.edges
    if edges is not None:
        energy = edges["energy_fraction"][None] * spectra.data.energies[:, None]
        report["by_energy"] = {
            name: [
                None if np.isnan(value) else float(value)
                for value in by_energy(np.asarray(report[name]), energy[:, :-1], energy[:, 1:])["weight"]
            ]
            for name in ("weights", "occlusion", "deciding")
        }
        report["energy"] = by_energy(dropped[0], energy[:, :-1], energy[:, 1:])["energy"].tolist()
    return report
