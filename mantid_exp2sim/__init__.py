"""Measured inelastic neutron spectra to simulation-like ones and back, and what model it shows.

Nothing heavy is imported here: names are looked up when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from mantid_exp2sim.application.deconvolve import convolve, deconvolve, separate
    from mantid_exp2sim.application.install import install_model
    from mantid_exp2sim.application.many_files import batch
    from mantid_exp2sim.application.model import Model, load_model
    from mantid_exp2sim.domain.check import DomainReport
    from mantid_exp2sim.errors import Cancelled, Exp2SimError
    from mantid_exp2sim.fitting.fit import fit
    from mantid_exp2sim.fitting.options import FitOptions, Measurement
    from mantid_exp2sim.fitting.result import Fit
    from mantid_exp2sim.histogram import Axis, Histogram
    from mantid_exp2sim.inference.attribution import Attribution
    from mantid_exp2sim.inference.classify import Classification
    from mantid_exp2sim.inference.options import TranslationOptions
    from mantid_exp2sim.inference.translate import Translation
    from mantid_exp2sim.io import load, save
    from mantid_exp2sim.mantid.exchange import from_workspace, to_workspace
    from mantid_exp2sim.mantid.install import register_algorithms
    from mantid_exp2sim.model.registry import list_models
    from mantid_exp2sim.plotting import compare, plot
    from mantid_exp2sim.reporting import report
    from mantid_exp2sim.simulation.binning import Binning
    from mantid_exp2sim.simulation.excitation_model import FunctionModel
    from mantid_exp2sim.simulation.measurement import simulate
    from mantid_exp2sim.simulation.repetitions import repetitions
    from mantid_exp2sim.simulation.widths import Resolution, resolution

_HOMES = {
    "Attribution": "inference.attribution",
    "Axis": "histogram",
    "Binning": "simulation.binning",
    "Cancelled": "errors",
    "Classification": "inference.classify",
    "DomainReport": "domain.check",
    "Exp2SimError": "errors",
    "Fit": "fitting.result",
    "FitOptions": "fitting.options",
    "FunctionModel": "simulation.excitation_model",
    "Histogram": "histogram",
    "Measurement": "fitting.options",
    "Model": "application.model",
    "Resolution": "simulation.widths",
    "Translation": "inference.translate",
    "TranslationOptions": "inference.options",
    "batch": "application.many_files",
    "compare": "plotting",
    "convolve": "application.deconvolve",
    "deconvolve": "application.deconvolve",
    "fit": "fitting.fit",
    "from_workspace": "mantid.exchange",
    "install_model": "application.install",
    "list_models": "model.registry",
    "load": "io",
    "load_model": "application.model",
    "plot": "plotting",
    "register_algorithms": "mantid.install",
    "repetitions": "simulation.repetitions",
    "report": "reporting",
    "resolution": "simulation.widths",
    "save": "io",
    "separate": "application.deconvolve",
    "simulate": "simulation.measurement",
    "to_workspace": "mantid.exchange",
}

__all__ = [
    "Attribution",
    "Axis",
    "Binning",
    "Cancelled",
    "Classification",
    "DomainReport",
    "Exp2SimError",
    "Fit",
    "FitOptions",
    "FunctionModel",
    "Histogram",
    "Measurement",
    "Model",
    "Resolution",
    "Translation",
    "TranslationOptions",
    "__version__",
    "batch",
    "compare",
    "convolve",
    "deconvolve",
    "fit",
    "from_workspace",
    "install_model",
    "list_models",
    "load",
    "load_model",
    "plot",
    "register_algorithms",
    "repetitions",
    "report",
    "resolution",
    "save",
    "separate",
    "simulate",
    "to_workspace",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
