"""Mantid's MDHistoWorkspace in NeXus files, as SaveMD writes it.

Read: the present layout (``SaveMDVersion`` 2, also as SpinW's ``sw_spec2MDHisto`` writes it) and the old
one. Written: the present layout. What the file holds beside the histogram (experiments, lattice, logs,
history, transforms) is carried on `Histogram.nexus` and written back byte for byte; bins whose intensity
did not change keep the very numbers of the file. An incident energy that no run logs becomes the log ``Ei``
of an experiment info (`mantid_exp2sim.io.mdhisto.experiment`).

Rules: HDF5 axis i is named by ``axes.split(":")[i]``. The intensity is what Mantid displays: signal, signal /
bin volume or signal / num_events for ``visual_normalization`` 0, 1 and 2, the variance errors_squared over
the square of that (`mantid_exp2sim.io.mdhisto.normalization`). SpinW's files hold the sum in each energy bin,
which is divided by the width of the bin in meV as well. A bin was not measured where mask is 1, where
signal or error is not finite, or where num_events is 0; num_events that is 0 everywhere says nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import CELL, Axis, Booleans, Floats, Histogram
from mantid_exp2sim.io.axes import common_energy
from mantid_exp2sim.io.files import damaged, reading
from mantid_exp2sim.io.hdf5 import array_value, read_tree, text_value, write_tree
from mantid_exp2sim.io.mdhisto.experiment import logged_energies, with_run
from mantid_exp2sim.io.mdhisto.normalization import compute_divisor, find_empty_bins
from mantid_exp2sim.io.mdhisto.v1 import read_v1
from mantid_exp2sim.nexus import Link, NexusTree, Value
from mantid_exp2sim.storage.atomic import atomic_path

ENTRY = "MDHistoWorkspace"
NOTE = "exp2sim"
SYSTEMS = ("None", "QLab", "QSample", "HKL")
NORMALISATIONS = ("NoNormalization", "VolumeNormalization", "NumEventsNormalization")
_SPINW_MARK = "Qconvention"
"""Attribute that only SpinW's ``sw_spec2MDHisto`` writes; Mantid's has a capital C."""
_DATA = ("signal", "errors_squared", "num_events", "mask")


class Raw(NamedTuple):
    """The four arrays of a file in workspace order (axis i = dimension i), and its axes."""

    signal: Floats
    errors: Floats
    events: Floats
    mask: Booleans
    axes: tuple[Axis, ...]
    order: tuple[int, ...]
    normalization: int | None
    is_spinw: bool

    def divisor(self, events: Floats) -> Floats:
        """Return what the signal is divided by: what Mantid divides by, and the width of SpinW's bins."""
        divisor = compute_divisor(self.normalization, events, self.axes)
        for i, axis in enumerate(self.axes):
            if self.is_spinw and axis.kind == "energy":
                divisor = divisor * axis.widths.reshape(-1, *(1,) * (len(self.axes) - i - 1))
        return divisor

    def histogram(self) -> tuple[Floats, Floats, Booleans]:
        """Return intensity, variance and mask (True = not measured) by the rules above."""
        mask = (
            self.mask | ~np.isfinite(self.signal) | ~np.isfinite(self.errors) | find_empty_bins(self.events)
        )
        divisor = self.divisor(self.events)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return self.signal / divisor, self.errors / divisor**2, mask


def read(path: Path) -> Histogram:
    """Read an MDHisto file.

    Raises
    ------
    Exp2SimError
        If the file is damaged, holds an event workspace, or has no measured bin.
    """
    tree, left_out = read_tree(path)
    with reading(path):
        entry = tree.get(ENTRY)
        if not isinstance(entry, NexusTree):
            raise Exp2SimError(f"The file holds no {ENTRY}.", fix="Write it with Mantid's SaveMD.")
        raw = _raw(entry)
        metadata = {**derived_metadata(entry), **_note(entry)}
    if left_out:
        metadata["left_out"] = list(left_out)
    intensity, variance, mask = raw.histogram()
    return Histogram(intensity, variance, mask, raw.axes, metadata, tree)


def write(histogram: Histogram, path: Path) -> None:
    """Write an MDHisto file (SaveMD 2), atomically."""
    tree = build_tree(histogram)
    with atomic_path(path) as temporary:
        try:
            write_tree(temporary, tree)
        except (ValueError, TypeError, KeyError, RuntimeError) as error:
            raise Exp2SimError(
                f"{path} cannot be written: {error}.",
                reason="What the file held beside the histogram is damaged.",
                fix="Set the histogram's `nexus` to None to leave it out.",
            ) from error


def derived_metadata(entry: NexusTree) -> dict[str, Any]:
    """What the NeXus tree says in words: coordinate system, normalisation, lattice, incident energy."""
    metadata: dict[str, Any] = {"format": "mdhisto"}
    for key, names in (("coordinate_system", SYSTEMS), ("visual_normalization", NORMALISATIONS)):
        code = entry.number(key)
        if code is not None and code in range(len(names)):
            metadata[key] = names[int(code)]
    cell = [entry.number(f"experiment0/sample/oriented_lattice/unit_cell_{name}") for name in CELL]
    if all(number is not None and np.isfinite(number) for number in cell):
        metadata["lattice"] = dict(zip(CELL, cell, strict=True))
    energy = common_energy(logged_energies(entry))
    if energy is not None:
        metadata["incident_energy"] = energy
    return metadata


def _note(entry: NexusTree) -> dict[str, Any]:
    """The metadata that this package wrote into the file."""
    value = entry.value(f"{NOTE}/data")
    if value is None:
        return {}
    try:
        content = json.loads(value.text(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise damaged(f"The note {ENTRY}/{NOTE} is no JSON: {error}.") from error
    if not isinstance(content, dict):
        raise damaged(f"The note {ENTRY}/{NOTE} is no JSON object.")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


# ---------------------------------------------------------------------------------------------- reading


def _raw(entry: NexusTree) -> Raw:
    if isinstance(entry.get("data"), NexusTree) and entry.value("data/signal") is not None:
        return _raw_v2(entry)
    if entry.value("signal") is not None:
        signal, errors, events, mask, axes = read_v1(entry)
        return Raw(signal, errors, events, mask, axes, (), _normalization(entry), is_spinw=False)
    raise Exp2SimError(f"{ENTRY} has no signal.", fix="Write it with Mantid's SaveMD.")


def _normalization(entry: NexusTree) -> int | None:
    code = entry.number("visual_normalization")
    return int(code) if code is not None and code in range(len(NORMALISATIONS)) else None


def _raw_v2(entry: NexusTree) -> Raw:
    signal = entry.value("data/signal")
    assert signal is not None
    names = signal.attributes["axes"].text().split(":") if "axes" in signal.attributes else []
    arrays = [_array(entry, name, signal.data.shape) for name in _DATA]
    if len(names) != signal.data.ndim or signal.data.ndim == 0 or len(set(names)) != len(names):
        raise damaged(f"The signal has {signal.data.ndim} dimensions and its attribute 'axes' names {names}.")
    order = _workspace_order(names)
    axes = tuple(_axis(entry, names[i], signal.data.shape[i]) for i in order)
    values = [array.transpose(order) for array in arrays]
    is_spinw = _SPINW_MARK in entry.attributes
    mask = values[3] != 0
    return Raw(values[0], values[1], values[2], mask, axes, order, _normalization(entry), is_spinw)


def _array(entry: NexusTree, name: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    value = entry.value(f"data/{name}")
    if value is None:
        if name == "signal":
            raise damaged("There is no data/signal.")
        return np.zeros(shape)
    if value.data.dtype.kind not in "iufb" or value.data.shape != shape:
        raise damaged(
            f"data/{name} is {value.data.dtype} of shape {value.data.shape}.",
            reason=f"It takes numbers of the signal's shape {shape}.",
        )
    return value.data if name == "mask" else value.data.astype(np.float64, copy=False)


def _workspace_order(names: list[str]) -> tuple[int, ...]:
    """HDF5 axes in the order of the workspace: SaveMD reverses them, SpinW numbers them D0, D1, …"""
    if all(name[:1] == "D" and name[1:].isdigit() for name in names):
        return tuple(sorted(range(len(names)), key=lambda i: int(names[i][1:])))
    return tuple(reversed(range(len(names))))


def _axis(entry: NexusTree, name: str, size: int) -> Axis:
    data = entry.get("data")
    value = data.children.get(name) if isinstance(data, NexusTree) else None
    if not isinstance(value, Value) or value.data.dtype.kind not in "iuf" or value.data.size != size + 1:
        raise damaged(f"The bin edges data/{name} are missing or not {size + 1} numbers.")
    text = {key: attribute.text() for key, attribute in value.attributes.items()}
    return Axis(
        text.get("long_name") or name,
        value.data.reshape(-1).astype(np.float64),
        unit=text.get("units", ""),
        frame=text.get("frame") or "Unknown frame",
        label=text.get("exp2sim_label", ""),
    )


# ---------------------------------------------------------------------------------------------- writing


def build_tree(histogram: Histogram) -> NexusTree:
    """Return the NeXus tree of a histogram: the tree it came with, and what changed since."""
    root = histogram.nexus or NexusTree()
    old = root.get(ENTRY)
    entry, raw = _fresh_entry(histogram), None
    if isinstance(old, NexusTree):
        bare = "data" not in old.children and "signal" not in old.children  # of other bins: runs alone
        entry = entry.with_children(old.children) if bare else old
        raw = None if bare else _raw(entry)
    if raw is not None and raw.axes and not _same_axes(raw.axes, histogram.axes):
        raise Exp2SimError(
            "The histogram carries a NeXus tree of other axes.", fix="Set its `nexus` to None."
        )
    data = _data_group(histogram, entry, raw)
    if raw is not None and not raw.order:
        entry = _without_v1(entry)
    entry = with_run(entry, histogram.metadata)
    children = {**entry.children, "data": data}
    note = _note_to_write(histogram, entry)
    children.pop(NOTE, None)
    if note:
        children[NOTE] = note
    return root.with_children({ENTRY: NexusTree(entry.attributes, children)})


def _same_axes(ours: tuple[Axis, ...], theirs: tuple[Axis, ...]) -> bool:
    return len(ours) == len(theirs) and all(
        (a.name, a.unit, a.frame) == (b.name, b.unit, b.frame) and np.array_equal(a.edges, b.edges)
        for a, b in zip(ours, theirs, strict=True)
    )


def _data_group(histogram: Histogram, entry: NexusTree, raw: Raw | None) -> NexusTree:
    arrays = _merged(histogram, raw)
    data = entry.get("data")
    if raw is None or not raw.order or not isinstance(data, NexusTree):
        return _fresh_data(histogram.axes, arrays)
    back = tuple(int(i) for i in np.argsort(raw.order))
    changed: dict[str, NexusTree | Value | Link] = {}
    for name, array in zip(_DATA, arrays, strict=True):
        old = data.children.get(name)
        if array is None:
            continue
        chunks, attributes = (old.chunks, old.attributes) if isinstance(old, Value) else (None, {})
        new = np.ascontiguousarray(array.transpose(back))
        changed[name] = array_value(new, chunks=chunks, attributes=attributes)
    return data.with_children(changed)


def _merged(histogram: Histogram, raw: Raw | None) -> list[npt.NDArray[Any] | None]:
    """Signal, errors, events and mask to write; None where the file's own array stays as it is."""
    if raw is None:
        events = np.where(histogram.mask, 0.0, 1.0)
        return [histogram.intensity, histogram.variance, events, histogram.mask.astype(np.int8)]
    intensity, variance, mask = raw.histogram()
    same = (histogram.mask & mask) | (
        (histogram.intensity == intensity) & (histogram.variance == variance) & (histogram.mask == mask)
    )
    if bool(np.all(same)) and raw.order:
        return [None] * 4
    revealed = mask & ~histogram.mask
    events = np.where(revealed & find_empty_bins(raw.events), 1.0, raw.events)
    weight = raw.divisor(events)
    signal = np.where(same, raw.signal, histogram.intensity * weight)
    errors = np.where(same, raw.errors, histogram.variance * weight**2)
    hidden = np.where(same, raw.mask, histogram.mask).astype(np.int8)
    return [signal, errors, events, hidden]


def _without_v1(entry: NexusTree) -> NexusTree:
    """Drop what belongs to the old layout and say that it is the present one."""
    gone = {"signal", "errors_squared", "num_events", "mask", "dimensions"}
    attributes = {
        k: v for k, v in entry.attributes.items() if not (k.startswith("dimension") and k[9:].isdigit())
    }
    attributes["SaveMDVersion"] = array_value(np.array(2, dtype=np.int32))
    attributes.setdefault("QConvention", text_value("Inelastic"))
    return NexusTree(attributes, {k: v for k, v in entry.children.items() if k not in gone})


def _fresh_entry(histogram: Histogram) -> NexusTree:
    frames = {axis.frame for axis in histogram.axes}
    system = next((code for code in (3, 2, 1) if SYSTEMS[code] in frames), 0)
    attributes = {
        "NX_class": text_value("NXentry"),
        "QConvention": text_value("Inelastic"),
        "SaveMDVersion": array_value(np.array(2, dtype=np.int32)),
    }
    children: dict[str, NexusTree | Value | Link] = {
        "coordinate_system": array_value(np.array([system], dtype=np.uint32)),
        "visual_normalization": array_value(np.array([0], dtype=np.uint32)),
        "process": NexusTree({"NX_class": text_value("NXprocess")}),
    }
    return NexusTree(attributes, children)


def _fresh_data(axes: tuple[Axis, ...], arrays: list[npt.NDArray[Any] | None]) -> NexusTree:
    names = [axis.name for axis in axes]
    if len(set(names)) != len(names) or any(
        set(name) & set(":/") or not name or name in _DATA for name in names
    ):
        names = [f"D{i}" for i in range(len(axes))]
    children: dict[str, NexusTree | Value | Link] = {}
    for name, axis in zip(names, axes, strict=True):
        attributes = {"units": axis.unit, "long_name": axis.name, "frame": axis.frame}
        if axis.label:
            attributes["exp2sim_label"] = axis.label
        children[name] = array_value(axis.edges, attributes={k: text_value(v) for k, v in attributes.items()})
    shape = tuple(axis.size for axis in reversed(axes))
    chunks = (1, *shape[1:]) if len(shape) > 1 else shape
    for name, array in zip(_DATA, arrays, strict=True):
        assert array is not None
        children[name] = array_value(np.ascontiguousarray(array.T), chunks=chunks)
    signal = children["signal"]
    assert isinstance(signal, Value)
    extra = {
        "signal": array_value(np.array(1, dtype=np.int32)),
        "axes": text_value(":".join(reversed(names))),
    }
    children["signal"] = array_value(signal.data, chunks=chunks, attributes=extra)
    return NexusTree({"NX_class": text_value("NXdata")}, children)


def _note_to_write(histogram: Histogram, entry: NexusTree) -> NexusTree | None:
    derived = {**derived_metadata(entry), "left_out": histogram.metadata.get("left_out")}
    told = {key: value for key, value in histogram.metadata.items() if derived.get(key) != value}
    told.pop("format", None)
    if not told:
        return None
    content = {
        "author": "mantid_exp2sim",
        "data": json.dumps(told, sort_keys=True),
        "description": "What mantid_exp2sim did, and what it knows of the data",
        "type": "application/json",
    }
    values = {key: text_value(text, shape=(1,)) for key, text in content.items()}
    return NexusTree({"NX_class": text_value("NXnote")}, values)
