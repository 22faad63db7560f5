"""What MATLAB files hold, the same for both kinds of file (5 and 7.3).

A struct is a dict, a text a str, numbers are numpy arrays in MATLAB's order of axes, a cell or an array of
structs is a `Cell`, and what only MATLAB can read (class objects, function handles) is an `Opaque`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mantid_exp2sim.io.matlab.values import MAX_ITEMS, Cell, Opaque

HORACE_EXPORT = (
    "In MATLAB: save(w, 'cut.sqw'), or as numbers: S = struct('s', w.s, 'e', w.e, 'npix', w.npix, "
    "'p', {w.p}, 'iint', w.iint, 'pax', w.pax); save('cut.mat', '-struct', 'S')."
)
SPINW_EXPORT = "In MATLAB: spec = rmfield(spec, 'obj'); save('spec.mat', '-struct', 'spec')."
_HORACE_CLASSES = ("sqw", "d0d", "d1d", "d2d", "d3d", "d4d")


def read_variables(path: Path, *, is_hdf5: bool) -> dict[str, Any]:
    """Read all variables of a MATLAB file.

    Raises
    ------
    Exp2SimError
        If the file is damaged, too large, or refers to itself.
    """
    if is_hdf5:
        from mantid_exp2sim.io.matlab.v73 import read
    else:
        from mantid_exp2sim.io.matlab.v5 import read
    return read(path)


def structs(
    content: Any, name: str = "", visited: set[int] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every struct once with the name it has, the outer ones first.

    Examples
    --------
    >>> [name for name, _ in structs({"a": {"b": {}}})]
    ['', 'a', 'a.b']
    """
    visited = set() if visited is None else visited
    if id(content) in visited or len(visited) > MAX_ITEMS:
        return
    if isinstance(content, dict | Cell):
        visited.add(id(content))
    if isinstance(content, dict):
        yield name, content
        for key, value in content.items():
            yield from structs(value, f"{name}.{key}".strip("."), visited)
    elif isinstance(content, Cell):
        for i, value in enumerate(content.items):
            yield from structs(value, f"{name}{{{i + 1}}}", visited)


def fix(variables: dict[str, Any]) -> tuple[str, str]:
    """Why a file without readable results is of no use, and the line to type in MATLAB.

    Examples
    --------
    >>> why, line = fix({"w": Opaque("sqw")})
    >>> why
    "'w' is an object of the MATLAB class sqw, which only MATLAB can read."
    >>> line
    "In MATLAB: save(w, 'cut.sqw'), or as numbers: ..."
    """
    opaque = {name: value.class_name for name, value in variables.items() if isinstance(value, Opaque)}
    if not opaque:
        names = ", ".join(sorted(variables)[:8]) or "nothing"
        return f"It holds {names}, and neither swConv nor omega with hkl.", SPINW_EXPORT
    name, kind = next(iter(opaque.items()))
    line = SPINW_EXPORT if kind == "spinw" else HORACE_EXPORT
    if kind not in (*_HORACE_CLASSES, "spinw"):
        line = f"{HORACE_EXPORT} A result of SpinW: {SPINW_EXPORT}"
    which = f"the MATLAB class {kind}" if kind else "a MATLAB class"
    return f"{name!r} is an object of {which}, which only MATLAB can read.", line
