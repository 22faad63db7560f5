"""Run commands in this process, and describe what they leave as JSON.

Only the command line and the public names are used: what is recorded here survives the move of every module.
Names that change on purpose are brought back to the recorded ones in `OLD_NAMES` and `DROPPED`.

A description is a tree of JSON. A key that starts with ``sha256`` is a hash: ``sha256`` must be the same on
every machine, ``sha256_here`` on the machine of the record. Floats are compared to `TOLERANCE`: other
machines round elsewhere. What a key that starts with ``at least`` says may become true.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from mantid_exp2sim import Histogram
from mantid_exp2sim.cli import main

Json: TypeAlias = Any
TOLERANCE = 1e-5
LONG = 12
"""Tables of more numbers than this are recorded as `array` does."""
OLD_NAMES: Mapping[str, str] = {}
"""New names of fields in the JSON of commands -> the names that stand in the record."""
DROPPED = frozenset(
    {"checksum", "folder", "seconds", "software", "model_version", "bytes", "machine", "next"}
)
"""Fields that say where, when or by which version, or advise, and not what."""
FIX = "fix"
"""The field of an error that says what to do."""


def command(*arguments: str, status: int = 0) -> Json:
    """Run ``exp2sim ARGUMENTS --json`` and return its object; fail where the exit status is another."""
    code, printed, complaints = run(*arguments, "--json")
    if code != status:
        raise AssertionError(f"exp2sim {' '.join(arguments)}: exit status {code}: {complaints[-2000:]}")
    return normal(json.loads(printed))


def run(*arguments: str) -> tuple[int, str, str]:
    """Run ``exp2sim ARGUMENTS`` and return its exit status, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(arguments))
    return code, out.getvalue(), err.getvalue()


def normal(value: Json) -> Json:
    """Bring the fields back to their recorded names and leave out those of `DROPPED`.

    >>> normal({"a": [{"seconds": 1.5, "p": 2}]})
    {'a': [{'p': 2}]}
    """
    if isinstance(value, dict):
        fields = {OLD_NAMES.get(key, key): normal(item) for key, item in value.items()}
        return {key: item for key, item in sorted(fields.items()) if key not in DROPPED}
    if isinstance(value, list) and value and all(isinstance(item, (list, float)) for item in value):
        numbers = np.array(value) if _is_table(value) else np.zeros(0)
        if numbers.size > LONG:
            return {"shape": list(numbers.shape), **array(numbers)}
    return [normal(item) for item in value] if isinstance(value, list) else value


def _is_table(value: Json) -> bool:
    """Say whether nested lists hold floats alone, and as many in each row.

    >>> _is_table([[1.0, 2.0], [3.0]]), _is_table([[1.0, 2.0], [3.0, 4.0]])
    (False, True)
    """
    if all(isinstance(item, list) for item in value):
        return all(_is_table(item) for item in value) and len({str(np.shape(item)) for item in value}) == 1
    return all(isinstance(item, float) for item in value)


def digest(*parts: bytes) -> str:
    """Return the first 24 digits of the SHA-256 of the parts."""
    return hashlib.sha256(b"".join(parts)).hexdigest()[:24]


def file_digest(path: str | Path) -> str:
    """Return the digest of a file's bytes."""
    return digest(Path(path).read_bytes())


def array(values: npt.NDArray[Any]) -> Json:
    """Describe an array of a network: its hash, and numbers that can be compared to a tolerance."""
    numbers = np.asarray(values, dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    bins = finite[:: max(1, finite.size // 6)][:6]
    return {
        "sha256_here": digest(np.ascontiguousarray(values).tobytes()),
        "finite": int(finite.size),
        "sum": float(f"{finite.sum():.9g}"),
        "max": float(f"{finite.max():.9g}") if finite.size else None,
        "bins": [float(f"{number:.9g}") for number in bins],
    }


def translated(histogram: Histogram) -> Json:
    """Describe a histogram that networks made."""
    return {
        "intensity": array(histogram.intensity),
        "variance": array(histogram.variance),
        "sha256_mask": digest(histogram.mask.tobytes()),
        "sha256_axes": digest(*_axes(histogram)),
    }


def exact(histogram: Histogram) -> Json:
    """Describe a histogram that is the same on every machine: read, or computed without networks."""
    return {
        "shape": list(histogram.shape),
        "axes": [f"{axis.name} | {axis.unit} | {axis.frame} | {axis.label}" for axis in histogram.axes],
        "masked": int(histogram.mask.sum()),
        "sum": float(f"{np.nansum(histogram.intensity):.9g}"),
        "sha256": digest(
            histogram.intensity.tobytes(),
            histogram.variance.tobytes(),
            histogram.mask.tobytes(),
            *_axes(histogram),
        ),
        "metadata": normal(json.loads(json.dumps(dict(histogram.metadata)))),
    }


def _axes(histogram: Histogram) -> Iterator[bytes]:
    for axis in histogram.axes:
        yield f"{axis.name}|{axis.unit}|{axis.frame}|{axis.label}".encode() + axis.edges.tobytes()


def simulated(histogram: Histogram) -> Json:
    """Describe a simulated histogram: its last bits depend on the machine's mathematics library."""
    described = exact(histogram)
    described["sha256_here"] = described.pop("sha256")
    return {**described, "intensity": array(histogram.intensity)}


def hdf5_arrays(path: Path) -> Json:
    """Describe every array of an HDF5 file, whatever order and compression they are stored in."""
    arrays: dict[str, Json] = {}

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset) and node.dtype.kind in "fiub":
            arrays[name] = {"dtype": str(node.dtype), **array(node[()])}

    with h5py.File(path) as file:
        file.visititems(visit)
    return dict(sorted(arrays.items()))


def machine() -> dict[str, str]:
    """Say what the last bits of a result depend on."""
    import torch

    return {
        "platform": platform.system() + " " + platform.machine(),
        "numpy": np.__version__,
        "h5py": h5py.__version__,
        "torch": torch.__version__,
        "processor": _processor(),
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        wanted = ("vendor_id", "cpu family", "model\t", "model name")
        return " ".join(line.split(":")[1].strip() for line in lines[:12] if line.startswith(wanted))
    return platform.processor()


def differences(recorded: Json, now: Json, *, same_machine: bool, place: str = "") -> list[str]:
    """List where two descriptions differ.

    >>> differences({"a": [1.0, 2]}, {"a": [1.0000001, 3]}, same_machine=False)
    ['a[1]: recorded 2, now 3']
    >>> differences({"sha256_here": "x"}, {"sha256_here": "y"}, same_machine=False)
    []
    """
    if isinstance(recorded, dict) and isinstance(now, dict):
        places = [(f"{place}.{key}".lstrip("."), key) for key in sorted({*recorded, *now})]
        return [
            line
            for path, key in places
            if same_machine or key != "sha256_here"
            if not (key.startswith("at least") and now.get(key))
            for line in differences(recorded.get(key), now.get(key), same_machine=same_machine, place=path)
        ]
    if isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        pairs = enumerate(zip(recorded, now, strict=True))
        return [
            line
            for i, (old, new) in pairs
            for line in differences(old, new, same_machine=same_machine, place=f"{place}[{i}]")
        ]
    return [] if _equal(recorded, now) else [f"{place}: recorded {recorded!r}, now {now!r}"]


def _equal(recorded: Json, now: Json) -> bool:
    if not (isinstance(recorded, float) and isinstance(now, float)):
        return bool(recorded == now)
    return math.isclose(recorded, now, rel_tol=TOLERANCE, abs_tol=1e-9)
