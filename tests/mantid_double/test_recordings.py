"""The stand-in against the recordings, call by call: same values, same exceptions, same messages."""

from __future__ import annotations

import inspect
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mantid
import mantid.api
import mantid.kernel
import mantid.simpleapi as simpleapi
import numpy as np
import pytest

if not getattr(mantid, "IS_DOUBLE", False):
    pytest.skip("there is a real Mantid: the stand-in is not used", allow_module_level=True)

from tests.mantid_double import facts, replay

API, ALGORITHMS = "recorded_api.txt", "recorded_algorithms.txt"
SECTIONS = {API: (1, 3, 4, 5, 6, 8, 10), ALGORITHMS: (2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14)}

# what the stand-in does not have, because nothing here needs it: line of the recording to reason
NOT_MODELLED = {
    API: {
        8: "bases: Boost.Python.instance",
        44: "the view cannot be made writeable here either; numpy words it otherwise for a buffer",
        **dict.fromkeys((337, 363), "getGeometryXML, getMemorySize"),
        **dict.fromkeys((369, 371, 373, 375), "SetSpecialCoordinates"),
        **dict.fromkeys((403, 407), "SetMDUsingMask, comparison operators"),
        **dict.fromkeys((476, 477, 490, 492), "PowerMD, MultiplyMD"),
        **dict.fromkeys((514, 516, 518, 520, 522), "the recording had made `ws` again"),
        **dict.fromkeys((612, 618, 625), "paths of the recording; a file left open in it"),
    },
    ALGORITHMS: {
        **dict.fromkeys((58, 73), "order of the recording's set-up; the docstring is cut in the recording"),
        **dict.fromkeys((75, 81, 89), "signatures; a replaced class; AlgorithmProxy.name()"),
        **dict.fromkeys((368, 650, 688), "made elsewhere; the dummy names of outputs outside the service"),
        **dict.fromkeys((876, 889), "a time of 3 s, here 0.6 s"),
        **dict.fromkeys((1114, 1119, 1129), "MultipleFileProperty"),
        **dict.fromkeys((1246, 1258), "three names on the left; one object under two names"),
        **dict.fromkeys((1289, 1342), "setProperty(None) in PyExec; validateInputs with an int"),
        **dict.fromkeys((1418, 1446), "28 workspaces of the recording; one object under two names"),
    },
}


def _publish(name: Any, version: Any = -1) -> Any:
    algorithm = mantid.api.AlgorithmManager.createUnmanaged(name, version)
    algorithm.initialize()
    return simpleapi._create_algorithm_function(name, algorithm.version(), algorithm)


def _space(file: Any, section: Any, folder: Any) -> Any:
    """The names that the recording had at the start of a section."""
    mantid.api.mtd.clear()
    space = {}
    for module in (mantid.api, mantid.kernel, simpleapi):
        space.update({name: getattr(module, name) for name in dir(module) if not name.startswith("_")})
    space.update(facts.CLASSES, np=np, os=os, time=time, threading=threading, inspect=inspect, mantid=mantid)
    space.update(
        sa=simpleapi, mk_=mantid.kernel, publish=_publish, TMP=str(folder), config=mantid.kernel.config
    )
    space["mk"] = lambda name, shape=(3, 4), ev=True: facts.workspace(simpleapi, name, shape, ev)
    space["ok"] = {
        "SignalInput": [1.0, 2.0, 3.0, 4.0],
        "ErrorInput": [1.0, 2.0, 3.0, 4.0],
        "Dimensionality": 2,
        "Extents": "-1,1,-1,1",
        "NumberOfBins": "2,2",
        "Names": "A,B",
        "Units": "U,U",
        "OutputWorkspace": "c",
    }
    facts.subscribe_all()
    space["ws"] = space["mk"]("same" if (file, section) == (API, "8") else "md")
    if file == API:
        space["ws3"] = space["mk"]("md3", (2, 2, 2))
    if section in ["4", "13"]:
        space["t"] = simpleapi.CreateEmptyTableWorkspace(OutputWorkspace="t")
        event = {"Dimensions": 2, "Extents": "-1,1,-1,1", "Names": "A,B", "Units": "U,U"}
        simpleapi.CreateMDWorkspace(OutputWorkspace="mdev", **event)
    for name in facts.CLASSES:
        if section != "2" and name != "BadInit":
            _publish(name)
    if file == ALGORITHMS and section == "3":
        space["f"] = mantid.api.AlgorithmManager.createUnmanaged("FactsFull")
        space["f"].initialize()
    return space


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("a.cif", "a.dat"):
        (tmp_path / name).write_text("x")
    monkeypatch.chdir(tmp_path)
    directories = list(mantid.kernel.config.directories)
    yield tmp_path
    mantid.kernel.config.directories[:] = directories
    mantid.kernel.config.level = 5
    mantid.api.mtd.clear()


@pytest.mark.parametrize(
    ("file", "section"), [(f, str(s)) for f, sections in SECTIONS.items() for s in sections]
)
def test_every_recorded_call(file: Any, section: Any, here: Any, reference_data: Path) -> None:
    calls = [c for c in replay.read(reference_data / "mantid" / file) if c.section == section]
    space = _space(file, section, here)
    different = []
    for call in calls:
        if call.source.startswith("[n for n in dir(") or "dir(" in call.source:
            continue  # the stand-in has fewer names, on purpose
        if call.line in NOT_MODELLED[file]:
            continue
        problem = replay.compare(call, space, str(here))
        if problem:
            different.append(f"line {call.line}: {call.source}\n    {problem}")
    assert len(calls) > 2
    assert not different, "\n".join(different)


def _declared(line: Any) -> Any:
    """A line of section 12: what was declared, and what came of it."""
    found = re.match(r" {4}self\.(declareProperty\(.*\)) +(->|raises) (.*)", line)
    return found.groups() if found and "'d', {" not in line else None


def test_every_recorded_form_of_declare_property(reference_data: Path) -> None:
    lines = (reference_data / "mantid" / ALGORITHMS).read_text().splitlines()
    forms = [form for line in lines if (form := _declared(line))]
    assert len(forms) > 20
    algorithm = facts.CLASSES["Minimal"]()
    names = {"self": algorithm, "np": np, "mk_": mantid.kernel, **vars(mantid.kernel)}
    for call, how, outcome in forms:
        raised = _raised(f"self.{call}", names)
        if how == "raises":
            assert raised == outcome
            continue
        assert not raised, call
        name = re.search(r"'(\w+)'", call)
        assert name is not None
        prop = algorithm.getProperty(name.group(1))
        text = f"type={prop.type!r} default={prop.getDefault!r} valid={prop.isValid!r}"
        assert outcome.split(" ", 1)[1] == text, call


def _raised(source: Any, names: Any) -> Any:
    try:
        eval(source, names)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
