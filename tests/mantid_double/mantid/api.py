"""What `mantid.api` offers an algorithm."""

from __future__ import annotations

import contextlib
import os
import threading
import traceback
import types
import weakref
from typing import Any

from mantid import _service
from mantid.dataobjects import (
    Core,
    GroupCore,
    IMDEventWorkspace,
    IMDHistoWorkspace,
    IMDWorkspace,
    ITableWorkspace,
    MatrixWorkspace,
    MDNormalization,
    MultipleExperimentInfos,
    SpecialCoordinateSystem,
    TableCore,
    Workspace,
    WorkspaceGroup,
    handle,
)
from mantid.kernel import (
    Direction,
    IValidator,
    Logger,
    Property,
    StringPropertyWithValue,
    config,
    enumeration,
    no_converter,
    property_for,
)

_API = "mantid.api._api"
PropertyMode = enumeration("PropertyMode", _API, Mandatory=0, Optional=1)
LockMode = enumeration("LockMode", _API, Lock=0, NoLock=1)
FileAction = enumeration(
    "FileAction", _API, Save=0, OptionalSave=1, Load=2, OptionalLoad=3, Directory=4, OptionalDirectory=5
)
AnalysisDataService = _service.service
mtd = AnalysisDataService
NAME_LIMIT = 20


class ADSValidator(IValidator):
    """Names of workspaces that exist."""

    def __init__(self, allowMultipleSelection: bool = True, isOptional: bool = False) -> None:
        self.optional = isOptional

    def check(self, value: Any) -> Any:
        names = value if isinstance(value, list) else [part for part in value.split(",") if part]
        missing = [name for name in names if name not in AnalysisDataService]
        if missing:
            listed = "".join(f"\n{name}" for name in missing)
            return f"The following workspaces do not exist in the Analysis Data Service:{listed}"
        return "" if names or self.optional else "Select a value"

    def allowed(self) -> Any:
        return AnalysisDataService.getObjectNames()


# --- workspace properties ---
class WorkspaceProperty(Property):
    """A workspace by name or by object; it keeps the data alive."""

    kind, type = Workspace, "Workspace"

    def __init__(self, name: Any, defaultValue: Any, direction: Any, *options: Any) -> None:
        optional = PropertyMode.Optional in [o for o in options if isinstance(o, PropertyMode)]
        validator = next((o for o in options if isinstance(o, IValidator)), None)
        super().__init__(name, "", validator, "", direction)
        self.optional, self.text_value, self._core = optional, defaultValue, None
        self.default = defaultValue

    @property
    def value(self) -> Any:
        wanted = self._core is not None and self._fits(self._core)
        return handle(self._core, weak=False) if wanted else None

    @property
    def valueAsStr(self) -> Any:
        return self.text_value

    @property
    def isDefault(self) -> Any:
        return self.text_value == self.default and self._core is None

    @property
    def group_core(self) -> Any:
        return self._core if isinstance(self._core, GroupCore) and self.kind is not WorkspaceGroup else None

    @property
    def isValid(self) -> Any:
        if not self.text_value and self._core is None:
            where = "Output" if self.direction == Direction.Output else "Input/InOut"
            return "" if self.optional else f"Enter a name for the {where} workspace"
        if self.direction != Direction.Output and self._core is None:
            return f'Workspace "{self.text_value}" was not found in the Analysis Data Service'
        return ""

    @property
    def allowedValues(self) -> Any:
        if self.direction == Direction.Output:
            return []
        names = [
            n for n in mtd.getObjectNames() if self._fits(mtd.core(n)) or isinstance(mtd.core(n), GroupCore)
        ]
        return [*names, ""] if self.optional else names

    def _fits(self, core: Any) -> Any:
        """Say whether the data is of this property's kind."""
        return isinstance(handle(core, weak=True), self.kind)

    def set_object(self, value: Any) -> None:
        if value is None or bool(value is False):
            raise ValueError(
                f'When converting parameter "{self.name}": Workspace {self.text_value} is not of the correct type'  # noqa: E501
            )
        if not isinstance(value, Workspace):
            if hasattr(value, "__array__") and getattr(value, "size", 1) > 1:
                bool(value)  # ValueError: the truth value is ambiguous
            raise ValueError(
                f'When converting parameter "{self.name}": '
                "Unable to extract boost::shared_ptr<Workspace> from Python object"
            )
        core = value.core
        if self.direction == Direction.Output:
            self._core = core
            return
        if not self._fits(core) and not isinstance(core, GroupCore):
            raise ValueError(
                f'When converting parameter "{self.name}": Workspace {self.text_value} is not of the correct type'  # noqa: E501
            )
        self._core = core
        if core.name or self.direction == Direction.Input:
            self.text_value = core.name

    def set_text(self, text: Any) -> None:
        if not isinstance(text, str):
            raise no_converter("std::string", text)
        core = mtd.core(text) if text in mtd else None
        if self.direction == Direction.Output:
            fits = core is not None and (self._fits(core) or isinstance(core, GroupCore))
            self.text_value, self._core = text, core if fits else None
            return
        prefix = f'Invalid value for property {self.name} ({self.type}) "{text}": '
        if text and core is None:
            raise ValueError(f'{prefix}Workspace "{text}" was not found in the Analysis Data Service')
        if core is not None and not self._fits(core) and not isinstance(core, GroupCore):
            self.text_value, self._core = text, None
            raise ValueError(f"{prefix}Workspace {text} is not of the correct type")
        if not text and not self.optional:
            raise ValueError(f"{prefix}Enter a name for the Input/InOut workspace")
        self.text_value, self._core = text, core


def _workspace_property(title: Any, kind: Any, text: Any) -> Any:
    return type(title, (WorkspaceProperty,), {"kind": kind, "type": text, "__module__": _API})


IMDHistoWorkspaceProperty = _workspace_property(
    "IMDHistoWorkspaceProperty", IMDHistoWorkspace, "IMDHistoWorkspace"
)
IMDWorkspaceProperty = _workspace_property("IMDWorkspaceProperty", IMDWorkspace, "IMDWorkspace")
IMDEventWorkspaceProperty = _workspace_property(
    "IMDEventWorkspaceProperty", IMDEventWorkspace, "IMDEventWorkspace"
)
MatrixWorkspaceProperty = _workspace_property("MatrixWorkspaceProperty", MatrixWorkspace, "MatrixWorkspace")
ITableWorkspaceProperty = _workspace_property("ITableWorkspaceProperty", ITableWorkspace, "TableWorkspace")
WorkspaceGroupProperty = _workspace_property("WorkspaceGroupProperty", WorkspaceGroup, "WorkspaceGroup")


class FileProperty(StringPropertyWithValue):
    """A path: Load must exist, OptionalLoad need not; extensions are a hint, and a directory passes."""

    def __init__(
        self,
        name: Any,
        defaultValue: Any,
        action: Any,
        extensions: Any = None,
        direction: Any = Direction.Input,
    ) -> None:
        super().__init__(name, defaultValue, None, "", direction)
        self.action, self.extensions = (
            action,
            [extensions] if isinstance(extensions, str) else list(extensions or []),
        )

    @property
    def allowedValues(self) -> Any:
        return list(self.extensions)

    @property
    def isValid(self) -> Any:
        return (
            "No file specified."
            if not self._value and self.action in (FileAction.Load, FileAction.Save)
            else ""
        )

    def set_text(self, text: Any) -> None:
        if not isinstance(text, str):
            raise no_converter("std::string", text)
        found = text
        if text and not os.path.isabs(text):
            places = [os.path.join(folder, text) for folder in ["", *config.getDataSearchDirs()]]
            found = next((os.path.abspath(place) for place in places if os.path.exists(place)), text)
        prefix = f'Invalid value for property {self.name} (string) "{text}": '
        if self.action == FileAction.Load and not text:
            raise ValueError(f"{prefix}No file specified.")
        if self.action == FileAction.Load and not os.path.exists(found):
            raise ValueError(f'{prefix}When setting value of property "{self.name}": File "{text}" not found')
        self._value = found


# --- the algorithm ---
_HERE = os.path.dirname(os.path.abspath(__file__))


def _line_of(error: Any) -> Any:
    """Return where an exception was raised, in Mantid's words."""
    lines, word = [], "at"
    for frame in traceback.extract_tb(error.__traceback__):
        if os.path.dirname(frame.filename).startswith(_HERE):
            continue  # C++ in a real Mantid
        lines.append(f"\n  {word} line {frame.lineno} in '{frame.filename}'")
        word = "caused by"
    return "".join(lines)


class _Properties:
    """The property manager."""

    _props: dict[str, Any]

    def _find(self, name: Any) -> Any:
        for known, prop in self._props.items():
            if known.lower() == str(name).lower():
                return prop
        raise RuntimeError(f"Unknown property search object {name}")

    def declareProperty(
        self,
        name: Any = None,
        defaultValue: Any = None,
        validator: Any = None,
        doc: str = "",
        direction: Any = Direction.Input,
        prop: Any = None,
    ) -> None:
        prop = name if isinstance(name, Property) else prop
        if prop is not None:
            text = defaultValue if isinstance(defaultValue, str) else doc
            prop.documentation = text
        else:
            if isinstance(doc, Direction):
                doc, direction = "", doc
            if isinstance(validator, str):
                validator, doc = None, validator
            elif isinstance(validator, Direction):
                validator, direction = None, validator
            prop = property_for(name, defaultValue, validator, doc, direction)
        if any(known.lower() == prop.name.lower() for known in self._props):
            raise RuntimeError(f"Property with given name already exists search object {prop.name.upper()}")
        self._props[prop.name] = prop

    def getProperty(self, name: Any) -> Any:
        return self._find(name)

    def getPropertyValue(self, name: Any) -> Any:
        return self._find(name).valueAsStr

    def setPropertyValue(self, name: Any, value: Any) -> None:
        prop = self._find(name)
        prop.set_text(value)
        prop.touched = True

    def setProperty(self, name: Any, value: Any) -> None:
        prop = self._find(name)
        if isinstance(value, str):
            prop.set_text(value)
        else:
            prop.set_object(value)
        prop.touched = True

    def existsProperty(self, name: Any) -> Any:
        return any(known.lower() == name.lower() for known in self._props)

    def getProperties(self) -> Any:
        return list(self._props.values())

    def orderedProperties(self) -> Any:
        return list(self._props)

    def mandatoryProperties(self) -> Any:
        return [p.name for p in self._props.values() if p.direction != Direction.Output]

    def outputProperties(self) -> Any:
        return [p.name for p in self._props.values() if p.direction == Direction.Output]

    def inoutProperties(self) -> Any:
        return [p.name for p in self._props.values() if p.direction == Direction.InOut]

    def setPropertySettings(self, name: Any, settings: Any) -> None:
        self._find(name).settings = settings

    def setPropertyGroup(self, name: Any, group: Any) -> None:
        self._find(name).group = group


class Algorithm(_Properties):
    """The framework's half of an algorithm."""

    def __init__(self) -> None:
        self._props = {}
        self._flags = types.SimpleNamespace(
            initialised=False,
            executed=False,
            running=False,
            child=False,
            logging=True,
            rethrows=False,
            cancelled=False,
            store=True,
        )
        self._children: list[Any] = []
        self._observers: list[Any] = []
        self._parent: Any = None
        self._logger = Logger(type(self).__name__)
        self._history_of_children = True

    # what an algorithm may override
    def version(self) -> Any:
        return 1

    def category(self) -> Any:
        who = self._log_name() if self._flags.initialised and not self._flags.running else "Algorithm"
        Logger(who).warning(
            f"Python Algorithm {type(self).__name__} v{self.version()} does not have a category defined. "
            "See http://www.mantidproject.org/Basic_PythonAlgorithm_Structure"
        )
        return "PythonAlgorithms"

    def categories(self) -> Any:
        return self.category().split(";")

    def summary(self) -> Any:
        return ""

    def seeAlso(self) -> Any:
        return []

    def helpURL(self) -> Any:
        return ""

    def alias(self) -> Any:
        return ""

    def validateInputs(self) -> Any:
        return {}

    # what the framework answers
    def name(self) -> Any:
        return type(self).__name__

    def _log_name(self) -> Any:
        return type(self).__name__

    def log(self) -> Any:
        return self._logger

    getLogger = log

    def docString(self) -> Any:
        lines = [self.summary()] if self.summary() else []
        lines.append("Property descriptions: ")
        marks = {0: "Input", 1: "Output", 2: "InOut"}
        for prop in self._props.values():
            need = ":req" if isinstance(prop, WorkspaceProperty) and not prop.optional else ""
            allowed = f"[{', '.join(prop.allowedValues)}]" if prop.allowedValues else ""
            text = f"       {prop.documentation}{allowed}" if prop.documentation or allowed else " "
            lines.append(f"{prop.name}({marks[int(prop.direction)]}{need}) *{prop.type}*{text}")
        return "\n\n".join(lines)

    def initialize(self) -> None:
        if self._flags.initialised:
            return
        try:
            self.PyInit()  # type: ignore[attr-defined]
        except Exception as error:
            raise RuntimeError(f"{error}{_line_of(error)}") from None
        self._flags.initialised = True

    def isInitialized(self) -> Any:
        return self._flags.initialised

    def isExecuted(self) -> Any:
        return self._flags.executed

    def isRunning(self) -> Any:
        return self._flags.running

    def isChild(self) -> Any:
        return self._flags.child

    def setChild(self, child: Any) -> None:
        self._flags.child = child
        if child:
            self._flags.store = False

    def isLogging(self) -> Any:
        return self._flags.logging

    def setLogging(self, on: Any) -> None:
        self._flags.logging = self._logger.enabled = on

    def setRethrows(self, on: Any) -> None:
        self._flags.rethrows = on

    def setAlwaysStoreInADS(self, on: Any) -> None:
        self._flags.store = on

    def enableHistoryRecordingForChild(self, on: Any) -> None:
        self._history_of_children = on

    def cancel(self) -> None:
        self._flags.cancelled = True
        for child in self._children:
            child.cancel()

    def executeAsync(self) -> None:
        threading.Thread(target=self._quietly, daemon=True).start()

    def _quietly(self) -> None:
        with contextlib.suppress(Exception, KeyboardInterrupt):
            self.execute()

    def createChildAlgorithm(
        self,
        name: Any,
        startProgress: Any = -1.0,
        endProgress: Any = -1.0,
        enableLogging: bool = True,
        version: Any = -1,
    ) -> Any:
        child = AlgorithmManager.createUnmanaged(name, version)
        child.initialize()
        child.setChild(True)
        child.setRethrows(True)
        child.setLogging(enableLogging)
        child._parent = self
        for prop in child.getProperties():
            if isinstance(prop, WorkspaceProperty) and prop.direction == Direction.Output:
                prop.text_value = f"__TMP0x{id(prop):x}"
        self._children.append(child)
        return child

    # running
    def execute(self) -> Any:
        if not self._flags.initialised:
            raise RuntimeError("Algorithm is not initialised:" + self.name())
        self._flags.executed, self._flags.running = False, True
        try:
            return self._execute()
        finally:
            self._flags.running = False

    def _execute(self) -> Any:
        log = self._logger
        if type(self).category is Algorithm.category:
            self.category()
        if self._flags.logging and (not self._flags.child or self._flags.store):
            log.notice(f"{self.name()} started{' (child)' if self._flags.child else ''}")
        self._check_properties()
        group = next(
            (
                p
                for p in self._props.values()
                if isinstance(p, WorkspaceProperty) and p.group_core and p.direction != Direction.Output
            ),
            None,
        )
        if group is not None:
            return self._process_groups(group)
        self._check_inputs()
        try:
            self.PyExec()  # type: ignore[attr-defined]
            self._interruption_point()
        except KeyboardInterrupt:
            log.error(f"{self.name()}: Execution terminated by user.")
            self._notify("error", "Algorithm Canceled")
            raise KeyboardInterrupt("") from None
        except BaseException as error:
            plain = type(self).__module__ == "mantid._builtin"
            return self._failed(
                str(error) if plain else f"{error}{_line_of(error)}", error if plain else None
            )
        history = _service.AlgorithmHistory(self)
        try:
            self._finish(history)
        except RuntimeError as error:
            return self._failed(str(error))
        self._flags.executed = True
        if self._flags.logging and (not self._flags.child or self._flags.store):
            log.notice(f"{self.name()} successful, Duration 0.00 seconds")
        self._notify("finish")
        return True

    def _interruption_point(self) -> None:
        if self._flags.cancelled:
            raise KeyboardInterrupt("")

    def _failed(self, message: Any, error: Any = None) -> Any:
        log = self._logger
        log.error(f"Error in execution of algorithm {self.name()}:")
        log.error(message)
        self._notify("error", message)
        if self._flags.rethrows:
            raise RuntimeError(message) from error
        return False

    def _check_properties(self) -> None:
        wrong = [(p.name, p.isValid) for p in self._props.values() if p.isValid]
        for _ in range(2):
            for name, text in wrong:
                Logger("PropertyManager").error(
                    f'Property "{name.upper()}" is not set to a valid value: "{text}".'
                )
        if wrong:
            raise RuntimeError("Some invalid Properties found")

    def _check_inputs(self) -> None:
        try:
            issues = self.validateInputs()
        except Exception as error:
            raise RuntimeError(f"{error}{_line_of(error)}") from None
        if not isinstance(issues, dict):
            raise RuntimeError(
                f"Expecting an object of type dict; got an object of type {type(issues).__name__} instead"
            )
        if not all(isinstance(part, str) for item in issues.items() for part in item):
            self._logger.error("In validateInputs(self): Invalid type for key/value pair detected in dict.")
            raise RuntimeError("All keys and values must be strings")
        known = False
        for name in sorted(issues):
            if self.existsProperty(name):
                known = True
                self._logger.warning(f"Invalid value for {name}: {issues[name]}")
            else:
                self._logger.warning(f'validateInputs() references non-existant property "{name}"')
        if known:
            raise RuntimeError("Some invalid Properties found")

    def _outputs(self) -> Any:
        return [
            p
            for p in self._props.values()
            if isinstance(p, WorkspaceProperty) and p.direction != Direction.Input
        ]

    def _finish(self, history: Any) -> None:
        outputs = self._outputs()
        inherited = [
            item
            for p in self._props.values()
            if isinstance(p, WorkspaceProperty) and p.direction != Direction.Output and p._core is not None
            for item in p._core.history
        ]
        for prop in outputs:
            if prop.value is None and not prop.optional:
                raise RuntimeError("WorkspaceProperty doesn't point to a workspace")
            if prop._core is not None and self._records():
                for core in getattr(prop._core, "members", [prop._core]):
                    kept = [item for item in inherited if item not in core.history]
                    core.history = [*kept, *core.history, history]
        if not self._flags.store:
            return
        for prop in outputs:
            if prop._core is None:
                continue
            if prop.direction == Direction.Output:
                mtd.put(prop.text_value, prop._core)
                prop._core = None  # the data service owns it now
            elif mtd._cores.get(prop.text_value) not in (None, prop._core):
                mtd.put(prop.text_value, prop._core)

    def _records(self) -> Any:
        return not self._flags.child or (self._flags.store and self._history_of_children)

    def _process_groups(self, prop: Any) -> Any:
        """Run member by member, each as a child that stores its result."""
        entries = {
            p.name: p.group_core.members
            for p in self._props.values()
            if isinstance(p, WorkspaceProperty)
            and p.group_core is not None
            and p.direction != Direction.Output
        }
        members = entries[prop.name]
        similar = all(m.name == f"{prop.text_value}_{i + 1}" for i, m in enumerate(members))
        made: dict[str, list[Any]] = {p.name: [] for p in self._outputs()}
        groups = {p.name: GroupCore() for p in self._outputs() if p.text_value}
        for name, group in groups.items():
            mtd.put(self._props[name].text_value, group)
        for index in range(len(members)):
            child = self.createChildAlgorithm(self.name(), version=self.version())
            child.setAlwaysStoreInADS(True)
            self._fill_member(child, entries, index, made, similar)
            try:
                child.execute()
                self._interruption_point()
            except KeyboardInterrupt:
                self._logger.error(f"{self.name()}: Execution terminated by user.")
                raise
            except RuntimeError as error:
                return self._failed(f"Execution of {self.name()} for group entry {index + 1} failed: {error}")
            for name, group in groups.items():
                group.members.append(mtd.core(made[name][-1]))
        self._flags.executed = True
        self._logger.notice(
            f"{self.name()} successful, Duration 0.00 seconds. Processed as a workspace group"
        )
        self._notify("finish")
        return True

    def _fill_member(self, child: Any, entries: Any, index: Any, made: Any, similar: Any) -> None:
        base = "".join(f"{m[index].name}_" for m in entries.values())
        for prop in self._props.values():
            if not isinstance(prop, WorkspaceProperty):
                if prop.direction != Direction.Output and prop.touched:
                    child.setPropertyValue(prop.name, prop.valueAsStr)
            elif prop.name in entries:
                child.setPropertyValue(prop.name, entries[prop.name][index].name)
            elif prop.direction == Direction.Input:
                if prop.valueAsStr:
                    child.setPropertyValue(prop.name, prop.valueAsStr)
            elif prop.text_value:
                same = next((k for k in entries if self._props[k].text_value == prop.text_value), None)
                name = f"{prop.text_value}_{index + 1}" if similar else f"{base}{prop.text_value}"
                name = entries[same][index].name if same else name
                child.setPropertyValue(prop.name, name)
                made[prop.name].append(name)
            else:
                child.setPropertyValue(prop.name, "")

    def _notify(self, what: Any, *arguments: Any) -> None:
        for kind, observer in self._observers:
            if kind == what and observer() is not None:
                getattr(observer(), f"{what}Handle")(*arguments)


class PythonAlgorithm(Algorithm):
    """Base of the algorithms that are written in Python."""

    def PyInit(self) -> None:
        raise NotImplementedError("PyInit")

    def PyExec(self) -> None:
        raise NotImplementedError("unidentifiable C++ exception")


PythonAlgorithm.__module__ = Algorithm.__module__ = _API


class Progress:
    """The progress bar, and the place where a cancel arrives: at most once per 1 % of `nreports`."""

    def __init__(self, alg: Any, start: Any, end: Any, nreports: Any) -> None:
        if isinstance(nreports, float) or not isinstance(nreports, int) or isinstance(nreports, bool):
            raise no_converter("int", nreports)
        if start < 0 or end > 1 or start > end:
            raise ValueError("Progress::setNumSteps: start and end must be 0 <= start <= end <= 1")
        self._alg, self._start, self._end, self._n = alg, start, end, max(int(nreports), 1)
        self._step = max(1, self._n // 100)
        self._i = self._last = 0

    def report(self, *arguments: Any) -> None:
        message = arguments[-1] if arguments and isinstance(arguments[-1], str) else ""
        self._i = arguments[0] if arguments and not isinstance(arguments[0], str) else self._i + 1
        if self._i - self._last < self._step:
            return
        self._last = self._i
        self._act(message)

    def reportIncrement(self, increment: Any, message: str = "") -> None:
        self._i += increment
        if self._i - self._last >= self._step:
            self._last = self._i
            self._act(message)

    def setNumSteps(self, steps: Any) -> None:
        self._n, self._step = steps, max(1, steps // 100)

    def _act(self, message: Any) -> None:
        done = self._start + (self._end - self._start) * min(self._i, self._n) / self._n
        self._alg._notify("progress", done, message)
        self._alg._interruption_point()


class AlgorithmObserver:
    """Told what an algorithm does, which does not keep it alive."""

    def observeProgress(self, algorithm: Any) -> None:
        algorithm._observers.append(("progress", weakref.ref(self)))

    def observeFinish(self, algorithm: Any) -> None:
        algorithm._observers.append(("finish", weakref.ref(self)))

    def observeError(self, algorithm: Any) -> None:
        algorithm._observers.append(("error", weakref.ref(self)))

    def progressHandle(self, p: Any, message: Any) -> None:
        pass

    def finishHandle(self) -> None:
        pass

    def errorHandle(self, message: Any) -> None:
        pass


# --- factories ---
class AlgorithmFactoryImpl:
    """Names to classes."""

    def __init__(self) -> None:
        self._classes: dict[str, Any] = {}

    @property
    def Instance(self) -> Any:
        return self

    def subscribe(self, kind: Any) -> None:
        if not isinstance(kind, type) and not isinstance(kind, Algorithm):
            kind()
        cls = kind if isinstance(kind, type) else type(kind)
        if not issubclass(cls, Algorithm):
            raise ValueError("Cannot register an algorithm that does not derive from Algorithm.")
        name = cls.__name__
        if cls.__module__ != "mantid._builtin" and (len(name) > NAME_LIMIT or not name.isalnum()):
            raise ValueError(f"The name of an algorithm has letters and digits, at most {NAME_LIMIT}: {name}")
        self._classes.setdefault(name, {})[cls.version(object.__new__(cls))] = cls

    def unsubscribe(self, name: Any, version: Any) -> None:
        self._classes.get(name, {}).pop(version, None)

    def exists(self, name: Any, version: Any = -1) -> Any:
        return name in self._classes and (version == -1 or version in self._classes[name])

    def highestVersion(self, name: Any) -> Any:
        return max(self._classes[name])

    def getRegisteredAlgorithms(self, includeHidden: bool = False) -> Any:
        return {name: sorted(versions) for name, versions in self._classes.items()}

    def make(self, name: Any, version: Any = -1) -> Any:
        if name not in self._classes:
            raise self._unknown(f"Algorithm not registered {name}", name)
        if version != -1 and version not in self._classes[name]:
            log = Logger("AlgorithmFactory")
            log.error(f"algorithm {name} version {version} is not registered ")
            log.error(f"the latest registered version is {self.highestVersion(name)}")
            raise self._unknown(f"algorithm not registered {name}|{version}", name)
        return self._classes[name][version if version != -1 else self.highestVersion(name)]()

    def _unknown(self, why: Any, name: Any) -> Any:
        message = f"AlgorithmManager:: Unable to create algorithm {name} {why}"
        Logger("AlgorithmManager").error(message)
        return RuntimeError(message)


AlgorithmFactory = AlgorithmFactoryImpl()


class AlgorithmManagerImpl:
    """Makes algorithms, and cancels them all."""

    def __init__(self) -> None:
        self._made: list[Any] = []

    def create(self, name: Any, version: Any = -1) -> Any:
        algorithm = AlgorithmFactory.make(name, version)
        algorithm.initialize()
        self._made = [*self._made[-20:], weakref.ref(algorithm)]
        return algorithm

    def createUnmanaged(self, name: Any, version: Any = -1) -> Any:
        return AlgorithmFactory.make(name, version)

    def cancelAll(self) -> None:
        for made in self._made:
            algorithm = made()
            if algorithm is not None and algorithm.isRunning():
                algorithm.cancel()

    def clear(self) -> None:
        self._made = []


AlgorithmManager = AlgorithmManagerImpl()


class _WorkspaceFactory:
    def createTable(self, kind: str = "TableWorkspace") -> Any:
        return handle(TableCore(), weak=False)


WorkspaceFactory = _WorkspaceFactory()

__all__ = [
    "ADSValidator",
    "Algorithm",
    "AlgorithmFactory",
    "AlgorithmManager",
    "AlgorithmObserver",
    "AnalysisDataService",
    "Core",
    "FileAction",
    "FileProperty",
    "IMDEventWorkspace",
    "IMDEventWorkspaceProperty",
    "IMDHistoWorkspace",
    "IMDHistoWorkspaceProperty",
    "IMDWorkspace",
    "IMDWorkspaceProperty",
    "ITableWorkspace",
    "ITableWorkspaceProperty",
    "LockMode",
    "MDNormalization",
    "MatrixWorkspace",
    "MatrixWorkspaceProperty",
    "MultipleExperimentInfos",
    "Progress",
    "PropertyMode",
    "PythonAlgorithm",
    "SpecialCoordinateSystem",
    "Workspace",
    "WorkspaceFactory",
    "WorkspaceGroup",
    "WorkspaceGroupProperty",
    "WorkspaceProperty",
    "mtd",
]
