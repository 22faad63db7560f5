"""Failure and cancel at every tenth of a run: the input stays bit for bit, and nothing is left behind."""

from __future__ import annotations

from typing import Any

import pytest
from mantid.api import AlgorithmManager, AlgorithmObserver

from mantid_exp2sim.mantid import algorithm as mdalgorithm
from mantid_exp2sim.mantid import workspace as mdworkspace
from tests.helpers.stuck import Stuck, assert_cancel_ends

NAMES = ("DeconvolveMD", "ConvolveMD")
TENTHS = [number / 10 for number in range(10)]


class Steps(AlgorithmObserver):
    """Cancels the algorithm when its bar has come to a place."""

    def __init__(self, algorithm: Any, place: Any = None) -> None:
        super().__init__()
        self.algorithm, self.place = algorithm, place
        self.seen: list[float] = []
        self.observeProgress(algorithm)

    def progressHandle(self, p: Any, message: Any, *more: Any) -> None:
        self.seen.append(p)
        if self.place is not None and p >= self.place:
            self.algorithm.cancel()


def prepared(name: Any, output: Any, **properties: Any) -> Any:
    algorithm = AlgorithmManager.create(name)
    algorithm.setRethrows(True)
    values = {
        "InputWorkspace": "ws",
        "OutputWorkspace": output,
        "Model": "volumes",
        "Replicas": 9,
        **properties,
    }
    for key, value in values.items():
        algorithm.setProperty(key, value)
    return algorithm


@pytest.mark.parametrize("place", TENTHS)
@pytest.mark.parametrize("output", ["ws", "out"])
def test_cancel_leaves_the_workspace_as_it_was(
    api: Any, make: Any, state: Any, place: Any, output: str
) -> None:
    before = state(make("hke"))
    algorithm = prepared("DeconvolveMD", output)
    steps = Steps(algorithm, place)
    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        algorithm.execute()
    assert steps.seen
    assert not algorithm.isExecuted()
    assert state(api.mtd["ws"]) == before
    assert list(api.mtd.getObjectNames()) == ["ws"]


@pytest.mark.parametrize("place", TENTHS)
@pytest.mark.parametrize("name", NAMES)
def test_failure_leaves_the_workspace_as_it_was(
    api: Any, make: Any, state: Any, place: Any, name: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(make("hke"))
    telling = mdalgorithm.telling

    def breaking(algorithm: Any, progress: Any) -> Any:
        report = telling(algorithm, progress)

        def breaks(done: Any, total: Any, message: Any) -> None:
            report(done, total, message)
            if done / total >= place:
                raise MemoryError("no memory is left")

        return breaks

    monkeypatch.setattr(mdalgorithm, "telling", breaking)
    with pytest.raises(RuntimeError, match="no memory is left"):
        getattr(api, name)(InputWorkspace="ws", OutputWorkspace="ws", Model="volumes", Replicas=9)
    assert state(api.mtd["ws"]) == before
    assert list(api.mtd.getObjectNames()) == ["ws"]


def test_a_failure_while_the_result_is_written_leaves_the_workspace_as_it_was(
    api: Any, make: Any, state: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(make("hke"))
    kind = type(api.mtd["ws"])

    def breaks(self: Any, values: Any) -> None:
        raise ValueError("cannot be written")

    if "setErrorSquaredArray" not in dir(kind):
        pytest.skip("this Mantid has no such setter to break")
    monkeypatch.setattr(kind, "setErrorSquaredArray", breaks)
    with pytest.raises(RuntimeError, match="cannot be written"):
        api.DeconvolveMD(InputWorkspace="ws", OutputWorkspace="ws", Model="volumes")
    assert state(api.mtd["ws"]) == before


def test_progress_comes_for_every_tile_and_never_goes_back(api: Any, make: Any) -> None:
    make("hke", sizes={"h": 40, "k": 40})
    algorithm = prepared("DeconvolveMD", "out", TileSize=16, PropagateErrors=False)
    steps = Steps(algorithm)
    algorithm.execute()
    tiles = 9
    assert len({round(place, 6) for place in steps.seen}) >= tiles
    assert steps.seen == sorted(steps.seen)
    assert steps.seen[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("slow", ["a tile", "loading"])
def test_cancel_stops_within_a_second_also_where_a_step_takes_longer(
    api: Any, make: Any, state: Any, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(make("hke"))
    stuck = Stuck()
    if slow == "a tile":
        monkeypatch.setattr("mantid_exp2sim.networks.generator.Generator.infer", stuck)
    else:
        monkeypatch.setattr("mantid_exp2sim.application.model.load_model", stuck)
    assert_cancel_ends(prepared("DeconvolveMD", "ws"), stuck)
    assert state(api.mtd["ws"]) == before
    assert list(api.mtd.getObjectNames()) == ["ws"]


def test_an_algorithm_can_be_used_again_after_a_cancel(api: Any, make: Any) -> None:
    make("hke")
    algorithm = prepared("DeconvolveMD", "ws")
    steps = Steps(algorithm, 0.0)  # Mantid does not keep it
    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        algorithm.execute()
    assert steps.seen
    api.DeconvolveMD(InputWorkspace="ws", OutputWorkspace="ws", Model="volumes")
    assert api.mtd["ws"].getHistory().lastAlgorithm().name() == "DeconvolveMD"


@pytest.mark.parametrize("output", ["ws", "out"])
def test_a_cancel_that_comes_while_the_result_is_written(
    api: Any, make: Any, state: Any, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step is left at which the algorithm itself could see it: Mantid looks once more at the end."""
    before = state(make("hke"))
    algorithm = prepared("DeconvolveMD", output)
    fill = mdworkspace.Snapshot.fill

    def cancelled(*values: Any) -> Any:
        algorithm.cancel()
        return fill(*values)

    monkeypatch.setattr(mdworkspace.Snapshot, "fill", cancelled)
    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        algorithm.execute()
    assert state(api.mtd["ws"]) == before
    assert list(api.mtd.getObjectNames()) == ["ws"]


def test_the_log_tells_the_cost(api: Any, make: Any, capfd: pytest.CaptureFixture[str]) -> None:
    make("hke", sizes={"h": 20, "k": 20})
    prepared("DeconvolveMD", "out", PropagateErrors=False).execute()
    assert "deconvolve whole: 1 passes" in "".join(capfd.readouterr())
    prepared("DeconvolveMD", "out", TileSize=16, Replicas=2).execute()
    assert "deconvolve in 4 blocks: 12 passes" in "".join(capfd.readouterr())
