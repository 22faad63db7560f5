"""What the shipped models, the simulator and the pictures give for fixed inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mantid_exp2sim import Histogram, load, save
from tests.behaviour.observe import Json, command, simulated, translated

MODELS = ("pcsmo-maps", "pcsmo-maps-3d", "pcsmo-maps-1d-energy", "pcsmo-maps-1d-q")
FINE = "--incident-energy 50 --bins 12 12 30 --h -0.3076923 0.3076923 --k -0.3076923 0.3076923 --energy 5 20"
COARSE = "--incident-energy 50 --bins 40 40 10 --energy 5 35"
MATERIAL = """
name = "square lattice"
formula_units = 1
magnetic_cell = [[1, 1, 0], [-1, 1, 0], [0, 0, 1]]
[lattice]
a = 4.215
b = 4.215
c = 13.77
[parameters]
J1 = { value = 0.65, range = [0.0, 1.0] }
J2 = { value = 0.0, range = [-0.2, 0.2] }
[[sites]]
name = "Mn"
ion = "Mn2+"
spin = 2.5
positions = [[0, 0, 0]]
direction = [0, 0, 1]
propagation = [0.5, 0.5, 0]
[[bonds]]
parameter = "J1"
shell = 1
[[bonds]]
parameter = "J2"
shell = 2
"""
SIMULATED = {
    "noisy": "--noise 0.7 --seed 4",
    "ideal": "--kind integrated --model Dimer",
    "centre": f"{COARSE} --kind centre --physics paper_compatible --no-gaps --grid 10",
    "volume": f"{COARSE} --noise 0.5 --seed 2 --grid 10",
    "fine": f"{FINE} --noise 0.5 --seed 2 --grid 15",
    "fine-ideal": f"{FINE} --kind integrated --grid 15",
    "dimer": f"{COARSE} --model Dimer --parameters -8 1.4 1.6 -14 0.9 0.07 --grid 10",
    "square": "--description material.toml --set J1=0.7 --set J2=0.1 --instrument MERLIN --noise 2 --seed 5 "
    "--incident-energy 24 --bins 12 12 8 --h -1 1 --k -1 1 --energy 2.4 12 --grid 10",
}
"""Names of spectra and the options of ``simulate spectrum`` that make them."""


_DONE: dict[str, tuple[Json, bytes]] = {}


def simulate(name: str) -> Json:
    """Simulate one of `SIMULATED` into ``NAME.npz`` of this folder, once in a process."""
    Path("material.toml").write_text(MATERIAL, encoding="utf-8")
    path = Path(f"{name}.npz")
    if name not in _DONE:
        said = command("simulate", "spectrum", str(path), *SIMULATED[name].split())
        _DONE[name] = said, path.read_bytes()
    path.write_bytes(_DONE[name][1])
    return _DONE[name][0]


def simulation() -> Json:
    """Simulate every spectrum."""
    return {name: {"said": simulate(name), "result": simulated(load(f"{name}.npz"))} for name in SIMULATED}


def _cuts() -> None:
    """Cut the best measured line along the energy, and one along h, out of two volumes."""
    for source, axis, cut in (("fine", 2, "cut-energy"), ("volume", 0, "cut-h")):
        simulate(source)
        volume = load(f"{source}.npz")
        measured = (~volume.mask).sum(axis=axis)
        place: list[int | slice] = [int(i) for i in np.unravel_index(measured.argmax(), measured.shape)]
        place.insert(axis, slice(None))
        at = tuple(place)
        line = (volume.intensity[at], volume.variance[at], volume.mask[at])
        save(Histogram(*line, (volume.axes[axis],), volume.metadata), f"{cut}.npz")


INPUTS = {
    "pcsmo-maps": ("noisy", "ideal"),
    "pcsmo-maps-3d": ("fine", "fine-ideal"),
    "pcsmo-maps-1d-energy": ("cut-energy", "cut-energy"),
    "pcsmo-maps-1d-q": ("cut-h", "cut-h"),
}
"""What each model deconvolves and convolves."""


def translation() -> Json:
    """Deconvolve and convolve with each shipped model, with and without errors."""
    _cuts()
    for name in ("noisy", "ideal", "fine-ideal"):
        simulate(name)
    described = {}
    for model, inputs in INPUTS.items():
        for direction, source in zip(("deconvolve", "convolve"), inputs, strict=True):
            options = [f"{source}.npz", "out.npz", "--model", model, "--force", "--overwrite"]
            for errors in (["--no-uncertainty"], ["--replicas", "2", "--seed", "3"]):
                if direction == "convolve" and model == "pcsmo-maps-3d" and errors[0] == "--replicas":
                    continue  # as deconvolve, and slow
                said = command(direction, *options, *errors)
                name = f"{model} {direction} {errors[0][2:]}"
                described[name] = {"said": said, "result": translated(load("out.npz"))}
    return described


def opinions() -> Json:
    """Check, classify and explain."""
    for name in ("noisy", "ideal", "volume", "fine"):
        simulate(name)
    command("deconvolve", "noisy.npz", "sharp.npz", "--no-uncertainty")
    explained = command("explain", "sharp.npz", "--out", "map.npz")
    return {
        "check": command("check", "noisy.npz"),
        "check convolve": command("check", "ideal.npz", "--direction", "convolve"),
        "check 3d": command("check", "fine.npz", "--model", "pcsmo-maps-3d"),
        "check volume": command("check", "volume.npz"),
        "classify": command("classify", "noisy.npz"),
        "classify deconvolved": command("classify", "noisy.npz", "--deconvolve"),
        "classify sharp": command("classify", "sharp.npz"),
        "classify as convolved": command("classify", "ideal.npz", "--data-kind", "convolved"),
        "explain": explained,
        "explain map": translated(load("map.npz")),
        "explain Dimer": command("explain", "noisy.npz", "--class", "Dimer"),
    }
