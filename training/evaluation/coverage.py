"""What is measured on some spectra alone: coverage of the errors, and the domain."""

from __future__ import annotations

from typing import Any

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.bundle import Bundle
from mantid_exp2sim.training.calibration.coverage import coverage
from mantid_exp2sim.training.calibration.error_model import Conditions
from mantid_exp2sim.training.datasets.sampler import DataSet
from mantid_exp2sim.training.datasets.spectra import Spectra

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
    """How often the truth lies within the errors that the model's card promises, over ``count`` spectra."""
    most = max(2, COVERAGE_BINS // int(np.prod(spectra.data.description.shape)))
    if not model.card.errors or count < 1:
        return {NOT_KNOWN: "the model's card has no calibration of its errors, or no spectrum was asked for"}
    conditions = Conditions(noise=spectra.noise, seed=spectra.seed)
    limit = min(count, most)
    return coverage(model, spectra.data.folder, split=split, limit=limit, conditions=conditions)
