"""Workspaces. A variable holds a *handle*; the data service and the properties of algorithms own the data."""

from __future__ import annotations

import weakref
from typing import Any, ClassVar

import numpy as np

from mantid import _service
from mantid._service import history_copy
from mantid.geometry import IMDDimension
from mantid.kernel import VMD, ArgumentError, DataItem, enumeration, no_converter

_API, _DATA = "mantid.api._api", "mantid.dataobjects._dataobjects"
MDNormalization = enumeration(
    "MDNormalization", _API, NoNormalization=0, VolumeNormalization=1, NumEventsNormalization=2
)
SpecialCoordinateSystem = enumeration(
    "SpecialCoordinateSystem", _API, **{"None": 0, "QLab": 1, "QSample": 2, "HKL": 3}
)


# --- what owns the data ---
class Core:
    """The data of a workspace."""

    def __init__(self) -> None:
        self.name, self.title, self.comment = "", "", ""
        self.history: list[Any] = []

    def copy_header(self, other: Any) -> None:
        self.title, self.comment, self.history = other.title, other.comment, history_copy(other.history)


def _collapse(token: Any, buffers: Any) -> None:
    """Make the memory of a deleted workspace useless, as it is in Mantid."""
    token["alive"] = False
    for buffer in buffers:
        buffer[:] = 7.0


class MDHistoCore(Core):
    def __init__(
        self, dimensions: Any, signal: Any = 0.0, error_squared: Any = 0.0, events: Any = 1.0
    ) -> None:
        super().__init__()
        self.dimensions = list(dimensions)
        self.shape = tuple(d.getNBins() for d in self.dimensions)
        size = int(np.prod(self.shape))
        self.buffers = [np.empty(size), np.empty(size), np.empty(size)]
        for buffer, values in zip(self.buffers, (signal, error_squared, events), strict=True):
            buffer[:] = np.asarray(values, dtype=float)
        self.masked = np.zeros(size, dtype=bool)
        self.normalization = MDNormalization.NoNormalization
        self.infos: list[Any] = []
        self.originals: list[Any] = []
        self.token = {"alive": True}
        weakref.finalize(self, _collapse, self.token, self.buffers)

    def copy(self) -> Any:
        other = MDHistoCore([d._copy() for d in self.dimensions], *[b.copy() for b in self.buffers])
        other.masked[:] = self.masked
        other.normalization, other.infos, other.originals = (
            self.normalization,
            [dict(info) for info in self.infos],
            list(self.originals),
        )
        other.copy_header(self)
        return other

    def array(self, which: Any) -> Any:
        """Return a live, writeable array of the workspace's shape, for the double's own algorithms."""
        return self.buffers[which].reshape(self.shape, order="F")


class HandleOfPython(dict[str, Any]):
    """Logs of an object of Python: older versions of Mantid die when a workspace that holds it goes."""


class MDEventCore(Core):
    def __init__(self, dimensions: Any) -> None:
        super().__init__()
        self.dimensions: list[Any] = list(dimensions)
        self.infos: list[Any] = []
        self.normalization = MDNormalization.VolumeNormalization
        self.events = np.empty((0, len(self.dimensions)))


class MatrixCore(Core):
    def __init__(self) -> None:
        super().__init__()
        self.logs: dict[str, Any] = {}


class TableCore(Core):
    def __init__(self) -> None:
        super().__init__()
        self.columns: list[Any] = []
        self.rows: list[Any] = []

    def copy(self) -> Any:
        other = TableCore()
        other.columns, other.rows = list(self.columns), [list(row) for row in self.rows]
        other.copy_header(self)
        return other


class GroupCore(Core):
    def __init__(self, members: Any = ()) -> None:
        super().__init__()
        self.members = list(members)


# --- views ---
class View(np.ndarray):
    """A read-only view of a workspace. Mantid's dangles once the workspace has gone; this one raises."""

    _token: dict[str, Any] | None = None

    def __array_finalize__(self, parent: Any) -> None:
        # only true views carry the token: a copy owns its memory
        base = self.base
        while base is not None and not isinstance(base, memoryview):
            base = getattr(base, "base", None)
        self._token = getattr(parent, "_token", None) if base is not None else None

    def _check(self) -> None:
        if self._token is not None and not self._token["alive"]:
            raise RuntimeError(
                "This array is a view of a workspace that has gone: copy it before the workspace may go."
            )

    def __array_ufunc__(self, ufunc: Any, method: Any, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        plain = []
        for item in inputs:
            if isinstance(item, View):
                item._check()
                item = item.view(np.ndarray)
            plain.append(item)
        if out is not None:
            kwargs["out"] = tuple(o.view(np.ndarray) if isinstance(o, View) else o for o in out)
        return getattr(ufunc, method)(*plain, **kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        _walk(args)
        _walk(list(kwargs.values()))
        return super().__array_function__(func, types, args, kwargs)

    def copy(self, order: Any = "C") -> Any:
        self._check()
        return np.array(self.view(np.ndarray), order=order, copy=True)

    def __getitem__(self, key: Any) -> Any:
        self._check()
        return super().__getitem__(key)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        self._check()
        return self.view(np.ndarray).__array__(*args, **kwargs)

    def __repr__(self) -> Any:
        self._check()
        return repr(self.view(np.ndarray).copy(order="F"))

    def tobytes(self, order: Any = "C") -> Any:
        self._check()
        return super().tobytes(order)


def _walk(items: Any) -> None:
    for item in items:
        if isinstance(item, View):
            item._check()
        elif isinstance(item, (list, tuple)):
            _walk(item)


def _view(core: Any, which: Any) -> Any:
    flat = np.frombuffer(memoryview(core.buffers[which]).toreadonly(), dtype=float)
    view = flat.reshape(core.shape, order="F").view(View)
    view._token = core.token
    return view


# --- handles ---
_HANDLES: dict[type, Any] = {}


def handle(core: Any, *, weak: Any) -> Any:
    """Return the Python object of a workspace: weak where the data service owns it."""
    kind = next(_HANDLES[cls] for cls in type(core).__mro__ if cls in _HANDLES)
    self = kind.__new__(kind)
    self._weak, self._strong = weakref.ref(core), None if weak else core
    return self


class Workspace(DataItem):
    """Base of all workspaces."""

    _weak: weakref.ref[Any]
    _strong: Core | None

    @property
    def core(self) -> Any:
        core = self._weak()
        if core is None:
            raise RuntimeError("Variable invalidated, data has been deleted.")
        return core

    def name(self) -> Any:
        return self.core.name

    getName = name

    def id(self) -> Any:
        self.core  # noqa: B018
        return type(self).__name__

    def getTitle(self) -> Any:
        return self.core.title

    def setTitle(self, title: Any) -> None:
        self.core.title = title

    def getComment(self) -> Any:
        return self.core.comment

    def setComment(self, comment: Any) -> None:
        self.core.comment = comment

    def getHistory(self) -> Any:
        return _service.WorkspaceHistory(self.core.history)

    def delete(self) -> None:
        _service.service.remove(self.core.name)

    def __str__(self) -> Any:
        return self.core.name

    def __repr__(self) -> Any:
        self.core  # noqa: B018
        return type(self).__name__


class MultipleExperimentInfos:
    core: Any

    def getNumExperimentInfo(self) -> Any:
        return len(self.core.infos)

    def getExperimentInfo(self, index: Any) -> Any:
        if not 0 <= index < len(self.core.infos):
            raise ValueError("MDWorkspace::getExperimentInfo(): runIndex is out of range.")
        return ExperimentInfo(self.core.infos[index])

    def addExperimentInfo(self, experiment: Any) -> Any:
        self.core.infos.append(HandleOfPython(experiment.core.logs))
        return len(self.core.infos) - 1

    def copyExperimentInfos(self, other: Any) -> None:
        self.core.infos = [dict(info) for info in other.core.infos]


class MDGeometry:
    core: Any

    def getNumDims(self) -> Any:
        return len(self.core.dimensions)

    def getDimension(self, index: Any) -> Any:
        if index < 0:
            raise OverflowError("can't convert negative value to unsigned int")
        if index >= len(self.core.dimensions):
            raise RuntimeError("Workspace does not have a dimension at that index.")
        return self.core.dimensions[index]

    def _named(self, index: Any, letter: Any) -> Any:
        if index >= len(self.core.dimensions):
            raise RuntimeError(f"Workspace does not have a {letter} dimension.")
        return self.core.dimensions[index]

    def getXDimension(self) -> Any:
        return self._named(0, "X")

    def getYDimension(self) -> Any:
        return self._named(1, "Y")

    def getZDimension(self) -> Any:
        return self._named(2, "Z")

    def getTDimension(self) -> Any:
        return self._named(3, "T")

    def getNonIntegratedDimensions(self) -> Any:
        return [d for d in self.core.dimensions if d.getNBins() > 1]

    def getDimensionIndexByName(self, name: Any) -> Any:
        for index, dimension in enumerate(self.core.dimensions):
            if dimension.name == name:
                return index
        raise RuntimeError(f"Dimension named '{name}' was not found in the IMDWorkspace.")

    def getDimensionIndexById(self, identity: Any) -> Any:
        return next(i for i, d in enumerate(self.core.dimensions) if d.getDimensionId() == identity)

    def getDimensionWithId(self, identity: Any) -> Any:
        for dimension in self.core.dimensions:
            if dimension.getDimensionId() == identity:
                return dimension
        raise ValueError(f"Dimension tagged {identity} was not found in the Workspace")

    def hasOriginalWorkspace(self, index: Any) -> Any:
        return index < len(self.core.originals)

    def numOriginalWorkspaces(self) -> Any:
        return len(self.core.originals)


class IMDWorkspace(Workspace, MDGeometry, MultipleExperimentInfos):
    def getSpecialCoordinateSystem(self) -> Any:
        frames = {
            d.getMDFrame().name()
            for d in self.core.dimensions
            if d.getMDFrame().name().startswith(("HKL", "Q"))
        }
        # the recording: the unit `r.l.u.` with the full stop gives None
        if frames == {"HKL"} and all(d.getUnits() == "r.l.u" for d in self.core.dimensions):
            return SpecialCoordinateSystem.HKL
        return SpecialCoordinateSystem.names["None"]


class IMDHistoWorkspace(IMDWorkspace):
    """What Python may do with a histogram."""

    def isMDHistoWorkspace(self) -> Any:
        return True

    def getNPoints(self) -> Any:
        return int(np.prod(self.core.shape))

    def getNEvents(self) -> Any:
        return 0

    def displayNormalization(self) -> Any:
        return self.core.normalization

    displayNormalizationHisto = displayNormalization

    def getSignalArray(self) -> Any:
        return _view(self.core, 0)

    def getErrorSquaredArray(self) -> Any:
        return _view(self.core, 1)

    def getNumEventsArray(self) -> Any:
        return _view(self.core, 2)

    def _set(self, which: Any, values: Any, function: Any, argument: Any) -> None:
        core = self.core
        if isinstance(values, np.ma.MaskedArray):
            raise TypeError("object of type 'MaskedIterator' has no len()")
        if not isinstance(values, np.ndarray):
            raise ArgumentError(
                "Python argument types in\n"
                f"    IMDHistoWorkspace.{function}(MDHistoWorkspace, {type(values).__name__})\n"
                "did not match C++ signature:\n"
                f"    {function}(Mantid::API::IMDHistoWorkspace {{lvalue}} self, Mantid::PythonInterface::NDArray {argument})"  # noqa: E501
            )
        if values.ndim != len(core.shape):
            raise ValueError(
                f"{function}: The number of  dimensions doe not match the current workspace size. "
                f"Workspace={len(core.shape)} array={values.ndim}"
            )
        for index, (wanted, got) in enumerate(zip(core.shape, values.shape, strict=True)):
            if wanted != got:
                ordinal = {0: "0th", 1: "1th", 2: "2th", 3: "3th"}.get(index, f"{index}th")
                raise ValueError(
                    f"{function}: The dimension size for the {ordinal} dimension do not match. "
                    f"Workspace dimension size={wanted}, array size={got}"
                )
        if values.dtype != np.float64:
            raise no_converter("double", values.dtype.type())
        core.buffers[which][:] = np.array(values).ravel(order="F")

    def setSignalArray(self, signalValues: Any) -> None:
        self._set(0, signalValues, "setSignalArray", "signalValues")

    def setErrorSquaredArray(self, errorSquared: Any) -> None:
        self._set(1, errorSquared, "setErrorSquaredArray", "errorSquared")

    def _linear(self, index: Any, function: Any) -> Any:
        if index < 0:
            raise OverflowError("can't convert negative value to unsigned int")
        if index >= self.getNPoints():
            raise ValueError(f"{function}: The index is greater than the number of bins in the workspace")
        return index

    def setSignalAt(self, index: Any, value: Any) -> None:
        self.core.buffers[0][self._linear(index, "setSignalAt")] = value

    def signalAt(self, index: Any) -> Any:
        return float(self.core.buffers[0][self._linear(index, "signalAt")])

    def errorSquaredAt(self, index: Any) -> Any:
        return float(self.core.buffers[1][self._linear(index, "errorSquaredAt")])

    def getLinearIndex(self, *indices: Any) -> Any:
        return int(sum(i * s for i, s in zip(indices, np.cumprod((1, *self.core.shape)), strict=False)))

    def setTo(self, signal: Any, error_squared: Any, events: Any) -> None:
        for buffer, value in zip(self.core.buffers, (signal, error_squared, events), strict=True):
            buffer[:] = value

    def getCenter(self, index: Any) -> Any:
        position = np.unravel_index(index, self.core.shape, order="F")
        return VMD(d.getX(int(i) + 0.5) for i, d in zip(position, self.core.dimensions, strict=True))

    def getInverseVolume(self) -> Any:
        return float(1 / np.prod([d.getBinWidth() for d in self.core.dimensions], dtype=np.float32))

    def clone(self) -> Any:
        return handle(self.core.copy(), weak=False)


class MDHistoWorkspace(IMDHistoWorkspace):
    def __repr__(self) -> Any:
        lines = [f"MDHistoWorkspace\nTitle: {self.core.title}"]
        for i, d in enumerate(self.core.dimensions):
            lines.append(
                f"Dim {i}: ({d.name}) {d.getMinimum():g} to {d.getMaximum():g} in {d.getNBins()} bins"
            )
        return "\n".join(lines) + "\n\nInelastic: ki-kf\n\n"


class IMDEventWorkspace(IMDWorkspace):
    def isMDHistoWorkspace(self) -> Any:
        return False

    def getNEvents(self) -> Any:
        return len(self.core.events)

    def displayNormalization(self) -> Any:
        return self.core.normalization

    displayNormalizationHisto = displayNormalization


class MDEventWorkspace(IMDEventWorkspace):
    pass


class _Log:
    def __init__(self, name: Any, value: Any) -> None:
        self.name, self.value = name, value


class Run:
    """The sample logs of a run."""

    def __init__(self, logs: Any) -> None:
        self._logs = logs

    def hasProperty(self, name: Any) -> Any:
        return name in self._logs

    __contains__ = hasProperty

    def getProperty(self, name: Any) -> Any:
        if name not in self._logs:
            raise RuntimeError(f"Unknown property search object {name}")
        return _Log(name, self._logs[name])

    getLogData = __getitem__ = getProperty

    def keys(self) -> Any:
        return list(self._logs)

    def addProperty(self, name: Any, value: Any, *options: Any) -> None:
        if name in self._logs and True not in options:
            raise ValueError(f"Attempting to add log that already exists: {name}")
        if not isinstance(value, (int, float, str)) or isinstance(value, np.generic):
            raise TypeError(f"no log of type {type(value).__name__}")
        self._logs[name] = value


class ExperimentInfo:
    def __init__(self, logs: Any) -> None:
        self._logs = logs

    def run(self) -> Any:
        return Run(self._logs)

    def getInstrument(self) -> Any:
        return Instrument()

    def sample(self) -> Any:
        return Sample()

    getRun = run


class Instrument:
    """Of a run whose instrument nobody has loaded."""

    def getName(self) -> Any:
        return ""


class Sample:
    """Of a run without an orientation."""

    def hasOrientedLattice(self) -> Any:
        return False


class MatrixWorkspace(Workspace):
    """A MatrixWorkspace, only as something that is refused or that carries logs."""

    def run(self) -> Any:
        return Run(self.core.logs)

    getRun = run

    def id(self) -> Any:
        return "Workspace2D"


class ITableWorkspace(Workspace):
    TYPES: ClassVar = {
        "int": ("i", int),
        "double": ("d", float),
        "float": ("f", float),
        "str": ("NSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE", str),
        "bool": ("N6Mantid3API7BooleanE", bool),
        "long64": ("l", int),
        "size_t": ("m", int),
        "uint": ("j", int),
        "V3D": ("N6Mantid6Kernel3V3DE", object),
        "vector_int": ("St6vectorIiSaIiEE", object),
        "vector_double": ("St6vectorIdSaIdEE", object),
    }


class TableWorkspace(ITableWorkspace):
    def addColumn(self, type: Any, name: Any) -> Any:
        columns = self.core.columns
        if any(name == known for known, _ in columns):
            raise ValueError(f"Column with name {name} already exists.\n")
        if type not in self.TYPES:
            raise ValueError(
                f"Column of type {type} and name {name} has not been added.\n"
                f"DynamicFactory: {type} is not registered.\n search object {type}\n"
            )
        columns.append((name, type))
        for row in self.core.rows:
            row.append(self.TYPES[type][1]())
        return True

    def addRow(self, row: Any) -> None:
        columns = self.core.columns
        values = list(row.values()) if isinstance(row, dict) else list(row)
        if len(values) != len(columns):
            raise ValueError(
                f"Number of values given does not match the number of columns. Expected: {len(columns)}"
            )
        self.core.rows.append([self._cell(c, v) for c, v in zip(columns, values, strict=True)])

    def _cell(self, column: Any, value: Any) -> Any:
        name, kind = column
        wanted = self.TYPES[kind][1]
        numpy_kind = isinstance(value, np.generic) and not isinstance(value, np.float64)
        number = wanted is float and isinstance(value, (int, float))
        # an np.int64 into an int column passes Boost, np.bool_ into a bool column does not
        whole = wanted is int and (type(value) is int or isinstance(value, np.int64))
        fine = wanted is object or number or whole or (isinstance(value, wanted) and not numpy_kind)
        if not fine:
            got = {"bool_": "bool"}.get(type(value).__name__, type(value).__name__)
            raise TypeError(f"Wrong datatype <{got}> for column <{name}> (expected <{wanted.__name__}>)")
        return value if wanted is object else wanted(value)

    def rowCount(self) -> Any:
        return len(self.core.rows)

    def columnCount(self) -> Any:
        return len(self.core.columns)

    def getColumnNames(self) -> Any:
        return [name for name, _ in self.core.columns]

    keys = getColumnNames

    def columnTypes(self) -> Any:
        return [self.TYPES[kind][0] for _, kind in self.core.columns]

    def _position(self, name: Any) -> Any:
        if isinstance(name, int):
            return name
        for index, (known, _) in enumerate(self.core.columns):
            if known == name:
                return index
        raise RuntimeError(f"Column {name} does not exist.\n")

    def column(self, name: Any) -> Any:
        index = self._position(name)
        return [row[index] for row in self.core.rows]

    def row(self, index: Any) -> Any:
        if index >= len(self.core.rows):
            raise ValueError("Cannot specify row larger than number of rows")
        return dict(zip(self.getColumnNames(), self.core.rows[index], strict=True))

    def cell(self, first: Any, second: Any) -> Any:
        column, row = (first, second) if isinstance(first, str) else (second, first)
        index, n = self._position(column), len(self.core.rows)
        if row >= n:
            raise IndexError(f"vector::_M_range_check: __n (which is {row}) >= this->size() (which is {n})")
        return self.core.rows[row][index]

    def setCell(self, first: Any, second: Any, value: Any) -> None:
        column, row = (first, second) if isinstance(first, str) else (second, first)
        index = self._position(column)
        self.core.rows[row][index] = self._cell(self.core.columns[index], value)

    def removeColumn(self, name: Any) -> None:
        index = self._position(name)
        del self.core.columns[index]
        for row in self.core.rows:
            del row[index]

    def toDict(self) -> Any:
        return {name: self.column(name) for name in self.getColumnNames()}

    def setPlotType(self, *args: Any) -> None:
        pass

    def __iter__(self) -> Any:
        return (self.row(i) for i in range(self.rowCount()))

    def __len__(self) -> Any:
        return self.rowCount()

    def __repr__(self) -> Any:
        return f"TableWorkspace\nColumns: {self.columnCount()}\nRows: {self.rowCount()}\n0 kB"


class WorkspaceGroup(Workspace):
    def getNumberOfEntries(self) -> Any:
        return len(self.core.members)

    size = __len__ = getNumberOfEntries

    def getNames(self) -> Any:
        return [member.name for member in self.core.members]

    def getItem(self, index: Any) -> Any:
        return handle(self.core.members[index], weak=True)

    __getitem__ = getItem

    def __repr__(self) -> Any:
        return "WorkspaceGroup" + "".join(f"\n -- {name}" for name in self.getNames()) + "\n"


_HANDLES.update(
    {
        MDHistoCore: MDHistoWorkspace,
        MDEventCore: MDEventWorkspace,
        MatrixCore: MatrixWorkspace,
        TableCore: TableWorkspace,
        GroupCore: WorkspaceGroup,
    }
)
_thing: type
for _thing in (MDHistoWorkspace, MDEventWorkspace, TableWorkspace):
    _thing.__module__ = _DATA
for _thing in (
    Workspace,
    MDGeometry,
    MultipleExperimentInfos,
    IMDWorkspace,
    IMDHistoWorkspace,
    MatrixWorkspace,
    ITableWorkspace,
    WorkspaceGroup,
):
    _thing.__module__ = _API

__all__ = ["IMDDimension", "MDEventWorkspace", "MDHistoWorkspace", "TableWorkspace"]
