"""The algorithms of the recordings, written again from what the recordings show of them."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from mantid import api, kernel
from mantid.api import (
    AlgorithmFactory,
    FileAction,
    FileProperty,
    IMDHistoWorkspaceProperty,
    IMDWorkspaceProperty,
    ITableWorkspaceProperty,
    Progress,
    PropertyMode,
    PythonAlgorithm,
    WorkspaceFactory,
    WorkspaceProperty,
)
from mantid.kernel import (
    Direction,
    FloatArrayLengthValidator,
    FloatArrayProperty,
    FloatBoundedValidator,
    IntArrayProperty,
    IntBoundedValidator,
    StringArrayProperty,
    StringListValidator,
    StringMandatoryValidator,
)


def clone_of(algorithm: Any, workspace: Any) -> Any:
    child = algorithm.createChildAlgorithm("CloneMDWorkspace", enableLogging=False)
    child.setProperty("InputWorkspace", workspace)
    child.setProperty("OutputWorkspace", "c")
    child.execute()
    return child.getProperty("OutputWorkspace").value


class FactsFull(PythonAlgorithm):
    def category(self) -> Any:
        return "MDAlgorithms\\Facts;Utility"

    def summary(self) -> Any:
        return "A summary."

    def seeAlso(self) -> Any:
        return ["BinMD", "CutMD"]

    def helpURL(self) -> Any:
        return "http://example.org/help"

    def PyInit(self) -> None:
        add = self.declareProperty
        add(IMDHistoWorkspaceProperty("InputWorkspace", "", Direction.Input), "An input histogram")
        add(IMDHistoWorkspaceProperty("OutputWorkspace", "", Direction.Output), "An output")
        add(
            IMDHistoWorkspaceProperty("MaskWorkspace", "", Direction.Input, PropertyMode.Optional),
            "Optional mask",
        )
        add(FileProperty("Filename", "", FileAction.OptionalLoad, [".cif", ".txt"]), "A file")
        add("Method", "Fast", StringListValidator(["Fast", "Slow"]), "A method")
        add("Radius", 1.5, FloatBoundedValidator(0.0, 10.0), "A radius")
        add("Order", 3, IntBoundedValidator(lower=1), "An order")
        add("Flag", True, "A flag")
        add("Text", "abc", "free text")
        add(FloatArrayProperty("Vector", [1.0, 0.0, 0.0], FloatArrayLengthValidator(3)), "3 numbers")
        add(IntArrayProperty("Counts"), "ints")
        add(StringArrayProperty("Words", ["a", "b"]), "words")
        add("NumberOut", 0.0, "a number", Direction.Output)
        self.setPropertyGroup("Radius", "Group of numbers")
        self.setPropertyGroup("Order", "Group of numbers")
        when = kernel.PropertyCriterion.IsEqualTo
        self.setPropertySettings("Radius", kernel.EnabledWhenProperty("Method", when, "Fast"))
        self.setPropertySettings("Order", kernel.VisibleWhenProperty("Method", when, "Slow"))

    def validateInputs(self) -> Any:
        issues, workspace = {}, self.getProperty("InputWorkspace").value
        if self.getProperty("Radius").value > 9:
            issues = {"Radius": "Radius is larger than 9", "Order": "a second issue"}
        if workspace is not None and workspace.getNumDims() != 2:
            issues["InputWorkspace"] = "Only two dimensions"
        return issues

    def PyExec(self) -> None:
        text = self.getProperty("Text").value
        if text == "noout":
            return
        raised = {
            "fail": RuntimeError("deliberate RuntimeError"),
            "failvalue": ValueError("deliberate ValueError"),
            "failkey": KeyError("deliberate KeyError"),
            "sysexit": SystemExit(3),
        }
        if text == "typeerror":
            None + 1  # type: ignore[operator]  # noqa: B018
        if text in raised:
            raise raised[text]
        out = clone_of(self, self.getProperty("InputWorkspace").value)
        out.setSignalArray(out.getSignalArray() * 2.0)
        self.setProperty("OutputWorkspace", out)
        self.setProperty("NumberOut", 42.5)


class HasName(PythonAlgorithm):
    def name(self) -> Any:
        return "OtherName"

    def category(self) -> Any:
        return "Facts"

    def PyInit(self) -> None:
        pass

    def PyExec(self) -> None:
        pass


class Two(HasName):
    def version(self) -> Any:
        return 2


class NoExec(PythonAlgorithm):
    def PyInit(self) -> None:
        pass


class BadInit(PythonAlgorithm):
    def PyInit(self) -> None:
        raise RuntimeError("PyInit is broken")


class Minimal(PythonAlgorithm):
    def PyInit(self) -> None:
        self.declareProperty("X", 1.0)

    def PyExec(self) -> None:
        self.log().notice(f"X is {self.getProperty('X').value}")


class FactsInOut(PythonAlgorithm):
    def PyInit(self) -> None:
        self.declareProperty(IMDHistoWorkspaceProperty("Workspace", "", Direction.InOut))
        self.declareProperty("Replace", False)

    def PyExec(self) -> None:
        workspace = self.getProperty("Workspace").value
        if self.getProperty("Replace").value:
            new = clone_of(self, workspace)
            new.setSignalArray(new.getSignalArray() - 100.0)
            self.setProperty("Workspace", new)
        else:
            workspace.setSignalArray(workspace.getSignalArray() + 100.0)


class FactsParent(PythonAlgorithm):
    def PyInit(self) -> None:
        self.declareProperty(IMDHistoWorkspaceProperty("InputWorkspace", "", Direction.Input))
        self.declareProperty(IMDHistoWorkspaceProperty("OutputWorkspace", "", Direction.Output))

    def PyExec(self) -> None:
        progress = Progress(self, 0.0, 0.5, 4)
        for step in range(4):
            progress.report(f"step {step}")
        progress.report()
        progress.reportIncrement(1, "increment")
        self.setProperty("OutputWorkspace", clone_of(self, self.getProperty("InputWorkspace").value))


class FactsSlow(PythonAlgorithm):
    def PyInit(self) -> None:
        self.declareProperty("How", "report")

    def PyExec(self) -> None:
        how = self.getProperty("How").value
        progress = Progress(self, 0.0, 1.0, 30)
        for _ in range(30):
            time.sleep(0.02)
            if how == "report":
                progress.report("slow")
            elif how == "point":
                self.interruption_point()


class FactsTable(PythonAlgorithm):
    def PyInit(self) -> None:
        self.declareProperty(
            ITableWorkspaceProperty("OutputTable", "", Direction.Output, PropertyMode.Optional)
        )

    def PyExec(self) -> None:
        if not self.getPropertyValue("OutputTable"):
            return
        table = WorkspaceFactory.createTable()
        for kind, name in (("int", "h"), ("double", "intensity"), ("str", "label")):
            table.addColumn(kind, name)
        table.addRow([1, 2.5, "one"])
        table.addRow([2, 3.5, "two"])
        self.setProperty("OutputTable", table)


class FactsFiles(PythonAlgorithm):
    def PyInit(self) -> None:
        self.declareProperty(FileProperty("LoadFile", "", FileAction.Load, [".cif"]))
        self.declareProperty(FileProperty("SaveFile", "", FileAction.OptionalSave, [".nxs"]))
        self.declareProperty(FileProperty("Dir", "", FileAction.OptionalDirectory))
        self.declareProperty("Name", "", StringMandatoryValidator())

    def PyExec(self) -> None:
        pass


class FactsMore(PythonAlgorithm):
    def category(self) -> Any:
        return "Facts"

    def PyInit(self) -> None:
        add, optional = self.declareProperty, PropertyMode.Optional
        add(IMDWorkspaceProperty("AnyMD", "", Direction.Input, optional))
        add(WorkspaceProperty("AnyWorkspace", "", Direction.Input, optional))
        add(IMDHistoWorkspaceProperty("OutputWorkspace", "", Direction.Output))
        add(IMDHistoWorkspaceProperty("Second", "", Direction.Output, optional))
        add(ITableWorkspaceProperty("Table", "", Direction.Output, optional))
        add("What", "")

    def validateInputs(self) -> Any:
        what = self.getProperty("What").value
        if what == "raise":
            raise RuntimeError("validateInputs raised")
        return {"list": [], "none": None, "unknown": {"NoSuchProperty": "x"}}.get(what, {})

    def PyExec(self) -> None:
        what = self.getProperty("What").value
        made = self.createChildAlgorithm("CreateMDHistoWorkspace", enableLogging=False)
        for key, value in CREATE.items():
            made.setProperty(key, value)
        made.execute()
        out = made.getProperty("OutputWorkspace").value
        if what == "wrongtype":
            out = WorkspaceFactory.createTable()
        elif what == "setnone":
            return
        elif what == "numpy":
            out = np.zeros(3)
        elif what == "setunknown":
            self.setProperty("Bogus", 1)
        self.setProperty("OutputWorkspace", out)
        if what == "second":
            self.setProperty("Second", out)
        if what == "clone2":
            table = WorkspaceFactory.createTable()
            table.addColumn("int", "i")
            table.addRow([1])
            self.setProperty("Second", clone_of(self, out))
            self.setProperty("Table", table)


CREATE = {
    "SignalInput": [1.0, 2.0],
    "ErrorInput": [1.0, 2.0],
    "Dimensionality": 1,
    "Extents": "0,1",
    "NumberOfBins": "2",
    "Names": "A",
    "Units": "U",
}


def workspace(simpleapi: Any, name: Any, shape: Any = (3, 4), events: Any = True) -> Any:
    """The `mk` of the recordings."""
    size = int(np.prod(shape))
    names = ["[H,0,0]", "[0,K,0]", "[0,0,L]"][: len(shape)]
    limits = [-1.0, 1.0, -2.0, 2.0, -3.0, 3.0]
    extra = {"NumberOfEvents": np.arange(size) % 5 + 2.0} if events else {}
    return simpleapi.CreateMDHistoWorkspace(
        SignalInput=np.arange(float(size)),
        ErrorInput=np.arange(size) * 0.5,
        Dimensionality=len(shape),
        Extents=limits[: 2 * len(shape)],
        NumberOfBins=list(shape),
        Names=names,
        Units=["r.l.u."] * len(shape),
        Frames=["HKL"] * len(shape),
        OutputWorkspace=name,
        **extra,
    )


CLASSES = {cls.__name__: cls for cls in PythonAlgorithm.__subclasses__() if cls.__module__ == __name__}
CLASSES["Two"] = Two


def subscribe_all() -> None:
    """Register every class, as the recordings do before they use it."""
    for cls in CLASSES.values():
        AlgorithmFactory.subscribe(cls)


__all__ = ["CLASSES", "CREATE", "api", "subscribe_all", "workspace"]
