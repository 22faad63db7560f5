"""Measured inelastic neutron spectra to simulation-like ones and back, and what model it shows.

Nothing heavy is imported here: names are looked up when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mantid_exp2sim.errors import Cancelled, Exp2SimError
    from mantid_exp2sim.histogram import Axis, Histogram
    from mantid_exp2sim.io import load, save
    from mantid_exp2sim.mantid.install import register_algorithms
    from mantid_exp2sim.model.bundle import Model, list_models, load_model
    from mantid_exp2sim.plotting import compare, plot
    from mantid_exp2sim.simulation.binning import Binning
    from mantid_exp2sim.simulation.measurement import simulate

_HOMES = {
    "Axis": "histogram",
    "Binning": "simulation.binning",
    "Cancelled": "errors",
    "Exp2SimError": "errors",
    "Histogram": "histogram",
    "Model": "model.bundle",
    "compare": "plotting",
    "list_models": "model.registry",
    "load": "io",
    "load_model": "model.bundle",
    "plot": "plotting",
    "register_algorithms": "mantid.install",
    "save": "io",
    "simulate": "simulation.measurement",
}

__all__ = [
    "Axis",
    "Binning",
    "Cancelled",
    "Exp2SimError",
    "Histogram",
    "Model",
    "__version__",
    "compare",
    "list_models",
    "load",
    "load_model",
    "plot",
    "register_algorithms",
    "save",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
