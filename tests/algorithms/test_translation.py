"""DeconvolveMD and ConvolveMD: in place, any axis order, events, masks; the numbers of the Python API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim import load, load_model
from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.mantid import workspace as mdworkspace


def expected(workspace: Any, direction: str = "deconvolve", model: str = "volumes", **options: Any) -> Any:
    """The Python API on the same data, put together here by hand."""
    snapshot = mdworkspace.read(workspace)
    return snapshot, getattr(load_model(model), direction)(snapshot.histogram, **options)


def arrays(workspace: Any) -> Any:
    return np.array(workspace.getSignalArray()), np.array(workspace.getErrorSquaredArray())


@pytest.mark.parametrize("name", ["DeconvolveMD", "ConvolveMD"])
def test_in_place_and_to_a_new_name(api: Any, make: Any, state: Any, name: str) -> None:
    run = getattr(api, name)
    before = make("hke")
    _, result = expected(before, name[:-2].lower())
    untouched = state(before)
    run(InputWorkspace="ws", OutputWorkspace="out", Model="volumes")
    assert state(api.mtd["ws"]) == untouched
    run(InputWorkspace="ws", OutputWorkspace="ws", Model="volumes")
    for out in ("out", "ws"):
        signal, errors = arrays(api.mtd[out])
        np.testing.assert_array_equal(signal, result.intensity)
        np.testing.assert_array_equal(errors, result.variance)
    assert sorted(api.mtd.getObjectNames()) == ["out", "ws"]
    assert not np.array_equal(signal, np.frombuffer(untouched.arrays[0]).reshape(signal.shape))
    assert (errors > 0).all()


def test_a_python_histogram_of_the_same_numbers_gives_the_same(api: Any, make: Any) -> None:
    """Nothing of mdworkspace in the expectation: edges, intensity and variance written down here."""
    workspace = make("hke")
    axes = [
        Axis(
            d.name,
            np.array([d.getX(j) for j in range(d.getNBins() + 1)]),
            d.getUnits(),
            d.getMDFrame().name(),
        )
        for d in (workspace.getDimension(i) for i in range(3))
    ]
    signal, errors = arrays(workspace)
    histogram = Histogram.from_arrays(signal, axes, errors, metadata={"incident_energy": 50.0})
    result = load_model("volumes").deconvolve(histogram, seed=5, replicas=4)
    api.DeconvolveMD(InputWorkspace="ws", OutputWorkspace="ws", Model="volumes", Seed=5, Replicas=4)
    np.testing.assert_array_equal(arrays(api.mtd["ws"])[0], result.intensity)
    np.testing.assert_array_equal(arrays(api.mtd["ws"])[1], result.variance)


@pytest.mark.parametrize(
    ("order", "model"),
    [
        ("ehk", "volumes"),
        ("kehl", "volumes"),
        ("lhke", "volumes"),
        ("hKe", "slices"),
        ("eh", "slices"),
        ("he", "slices"),
        ("kEh", "windows"),
        ("hk", "windows"),
    ],
)
def test_any_order_of_axes_and_integrated_ones(api: Any, make: Any, order: str, model: str) -> None:
    limits = {"slices": {"k": (-0.5, 0.5)}, "windows": {"e": (10.0, 13.0)}}.get(model)
    workspace = make(order, limits=limits)
    _, result = expected(workspace, model=model)
    api.DeconvolveMD(InputWorkspace="ws", OutputWorkspace="ws", Model=model)
    out = api.mtd["ws"]
    signal, errors = arrays(out)
    assert signal.shape == tuple(out.getDimension(i).getNBins() for i in range(out.getNumDims()))
    np.testing.assert_array_equal(signal, result.intensity)
    np.testing.assert_array_equal(errors, result.variance)


def test_permuted_axes_give_the_permuted_result(api: Any, make: Any) -> None:
    make("hke")
    api.TransposeMD(InputWorkspace="ws", OutputWorkspace="turned", Axes=[2, 0, 1])
    for name in ("ws", "turned"):
        api.DeconvolveMD(
            InputWorkspace=name,
            OutputWorkspace=name,
            Model="volumes",
            PropagateErrors=False,
            IncidentEnergy=50.0,
        )
    straight, turned = arrays(api.mtd["ws"])[0], arrays(api.mtd["turned"])[0]
    np.testing.assert_allclose(turned, straight.transpose(2, 0, 1), rtol=1e-6, atol=1e-6)


def displayed_over_signal(workspace: Any) -> Any:
    """What Mantid multiplies the signal of each bin by for display."""
    events = np.array(workspace.getNumEventsArray())
    flag = int(workspace.displayNormalization())
    with np.errstate(divide="ignore"):
        return (np.ones(events.shape), np.full(events.shape, workspace.getInverseVolume()), 1 / events)[flag]


@pytest.mark.parametrize("flag", [0, 1, 2])
def test_bins_without_events_are_unknown_and_the_display_is_written_back(
    api: Any, binned: Any, flag: int
) -> None:
    workspace = binned(flag=flag)
    signal, errors = arrays(workspace)
    events = np.array(workspace.getNumEventsArray())
    empty = events == 0
    assert int(workspace.displayNormalization()) == flag
    assert 10 < empty.sum() < empty.size / 2
    factor = displayed_over_signal(workspace)
    with np.errstate(invalid="ignore"):
        intensity, variance = signal * factor, errors * factor**2
    histogram = Histogram.from_arrays(
        intensity, mdworkspace.axes(workspace), variance, empty, metadata={"incident_energy": 50.0}
    )
    result = load_model("volumes").deconvolve(histogram)
    api.DeconvolveMD(InputWorkspace="events", OutputWorkspace="events", Model="volumes", IncidentEnergy=50.0)
    out = api.mtd["events"]
    new_signal, new_errors = arrays(out)
    for new, number, power in ((new_signal, result.intensity, 1), (new_errors, result.variance, 2)):
        shown = new[~empty] * factor[~empty] ** power
        np.testing.assert_allclose(shown, number[~empty], rtol=1e-3, atol=1e-5 * np.nanmax(number))
    np.testing.assert_array_equal(new_signal[empty], signal[empty])
    np.testing.assert_array_equal(new_errors[empty], errors[empty])
    assert (new_signal != signal).sum() > 0.9 * (~empty).sum()
    np.testing.assert_array_equal(np.array(out.getNumEventsArray()), events)
    assert int(out.displayNormalization()) == flag


@pytest.mark.parametrize("flag", [0, 1, 2])
def test_a_workspace_and_its_file_are_the_same_histogram(
    api: Any, binned: Any, flag: int, tmp_path: Path
) -> None:
    from_workspace = mdworkspace.read(binned(flag=flag)).histogram
    from_file = load(tmp_path / "events.nxs")
    assert from_file.mask.any()
    for name in ("intensity", "variance", "mask"):
        np.testing.assert_array_equal(getattr(from_file, name), getattr(from_workspace, name))


@pytest.mark.parametrize("flag", [0, 1, 2])
def test_events_that_no_bin_has_say_nothing(binned: Any, flag: int) -> None:
    workspace = binned(flag=flag)
    workspace.setTo(3.0, 2.0, 0.0)
    assert not mdworkspace.read(workspace).histogram.mask.any()


def test_nan_and_masked_bins_stay_and_nothing_else_becomes_nan(api: Any, make: Any) -> None:
    workspace = make("hke")
    signal = np.array(workspace.getSignalArray())
    signal[2, 3, 1] = np.nan
    signal[4, :, 2] = np.nan
    workspace.setSignalArray(signal)
    api.MaskMD(Workspace="ws", Dimensions="[H,0,0],[0,K,0],DeltaE", Extents="-0.31,-0.15,-0.3,0.3,5,30")
    before = np.array(api.mtd["ws"].getSignalArray())
    assert 20 < np.isnan(before).sum() < before.size / 2
    _, result = expected(api.mtd["ws"])
    api.DeconvolveMD(InputWorkspace="ws", OutputWorkspace="ws", Model="volumes")
    after, errors = arrays(api.mtd["ws"])
    np.testing.assert_array_equal(np.isnan(after), np.isnan(before))
    assert np.isfinite(errors[~np.isnan(before)]).all()
    np.testing.assert_array_equal(after, result.intensity)


def test_masked_bins_keep_the_numbers_they_had(api: Any, make: Any) -> None:
    workspace = make("hke")
    signal, errors = (array.copy() for array in arrays(workspace))
    signal[0, 0, 0], errors[1, 1, 1] = np.inf, np.nan
    workspace.setSignalArray(signal)
    workspace.setErrorSquaredArray(errors)
    api.DeconvolveMD(InputWorkspace="ws", OutputWorkspace="ws", Model="volumes")
    after, new_errors = arrays(api.mtd["ws"])
    assert after[0, 0, 0] == np.inf
    assert after[1, 1, 1] == signal[1, 1, 1]
    assert np.isnan(new_errors).sum() == 1


def test_options_reach_the_package(api: Any, make: Any) -> None:
    workspace = make("hke")
    options: dict[str, Any] = {"tile": 16, "uncertainty": False, "scale": "auto"}
    _, result = expected(workspace, **options)
    api.DeconvolveMD(
        InputWorkspace="ws",
        OutputWorkspace="ws",
        Model="volumes",
        TileSize=16,
        PropagateErrors=False,
        AutoScale=True,
    )
    signal, errors = arrays(api.mtd["ws"])
    np.testing.assert_array_equal(signal, result.intensity)
    assert (errors == 0).all()


def test_the_incident_energy_is_that_of_the_log_or_of_the_property(api: Any, make: Any) -> None:
    results = []
    for name, logged, given in (("a", True, 0.0), ("b", False, 50.0), ("c", True, 51.0)):
        make("hke", name=name, logged=logged)
        api.DeconvolveMD(InputWorkspace=name, OutputWorkspace=name, Model="volumes", IncidentEnergy=given)
        results.append(arrays(api.mtd[name])[0])
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])  # the network is told the incident energy


def test_the_output_takes_the_name_on_the_left(api: Any, make: Any) -> None:
    make("hke")
    sharp = api.DeconvolveMD(InputWorkspace="ws", Model="volumes", PropagateErrors=False)
    assert sharp.name() == "sharp"


def test_model_file_is_a_folder_or_its_card(api: Any, make: Any, models_folder: Path) -> None:
    make("hke")
    for number, path in enumerate((models_folder / "volumes", models_folder / "volumes" / "card.json")):
        api.DeconvolveMD(InputWorkspace="ws", OutputWorkspace=f"o{number}", ModelFile=str(path))
    np.testing.assert_array_equal(arrays(api.mtd["o0"])[0], arrays(api.mtd["o1"])[0])


def test_errors_of_zero_give_errors_of_zero(api: Any, make: Any) -> None:
    workspace = make("hke")
    workspace.setErrorSquaredArray(np.zeros(workspace.getSignalArray().shape))
    api.DeconvolveMD(InputWorkspace="ws", OutputWorkspace="ws", Model="volumes")
    assert (arrays(api.mtd["ws"])[1] == 0).all()
