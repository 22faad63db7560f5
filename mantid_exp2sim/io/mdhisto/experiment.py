"""The run of an MDHistoWorkspace where Mantid looks for it: ``experiment0`` with logs, sample and instrument.

Mantid's LoadMD takes an experiment info that is whole or none at all: the sample with its geometry and
material, the logs, and an instrument. Without a definition of the instrument in the file Mantid searches one
by the name; an empty name with a definition that holds nothing keeps it from that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import CELL, Floats
from mantid_exp2sim.io.axes import common_energy
from mantid_exp2sim.io.hdf5 import array_value, text_value
from mantid_exp2sim.io.horace.image import b_matrix
from mantid_exp2sim.nexus import Link, NexusTree, Value

Children = Mapping[str, NexusTree | Value | Link]
_EMPTY_INSTRUMENT = '<?xml version="1.0" encoding="UTF-8"?>\n<instrument name="none" />\n'
_NO_SHAPE = '<type name="userShape">  </type>'


def experiments(entry: NexusTree) -> dict[str, NexusTree]:
    """Return the experiment infos of a file by their names."""
    return {
        name: child
        for name, child in entry.children.items()
        if re.fullmatch("experiment[0-9]+", name) and isinstance(child, NexusTree)
    }


def logged_energies(entry: NexusTree) -> list[float]:
    """Return the log ``Ei`` of every run in meV, of a series its mean."""
    logs = (run.value("logs/Ei/value") for run in experiments(entry).values())
    arrays = [log.data for log in logs if log is not None and log.data.size]
    means = [float(array.mean()) for array in arrays if array.dtype.kind in "iuf"]
    return [energy for energy in means if np.isfinite(energy) and energy > 0]


def with_run(entry: NexusTree, metadata: Mapping[str, Any]) -> NexusTree:
    """Return an entry whose runs have the log ``Ei``; one without runs gets one, with the lattice.

    Metadata without an incident energy (meV), or with that of the logs, and runs of different energies change
    nothing.
    """
    energy = metadata.get("incident_energy")
    if not isinstance(energy, int | float) or isinstance(energy, bool) or not 0 < energy < np.inf:
        return entry
    logged = logged_energies(entry)
    if logged and common_energy(logged) in (None, energy):
        return entry
    runs = experiments(entry) or {"experiment0": _fresh_run(metadata.get("lattice"))}
    return entry.with_children({name: _with_energy(run, float(energy)) for name, run in runs.items()})


def _with_energy(run: NexusTree, energy: float) -> NexusTree:
    logs = run.get("logs")
    logs = logs if isinstance(logs, NexusTree) else _group("NXgroup", {})
    value = array_value(np.array([energy]), attributes={"units": text_value("meV")})
    log = NexusTree({"NX_class": text_value("NXlog")}, {"value": value})
    return run.with_children({"logs": logs.with_children({"Ei": log})})


def _fresh_run(lattice: Any) -> NexusTree:
    return _group("NXgroup", {"instrument": _instrument(), "sample": _sample(lattice)})


def _group(kind: str, children: Children, *, version: int = 1, **texts: str) -> NexusTree:
    attributes = {"NX_class": text_value(kind), "version": array_value(np.array(version, dtype=np.int32))}
    return NexusTree({**attributes, **{name: text_value(text) for name, text in texts.items()}}, children)


def _instrument() -> NexusTree:
    texts = {
        "data": _EMPTY_INSTRUMENT,
        "description": "XML contents of the instrument IDF file.",
        "type": "text/xml",
    }
    note = {key: text_value(text, shape=(1,)) for key, text in texts.items()}
    definition = NexusTree({"NX_class": text_value("NXnote")}, note)
    return _group("NXinstrument", {"name": text_value(" ", shape=(1,)), "instrument_xml": definition})


def _sample(lattice: Any) -> NexusTree:
    crystal = _crystal(lattice)
    numbers: dict[str, float | int] = {
        "geom_height": 0.0,
        "geom_id": 0,
        "geom_thickness": 0.0,
        "geom_width": 0.0,
        "num_oriented_lattice": int(crystal is not None),
        "num_other_samples": 0,
    }
    children: dict[str, NexusTree | Value | Link] = {key: _number(value) for key, value in numbers.items()}
    names = ("number_density", "pressure", "temperature")
    material = {name: _number(0.0) for name in names}
    children["material"] = _group("NXdata", material, version=2, formulaStyle="empty", name=" ")
    if crystal is not None:
        children["oriented_lattice"] = crystal
    return _group("NXsample", children, name=" ", shape_xml=_NO_SHAPE)


def _number(value: float | int) -> Value:
    return array_value(np.array([value], dtype=np.int32 if isinstance(value, int) else np.float64))


def _crystal(lattice: Any) -> NexusTree | None:
    """Return the lattice, a along x and b in the plane of x and y of the crystal's frame."""
    try:
        cell: Floats = np.array([float(lattice[name]) for name in CELL])
        matrix = b_matrix(cell[:3], cell[3:]) / (2 * np.pi)
    except (TypeError, ValueError, KeyError, Exp2SimError):
        return None
    if not np.all(np.isfinite(matrix)):
        return None
    constants = {f"unit_cell_{name}": _number(float(value)) for name, value in zip(CELL, cell, strict=True)}
    children: Children = {**constants, "orientation_matrix": array_value(matrix)}
    return NexusTree({"NX_class": text_value("NXcrystal")}, children)
