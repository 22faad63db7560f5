"""The whole chain, small: simulate, train, bundle, evaluate, use.

What comes out is not good, but real.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mantid_exp2sim
from mantid_exp2sim.cli import main
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.mosaic import mosaic_histogram, picture_from_volumes, volumes_from_picture

DATASET = """
name = "tiny"
seed = 3
train = 4
validation = 2
test = 3
kinds = ["convolved", "integrated"]
grid = 8
shard_size = 6
"""
GAN = """
kind = "translator"
[data]
folder = "{data}"
noise = {{ counting = [0.0, 0.5] }}
[network]
width = 8
blocks = 1
discriminator_width = 4
projection_width = 8
layout = {{ dimension = 2, energy = "channels", windows = 10 }}
[losses]
adversarial = {{ weight = 1.0, kind = "least_squares" }}
contrastive = {{ weight = 0.1, patches = 16 }}
identity = {{ weight = 1.0 }}
auxiliary = {{ weight = 0.1 }}
cycle = {{ weight = 5.0 }}
flux = {{ weight = 1.0 }}
[optimiser]
learning_rate = 2e-3
[schedule]
steps = 6
batch = 2
[validation]
checks = 1
count = 2
"""
DUQ = """
kind = "classifier"
[data]
folder = "{data}"
kind = "{kind}"
[network]
width = 8
[losses]
gradient_penalty = {{ weight = 0.5 }}
softmax = {{ weight = 0.5 }}
[schedule]
steps = 4
batch = 4
[validation]
checks = 1
[[stage]]
"""


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set, three runs, and the model `tiny` made of them, all by commands."""
    folder = tmp_path_factory.mktemp("chain")
    data = folder / "data"
    (folder / "set.toml").write_text(DATASET)
    (folder / "gan.toml").write_text(GAN.format(data=data))
    assert (
        main(["simulate", "dataset", str(folder / "set.toml"), "--out", str(data), "--processes", "1"]) == 0
    )
    assert main(["train", str(folder / "gan.toml"), "--out", str(folder / "gan")]) == 0
    arguments = ["bundle", str(folder / "tiny"), "--translator", str(folder / "gan"), "--dataset", str(data)]
    for kind in ("integrated", "convolved"):
        (folder / f"{kind}.toml").write_text(DUQ.format(data=data, kind=kind))
        run = folder / kind
        assert main(["train", str(folder / f"{kind}.toml"), "--out", str(run)]) == 0
        arguments += ["--classifier", f"{kind}={run}"]
    assert main(arguments) == 0
    return folder


def test_card_tells_where_the_model_comes_from(chain: Path) -> None:
    card = mantid_exp2sim.load_model(chain / "tiny").card
    assert card.training["dataset"]["name"] == "tiny"  # type: ignore[index, call-overload]
    recipes: Any = card.training["recipes"]
    assert set(recipes) == {"translator", "classifier_integrated", "classifier_convolved"}
    assert str(chain) not in (chain / "tiny" / "card.json").read_text()


def numbers(value: Any) -> Iterator[float]:
    """Every number of a report, in order."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from numbers(inner)
    elif isinstance(value, int | float):
        yield value


def test_evaluation_and_use_give_the_same_numbers(chain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    from mantid_exp2sim.training.datasets.sampler import open_dataset
    from mantid_exp2sim.training.evaluation import Settings, evaluate
    from mantid_exp2sim.training.evaluation.baselines import translated
    from mantid_exp2sim.training.trainers.scores import correlations

    model = mantid_exp2sim.load_model(chain / "tiny")
    data = open_dataset(chain / "data")
    settings = Settings(seed=1, classical=2, coverage=1)
    report, _ = evaluate(model.bundle, chain / "data", settings=settings)
    assert report["mosaics"] == 6
    assert set(report["gap_closed"]) == {"deconvolve", "deconvolve_measured", "convolve"}
    again, _ = evaluate(model.bundle, chain / "data", settings=settings)
    assert list(numbers(again)) == pytest.approx(list(numbers(report)), rel=1e-4, abs=1e-6)

    values = data.read("convolved", data.split("test", 1))
    picture = picture_from_volumes(values[0].astype(float))
    measured = mosaic_histogram(picture, mask=picture_from_volumes(data.mask))
    used = model.deconvolve(measured)

    class Set:
        mask, energies = torch.from_numpy(data.mask), torch.from_numpy(data.energies)

    batch = translated(model.bundle, "deconvolve", torch.from_numpy(values), Set)[0].numpy()  # type: ignore[arg-type]
    keep = ~data.mask
    assert np.allclose(volumes_from_picture(used.intensity)[keep], batch[keep], rtol=1e-4, atol=1e-4)
    found = correlations(model.bundle, "integrated", torch.from_numpy(values), Set.mask)[0]
    assert np.allclose(list(model.classify(measured).correlations.values()), found, atol=1e-5)


def test_evaluate_command_writes_figures_onto_the_card(
    chain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = chain / "report"
    capsys.readouterr()
    arguments = [
        "evaluate",
        str(chain / "tiny"),
        str(chain / "data"),
        "--limit",
        "4",
        "--on-card",
        "--json",
        "--classical",
        "2",
    ]
    assert main([*arguments, "--report", str(report)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((report / "report.json").read_text())
    assert "data:image/png" in (report / "index.html").read_text()
    card = mantid_exp2sim.load_model(chain / "tiny").card
    assert card.metrics["mosaics"] == 4
    assert card.metrics["accuracy"] == printed["accuracy"]


def test_wrong_bundles_and_data_sets(chain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gan, data = str(chain / "gan"), str(chain / "data")
    wrong = ["bundle", str(tmp_path / "m"), "--translator", gan, "--dataset", data]
    assert main([*wrong, "--classifier", "integrated"]) == 2
    assert main([*wrong, "--classifier", f"centre={chain / 'integrated'}"]) == 2
    assert main(["bundle", str(tmp_path / "m"), "--translator", str(tmp_path), "--dataset", data]) == 2
    assert main(["evaluate", str(chain / "tiny"), str(tmp_path)]) == 2
    assert main(["evaluate", "no-such-model", data]) == 2
    assert not list(tmp_path.iterdir())
    from mantid_exp2sim.training.evaluation import Settings, evaluate

    with pytest.raises(Exp2SimError, match="no split"):
        evaluate(chain / "tiny", chain / "data", settings=Settings(split="none"))
