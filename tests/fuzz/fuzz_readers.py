"""Damaged files by the thousand: every reader is to refuse them with the package's own error.

Each case is a small good file with truncations, flipped bytes, absurd sizes and counts, pieces moved or
doubled; some seeds refer to themselves. A reader fails where it raises anything else, crashes, takes longer
than 1 s or more than 1 GB. Cases run in processes of their own that may not grow beyond that; the seed of a
case is its number, so that each can be run again: --kind matlab5 --first 123 --cases 1.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import struct
import subprocess
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io

from mantid_exp2sim import Axis, Exp2SimError, Histogram, load, save

MAX_SECONDS = 1.0
MAX_BYTES = 2**30
STALLED = 120.0
ABSURD = (0, 1, 2, 255, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 8)
ABSURD_LONG = (0, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
AXES = (
    Axis("[H,0,0]", np.linspace(0, 1, 4), unit="r.l.u.", frame="HKL"),
    Axis("DeltaE", np.linspace(0, 30, 6), unit="meV", frame="General Frame"),
)


# ------------------------------------------------------------------------------------------- good files


def histogram() -> Histogram:
    values = np.arange(15.0).reshape(3, 5)
    return Histogram.from_arrays(values, AXES, values + 1, values == 4, metadata={"title": "fuzz"})


def saved(ending: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{ending}"
        save(histogram(), path)
        return path.read_bytes()


def text(content: bytes) -> bytes:
    return struct.pack("<i", len(content)) + content


def sqw(version: float = 3.1, runs: int = 2) -> bytes:
    """An sqw file around the image of a dnd file."""
    run = text(b"a.nxspe") + text(b"/data/") + struct.pack("<fi17f", 50.0, 1, *range(17))
    run += (
        struct.pack("<i3f", 3, 0, 1, 2)
        + struct.pack("<24f", *range(24))
        + struct.pack("<2i", 4, 2)
        + b"QQQE" * 2
    )
    head = struct.pack("<i6sdii", 6, b"horace", version, 1, 2)
    main = text(b"a.sqw") + text(b"/data/") + text(b"title") + struct.pack("<i", runs) + run * runs
    detectors = text(b"a.par") + text(b"/data/") + struct.pack("<i12f", 2, *range(12))
    pixels = struct.pack("<8fiq", *range(8), 1, 2) + bytes(72)
    return head + main + detectors + saved(".sqw")[26:] + pixels


def serial(value: object) -> bytes:
    """A value as Horace 4 writes it."""
    if isinstance(value, bytes):
        return struct.pack("<BBI", 1, 1, len(value)) + value
    if isinstance(value, dict):
        names = [key.encode() for key in value]
        sizes = struct.pack(f"<{len(names) + 1}I", len(names), *map(len, names))
        return struct.pack("<BBI", 24, 1, 1) + sizes + b"".join(names) + serial(list(value.values()))
    if isinstance(value, list):
        return struct.pack("<BBI", 23, 1, len(value)) + b"".join(map(serial, value))
    array = np.asarray(value)
    code = 0 if array.dtype == bool else 3
    data = array.astype(bool if code == 0 else "<f8").tobytes(order="F")
    return struct.pack(f"<BB{array.ndim}I", code, array.ndim, *array.shape) + data


def sqw4(
    signal: np.ndarray,
    projection: dict[str, Any] | None = None,
    stored: tuple[int, ...] | None = None,
    **axes: object,
) -> bytes:
    """A dnd file of version 4 of (16, 11, …) bins over the first axes, whose image is `stored` in a shape."""
    bins = np.ones(4)
    bins[: signal.ndim] = signal.shape
    about = {
        "axes": {
            "title": b"four", "filename": b"a.sqw", "filepath": b"/", "label": [b"x", b"y", b"z", b"E"],
            "ulen": np.array([1.0, 1, 1, 1]), "img_range": np.array([[0.0, 0, 0, 0], [1, 2, 3, 4]]),
            "nbins_all_dims": bins, "dax": np.arange(1.0, signal.ndim + 1), **axes,
        },
        "proj": {
            "alatt": np.full(3, 2 * np.pi), "angdeg": np.full(3, 90.0), "offset": np.zeros(4),
            "u": np.array([1.0, 0, 0]), "v": np.array([0.0, 1, 0]), "w": np.zeros((0, 0)), "type": b"ppr",
            "nonorthogonal": np.array([False]), **(projection or {}),
        },
    }  # fmt: skip
    arrays = b"".join(
        a.tobytes(order="F") for a in (signal, signal + 1, (np.arange(signal.size) % 3).reshape(signal.shape))
    )
    shape = signal.shape if stored is None else stored
    image = struct.pack(f"<{len(shape) + 1}I", len(shape), *shape) + arrays
    runs = serial({"array_dat": [{"efix": np.array([50.0]), "emode": np.array([1.0])}]})
    blocks = {("data", "metadata"): serial(about), ("data", "nd_data"): image}
    blocks["experiment_info", "expdata"] = runs
    size = sum(4 * 3 + 10 + len(a) + len(b) + 16 for a, b in blocks) + 4
    position, table, content = 26 + 4 + size, b"", b""
    for (first, second), block in blocks.items():
        table += text(b"data_block") + text(first.encode()) + text(second.encode())
        table += struct.pack("<QQ", position + len(content), len(block))
        content += block
    head = struct.pack("<i6sdii", 6, b"horace", 4.0, 0, signal.ndim)
    return head + struct.pack("<II", size, len(blocks)) + table + content


def spectrum() -> dict[str, Any]:
    h, k = (a.ravel(order="F") for a in np.meshgrid([0.0, 0.5, 1.0], [0.0, 0.5], indexing="ij"))
    hkl = np.stack([h, k, 0 * h])
    correlations = np.ones((3, 3, 2, 6)) * (1 + 0.5j)
    omega, twins = np.stack([h + 1, k + 2]), cells(correlations, 2 * correlations)
    content = {"hkl": hkl, "hklA": hkl * 2, "omega": cells(omega, omega), "Sab": twins}
    return {**content, "title": "Numerical LSWT spectrum"}


def cells(*parts: object) -> Any:
    """A cell (1, n) of MATLAB."""
    cell = np.empty((1, len(parts)), dtype=object)
    cell[0] = np.fromiter(parts, dtype=object)
    return cell


def volume() -> dict[str, Any]:
    """A result on a grid of points in three directions, with two twins."""
    h, k, l = np.meshgrid(np.arange(3.0), [0.0, 0.5], [0.0, 1.0], indexing="ij")  # noqa: E741
    sums = np.arange(48.0).reshape(4, 3, 2, 2)
    return {"hkl": np.stack([h, k, l]), "swConv": cells(sums, 2 * sums), "Evect": np.arange(5.0)}


def path() -> dict[str, Any]:
    """A result along a path with a corner."""
    points = np.array([[0.0, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0], [0.5, 0.5, 1]]).T
    return {"hkl": points, "hklA": points, "swConv": np.ones((2, 4)), "Evect": np.arange(3.0)}


def binned() -> dict[str, Any]:
    return {
        **spectrum(),
        "swConv": np.arange(24.0).reshape(4, 6),
        "Evect": np.arange(5.0),
        "component": "Sperp",
    }


def matlab5(content: dict[str, Any], *, compressed: bool = False) -> bytes:
    stream = io.BytesIO()
    target: Any = stream
    scipy.io.savemat(target, content, do_compression=compressed)
    return stream.getvalue()


def matlab73(content: dict[str, Any], *, loop: bool | str = False) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mat"
        with h5py.File(path, "w", userblock_size=512) as file:
            references = file.create_group("#refs#")
            group = file.create_group("spec")
            group.attrs["MATLAB_class"] = np.bytes_(b"struct")
            for name, value in content.items():
                _put(group, references, name, value)
            if loop:
                item = group.create_dataset("loop", (1, 1), dtype=h5py.ref_dtype)
                item.attrs["MATLAB_class"] = np.bytes_(b"cell")
                item[0, 0] = item.ref if loop != "group" else group.ref
        data = bytearray(path.read_bytes())
    data[:128] = b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\x02IM"
    return bytes(data)


def _put(group: h5py.Group, references: h5py.Group, name: str, value: object) -> None:
    if isinstance(value, str):
        codes = np.array([[ord(c)] for c in value], dtype=np.uint16)
        group[name] = codes
        group[name].attrs["MATLAB_class"] = np.bytes_(b"char")
        return
    array = np.asarray(value)
    if array.dtype == object:
        item = group.create_dataset(name, array.T.shape, dtype=h5py.ref_dtype)
        item.attrs["MATLAB_class"] = np.bytes_(b"cell")
        for place in np.ndindex(array.T.shape):
            inner = f"r{len(references)}"
            _put(references, references, inner, array.T[place])
            item[place] = references[inner].ref
        return
    if array.dtype.kind == "c":
        kind = np.dtype([("real", "f8"), ("imag", "f8")])
        array = np.ascontiguousarray(array.astype(np.complex128)).view(kind).reshape(array.shape)
    group[name] = array.T
    group[name].attrs["MATLAB_class"] = np.bytes_(b"double")


def nxspe(**changes: object) -> bytes:
    values: dict[str, Any] = {
        "definition": np.array([b"NXSPE"]),
        "NXSPE_info/fixed_energy": np.array([50.0]),
        "NXSPE_info/psi": np.array([np.nan]),
        "data/data": np.arange(20.0).reshape(4, 5),
        "data/error": np.ones((4, 5)),
        "data/energy": np.linspace(-5, 45, 6),
        "data/polar": np.array([5.0, 10, 20, 40]),
        "data/azimuthal": np.array([0.0, 90, 180, 270]),
    }
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        entry = file.create_group("run")
        for name, value in {**values, **changes}.items():
            if value is not None:
                entry[name] = value
    return stream.getvalue()


def seeds() -> dict[str, tuple[str, list[bytes]]]:
    """For each reader the ending of its files and good ones to damage."""
    array = io.BytesIO()
    np.save(array, np.ones((1, 240, 400), dtype=np.float32))
    mats = [spectrum(), binned(), {"spec": binned(), "other": {"a": "text", "b": np.eye(2) > 0}}]
    mats += [volume(), path()]
    return {
        "horace 2, 3": (".sqw", [saved(".sqw"), saved(".d2d"), sqw(2.0), sqw(3.3)]),
        "horace 4": (".sqw", [sqw4(np.ones((3, 2))), sqw4(np.ones(4)), sqw4(np.ones((2, 2, 1, 2)))]),
        "matlab 5": (".mat", [*map(matlab5, mats), matlab5(mats[2], compressed=True)]),
        "matlab 7.3": (
            ".mat",
            [
                *(matlab73(content) for content in (*mats[:2], *mats[3:])),
                *(matlab73(mats[1], loop=x) for x in (True, "group")),
            ],
        ),
        "nxspe": (
            ".nxspe",
            [
                nxspe(),
                nxspe(**{"NXSPE_info/psi": None}),
                nxspe(
                    **{"data/error": np.tile([0.0, 1, 1, 1, 1], (4, 1)), "data/azimuthal_width": np.ones(4)}
                ),
                nxspe(**{"NXSPE_info/ki_over_kf_scaling": np.array([0])}),
            ],
        ),
        "mdhisto": (".nxs", [saved(".nxs")]),
        "npz": (".npz", [saved(".npz")]),
        "npy": (".npy", [array.getvalue()]),
    }


# ----------------------------------------------------------------------------------------------- damage


def damaged(good: bytes, rng: np.random.Generator) -> bytes:
    """One of the ways in which files are broken, or several."""
    content = bytearray(good)
    for _ in range(int(rng.integers(1, 4))):
        _damage(content, rng)
    return bytes(content)


def _damage(content: bytearray, rng: np.random.Generator) -> None:
    size = len(content)
    if size < 16:
        return
    # headers are where sizes are: every other time the first kilobyte
    place = int(rng.integers(min(size, 1024) if rng.random() < 0.5 else size))
    way = int(rng.integers(7))
    if way == 0:
        del content[place:]
    elif way == 1:
        for _ in range(int(rng.integers(1, 20))):
            content[int(rng.integers(size))] = int(rng.integers(256))
    elif way == 2:
        content[place] ^= 1 << int(rng.integers(8))
    elif way == 3:
        content[place : place + 4] = struct.pack("<I", ABSURD[int(rng.integers(len(ABSURD)))])
    elif way == 4:
        content[place : place + 8] = struct.pack("<Q", ABSURD_LONG[int(rng.integers(len(ABSURD_LONG)))])
    elif way == 5:
        other = int(rng.integers(size))
        length = int(rng.integers(1, 256))
        content[place : place + length] = content[other : other + length]
    else:
        del content[place : place + int(rng.integers(1, 64))]


def case(kind: str, number: int, pool: list[bytes]) -> bytes:
    rng = np.random.default_rng([number, zlib.crc32(kind.encode())])
    good = pool[int(rng.integers(len(pool)))]
    if kind == "matlab 5" and rng.random() < 0.3:  # damage inside what is packed
        inner = damaged(good[128:], rng)
        packed = zlib.compress(inner)
        return good[:128] + struct.pack("<II", 15, len(packed)) + packed
    return damaged(good, rng)


# ------------------------------------------------------------------------------------------------- runs


def run(kind: str, first: int, cases: int, folder: Path, progress: Path | None = None) -> dict[str, Any]:
    """Read damaged files in this process; return what happened."""
    warnings.simplefilter("error")
    ending, pool = seeds()[kind]
    path = folder / f"case{ending}"
    found: dict[str, Any] = {"read": 0, "refused": 0, "slowest": 0.0}
    wrong: list[str] = []
    read = refused = 0
    slowest = 0.0
    for number in range(first, first + cases):
        path.write_bytes(case(kind, number, pool))
        if progress is not None:
            progress.write_text(str(number))
        start = time.perf_counter()
        try:
            h = load(path)
            if h.ndim <= 4 and number % 10 == 0 and kind != "npy":
                save(h, folder / ("out.sqw" if kind.startswith("horace") else "out.npz"), overwrite=True)
            read += 1
        except Exp2SimError:
            refused += 1
        except BaseException as error:
            wrong.append(f"{number}: {type(error).__name__}: {error}"[:300])
        slowest = max(slowest, time.perf_counter() - start)
    found |= {"read": read, "refused": refused, "slowest": slowest, "wrong": wrong}
    found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return found


def limited(
    kind: str, first: int, cases: int, folder: Path, progress: Path, run: Callable[..., dict[str, Any]] = run
) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (pages + MAX_BYTES, pages + MAX_BYTES))
    print(json.dumps(run(kind, first, cases, folder, progress)))


def supervised(kind: str, first: int, cases: int, module: str = "tests.fuzz.fuzz_readers") -> dict[str, Any]:
    """Run cases in processes that may crash; go on after the case where one did."""
    total: dict[str, Any] = {"cases": cases, "read": 0, "refused": 0, "slowest": 0.0, "peak": 0}
    wrong: list[str] = []
    stop = first + cases
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        progress = folder / "progress"
        while first < stop:
            count = min(2500, stop - first)
            arguments = ["--worker", "--kind", kind, "--first", str(first), "--cases", str(count)]
            command = [sys.executable, "-m", module, *arguments, "--folder", name]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=STALLED + 0.5 * count)
                result = json.loads(done.stdout) if done.returncode == 0 else None
                how = f"exit status {done.returncode}: {done.stderr[-200:]}"
            except subprocess.TimeoutExpired:
                result, how = None, "hangs"
            if result is None:
                last = int(progress.read_text()) if progress.exists() else first
                wrong.append(f"{last}: {how}")
                first = last + 1
                continue
            for key in ("read", "refused"):
                total[key] += result[key]
            for key in ("slowest", "peak"):
                total[key] = max(total[key], result[key])
            wrong += result["wrong"]
            first += count
    return {**total, "wrong": wrong}


def main() -> int:
    """Run, print one line for each reader, and fail where one broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=sorted(seeds()), help="one reader; all by default")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        limited(args.kind, args.first, args.cases, args.folder, args.folder / "progress")
        return 0
    failed = False
    rows = {}
    print(
        f"{'reader':<12}{'cases':>8}{'read':>8}{'refused':>9}{'wrong':>7}{'slowest':>10}{'peak memory':>13}"
    )
    for kind in [args.kind] if args.kind else seeds():
        rows[kind] = row = supervised(kind, args.first, args.cases)
        bad = len(row["wrong"])
        failed |= bad > 0 or row["slowest"] > MAX_SECONDS or row["peak"] > MAX_BYTES
        print(
            f"{kind:<12}{row['cases']:>8}{row['read']:>8}{row['refused']:>9}{bad:>7}"
            f"{row['slowest']:>8.3f} s{row['peak'] / 2**20:>9.0f} MiB"
        )
        for line in row["wrong"][:10]:
            print(f"    case {line}")
    if args.json:
        print(json.dumps(rows))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
