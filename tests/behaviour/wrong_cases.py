"""What wrong inputs give: the exit status, which parts the message has, and that no file has changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mantid_exp2sim import load, save
from tests.behaviour.observe import FIX, Json, file_digest, run
from tests.behaviour.use_cases import MATERIAL, simulate

COMMANDS = """
deconvolve missing.npz out.npz
deconvolve empty.npz out.npz
deconvolve text.npy out.npz
deconvolve shape.npy out.npz
deconvolve masked.npy out.npz
deconvolve short.npz out.npz
deconvolve short.nxs out.npz
deconvolve noisy.npz out.txt
deconvolve noisy.npz nowhere/out.npz
deconvolve noisy.npz .
deconvolve noisy.npz out.npz --model no-such-model
deconvolve noisy.npz out.npz --model noisy.npz
deconvolve noisy.npz out.npz --tile 0
deconvolve noisy.npz out.npz --replicas 1
deconvolve noisy.npz out.npz --seed -1
deconvolve noisy.npz out.npz --scale 0
deconvolve noisy.npz out.npz --mask missing.npy
deconvolve noisy.npz out.npz --mask shape.npy
deconvolve noisy.npz out.npz --uncertainty-out out.npz
deconvolve volume.npz out.npz --no-uncertainty --plot out.doc
deconvolve shuffled.npz out.npz --no-uncertainty
deconvolve volume.npz out.npz --incident-energy 300 --model pcsmo-maps
deconvolve volume.npz out.npz --model pcsmo-maps-3d
convolve noisy.npz out.npz --index a
classify volume.npz
classify noisy.npz --model pcsmo-maps-3d
classify noisy.npz --data-kind convolved --deconvolve
check noisy.npz --plot ridge.doc
explain noisy.npz --class Nobody
plot noisy.npz out.doc
info no-such-thing
info volume.nxs --lattice 5.4 5.4 19.2
models remove no-such-model
models add missing.zip
simulate spectrum out.npz --model Nobody
simulate spectrum out.npz --instrument Nobody
simulate spectrum out.npz --description material.toml --set J9=1 --incident-energy 24 --bins 4 4 4
simulate spectrum out.npz --description broken.toml
simulate dataset missing.toml
data build broken.toml --out built
bundle tiny --translator nowhere --dataset nowhere
calibrate no-such-model nowhere
evaluate no-such-model nowhere
"""
USAGE = """
deconvolve noisy.npz
classify noisy.npz --no-such-option
no-such-command
simulate spectrum out.npz --kind nothing
"""


def _room() -> None:
    """Put good and bad files into this folder."""
    simulate("noisy")
    simulate("volume")
    save(load("volume.npz"), "volume.nxs")
    noisy = load("noisy.npz")
    values, bins = noisy.intensity.copy(), np.flatnonzero(~noisy.mask)
    values.flat[bins] = values.flat[np.random.default_rng(0).permutation(bins)]
    save(noisy.replace(intensity=values), "shuffled.npz")
    np.save("shape.npy", np.ones((3, 7)))
    np.save("masked.npy", np.full((240, 400), np.nan))
    Path("empty.npz").write_bytes(b"")
    Path("text.npy").write_text("no array", encoding="utf-8")
    Path("short.npz").write_bytes(Path("noisy.npz").read_bytes()[:200])
    Path("short.nxs").write_bytes(Path("volume.nxs").read_bytes()[:600])
    Path("material.toml").write_text(MATERIAL, encoding="utf-8")
    Path("broken.toml").write_text("[lattice\nname = 1", encoding="utf-8")


def _files() -> dict[str, str]:
    return {str(path): file_digest(path) for path in sorted(Path().rglob("*")) if path.is_file()}


def wrong_inputs() -> Json:
    """Run commands that must refuse."""
    _room()
    before = _files()
    described: dict[str, Json] = {}
    for line in COMMANDS.strip().splitlines():
        status, printed, complaints = run(*line.split(), "--json")
        error = json.loads(printed)
        described[line] = {
            "status": status,
            "what": bool(error["error"]),
            "at least why or fix": bool(error["reason"] or error[FIX]),
            "words": complaints.startswith("error: ") or "error: " in complaints,
            "files unchanged": _files() == before,
        }
    for line in USAGE.strip().splitlines():
        status, printed, complaints = run(*line.split())
        described[line] = {"status": status, "printed": printed, "words": "usage: exp2sim" in complaints}
    return described
