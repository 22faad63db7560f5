"""The few algorithms of Mantid that the tests use."""

from __future__ import annotations

import os
import re
from typing import Any

import h5py
import numpy as np

from mantid.api import (
    AlgorithmFactory,
    FileAction,
    FileProperty,
    IMDEventWorkspaceProperty,
    IMDHistoWorkspaceProperty,
    IMDWorkspaceProperty,
    ITableWorkspaceProperty,
    MatrixWorkspaceProperty,
    PropertyMode,
    PythonAlgorithm,
    WorkspaceProperty,
    mtd,
)
from mantid.dataobjects import (
    GroupCore,
    MatrixCore,
    MDEventCore,
    MDHistoCore,
    MDNormalization,
    TableCore,
    handle,
)
from mantid.geometry import IMDDimension
from mantid.kernel import (
    Direction,
    FloatArrayProperty,
    IntArrayProperty,
    IntBoundedValidator,
    StringArrayProperty,
    StringListValidator,
)

FRAMES = ("General Frame", "QLab", "QSample", "HKL", "Unknown frame")


def dimension(name: Any, unit: Any, frame: Any, low: Any, high: Any, bins: Any) -> Any:
    """Make a dimension; the Q frames fix the unit."""
    unit = "Angstrom^-1" if frame in ("QLab", "QSample") else unit
    return IMDDimension(name, name, unit, frame, low, high, bins)


class _Builtin(PythonAlgorithm):
    def category(self) -> Any:
        return "Double"

    def out(self, core: Any) -> None:
        self.setProperty("OutputWorkspace", handle(core, weak=False))


class CreateMDHistoWorkspace(_Builtin):
    def PyInit(self) -> None:
        self.declareProperty(FloatArrayProperty("SignalInput"))
        self.declareProperty(FloatArrayProperty("ErrorInput"))
        self.declareProperty("Dimensionality", -1, IntBoundedValidator(1, 9))
        self.declareProperty(FloatArrayProperty("Extents"))
        self.declareProperty(IntArrayProperty("NumberOfBins"))
        self.declareProperty(StringArrayProperty("Names"))
        self.declareProperty(StringArrayProperty("Units"))
        self.declareProperty(IMDHistoWorkspaceProperty("OutputWorkspace", "", Direction.Output))
        self.declareProperty(FloatArrayProperty("NumberOfEvents"))
        self.declareProperty(StringArrayProperty("Frames"))

    def validateInputs(self) -> Any:
        frames = self.getProperty("Frames").value
        return {"Frames": "unknown frame"} if any(frame not in FRAMES for frame in frames) else {}

    def PyExec(self) -> None:
        n = self.getProperty("Dimensionality").value
        get = {p.name: p.value for p in self.getProperties()}
        if len(get["NumberOfBins"]) != n:
            raise ValueError("You must specify as number of bins as there are dimensions.")
        if len(get["Names"]) != n:
            raise ValueError("You must specify as many names as there are dimensions.")
        if len(get["Units"]) != n:
            raise ValueError("You must specify as many units as there are dimensions.")
        if len(get["Extents"]) != 2 * n:
            raise ValueError("You must specify twice as many extents (min,max) as there are dimensions.")
        frames = get["Frames"] or ["Unknown frame"] * n
        size = int(np.prod(get["NumberOfBins"]))
        for name in ("SignalInput", "ErrorInput"):
            if len(get[name]) != size:
                raise ValueError(f"Expected size of the {name} is: {size}")
        if len(get["NumberOfEvents"]) not in (0, size):
            raise ValueError(
                f"Expected size of the NumberOfEvents is: {size}. Leave empty to auto fill with 1.0"
            )
        low, high = get["Extents"][::2], get["Extents"][1::2]
        parts = zip(get["Names"], get["Units"], frames, low, high, get["NumberOfBins"], strict=True)
        events = get["NumberOfEvents"] if len(get["NumberOfEvents"]) else 1.0
        self.out(
            MDHistoCore([dimension(*p) for p in parts], get["SignalInput"], get["ErrorInput"] ** 2, events)
        )


class CreateMDWorkspace(_Builtin):
    def PyInit(self) -> None:
        self.declareProperty("Dimensions", 2)
        self.declareProperty(FloatArrayProperty("Extents"))
        self.declareProperty(StringArrayProperty("Names"))
        self.declareProperty(StringArrayProperty("Units"))
        self.declareProperty(StringArrayProperty("Frames"))
        self.declareProperty(WorkspaceProperty("OutputWorkspace", "", Direction.Output))

    def PyExec(self) -> None:
        extents = self.getProperty("Extents").value
        names, units = self.getProperty("Names").value, self.getProperty("Units").value
        frames = self.getProperty("Frames").value or ["Unknown frame"] * len(names)
        parts = zip(names, units, frames, extents[::2], extents[1::2], [1] * len(names), strict=True)
        self.out(MDEventCore([dimension(*p) for p in parts]))


class FakeMDEventData(_Builtin):
    """Uniform random events only."""

    def PyInit(self) -> None:
        self.declareProperty(IMDEventWorkspaceProperty("InputWorkspace", "", Direction.InOut))
        self.declareProperty(FloatArrayProperty("UniformParams"))
        self.declareProperty("RandomSeed", 0)

    def PyExec(self) -> None:
        core = self.getProperty("InputWorkspace").value.core
        count = int(self.getProperty("UniformParams").value[0])
        rng = np.random.default_rng(self.getProperty("RandomSeed").value)
        low = [d.getMinimum() for d in core.dimensions]
        high = [d.getMaximum() for d in core.dimensions]
        core.events = np.concatenate([core.events, rng.uniform(low, high, (count, len(low)))])


class BinMD(_Builtin):
    """Aligned binning: the signal is a sum, and the display normalisation is that of the events."""

    def PyInit(self) -> None:
        self.declareProperty(IMDWorkspaceProperty("InputWorkspace", "", Direction.Input))
        self.declareProperty(WorkspaceProperty("OutputWorkspace", "", Direction.Output))
        for i in range(6):
            self.declareProperty(f"AlignedDim{i}", "")

    def PyExec(self) -> None:
        core = self.getProperty("InputWorkspace").value.core
        wanted = [self.getPropertyValue(f"AlignedDim{i}") for i in range(6)]
        made, columns = [], []
        for text in filter(None, wanted):
            name, low, high, bins = (part.strip() for part in text.rsplit(",", 3))
            index = next(i for i, d in enumerate(core.dimensions) if d.name == name)
            old = core.dimensions[index]
            made.append(
                dimension(name, old.getUnits(), old.getMDFrame().name(), float(low), float(high), int(bins))
            )
            columns.append(index)
        edges = [np.array([d.getX(i) for i in range(d.getNBins() + 1)]) for d in made]
        counts = np.histogramdd(core.events[:, columns], edges)[0].ravel(order="F")
        out = MDHistoCore(made, counts, counts, counts)
        out.normalization = core.normalization
        out.infos, out.originals = [dict(info) for info in core.infos], [core]
        self.out(out)


class CloneMDWorkspace(_Builtin):
    def PyInit(self) -> None:
        self.declareProperty(IMDWorkspaceProperty("InputWorkspace", "", Direction.Input))
        self.declareProperty(IMDWorkspaceProperty("OutputWorkspace", "", Direction.Output))
        self.declareProperty("Filename", "")

    def PyExec(self) -> None:
        self.out(self.getProperty("InputWorkspace").value.core.copy())


class TransposeMD(_Builtin):
    def PyInit(self) -> None:
        self.declareProperty(IMDHistoWorkspaceProperty("InputWorkspace", "", Direction.Input))
        self.declareProperty(IMDHistoWorkspaceProperty("OutputWorkspace", "", Direction.Output))
        self.declareProperty(IntArrayProperty("Axes"))

    def PyExec(self) -> None:
        core = self.getProperty("InputWorkspace").value.core
        axes = [int(a) for a in self.getProperty("Axes").value] or list(range(len(core.shape)))
        turned = [core.array(i).transpose(axes).ravel(order="F") for i in range(3)]
        out = MDHistoCore([core.dimensions[a]._copy() for a in axes], *turned)
        out.masked[:] = core.masked.reshape(core.shape, order="F").transpose(axes).ravel(order="F")
        out.normalization, out.infos = core.normalization, [dict(info) for info in core.infos]
        out.copy_header(core)
        self.out(out)


class SetMDFrame(_Builtin):
    def PyInit(self) -> None:
        self.declareProperty(IMDWorkspaceProperty("InputWorkspace", "", Direction.InOut))
        self.declareProperty("MDFrame", FRAMES[0], StringListValidator(list(FRAMES)))
        self.declareProperty(IntArrayProperty("Axes"))

    def PyExec(self) -> None:
        dimensions, frame = (
            self.getProperty("InputWorkspace").value.core.dimensions,
            self.getPropertyValue("MDFrame"),
        )
        for axis in self.getProperty("Axes").value:
            unit = dimensions[axis].getUnits()
            if frame == "HKL" and unit != "r.l.u" and not re.fullmatch(r"in.*A\^-1", unit):
                raise ValueError(
                    "SetMDFrame: HKL does not have units which are compatible with an HKL frame. "
                    "Please contact the Mantid team if you believe that the units should be compatible."
                )
            unit = "Angstrom^-1" if frame in ("QLab", "QSample") else unit
            dimensions[axis]._frame, dimensions[axis]._unit = frame, unit


class MaskMD(_Builtin):
    def PyInit(self) -> None:
        self.declareProperty(IMDWorkspaceProperty("Workspace", "", Direction.InOut))
        self.declareProperty("Dimensions", "")
        self.declareProperty(FloatArrayProperty("Extents"))

    def PyExec(self) -> None:
        core = self.getProperty("Workspace").value.core
        names = _outside_brackets(self.getPropertyValue("Dimensions"))
        extents = self.getProperty("Extents").value
        n = len(core.dimensions)
        for start in range(0, len(names), n):
            inside = np.ones(core.shape, dtype=bool)
            for i, name in enumerate(names[start : start + n]):
                axis = next(j for j, d in enumerate(core.dimensions) if name in (d.name, d.getDimensionId()))
                low, high = extents[2 * (start + i) : 2 * (start + i) + 2]
                d = core.dimensions[axis]
                centres = np.array([d.getX(j + 0.5) for j in range(d.getNBins())])
                along = (centres >= low) & (centres <= high)
                inside &= along.reshape([-1 if j == axis else 1 for j in range(n)])
            chosen = inside.ravel(order="F")
            core.masked |= chosen
            core.buffers[0][chosen] = core.buffers[1][chosen] = np.nan


def _outside_brackets(text: Any) -> Any:
    parts, depth = [""], 0
    for letter in text:
        depth += {"[": 1, "]": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


class IntegrateMDHistoWorkspace(_Builtin):
    """Only whole dimensions: P1Bin… = 'min,max' integrates, empty keeps."""

    def PyInit(self) -> None:
        self.declareProperty(IMDHistoWorkspaceProperty("InputWorkspace", "", Direction.Input))
        self.declareProperty(IMDHistoWorkspaceProperty("OutputWorkspace", "", Direction.Output))
        for i in range(1, 6):
            self.declareProperty(FloatArrayProperty(f"P{i}Bin"))

    def PyExec(self) -> None:
        core = self.getProperty("InputWorkspace").value.core
        arrays, dims = [core.array(i) for i in range(3)], []
        for i, old in enumerate(core.dimensions):
            limits = self.getProperty(f"P{i + 1}Bin").value
            if len(limits) == 2:
                arrays = [a.sum(axis=i, keepdims=True) for a in arrays]
                dims.append(
                    dimension(old.name, old.getUnits(), old.getMDFrame().name(), limits[0], limits[1], 1)
                )
            else:
                dims.append(old._copy())
        out = MDHistoCore(dims, *[a.ravel(order="F") for a in arrays])
        out.normalization, out.infos = core.normalization, [dict(info) for info in core.infos]
        self.out(out)


class CreateEmptyTableWorkspace(_Builtin):
    def PyInit(self) -> None:
        self.declareProperty(ITableWorkspaceProperty("OutputWorkspace", "", Direction.Output))

    def PyExec(self) -> None:
        self.out(TableCore())


class CreateSampleWorkspace(_Builtin):
    def PyInit(self) -> None:
        self.declareProperty(MatrixWorkspaceProperty("OutputWorkspace", "", Direction.Output))

    def PyExec(self) -> None:
        self.out(MatrixCore())


class CreateWorkspace(_Builtin):
    def PyInit(self) -> None:
        self.declareProperty(MatrixWorkspaceProperty("OutputWorkspace", "", Direction.Output))
        self.declareProperty(FloatArrayProperty("DataX"))
        self.declareProperty(FloatArrayProperty("DataY"))

    def PyExec(self) -> None:
        self.out(MatrixCore())


class AddSampleLog(_Builtin):
    def PyInit(self) -> None:
        self.declareProperty(WorkspaceProperty("Workspace", "", Direction.InOut))
        self.declareProperty("LogName", "")
        self.declareProperty("LogText", "")
        kinds = StringListValidator(["String", "Number", "Number Series"])
        self.declareProperty("LogType", "String", kinds)

    def PyExec(self) -> None:
        text = self.getPropertyValue("LogText")
        number = self.getPropertyValue("LogType") != "String"
        logs = self.getProperty("Workspace").value.core.logs
        logs[self.getPropertyValue("LogName")] = float(text) if number else text


class GeneratePythonScript(_Builtin):
    """The history as calls of simpleapi: what is not the default, text in quotes."""

    def PyInit(self) -> None:
        self.declareProperty(WorkspaceProperty("InputWorkspace", "", Direction.Input))
        self.declareProperty("Filename", "")
        self.declareProperty("ScriptText", "", direction=Direction.Output)

    def PyExec(self) -> None:
        history = self.getProperty("InputWorkspace").value.core.history
        text = "".join(f"{_call(item)}\n" for item in history)
        self.setProperty("ScriptText", text)
        if self.getPropertyValue("Filename"):
            with open(self.getPropertyValue("Filename"), "w", encoding="utf-8") as file:
                file.write(text)


def _call(history: Any) -> Any:
    words = []
    for item in history.getProperties():
        value = item.value()
        if item.type() == "boolean":
            value = str(value == "1")
        elif item.type() != "number":
            value = repr(value)
        if item.value() and not item.isDefault():
            words.append(f"{item.name()}={value}")
    return f"{history.name()}({', '.join(words)})"


class GroupWorkspaces(_Builtin):
    def PyInit(self) -> None:
        self.declareProperty(WorkspaceProperty("OutputWorkspace", "", Direction.Output))
        self.declareProperty(StringArrayProperty("InputWorkspaces"))

    def PyExec(self) -> None:
        self.out(GroupCore([mtd.core(name) for name in self.getProperty("InputWorkspaces").value]))


class DeleteWorkspace(_Builtin):
    def PyInit(self) -> None:
        self.declareProperty(WorkspaceProperty("Workspace", "", Direction.Input))

    def PyExec(self) -> None:
        mtd.remove(self.getPropertyValue("Workspace"))


class RenameWorkspace(_Builtin):
    def PyInit(self) -> None:
        self.declareProperty(WorkspaceProperty("InputWorkspace", "", Direction.Input))
        self.declareProperty(
            WorkspaceProperty("OutputWorkspace", "", Direction.Output, PropertyMode.Mandatory)
        )

    def PyExec(self) -> None:
        workspace = self.getProperty("InputWorkspace").value
        old = self.getPropertyValue("InputWorkspace")
        self.setProperty("OutputWorkspace", workspace)
        mtd._cores.pop(old, None)


class LoadMD(_Builtin):
    """Histograms of SaveMD's present layout."""

    def PyInit(self) -> None:
        self.declareProperty(FileProperty("Filename", "", FileAction.Load, [".nxs"]))
        self.declareProperty(IMDWorkspaceProperty("OutputWorkspace", "", Direction.Output))

    def PyExec(self) -> None:
        name = self.getPropertyValue("Filename")
        try:
            file = h5py.File(name, "r")
        except OSError:
            raise RuntimeError(f"NXopen({name}, 1) failed") from None
        with file:
            entry = file["MDHistoWorkspace"]
            data = entry["data"]
            made = []
            for title in reversed(_text(data["signal"].attrs["axes"]).split(":")):
                axis = data[title]
                title, unit, frame = (_text(axis.attrs[key]) for key in ("long_name", "units", "frame"))
                made.append(dimension(title, unit, frame, axis[0], axis[-1], len(axis) - 1))
            parts = [data[key][()].ravel() for key in ("signal", "errors_squared", "num_events")]
            core = MDHistoCore(made, *parts)
            core.masked[:] = data["mask"][()].ravel() != 0
            code = int(entry["visual_normalization"][()][0])
            core.normalization = list(MDNormalization.names.values())[code]
            if "experiment0/logs/Ei" in entry:
                core.infos.append({"Ei": float(np.ravel(entry["experiment0/logs/Ei/value"][()])[0])})
        self.out(core)


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else str(value)


class SaveMD(_Builtin):
    def PyInit(self) -> None:
        self.declareProperty(IMDWorkspaceProperty("InputWorkspace", "", Direction.Input))
        self.declareProperty("Filename", "")

    def PyExec(self) -> None:
        core = self.getProperty("InputWorkspace").value.core
        name = self.getPropertyValue("Filename")
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with h5py.File(name, "w") as file:
            entry = file.create_group("MDHistoWorkspace")
            entry.attrs["SaveMDVersion"] = 2
            entry["coordinate_system"] = np.array([0], dtype=np.uint32)
            entry["visual_normalization"] = np.array([int(core.normalization)], dtype=np.uint32)
            data = entry.create_group("data")
            for d in core.dimensions:
                data[d.getDimensionId()] = np.array([d.getX(i) for i in range(d.getNBins() + 1)])
                words = {"long_name": d.name, "units": d.getUnits(), "frame": d.getMDFrame().name()}
                data[d.getDimensionId()].attrs.update(words)
            for key, buffer in zip(("signal", "errors_squared", "num_events"), core.buffers, strict=True):
                data[key] = buffer.reshape(core.shape[::-1])
            data["mask"] = core.masked.astype(np.int8).reshape(core.shape[::-1])
            data["signal"].attrs["axes"] = ":".join(d.getDimensionId() for d in reversed(core.dimensions))
            data["signal"].attrs["signal"] = 1
            for index, info in enumerate(core.infos):
                if "Ei" in info:
                    entry[f"experiment{index}/logs/Ei/value"] = np.array([info["Ei"]])


ALL = list(_Builtin.__subclasses__())
for _algorithm in ALL:
    AlgorithmFactory.subscribe(_algorithm)
