"""What the readers, writers, masks and pictures give for small files, and for files of other programs."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.io

from mantid_exp2sim import Axis, Exp2SimError, Histogram, load, save
from tests.behaviour.observe import Json, command, digest, exact, file_digest, hdf5_arrays
from tests.behaviour.use_cases import simulate
from tests.fuzz import fuzz_readers

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("EXP2SIM_REFERENCE_DATA", ROOT.parent / "shared" / "reference" / "data"))
"""Files of other programs, which are not part of the repository."""
REAL = (
    "horace/faccess_dnd_v4_sample.sqw",
    "horace/sqw_2d_1.sqw",
    "horace/test_sqw_file_read_write_v3_1.sqw",
    "horace/w1d_d1d.sqw",
    "horace/w2d_qe_d2d.sqw",
    "mantid/mdhisto_2d.nxs",
    "mantid/mdhisto_3d_experimentinfo.nxs",
    "mantid/mdhisto_3d_savemd_v1.nxs",
    "nxspe/MAR11001_test.nxspe",
    "pcsmo/measured_4K_clipped_120.npy",
    "pcsmo/tobyfit_goodenough_best_fit.npy",
    "pcsmo/spinw_goodenough_reference.mat",
)


def readers() -> Json:
    """Read small files of every format and version, with masks, indices and lattices."""
    described: dict[str, Json] = {}
    for kind, (ending, contents) in fuzz_readers.seeds().items():
        for number, content in enumerate(contents):
            path = Path(f"{kind.replace(' ', '-').replace(',', '')}-{number}{ending}")
            path.write_bytes(content)
            described[path.name] = _read(path)
    described["nxspe with a lattice"] = exact(load("nxspe-0.nxspe", lattice=(5.4, 5.5)))
    described["info"] = command("info", "horace-4-0.sqw")
    return {**described, **_published(), **_masks()}


def _read(path: Path | str, **options: Any) -> Json:
    """Describe what is in a file, or say that it is refused."""
    try:
        return exact(load(path, **options))
    except Exp2SimError as error:
        return {"refused": bool(error.summary)}


def _pattern(*shape: int) -> npt.NDArray[np.float32]:
    return (np.arange(np.prod(shape)).reshape(shape) % 251).astype(np.float32)


def _published() -> Json:
    """Read arrays in the layouts that were published."""
    layouts: dict[str, tuple[int, ...]] = {
        "picture": (240, 400),
        "several": (3, 240, 400),
        "volumes": (6, 1, 40, 40, 10),
        "cube": (60, 60, 60),
    }
    described = {}
    for name, shape in layouts.items():
        np.save(f"{name}.npy", _pattern(*shape))
        described[name] = _read(f"{name}.npy", index=1 if name == "several" else None)
    return described


def _masks() -> Json:
    """Join masks of every kind with what the files say."""
    mask = np.zeros((240, 400), dtype=bool)
    mask[10:30, 50:90] = True
    np.save("mask.npy", mask)
    scipy.io.savemat("mask.mat", {"nanmask": np.where(mask, np.nan, 1.0)})
    np.save("turned.npy", mask[::-1])
    described = {
        f"mask {name}": _read("picture.npy", mask=name) for name in ("mask.npy", "turned.npy", "mask.mat")
    }
    described["mask of an array"] = exact(load("npz-0.npz", mask=np.eye(3, 5) > 0))
    described["mask on the command line"] = command("info", "picture.npy", "--mask", "mask.npy")
    return described


def _volume(dimensions: int) -> Histogram:
    axes = (
        Axis("[H,0,0]", np.linspace(-1, 1, 5), unit="r.l.u.", frame="HKL"),
        Axis("[0,K,0]", np.linspace(0, 1, 4), unit="r.l.u.", frame="HKL"),
        Axis("DeltaE", np.linspace(0, 24, 7), unit="meV", frame="General Frame"),
    )[-dimensions:]
    values = _pattern(*(axis.size for axis in axes)).astype(float)
    metadata = {"title": "written", "incident_energy": 50.0}
    return Histogram.from_arrays(values, axes, values / 2 + 1, values == 4, metadata=metadata)


def _content(path: str) -> Json:
    """Describe a file's bytes; HDF5 holds times, so there its arrays."""
    if path.endswith(".nxs"):
        return {"arrays": {name: about["sha256_here"] for name, about in hdf5_arrays(Path(path)).items()}}
    return {"sha256_here" if path.endswith(".npz") else "sha256": file_digest(path)}


def writers() -> Json:
    """Write histograms in every format, read them back, and write those again."""
    described: dict[str, Json] = {}
    for dimensions, endings in {1: "nxs npz d1d", 2: "nxs npz d2d sqw", 3: "nxs npz d3d"}.items():
        for ending in endings.split():
            path = f"written.{ending}"
            save(_volume(dimensions), path, overwrite=True)
            described[f"{dimensions}D {ending}"] = {**_content(path), "read": exact(load(path))}
    save(_volume(3), "first.nxs")
    save(load("first.nxs"), "again.nxs")
    described["nxs twice"] = _content("again.nxs")
    np.save("picture.npy", _pattern(240, 400))
    save(load("picture.npy"), "copy.npy")
    described["mosaic npy"] = {"sha256": file_digest("copy.npy")}
    save(load("picture.npy"), "copy.npz")
    described["mosaic npz"] = {"sha256_here": file_digest("copy.npz")}
    return described


def pictures() -> Json:
    """Draw a mosaic, a volume, a map and a line: the pictures' sizes."""
    simulate("noisy")
    save(_volume(2), "map.npz")
    save(_volume(1), "line.npz")
    save(_volume(3), "volume.npz")
    described = {}
    for name in ("noisy", "volume", "map", "line"):
        said = command("plot", f"{name}.npz", f"{name}.png")
        described[name] = {"said": said, "size": _size(f"{name}.png")}
    said = command("plot", "map.npz", "two.png", "--beside", "map.npz", "--title", "two", "--vmax", "5")
    return {**described, "beside": {"said": said, "size": _size("two.png")}}


def _size(path: str) -> list[int]:
    """Return the width and height of a PNG."""
    return list(struct.unpack(">2I", Path(path).read_bytes()[16:24]))


def real_files() -> Json:
    """Read the files of other programs, and write them again where the format allows."""
    described: dict[str, Json] = {}
    for name in REAL:
        histogram = load(DATA / name)
        described[name] = exact(histogram)
        for ending in (".nxs", ".sqw") if name.startswith(("horace", "mantid")) else (".npz",):
            described[name][f"copy{ending}"] = _written_and_read(histogram, f"copy{ending}")
    masked = load(DATA / "pcsmo/measured_4K_clipped_120.npy", mask=DATA / "pcsmo/nanmask.mat")
    described["measured with its mask"] = {"mask": digest(masked.mask.tobytes()), **exact(masked)}
    for value in described.values():
        _forget_place(value["metadata"])
    return described


def _written_and_read(histogram: Histogram, path: str) -> Json:
    try:
        save(histogram, path, overwrite=True)
    except Exp2SimError as error:
        return {"refused": bool(error.summary)}
    return {"sha256": exact(load(path))["sha256"]}


def _forget_place(metadata: dict[str, Json]) -> None:
    for key, value in metadata.items():
        if isinstance(value, str):
            metadata[key] = value.replace(str(DATA), "DATA")
