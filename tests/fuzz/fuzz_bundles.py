"""Hostile models by the thousand: `exp2sim models add` is to refuse them with the package's own error.

A small good model is truncated, its bits flipped, its card rewritten (absurd numbers, nesting, keys twice,
NaN, unknown roles), its weights given other headers, types and sizes with the checksums made right again;
packed as zip bombs, with paths out of the folder, links, names twice, encrypted; or laid out as a folder with
links. A case fails where anything else is raised, a file outside the target is opened to be written, what is
installed is not whole, or it takes more than 1 s or 1 GB. Training checkpoints and data sets are damaged
likewise and read. Each case can be run again: --kind card --first 123 --cases 1.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import resource
import shutil
import struct
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mantid_exp2sim import Exp2SimError
from tests.fuzz import fuzz_readers as readers
from tests.helpers.datasets import write_dataset
from tests.helpers.models import tiny_card, tiny_networks

MAX_SECONDS, MAX_BYTES = readers.MAX_SECONDS, readers.MAX_BYTES
Files = dict[str, bytes]
Rng = np.random.Generator
NAMES = (
    "../evil", "/tmp/evil", "..\\evil", "a/../../evil", "card.json/x", "C:evil", "\0", "x\0.safetensors",
    "évil",
    "deconvolve-2.safetensors", "deconvolve-99.safetensors", "Deconvolve.safetensors", "model.pkl", "con", "",
    "a" * 5000, "./card.json", "deconvolve.safetensors/", "__init__.py", ".hidden", "domain.pt",
)  # fmt: skip
ABSURD: tuple[Any, ...] = (
    0, -1, 1, 2**31, 10**9, 2**63, 2**64, 10**400, 1e308, float("nan"), float("inf"), -0.0, None, True, "",
    "x" * 10**5, "../../etc/passwd", "\u0000", [], {}, [[]], {"a": {"b": []}}, [1] * 10**4, "1e9", [None],
)  # fmt: skip
DTYPES = ("F64", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "C64", "F32 ", "", "object", "F4")


def good() -> Files:
    """A small model."""
    from mantid_exp2sim.model.bundle import save_bundle

    with tempfile.TemporaryDirectory() as room:
        card = tiny_card("tiny")
        save_bundle(Path(room) / "tiny", card, tiny_networks(card))
        return {path.name: path.read_bytes() for path in sorted((Path(room) / "tiny").iterdir())}


def zipped(files: dict[str, bytes], *, kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(stream, "w", kind) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    return stream.getvalue()


def resealed(files: Files) -> Files:
    """The card says size and checksum of the weights as they are now."""
    card = json.loads(files["card.json"])
    for key in card["weights"]:
        content = files.get(f"{key}.safetensors", b"")
        card["weights"][key] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    return {**files, "card.json": json.dumps(card).encode()}


# ------------------------------------------------------------------------------------------------- cases


def some(rng: Rng, options: Any) -> Any:
    return options[int(rng.integers(len(options)))]


def in_bytes(files: Files, rng: Rng, room: Path) -> Path:
    """A zip file that is truncated, flipped, shuffled."""
    path = room / "case.zip"
    path.write_bytes(readers.damaged(zipped(files, kind=int(some(rng, (0, 8)))), rng))
    return path


def in_card(files: Files, rng: Rng, room: Path) -> Path:
    """A card with other values, or text that is none."""
    card: Any = json.loads(files["card.json"])
    for _ in range(int(rng.integers(1, 4))):
        _change(card, rng)
    text = json.dumps(card)
    way = int(rng.integers(12))
    if way == 0:
        text = text.replace('"name"', '"name": "twice", "name"', 1)
    elif way == 1:
        text = "[" * int(rng.integers(1, 200_000)) + text
    elif way == 2:
        text = text.replace("{", '{"a":' * int(rng.integers(1, 5000)) + "{", 1)
    elif way == 3:
        text = text.replace("1", "1" * int(rng.integers(1, 10_000)), int(rng.integers(1, 4)))
    elif way == 4:
        text += " " * int(rng.integers(5 * 2**20))
    content = text.encode("utf-8", "surrogatepass")
    if way == 5:
        content = readers.damaged(content, rng)
    elif way == 6:
        content = text.encode(str(some(rng, ("utf-16", "utf-32", "utf-8-sig"))))
    return laid({**files, "card.json": content}, rng, room)


def _change(node: Any, rng: Rng) -> None:
    """Put something absurd somewhere into a tree."""
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = some(rng, keys)
        inner = node[key]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.8:
            node = inner
            continue
        way = rng.random()
        if way < 0.75 or isinstance(node, list):
            node[key] = some(rng, ABSURD)
        elif way < 0.85:
            del node[key]
        else:
            node[some(rng, NAMES)] = some(rng, (inner, *ABSURD))
        return


def in_weights(files: Files, rng: Rng, room: Path) -> Path:
    """Weights with another header or content, and a card that fits them."""
    name = str(some(rng, [n for n in files if n.endswith(".safetensors")]))
    content = files[name]
    length = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    tensor = str(some(rng, [key for key in header if key != "__metadata__"]))
    way = int(rng.integers(9))
    if way == 0:
        header[tensor]["dtype"] = some(rng, DTYPES)
    elif way == 1:
        header[tensor]["shape"] = some(
            rng, ([2**40], [0], [-1], [], [2**63, 2**63], [1] * 1000, ["1"], [1.5])
        )
    elif way == 2:
        header[tensor]["data_offsets"] = some(rng, ([0, 2**40], [0, 0], [-1, 4], [4, 0], [2**64, 2**64], [0]))
    elif way == 3:
        other = some(rng, list(header))
        header[tensor], header[other] = header[other], header[tensor]
    elif way == 4:
        header[str(some(rng, NAMES))] = header.pop(tensor)
    elif way == 5:
        header["__metadata__"] = {str(i): "x" * 100 for i in range(int(rng.integers(5000)))}
    elif way == 6:
        data = np.full(len(data) // 4, some(rng, (np.nan, np.inf, 1e38, 0)), np.float32).tobytes()
    text = json.dumps(header).encode()
    size = int(some(rng, (2**63, 2**40, 0, 7, len(text) + 1, 10**8))) if way == 7 else len(text)
    content = struct.pack("<Q", size) + text + data
    if way == 8:
        content = readers.damaged(files[name], rng)
    return laid(resealed({**files, name: content}), rng, room)


def in_settings(files: Files, rng: Rng, room: Path) -> Path:
    """Networks that would take all memory, with weights of any size claimed or packed."""
    card = json.loads(files["card.json"])
    big = (10**9, 1024, 4096, 64, 512, 2**31, 1000)
    for _ in range(int(rng.integers(1, 5))):
        part = some(rng, ("generator", "layout", "classifiers"))
        if part == "generator":
            settings = {"preset": "paper", "width": some(rng, big), "blocks": some(rng, big)}
            card["generator"] = {**card["generator"], **settings}
        elif part == "layout":
            card["layout"] = {
                **card["layout"],
                "windows": some(rng, big),
                "dimension": some(rng, (1, 2, 3, 10**9)),
            }
        else:
            network = card["classifiers"][some(rng, list(card["classifiers"]))]["network"]
            network[some(rng, ("width", "features", "centroid", "grid", "panels"))] = some(rng, big)
    key = some(rng, list(card["weights"]))
    if rng.random() < 0.5:
        card["weights"][key]["size"] = some(rng, (8, 2**31, 2**30, 2**40))
    return laid({**files, "card.json": json.dumps(card).encode()}, rng, room)


def in_names(files: Files, rng: Rng, room: Path) -> Path:
    """Zip files with names, links and sizes that a zip file should not have."""
    path = room / "case.zip"
    way = int(rng.integers(8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name if way != 0 else f"{_packable(rng)}/{name}", content)
            if way == 1:
                archive.writestr(_packable(rng), b"evil")
            elif way == 2:
                link = zipfile.ZipInfo(str(some(rng, ("domain.safetensors", *files))))
                link.external_attr = (0o120777 if rng.random() < 0.5 else int(rng.integers(2**16))) << 16
                archive.writestr(link, b"/etc/passwd")
            elif way == 3:
                archive.writestr(str(some(rng, list(files))), b"twice")
            elif way == 4:
                for i in range(int(rng.integers(1, 2000))):
                    archive.writestr(f"{i}.safetensors", b"")
            elif way == 5:
                archive.writestr("bomb.safetensors", bytes(int(rng.integers(2**20, 2**25))))
    data = bytearray(path.read_bytes())
    if way == 6:  # sizes in the list of contents
        for place in _places(data, b"PK\1\2"):
            if rng.random() < 0.5:
                data[place + 20 : place + 28] = struct.pack("<II", *rng.integers(0, 2**32, 2).tolist())
    elif way == 7:  # flags, methods
        for place in _places(data, b"PK\1\2"):
            data[place + 8 : place + 12] = struct.pack("<HH", *rng.integers(0, 100, 2).tolist())
    path.write_bytes(data)
    return path


def _packable(rng: Rng) -> str:
    """A bad name that zipfile can write."""
    return str(some(rng, NAMES)).split("\0")[0] or "x"


def _places(content: bytearray, mark: bytes) -> list[int]:
    found, place = [], content.find(mark)
    while place >= 0:
        found.append(place)
        place = content.find(mark, place + 1)
    return found


def bomb(files: Files, rng: Rng, room: Path) -> Path:
    """Weights that a small file unpacks to, on a card that says so."""
    card = json.loads(files["card.json"])
    key = str(some(rng, list(card["weights"])))
    size = int(rng.integers(2**20, 2**26))
    card["weights"][key]["size"] = size
    content = {**files, "card.json": json.dumps(card).encode(), f"{key}.safetensors": bytes(size)}
    data = bytearray(zipped(content))
    if rng.random() < 0.5:  # more in it than the list of contents says
        for place in _places(data, b"PK\1\2"):
            data[place + 24 : place + 28] = struct.pack("<I", len(files[f"{key}.safetensors"]))
    (room / "case.zip").write_bytes(data)
    return room / "case.zip"


def in_folder(files: Files, rng: Rng, room: Path) -> Path:
    """A folder with links, pipes, folders, or files more or less."""
    path = room / "case"
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    name = str(some(rng, list(files)))
    way = int(rng.integers(7))
    if way <= 2:
        (path / name).unlink()
    if way == 0:
        (path / name).symlink_to(some(rng, ("/etc/passwd", "/dev/zero", "card.json", "missing", "/")))
    elif way == 1:
        os.mkfifo(path / name)
    elif way == 2:
        (path / name).mkdir()
    elif way == 3:
        (path / str(some(rng, ("domain.pt", "__init__.py", "deconvolve-2.safetensors")))).write_bytes(b"x")
    elif way == 4:
        with (path / name).open("r+b") as file:
            file.truncate(int(some(rng, (0, 10, 2**40))))
    elif way == 5:
        (path / name).write_bytes(readers.damaged(files[name], rng))
    else:
        shutil.rmtree(path)
        path.symlink_to(some(rng, ("/etc", "missing", "/dev/null")))
    return path


def laid(files: Files, rng: Rng, room: Path) -> Path:
    """As a zip file or as a folder."""
    if rng.random() < 0.5:
        path = room / "case.zip"
        path.write_bytes(zipped(files, kind=zipfile.ZIP_STORED))
        return path
    path = room / "case"
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


MODELS: dict[str, Callable[[Files, Rng, Path], Path]] = {
    "zip": in_bytes, "card": in_card, "weights": in_weights, "settings": in_settings, "names": in_names,
    "bomb": bomb, "folder": in_folder,
}  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
OTHERS = ("checkpoint", "dataset")


# ---------------------------------------------------------------------------------- checkpoints, data sets


def checkpoint(rng: Rng, room: Path) -> None:
    """A training checkpoint with damage, into networks and optimiser."""
    import torch

    from mantid_exp2sim.training.trainers.checkpoint import load_checkpoint, save_checkpoint
    from mantid_exp2sim.training.trainers.trainer import check_state

    network = torch.nn.Linear(3, 2)
    optimiser = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    state: Any = {
        "step": 3,
        "best": {"a": {"score": 0.5}},
        "skipped": 0,
        "skipped_in_row": 0,
        "sums": {"x": [1.0]},
    }
    path = room / "checkpoint.safetensors"
    if rng.random() < 0.3:
        _change(state, rng)
    save_checkpoint(path, {"n": network}, {"o": optimiser}, state)
    if rng.random() < 0.8:
        path.write_bytes(readers.damaged(path.read_bytes(), rng))
    check_state(load_checkpoint(path, {"n": network}, {"o": optimiser}), path)


def dataset(rng: Rng, room: Path, good: Path) -> None:
    """A data set whose description, mask or shard is damaged."""
    from mantid_exp2sim.training.datasets.sampler import open_dataset

    folder = Path(shutil.copytree(good, room / "set"))
    way = int(rng.integers(4))
    if way == 0:
        description = json.loads((folder / "dataset.json").read_text())
        for _ in range(int(rng.integers(1, 3))):
            _change(description, rng)
        (folder / "dataset.json").write_text(json.dumps(description))
    elif way == 3:
        with h5py.File(folder / "shards" / "00000.h5", "r+") as file:
            name = str(some(rng, ("integrated", "convolved", "label")))
            del file[name]
            new = some(rng, ("external", "group", "shape", "type", "storage", "huge"))
            if new == "external":
                file[name] = h5py.ExternalLink(str(good / "shards" / "00001.h5"), f"/{name}")
            elif new == "group":
                file.create_group(name)
            elif new == "shape":
                file[name] = np.zeros(tuple(rng.integers(0, 5, int(rng.integers(0, 6)))))
            elif new == "type":
                file[name] = np.array(some(rng, ([b"text"] * 10, [1 + 2j] * 10, [np.nan] * 10)))
            elif new == "storage":
                file.create_dataset(name, (10, 2, 8, 8, 3), "f4", external=[("/etc/passwd", 0, 10**6)])
            else:
                file.create_dataset(name, (10, 2**20, 2**20, 8, 3), "f4", chunks=(1, 64, 64, 8, 3))
    else:
        name = str(
            some(rng, ("dataset.json", "mask.npy") if way == 1 else ("shards/00000.h5", "shards/00001.h5"))
        )
        (folder / name).write_bytes(readers.damaged((folder / name).read_bytes(), rng))
    data = open_dataset(folder)
    indices = data.split("train", 12)
    data.labels(indices)
    data.read("convolved", indices)


# ------------------------------------------------------------------------------------------------- runs


class Watch:
    """Notes every file that this process opens to write, makes, moves or links outside a folder."""

    def __init__(self) -> None:
        self.allowed: Path | None = None
        self.outside: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self.allowed is None:
            return
        paths: tuple[Any, ...] = ()
        writes = event == "open" and isinstance(args[2], int) and args[2] & _WRITING
        if writes or event in ("os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod"):
            paths = args[:1]
        elif event in ("os.rename", "os.link", "os.symlink"):
            paths = args[:2]
        elif event in ("subprocess.Popen", "os.system", "os.exec", "pickle.find_class"):
            self.outside.append(f"{event} {args}"[:200])
        for path in paths:
            if isinstance(path, str | bytes | os.PathLike):
                # a name below an open folder (shutil.rmtree) comes with the number of that one
                base = f"/proc/self/fd/{args[-1]}" if isinstance(args[-1], int) and args[-1] > 2 else ""
                full = os.path.realpath(os.path.join(base, os.fsdecode(path)))
                if not full.startswith(str(self.allowed)) and full != "/dev/null":
                    self.outside.append(f"{event} {full}"[:200])


def installed(target: Path) -> bool:
    """Whether everything in the folder of models is a whole model."""
    from mantid_exp2sim.application.install import load_everything
    from mantid_exp2sim.model.bundle import load_bundle

    for folder in target.iterdir() if target.is_dir() else ():
        load_everything(load_bundle(folder))
    return True


def run(kind: str, first: int, cases: int, folder: Path, progress: Path | None = None) -> dict[str, object]:
    """Take hostile models in this process; return what happened."""
    from mantid_exp2sim.application.install import install_model

    warnings.simplefilter("error")
    folder = folder.resolve()
    files, watch = good(), Watch()
    if kind == "dataset" and not (folder / "good").exists():
        write_dataset(folder / "good")
    wrong: list[str] = []
    read = refused = 0
    slowest = 0.0
    for number in range(first, first + cases):
        rng = np.random.default_rng([number, zlib.crc32(kind.encode())])
        room, target = folder / "room", folder / "models"
        shutil.rmtree(room, ignore_errors=True)
        shutil.rmtree(target, ignore_errors=True)
        room.mkdir()
        os.environ["EXP2SIM_MODELS"] = str(target)
        if progress is not None:
            progress.write_text(str(number))
        source = MODELS[kind](files, rng, room) if kind in MODELS else room
        start = time.process_time()  # of a loaded machine too; one that waits for ever is seen from outside
        watch.outside, watch.allowed = [], target if kind in MODELS else room
        try:
            if kind == "checkpoint":
                checkpoint(rng, room)
            elif kind == "dataset":
                dataset(rng, room, folder / "good")
            else:
                install_model(source)
            read += 1
        except Exp2SimError:
            refused += 1
        except BaseException as error:
            wrong.append(f"{number}: {type(error).__name__}: {error}"[:300])
        watch.allowed = None
        slowest = max(slowest, time.process_time() - start)
        wrong += [f"{number}: outside: {each}" for each in watch.outside]
        try:
            installed(target)
        except Exp2SimError as error:
            wrong.append(f"{number}: installed: {error}"[:300])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"read": read, "refused": refused, "slowest": slowest, "wrong": wrong, "peak": peak}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = (*MODELS, *OTHERS)
    parser.add_argument("--kind", choices=kinds, help="one kind of case; all by default")
    parser.add_argument("--cases", type=int, default=1500, help="of each kind (default 1500: 13 500 in all)")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        import torch

        torch.set_num_threads(1)
        readers.limited(args.kind, args.first, args.cases, args.folder, args.folder / "progress", run=run)
        return 0
    head = f"{'kind':<12}{'cases':>8}{'taken':>8}{'refused':>9}{'wrong':>7}{'slowest':>10}{'peak memory':>13}"
    print(head, flush=True)
    failed, total = False, 0
    for kind in [args.kind] if args.kind else kinds:
        row = readers.supervised(kind, args.first, args.cases, module="tests.fuzz.fuzz_bundles")
        bad = len(row["wrong"])
        total += row["cases"]
        failed |= bad > 0 or row["slowest"] > MAX_SECONDS or row["peak"] > MAX_BYTES
        print(
            f"{kind:<12}{row['cases']:>8}{row['read']:>8}{row['refused']:>9}{bad:>7}"
            f"{row['slowest']:>8.3f} s{row['peak'] / 2**20:>9.0f} MiB",
            flush=True,
        )
        for line in row["wrong"][:10]:
            print(f"    case {line}")
    print(f"{total} cases")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
