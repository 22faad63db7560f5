"""The data service and workspace histories."""

from __future__ import annotations

import copy
import sys
import weakref
from typing import Any


class PropertyHistory:
    def __init__(self, prop: Any) -> None:
        self._name, self._value, self._type = prop.name, prop.valueAsStr, prop.type
        self._default, self._direction = prop.isDefault, prop.direction

    def name(self) -> Any:
        return self._name

    def value(self) -> Any:
        return self._value

    def type(self) -> Any:
        return self._type

    def isDefault(self) -> Any:
        return self._default

    def direction(self) -> Any:
        return self._direction


class AlgorithmHistory:
    """What ran, with the value of every property after the run."""

    def __init__(self, algorithm: Any) -> None:
        self._name, self._version = algorithm.name(), algorithm.version()
        self._properties = [PropertyHistory(p) for p in algorithm.getProperties()]

    def name(self) -> Any:
        return self._name

    def version(self) -> Any:
        return self._version

    def getProperties(self) -> Any:
        return list(self._properties)

    def getPropertyValue(self, name: Any) -> Any:
        return next(p.value() for p in self._properties if p.name() == name)


class _LastAlgorithm:
    def __init__(self, record: Any) -> None:
        self._record = record

    def name(self) -> Any:
        return self._record.name()

    def version(self) -> Any:
        return self._record.version()

    def getPropertyValue(self, name: Any) -> Any:
        return self._record.getPropertyValue(name)

    def getProperties(self) -> Any:
        return [_LastProperty(self, p) for p in self._record.getProperties()]


class _LastProperty:
    """A property of an algorithm. Without its owner Mantid crashes; this one raises."""

    def __init__(self, owner: Any, record: Any) -> None:
        self._owner, self._record = weakref.ref(owner), record

    def _alive(self) -> Any:
        if self._owner() is None:
            raise RuntimeError(
                "This property belongs to an algorithm that has gone: keep that in a variable."
            )
        return self._record

    @property
    def name(self) -> Any:
        return self._alive().name()

    @property
    def valueAsStr(self) -> Any:
        return self._alive().value()

    value = valueAsStr

    @property
    def direction(self) -> Any:
        return self._alive().direction()


class WorkspaceHistory:
    def __init__(self, items: Any) -> None:
        self._items = list(items)

    def getAlgorithmHistories(self) -> Any:
        return list(self._items)

    def lastAlgorithm(self) -> Any:
        """Return an algorithm, no record; the list of its properties dangles once it has gone."""
        return _LastAlgorithm(self._items[-1])

    def size(self) -> Any:
        return len(self._items)


def history_copy(items: Any) -> Any:
    return copy.copy(items)


def _error(text: Any) -> None:
    print(f"AnalysisDataService-[Error] {text}", file=sys.stderr)


def _refuse_handles(name: Any, *cores: Any) -> None:
    """Older versions die when a workspace goes whose run is an object of Python; this one raises."""
    for core in cores:
        if any(type(info) is not dict for info in getattr(core, "infos", ())):
            raise RuntimeError(f"'{name}' holds a run that belongs to Python: older versions die with it")


class AnalysisDataServiceImpl:
    """Names to workspaces, found without regard to case; it owns their data."""

    def __init__(self) -> None:
        self._cores: dict[str, Any] = {}

    @property
    def Instance(self) -> Any:
        return self

    def place(self, name: Any) -> Any:
        """Return the name under which there is a workspace, or this one."""
        return next((place for place in self._cores if place.lower() == name.lower()), name)

    def core(self, name: Any) -> Any:
        name = self.place(name)
        if name not in self._cores:
            raise KeyError(f"'{name}' does not exist.")
        return self._cores[name]

    def retrieve(self, name: Any) -> Any:
        from mantid.dataobjects import handle

        return handle(self.core(name), weak=True)

    __getitem__ = retrieve

    def retrieveWorkspaces(self, names: Any, unrollGroups: bool = False) -> Any:
        found = []
        for name in names:
            workspace = self.retrieve(name)
            group = unrollGroups and hasattr(workspace, "getNames")
            found += [self.retrieve(member) for member in workspace.getNames()] if group else [workspace]
        return found

    def doesExist(self, name: Any) -> Any:
        return self.place(name) in self._cores

    __contains__ = doesExist

    def getObjectNames(self) -> Any:
        return sorted(self._cores)

    def size(self) -> Any:
        return len(self._cores)

    __len__ = size

    def put(self, name: Any, core: Any, *, replace: bool = True) -> None:
        if not name:
            raise RuntimeError("Add Data Object with empty name")
        name = self.place(name)
        _refuse_handles(name, core, self._cores.get(name))
        if name in self._cores and not replace and self._cores[name] is not core:
            _error(f" add : Unable to insert Data Object : '{name}'")
            raise RuntimeError(f" add : Unable to insert Data Object : '{name}'")
        old = self._cores.get(name)
        for group in self._cores.values():
            members = getattr(group, "members", None)
            if members is not None and old is not None:
                group.members = [core if member is old else member for member in members]
        core.name = name
        self._cores[name] = core

    def add(self, name: Any, workspace: Any) -> None:
        self.put(name, workspace.core, replace=False)

    def addOrReplace(self, name: Any, workspace: Any) -> None:
        self.put(name, workspace.core)

    def remove(self, name: Any) -> None:
        core = self._cores.pop(self.place(name), None)
        if core is None:
            return
        _refuse_handles(name, core)
        core.name = ""
        for group in self._cores.values():
            if hasattr(group, "members"):
                group.members = [member for member in group.members if member is not core]

    def clear(self) -> None:
        self._cores.clear()


service = AnalysisDataServiceImpl()
