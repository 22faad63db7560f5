"""Algorithms as functions: the output takes the name of the variable on the left."""

from __future__ import annotations

import dis
import os
import sys
from collections import namedtuple
from typing import Any

import mantid._builtin as _builtin
from mantid.api import AlgorithmFactory, AlgorithmManager, AnalysisDataService, WorkspaceProperty, mtd
from mantid.kernel import DataItem, Direction, config, plugins

__all__ = ["AnalysisDataService", "Direction", "config", "mtd"]
_MODULE = "mantid.simpleapi"


def _names_on_the_left(frame: Any) -> Any:
    """Read the names that the call's result is assigned to from the caller's bytecode."""
    code = [i for i in dis.get_instructions(frame.f_code) if i.opname not in ("CACHE", "NOP", "EXTENDED_ARG")]
    following = [i for i in code if i.offset > frame.f_lasti]
    if following and following[0].opname == "UNPACK_SEQUENCE":
        return [i.argval for i in following[1 : 1 + (following[0].arg or 0)] if i.opname.startswith("STORE")]
    if following and following[0].opname.startswith("STORE_") and isinstance(following[0].argval, str):
        return [following[0].argval] if following[0].opname != "STORE_ATTR" else []
    return []


def _missing(name: Any, algorithm: Any, error: Any, keywords: Any) -> Any:
    unset = [
        p for p in algorithm.mandatoryProperties() if algorithm.getProperty(p).isValid and p not in keywords
    ]
    if unset:
        return RuntimeError(f"{unset} argument(s) not supplied to {name}")
    return error


def _set(algorithm: Any, arguments: Any, keywords: Any) -> None:
    positional = dict(zip(algorithm.mandatoryProperties(), arguments, strict=False))
    for key, value in {**positional, **keywords}.items():
        if value is None:
            continue
        if isinstance(value, DataItem) and value.name():
            algorithm.setPropertyValue(key, value.name())
        else:
            algorithm.setProperty(key, value)


def _returns(name: Any, algorithm: Any) -> Any:
    found = {}
    for key in algorithm.outputProperties():
        prop = algorithm.getProperty(key)
        if isinstance(prop, WorkspaceProperty):
            if not prop.valueAsStr:
                continue
            stored = algorithm._flags.store and prop.valueAsStr in mtd
            found[key] = AnalysisDataService[prop.valueAsStr] if stored else prop.value
        else:
            found[key] = prop.value
    if len(found) > 1:
        kind = namedtuple(f"{name}_returns", list(found), module=_MODULE)  # type: ignore[misc]
        return kind(**found)
    return next(iter(found.values()), None)


def _create_algorithm_function(name: Any, version: Any, algorithm: Any) -> Any:
    def algorithm_wrapper(*arguments: Any, **keywords: Any) -> Any:
        wanted = keywords.pop("Version", version)
        made = AlgorithmManager.createUnmanaged(name, wanted)
        made.initialize()
        made.setRethrows(True)
        made.setLogging(keywords.pop("EnableLogging", True))
        made.setAlwaysStoreInADS(keywords.pop("StoreInADS", True))
        left = _names_on_the_left(sys._getframe(1))
        outputs = [
            key
            for key in made.outputProperties()
            if isinstance(made.getProperty(key), WorkspaceProperty)
            or len(left) == len(made.outputProperties())
        ]
        for key, variable in zip(outputs, left, strict=False):
            if isinstance(made.getProperty(key), WorkspaceProperty):
                keywords.setdefault(key, variable)
        _set(made, arguments, keywords)
        try:
            made.execute()
        except RuntimeError as error:
            if str(error) == "Some invalid Properties found":
                raise _missing(name, made, error, keywords) from None
            if isinstance(error.__cause__, ValueError):
                raise error.__cause__ from None
            raise
        return _returns(name, made)

    algorithm_wrapper.__name__ = name
    algorithm_wrapper.__doc__ = algorithm.docString()
    setattr(sys.modules[__name__], name, algorithm_wrapper)
    if name not in __all__:
        __all__.append(name)
    return algorithm_wrapper


for _algorithm in _builtin.ALL:
    _made = AlgorithmManager.createUnmanaged(_algorithm.__name__)
    _made.initialize()
    _create_algorithm_function(_algorithm.__name__, 1, _made)

for _directory in config["user.python.plugins.directories"].split(";"):
    if os.path.isdir(_directory.strip()):
        for _name in plugins.load(_directory.strip()):
            if _name in AlgorithmFactory.getRegisteredAlgorithms(True):
                _made = AlgorithmManager.createUnmanaged(_name)
                _made.initialize()
                _create_algorithm_function(_name, _made.version(), _made)
