"""What building a model gives at tiny size: data sets, files, networks, card, calibration, evaluation."""

from __future__ import annotations

from pathlib import Path

from safetensors.numpy import load_file

from mantid_exp2sim import load, load_model
from tests.behaviour.observe import Json, command, digest, exact, hdf5_arrays, translated
from tests.behaviour.use_cases import MATERIAL

SIMULATE = """
name = "tiny"
seed = 20261121
train = 8
validation = 10
test = 4
kinds = ["convolved", "integrated", "centre"]
grid = 5
instrument = "MERLIN"
shard_size = 20
[[classes]]
name = "Nearest"
description = "material.toml"
ranges = { J1 = [0.45, 0.85], J2 = [0.0, 0.0] }
[[classes]]
name = "Frustrated"
description = "material.toml"
ranges = { J1 = [0.6, 1.0], J2 = [0.1, 0.2] }
[binning]
incident_energies = [24.0]
bins = [12, 12, 6]
h = [-1.0, 1.0]
k = [-1.0, 1.0]
energy = [0.1, 0.5]
"""
MANGANITE = """
name = "manganite"
seed = 3
train = 1
validation = 1
test = 1
classes = ["Dimer", "Goodenough"]
kinds = ["convolved", "integrated", "centre"]
grid = 4
shard_size = 4
"""
BUILD = """
name = "built"
seed = 7
units = "mb/sr/meV/f.u."
pairs = true
[axes.h]
width = 0.16666666666666666
range = [-1.0, 1.0]
[axes.k]
width = 0.16666666666666666
range = [-1.0, 1.0]
[axes.energy]
width = 1.6
range = [2.4, 12.0]
[split]
validation = 0.25
test = 0.25
[labels]
source = "file"
file = "exports/labels.csv"
[[convolved]]
files = ["exports/convolved"]
incident_energy = 24.0
[[integrated]]
files = ["exports/integrated/*.mat"]
incident_energy = 24.0
"""
RUN = """
[run]
seed = 1
"""
TRANSLATOR = """
kind = "translator"
[data]
folder = "simulated"
augment = ["h", "k"]
intensity_jitter = 0.3
[data.noise]
counting = [0.0, 4.0]
background = 2.0
background_share = 0.4
[network]
preset = "compact"
width = 8
blocks = 1
discriminator_width = 4
projection_width = 8
layout = { dimension = 2, energy = "channels", windows = 6 }
[optimiser]
learning_rate = 1e-3
betas = [0.9, 0.99]
ema = 0.9
[schedule]
steps = 4
batch = 4
[validation]
checks = 2
count = 4
"""
DUAL_GAN = """
[losses]
adversarial = { weight = 1.0, kind = "least_squares" }
contrastive = { weight = 0.1, patches = 16 }
identity = { weight = 1.0 }
auxiliary = { weight = 0.1 }
cycle = { weight = 5.0 }
flux = { weight = 1.0 }
"""
PAIRED = """
[losses]
paired = { weight = 1.0 }
paired_square = { weight = 1.0 }
"""
CLASSIFIER = """
kind = "classifier"
[data]
folder = "simulated"
kind = "{kind}"
augment = ["h", "k"]
intensity_jitter = 0.3
[network]
width = 8
[losses]
gradient_penalty = {{ weight = 0.1, every = 2 }}
softmax = {{ weight = 0.5 }}
[outliers]
share = 0.5
[optimiser]
learning_rate = 2e-3
clip = 2.0
betas = [0.9, 0.99]
weight_decay = 0.01
ema = 0.9
[schedule]
steps = 4
batch = 8
warmup = 2
[validation]
checks = 2
"""
RECIPES = {
    "gan": TRANSLATOR + DUAL_GAN,
    "paired": TRANSLATOR + PAIRED,
    "integrated": CLASSIFIER.format(kind="integrated"),
    "convolved": CLASSIFIER.format(kind="convolved"),
}
MODEL = ("--translator", "runs/paired", "--classifier", "integrated=runs/integrated")


def _write(name: str, text: str) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def _shards(folder: str) -> Json:
    paths = sorted(Path(folder).rglob("*.h5"))
    return {path.relative_to(folder).as_posix(): hdf5_arrays(path) for path in paths}


def _simulated() -> Json:
    _write("material.toml", MATERIAL)
    recipe = _write("simulate.toml", SIMULATE)
    return command("simulate", "dataset", recipe, "--out", "simulated", "--processes", "1")


def datasets() -> Json:
    """Simulate data sets, write one as files, and build it again from the files."""
    described = {"simulated": {"said": _simulated(), "shards": _shards("simulated")}}
    recipe = _write("manganite.toml", MANGANITE)
    said = command("simulate", "dataset", recipe, "--out", "manganite", "--processes", "1")
    described["manganite"] = {"said": said, "shards": _shards("manganite")}
    exported = command("data", "export", "simulated", "exports", "--limit", "8")
    labels = Path("exports/labels.csv").read_text(encoding="utf-8").splitlines()[:3]
    files = [path for path in sorted(Path("exports").rglob("*.*")) if path.suffix != ".csv"][:6:2]
    read = {path.as_posix(): exact(load(path)) for path in files}
    described["exported"] = {"said": exported, "labels": labels, "files": read}
    built = command("data", "build", _write("build.toml", BUILD), "--out", "built")
    looked = command("data", "inspect", "built")
    described["built"] = {"said": built, "inspected": looked, "shards": _shards("built")}
    return described


def _weights(folder: Path) -> Json:
    """Describe the networks of a folder, whatever their tensors are called."""
    described = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors = sorted(load_file(path).values(), key=lambda tensor: digest(tensor.tobytes()))
        described[path.stem] = {
            "tensors": len(tensors),
            "sha256_here": digest(*(tensor.tobytes() for tensor in tensors)),
            "squares": float(f"{sum(float((tensor.astype(float) ** 2).sum()) for tensor in tensors):.9g}"),
        }
    return described


def training() -> Json:
    """Train each kind of network for a few steps, and make, calibrate, measure and use the model."""
    _simulated()
    described: dict[str, Json] = {}
    for name, recipe in RECIPES.items():
        said = command("train", _write(f"{name}.toml", recipe + RUN), "--out", f"runs/{name}")
        described[name] = {"said": said, "best": _weights(Path("runs", name, "best"))}
    described["bundle"] = command(
        "bundle", "tiny", *MODEL, "--classifier", "convolved=runs/convolved", "--dataset", "simulated"
    )
    described["domain"] = command("domain", "tiny", "simulated")
    small = ("--noise", "2", "--background", "2", "--limit", "4")
    described["calibrate"] = command("calibrate", "tiny", "simulated", *small, "--test", "4")
    options = (*small, "--classical", "2", "--foreign", "1")
    described["evaluate"] = command("evaluate", "tiny", "simulated", *options)
    described["use"] = _use()
    return described


def _use() -> Json:
    """Use the tiny model: on the command line and in Python."""
    _write("material.toml", MATERIAL)
    options = "--incident-energy 24 --bins 12 12 6 --h -1 1 --k -1 1 --energy 2.4 12 --grid 5 --noise 2"
    spectrum = ("--description", "material.toml", "--instrument", "MERLIN", *options.split())
    command("simulate", "spectrum", "new.nxs", *spectrum)
    said = command("deconvolve", "new.nxs", "out.nxs", "--model", "tiny", "--replicas", "3", "--force")
    packed = command("models", "pack", "tiny", "tiny.zip")
    added = command("models", "add", "tiny.zip", "--name", "mine")
    names = [row["name"] for row in command("models")["models"]]
    removed = command("models", "remove", "mine")
    model, data = load_model("tiny"), load("new.nxs")
    return {
        "deconvolve": {"said": said, "result": translated(load("out.nxs"))},
        "convolve in Python": translated(model.convolve(data, uncertainty=False, force=True)),
        "classify": command("classify", "new.nxs", "--model", "tiny"),
        "models": {"pack": packed, "add": added, "names": names, "remove": removed},
    }
