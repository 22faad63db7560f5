"""What one command computes: data are read and opened once, and each encoder runs once for each volume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from mantid_exp2sim import Histogram, io, load_model, simulate
from mantid_exp2sim.cli import main
from mantid_exp2sim.inference import prepare, translate
from mantid_exp2sim.networks.duq import Duq
from mantid_exp2sim.networks.generator import CompactGenerator

Calls = Counter[str]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("measured") / "measured.npz"
    io.save(simulate("Goodenough", noise=0.7, seed=4), path)
    return path


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Count the calls of what reads, opens, encodes, translates and classifies."""
    counter: Calls = Counter()

    def encoder(network: CompactGenerator, x: Tensor, layers: Sequence[int] | None = None, *_: Any) -> str:
        return f" {id(network)}" if layers is None else "_of_a_translation"

    def count(owner: Any, name: str, key: Callable[..., str] = lambda *args: "") -> None:
        work = getattr(owner, name)

        def counted(*args: Any, **options: Any) -> Any:
            counter[f"{name}{key(*args)}"] += 1
            return work(*args, **options)

        monkeypatch.setattr(owner, name, counted)

    count(io, "load")
    count(prepare, "open_volumes")
    count(prepare, "intensity_factor")
    count(CompactGenerator, "forward_features", encoder)
    count(translate, "history_entry")
    count(Duq, "embed", lambda network, panels: f" {id(network)}")
    return counter


def test_a_deconvolution_reads_and_opens_once(
    calls: Calls, measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[tuple[int, ...]] = []
    build = Histogram.__post_init__

    def counted(histogram: Histogram) -> None:
        built.append(histogram.shape)
        build(histogram)

    io.load(measured)
    calls.clear()
    monkeypatch.setattr(Histogram, "__post_init__", counted)
    out = tmp_path / "out.npz"
    assert main(["deconvolve", str(measured), str(out), "--no-uncertainty"]) == 0
    assert (calls["load"], calls["open_volumes"], calls["intensity_factor"]) == (1, 1, 1)
    assert calls["history_entry"] == 1
    assert _most(calls, "forward_features") == (1, 6)  # an encoder, once for each incident energy
    assert len(built) == 3  # as read, as translated, and with the verdict


@pytest.mark.parametrize(("options", "encoders"), [([], 2), (["--deconvolve"], 1)])
def test_a_classification_runs_each_network_once(
    calls: Calls, measured: Path, options: list[str], encoders: int
) -> None:
    assert main(["classify", str(measured), *options]) == 0
    assert (calls["load"], calls["open_volumes"], calls["intensity_factor"]) == (1, 1, 1)
    assert _most(calls, "forward_features") == (encoders, 6)
    assert _most(calls, "embed")[1] == 1
    assert calls["history_entry"] == 1  # the deconvolution, for one of the two classifiers


def test_what_was_prepared_serves_all_questions(calls: Calls, measured: Path) -> None:
    model = load_model()
    prepared = model.prepare(io.load(measured), uncertainty=False)
    model.check_domain(prepared)
    model.deconvolve(prepared)
    model.classify(prepared, deconvolve=True)
    model.explain(prepared, deconvolve=True)
    assert calls["open_volumes"] == 1
    assert _most(calls, "forward_features") == (1, 6)
    assert calls["history_entry"] == 2  # for the user, and for both classifications


def _most(calls: Calls, name: str) -> tuple[int, int]:
    """Return how many different calls there were, and the largest number of the same one."""
    numbers = [number for key, number in calls.items() if key.startswith(f"{name} ")]
    return len(numbers), max(numbers)
