from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mantid_exp2sim import Axis, Exp2SimError, Histogram, load, save
from mantid_exp2sim.io.hdf5 import read_tree
from mantid_exp2sim.nexus import Link, NexusTree, Value

AXES = (
    Axis("[H,0,0]", np.linspace(-1, 1, 4), unit="r.l.u.", frame="HKL"),
    Axis("DeltaE", np.array([0.0, 1.0, 3.0]), unit="meV", frame="General Frame"),
)


def assert_same_value(a: Any, b: Any, where: str) -> None:
    assert (a.shape, a.type_code, a.chunks) == (b.shape, b.type_code, b.chunks), where
    if a.data.dtype.hasobject:
        assert a.data.tolist() == b.data.tolist(), where
    else:
        assert a.data.tobytes() == b.data.tobytes(), where
    assert_same_attributes(a.attributes, b.attributes, where)


def assert_same_attributes(a: Mapping[str, Value], b: Mapping[str, Value], where: str) -> None:
    assert list(a) == list(b), where
    for name in a:
        assert_same_value(a[name], b[name], f"{where}@{name}")


def nodes(tree: NexusTree, prefix: str = "") -> Iterator[tuple[str, NexusTree | Value | Link]]:
    for name, node in tree.children.items():
        yield f"{prefix}/{name}", node
        if isinstance(node, NexusTree):
            yield from nodes(node, f"{prefix}/{name}")


def assert_same_tree(a: NexusTree | None, b: NexusTree | None) -> None:
    assert a is not None
    assert b is not None
    ours, theirs = dict(nodes(a)), dict(nodes(b))
    assert list(ours) == list(theirs)
    assert_same_attributes(a.attributes, b.attributes, "/")
    for where, node in ours.items():
        other: Any = theirs[where]
        if isinstance(node, Value):
            assert_same_value(node, other, where)
        elif isinstance(node, Link):
            assert node.target == other.target
        else:
            assert_same_attributes(node.attributes, other.attributes, where)


def assert_same_histogram(a: Histogram, b: Histogram) -> None:
    for name in ("intensity", "variance", "mask"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    for ours, theirs in zip(a.axes, b.axes, strict=True):
        np.testing.assert_array_equal(ours.edges, theirs.edges)
        assert (ours.name, ours.unit, ours.frame, ours.label) == (
            theirs.name,
            theirs.unit,
            theirs.frame,
            theirs.label,
        )


def test_2d_file_of_mantid(reference_data: Path) -> None:
    h = load(reference_data / "mantid" / "mdhisto_2d.nxs")
    assert h.shape == (12, 7)
    assert [axis.name for axis in h.axes] == ["[H,0,0]", "DeltaE"]
    assert [axis.unit for axis in h.axes] == ["r.l.u.", "meV"]
    np.testing.assert_allclose(h.axes[0].edges, np.linspace(-3, 3, 13))
    np.testing.assert_allclose(h.axes[1].edges, np.linspace(-5, 30, 8))
    linear = np.arange(84.0)
    flat = h.mask.ravel(order="F")
    assert np.flatnonzero(flat).tolist() == [0, 1, 5, 40]
    np.testing.assert_array_equal(h.intensity.ravel(order="F")[~flat], linear[~flat])
    np.testing.assert_allclose(h.variance.ravel(order="F")[~flat], 0.25 * (linear + 1)[~flat], rtol=1e-15)
    np.testing.assert_array_equal(
        h.intensity, np.load(reference_data / "mantid" / "mdhisto_2d_signal.npy", allow_pickle=False)
    )


def test_lattice_and_logs(reference_data: Path) -> None:
    h = load(reference_data / "mantid" / "mdhisto_3d_experimentinfo.nxs")
    assert h.shape == (10, 11, 12)
    assert h.metadata["lattice"] == {"a": 3.5, "b": 4.5, "c": 5.5, "alpha": 90, "beta": 95, "gamma": 90}
    assert h.metadata["incident_energy"] == 25
    assert [h.find_axis(kind) for kind in ("h", "k", "l", "energy")] == [0, 1, 2, None]


def test_v1_holds_the_same_as_v2(reference_data: Path) -> None:
    old = load(reference_data / "mantid" / "mdhisto_3d_savemd_v1.nxs")
    new = load(reference_data / "mantid" / "mdhisto_3d_experimentinfo.nxs")
    assert old.shape == new.shape
    np.testing.assert_array_equal(old.mask, new.mask)
    np.testing.assert_array_equal(old.intensity, new.intensity)
    for ours, theirs in zip(old.axes, new.axes, strict=True):
        np.testing.assert_allclose(ours.edges, theirs.edges)
        assert (ours.name, ours.unit, ours.frame) == (theirs.name, theirs.unit, theirs.frame)


@pytest.mark.parametrize("name", ["mdhisto_2d", "mdhisto_3d_experimentinfo"])
def test_round_trip_of_mantids_files_is_bit_for_bit(reference_data: Path, tmp_path: Path, name: str) -> None:
    source = reference_data / "mantid" / f"{name}.nxs"
    save(load(source), tmp_path / "out.nxs")
    before, left_out = read_tree(source)
    after, _ = read_tree(tmp_path / "out.nxs")
    assert left_out == ()
    assert_same_tree(before, after)


def test_v1_becomes_v2_and_keeps_the_rest(reference_data: Path, tmp_path: Path) -> None:
    h = load(reference_data / "mantid" / "mdhisto_3d_savemd_v1.nxs")
    save(h, tmp_path / "out.nxs")
    again = load(tmp_path / "out.nxs")
    assert_same_histogram(h, again)
    assert again.nexus is not None
    assert again.nexus.number("MDHistoWorkspace/data/num_events") == 2
    for part in ("process", "coordinate_system"):
        assert again.nexus.get(f"MDHistoWorkspace/{part}") is not None
    assert again.nexus.get("MDHistoWorkspace/signal") is None
    with h5py.File(tmp_path / "out.nxs") as file:
        assert file["MDHistoWorkspace"].attrs["SaveMDVersion"] == 2
        assert "dimension0" not in file["MDHistoWorkspace"].attrs


def test_changed_intensity_keeps_everything_else(reference_data: Path, tmp_path: Path) -> None:
    h = load(reference_data / "mantid" / "mdhisto_3d_experimentinfo.nxs")
    history = [{"command": "deconvolve", "seed": 1}]
    new = h.replace(intensity=h.intensity + 1, metadata={**h.metadata, "history": history})
    save(new, tmp_path / "out.nxs")
    again = load(tmp_path / "out.nxs")
    assert_same_histogram(new, again)
    assert again.metadata["history"] == history
    assert h.nexus is not None
    assert again.nexus is not None
    for part in ("experiment0", "process"):
        ours, theirs = (tree.get(f"MDHistoWorkspace/{part}") for tree in (h.nexus, again.nexus))
        assert isinstance(ours, NexusTree)
        assert isinstance(theirs, NexusTree)
        assert_same_tree(ours, theirs)
    assert_same_value(
        h.nexus.value("MDHistoWorkspace/data/num_events"),
        again.nexus.value("MDHistoWorkspace/data/num_events"),
        "",
    )


@pytest.mark.parametrize(
    ("logs", "energy"),
    [([[50.0]], 50.0), ([[49.8, 50.2]], 50.0), ([[50.0], [50.2]], 50.1), ([[50.0], [100.0]], None)],
)
def test_the_incident_energy_is_that_of_all_runs(
    tmp_path: Path, logs: list[list[float]], energy: float | None
) -> None:
    path = tmp_path / "a.nxs"
    ones = np.ones((2, 3))
    write_v2(path, ones, ones, ones, np.zeros((2, 3)), normalization=0)
    with h5py.File(path, "a") as file:
        for number, values in enumerate(logs):
            file[f"MDHistoWorkspace/experiment{number}/logs/Ei/value"] = np.array(values)
    assert load(path).metadata.get("incident_energy") == (energy and pytest.approx(energy))


def write_v2(
    path: Path,
    signal: np.ndarray,
    errors: np.ndarray,
    events: np.ndarray,
    mask: np.ndarray,
    *,
    normalization: int = 2,
    axes: str = "D1:D0",
    edges: dict[str, np.ndarray] | None = None,
) -> None:
    with h5py.File(path, "w") as file:
        entry = file.create_group("MDHistoWorkspace")
        entry.attrs["SaveMDVersion"] = np.int32(2)
        entry["visual_normalization"] = np.array([normalization], dtype=np.uint32)
        entry["coordinate_system"] = np.array([3], dtype=np.uint32)
        data = entry.create_group("data")
        for name, values in (edges or {"D0": np.arange(4.0), "D1": np.arange(3.0)}).items():
            data[name] = values
        data["signal"] = signal
        data["signal"].attrs["axes"] = axes
        data["errors_squared"], data["num_events"] = errors, events
        data["mask"] = mask.astype(np.int8)


def test_event_normalisation(tmp_path: Path) -> None:
    signal = np.array([[2.0, 4, 6], [8, 10, 12]])
    events = np.array([[2.0, 0, 3], [4, 5, 7]])
    mask = np.array([[0, 0, 1], [0, 0, 0]])
    write_v2(tmp_path / "a.nxs", signal, signal, events, mask)
    h = load(tmp_path / "a.nxs")
    np.testing.assert_array_equal(h.mask.T, [[False, True, True], [False, False, False]])
    np.testing.assert_allclose(h.intensity.T, [[1, np.nan, np.nan], [2, 2, 12 / 7]])
    np.testing.assert_allclose(h.variance.T, [[0.5, np.nan, np.nan], [0.5, 0.4, 12 / 49]])
    save(h, tmp_path / "b.nxs")
    assert_same_tree(h.nexus, load(tmp_path / "b.nxs").nexus)
    save(h.replace(intensity=h.intensity * 3), tmp_path / "c.nxs")
    with h5py.File(tmp_path / "c.nxs") as file:
        data = file["MDHistoWorkspace/data"]
        np.testing.assert_allclose(data["signal"][()], [[6, 4, 6], [24, 30, 36]])
        np.testing.assert_array_equal(data["num_events"][()], events)
        np.testing.assert_array_equal(data["mask"][()], mask)
    revealed = h.replace(intensity=np.ones(h.shape), variance=np.ones(h.shape), mask=np.zeros(h.shape))
    save(revealed, tmp_path / "d.nxs")
    assert_same_histogram(load(tmp_path / "d.nxs"), revealed)


SHOWN = {
    0: [[2, np.nan, 6], [8, 10, np.nan]],
    1: [[4, np.nan, 12], [16, 20, np.nan]],
    2: [[1, np.nan, 2], [2, 2, np.nan]],
}
"""What Mantid displays of the signals below in bins of volume 0.5."""


@pytest.mark.parametrize("normalization", [0, 1, 2])
def test_bins_without_events_are_unknown_whatever_the_normalisation(
    tmp_path: Path, normalization: int
) -> None:
    signal = np.array([[2.0, 0, 6], [8, 10, 0]])
    events = np.array([[2.0, 0, 3], [4, 5, 0]])
    edges = {"D0": np.array([0.0, 2, 4, 6]), "D1": np.array([0, 0.25, 0.5])}
    write_v2(tmp_path / "a.nxs", signal, signal, events, 0 * signal, normalization=normalization, edges=edges)
    h = load(tmp_path / "a.nxs")
    shown = np.array(SHOWN[normalization])
    np.testing.assert_allclose(h.intensity.T, shown)
    there = events > 0
    np.testing.assert_allclose((h.intensity.T**2 / h.variance.T)[there], signal[there])
    save(h, tmp_path / "b.nxs")
    assert_same_tree(h.nexus, load(tmp_path / "b.nxs").nexus)
    save(h.replace(intensity=h.intensity * 3), tmp_path / "c.nxs")
    np.testing.assert_allclose(load(tmp_path / "c.nxs").intensity.T, 3 * shown)
    with h5py.File(tmp_path / "c.nxs") as file:
        np.testing.assert_allclose(file["MDHistoWorkspace/data/signal"][()], 3 * signal)
        np.testing.assert_array_equal(file["MDHistoWorkspace/data/num_events"][()], events)
        assert file["MDHistoWorkspace/visual_normalization"][()] == [normalization]
    revealed = h.replace(intensity=np.ones(h.shape), variance=np.ones(h.shape), mask=np.zeros(h.shape))
    save(revealed, tmp_path / "d.nxs")
    assert_same_histogram(load(tmp_path / "d.nxs"), revealed)


@pytest.mark.parametrize("normalization", [0, 1, 2])
def test_events_that_are_zero_everywhere_say_nothing(tmp_path: Path, normalization: int) -> None:
    ones = np.ones((2, 3))
    write_v2(tmp_path / "a.nxs", ones, ones, 0 * ones, 0 * ones, normalization=normalization)
    h = load(tmp_path / "a.nxs")
    assert not h.mask.any()
    np.testing.assert_array_equal(h.intensity, 1)
    save(h.replace(intensity=h.intensity * 2), tmp_path / "b.nxs")
    np.testing.assert_array_equal(load(tmp_path / "b.nxs").intensity, 2)


def test_not_finite_is_not_measured(tmp_path: Path) -> None:
    signal = np.array([[np.nan, np.inf, 1], [1, 1, 1]])
    errors = np.array([[1, 1, np.nan], [1, 1, 1]])
    write_v2(tmp_path / "a.nxs", signal, errors, np.ones((2, 3)), np.zeros((2, 3)), normalization=0)
    np.testing.assert_array_equal(load(tmp_path / "a.nxs").mask.T, [[True] * 3, [False] * 3])


def test_spinw_order_is_that_of_the_axes_attribute(tmp_path: Path) -> None:
    signal = np.arange(6.0).reshape(2, 3)
    edges = {"D0": np.arange(3.0), "D1": np.array([0.0, 1, 3, 3.5])}
    write_v2(tmp_path / "a.nxs", signal, signal, 0 * signal, 0 * signal, axes="D0:D1", edges=edges)
    with h5py.File(tmp_path / "a.nxs", "a") as file:
        entry = file["MDHistoWorkspace"]
        entry.attrs["Qconvention"] = "Inelastic"
        entry["data/D0"].attrs.update({"frame": "[1 0 0]", "long_name": "[1 0 0]", "units": "r.l.u"})
        entry["data/D1"].attrs.update({"frame": "General Frame", "long_name": "DeltaE", "units": "DeltaE"})
    h = load(tmp_path / "a.nxs")
    np.testing.assert_array_equal(h.intensity, signal / [1, 2, 0.5])  # sums in bins: per meV
    np.testing.assert_array_equal(h.variance, signal / [1, 4, 0.25])
    assert (h.find_axis("h"), h.find_axis("energy")) == (0, 1)
    save(h, tmp_path / "b.nxs")
    assert_same_tree(h.nexus, load(tmp_path / "b.nxs").nexus)
    save(2 * h, tmp_path / "c.nxs")
    with h5py.File(tmp_path / "c.nxs") as file:
        np.testing.assert_array_equal(file["MDHistoWorkspace/data/signal"], 2 * signal)


@given(seed=st.integers(0, 2**32), ndim=st.integers(1, 4))
def test_any_histogram_comes_back(tmp_path_factory: pytest.TempPathFactory, seed: Any, ndim: Any) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 5, ndim))
    axes = tuple(Axis(f"axis {i}", np.cumsum(rng.random(n + 1) + 0.1), unit="u") for i, n in enumerate(shape))
    mask = rng.random(shape) < 0.3
    mask.flat[0] = False
    h = Histogram(
        rng.normal(size=shape), rng.random(shape), mask, axes, {"title": "t", "history": [{"seed": 1.5}]}
    )
    path = tmp_path_factory.mktemp("nxs") / "a.nxs"
    save(h, path)
    again = load(path)
    assert_same_histogram(h, again)
    assert again.metadata["title"] == "t"
    assert again.metadata["history"] == [{"seed": 1.5}]


def test_names_that_nexus_cannot_hold(tmp_path: Path) -> None:
    axes = [Axis("a:b/c", np.arange(3.0), label="Text"), Axis("a:b/c", np.arange(3.0))]
    h = Histogram.from_arrays(np.ones((2, 2)), axes)
    save(h, tmp_path / "a.nxs")
    assert_same_histogram(h, load(tmp_path / "a.nxs"))


def test_links_stay_inside_the_file(tmp_path: Path) -> None:
    save(Histogram.from_arrays(np.ones((3, 2)), AXES), tmp_path / "a.nxs")
    (tmp_path / "secret.txt").write_bytes(b"secret" * 10)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = 1.0
    with h5py.File(tmp_path / "a.nxs", "a") as file:
        entry = file["MDHistoWorkspace"]
        entry["outside"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/secret")
        entry["soft"] = h5py.SoftLink("/MDHistoWorkspace/data/signal")
        entry["link"] = entry["data"]
        entry["loop"] = entry
        entry.create_dataset("raw", shape=(8,), dtype="u1", external=[(str(tmp_path / "secret.txt"), 0, 8)])
        entry["text"] = ["variable", "length"]
        entry["reference"] = entry.ref
        compound = np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")])
        entry["compound"] = compound
        entry.attrs["empty"] = h5py.Empty("f8")
    h = load(tmp_path / "a.nxs")
    outside = {"outside", "raw", "reference"}
    assert {path.rsplit("/", 1)[1] for path in h.metadata["left_out"]} == outside
    save(h, tmp_path / "b.nxs")
    again = load(tmp_path / "b.nxs")
    assert_same_tree(h.nexus, again.nexus)
    with h5py.File(tmp_path / "b.nxs") as file:
        entry = file["MDHistoWorkspace"]
        assert not outside & set(entry)
        np.testing.assert_array_equal(entry["compound"][()], compound)
        assert entry["link"]["signal"].shape == (2, 3)
        assert entry["text"].asstr()[()].tolist() == ["variable", "length"]


def test_huge_and_bombs_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(Histogram.from_arrays(np.ones((3, 2)), AXES), tmp_path / "a.nxs")
    with h5py.File(tmp_path / "a.nxs", "a") as file:
        file["MDHistoWorkspace"].create_dataset("bomb", shape=(2**40,), chunks=(2**20,), dtype="f8")
    with pytest.raises(Exp2SimError, match="unpacks"):
        load(tmp_path / "a.nxs")
    save(Histogram.from_arrays(np.ones((3, 2)), AXES), tmp_path / "b.nxs")
    monkeypatch.setenv("EXP2SIM_MAX_BYTES", "100")
    with pytest.raises(Exp2SimError, match="EXP2SIM_MAX_BYTES"):
        load(tmp_path / "b.nxs")


def test_events_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        file.create_group("MDEventWorkspace")
    with pytest.raises(Exp2SimError, match="BinMD"):
        load(tmp_path / "a.nxs")


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE d [<!ENTITY a "aaaa">]><Dimension ID="&a;"><NumberOfBins>1</NumberOfBins></Dimension>'
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        entry = file.create_group("MDHistoWorkspace")
        entry.attrs["dimension0"] = bomb
        entry["signal"] = np.ones(1)
    with pytest.raises(Exp2SimError, match="document type"):
        load(tmp_path / "a.nxs")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["signal"].attrs.__delitem__("axes"),
        lambda data: data["signal"].attrs.__setitem__("axes", "D0:D0"),
        lambda data: data["signal"].attrs.__setitem__("axes", "D0:D1:D2"),
        lambda data: data["signal"].attrs.__setitem__("axes", "D0:D1"),
        lambda data: data.__delitem__("D0"),
        lambda data: data.__delitem__("signal"),
        lambda data: data["D0"].write_direct(np.zeros(4)),
        lambda data: data["mask"].write_direct(np.ones((2, 3), dtype=np.int8)),
        lambda data: data["errors_squared"].write_direct(-np.ones((2, 3))),
    ],
)
def test_bad_files(tmp_path: Path, change: Callable[..., Any]) -> None:
    ones = np.ones((2, 3))
    write_v2(tmp_path / "a.nxs", ones, ones, ones, 0 * ones)
    with h5py.File(tmp_path / "a.nxs", "a") as file:
        change(file["MDHistoWorkspace/data"])
    with pytest.raises(Exp2SimError):
        load(tmp_path / "a.nxs")


def test_damaged_files_raise_only_our_error(tmp_path: Path) -> None:
    save(Histogram.from_arrays(np.ones((3, 2)), AXES, metadata={"title": "t"}), tmp_path / "a.nxs")
    good = (tmp_path / "a.nxs").read_bytes()
    rng = np.random.default_rng(0)
    bad = tmp_path / "bad.nxs"
    for _ in range(150):
        content = bytearray(good)
        for _ in range(int(rng.integers(1, 20))):
            content[int(rng.integers(len(content)))] = int(rng.integers(256))
        if rng.random() < 0.3:
            content = content[: int(rng.integers(len(content)))]
        bad.write_bytes(content)
        try:
            h = load(bad)
            save(h, tmp_path / "out.nxs")
        except Exp2SimError:
            pass


def test_names_that_are_no_text(tmp_path: Path) -> None:
    save(Histogram.from_arrays(np.ones((3, 2)), AXES), tmp_path / "a.nxs")
    content = (tmp_path / "a.nxs").read_bytes()
    for name in (b"MDHistoWorkspace", b"long_name", b"errors_squared"):
        (tmp_path / "b.nxs").write_bytes(content.replace(name, b"\xba" + name[1:]))
        with pytest.raises(Exp2SimError):
            load(tmp_path / "b.nxs")


def measured(**metadata: Any) -> Histogram:
    axes = [Axis("[H,0,0]", np.arange(3.0), unit="r.l.u.", frame="HKL")]
    return Histogram.from_arrays(np.ones(2), axes, metadata=metadata)


CELL = {"a": 3.5, "b": 4.5, "c": 5.5, "alpha": 90.0, "beta": 95.0, "gamma": 90.0}


def shapes(group: h5py.Group) -> dict[str, Any]:
    """What Mantid asks of a group: names, kinds, shapes and types of its members, and its attributes."""
    members: dict[str, Any] = {}
    group.visititems(
        lambda name, item: members.update(
            {name: (sorted(item.attrs), getattr(item, "shape", None), str(getattr(item, "dtype", ""))[:3])}
        )
    )
    return {**members, "": (sorted(group.attrs), None, "")}


def test_incident_energy_and_lattice_lie_where_mantid_has_them(tmp_path: Path, reference_data: Path) -> None:
    save(measured(incident_energy=25.0, lattice=CELL), tmp_path / "a.nxs")
    written, recorded = tmp_path / "a.nxs", reference_data / "mantid" / "mdhisto_3d_experimentinfo.nxs"
    with h5py.File(written) as ours, h5py.File(recorded) as mantids:
        run, like = ours["MDHistoWorkspace/experiment0"], mantids["MDHistoWorkspace/experiment0"]
        assert run["logs/Ei/value"][()] == like["logs/Ei/value"][()] == 25
        assert run["logs/Ei/value"].attrs["units"] == b"meV"
        assert {**run["logs"].attrs} == {**like["logs"].attrs}
        assert shapes(run["sample"]) == shapes(like["sample"])
        first, second = (x["sample/oriented_lattice/orientation_matrix"][()] for x in (run, like))
        np.testing.assert_allclose(first.T @ first, second.T @ second, atol=1e-12)  # up to a rotation
        for name, item in shapes(run["instrument"]).items():
            assert item[0] == shapes(like["instrument"])[name][0]
        assert run["instrument/instrument_xml/data"][()][0].strip()
    again = load(written).metadata
    assert (again["incident_energy"], again["lattice"]) == (25.0, CELL)


@pytest.mark.parametrize("metadata", [{}, {"incident_energy": 0.0}, {"incident_energy": True}])
def test_no_run_without_an_incident_energy(tmp_path: Path, metadata: dict[str, Any]) -> None:
    save(measured(**metadata), tmp_path / "a.nxs")
    with h5py.File(tmp_path / "a.nxs") as file:
        assert not [name for name in file["MDHistoWorkspace"] if name.startswith("experiment")]


def test_runs_of_a_file_get_the_energy_that_they_lack(tmp_path: Path) -> None:
    save(measured(incident_energy=25.0), tmp_path / "a.nxs")
    with h5py.File(tmp_path / "a.nxs", "a") as file:
        entry = file["MDHistoWorkspace"]
        del entry["experiment0/logs"]
        entry["experiment1/logs/temperature/value"] = np.array([4.2])
    h = load(tmp_path / "a.nxs")
    save(h.replace(metadata={**h.metadata, "incident_energy": 50.0}), tmp_path / "b.nxs")
    with h5py.File(tmp_path / "b.nxs") as file:
        for run in ("experiment0", "experiment1"):
            assert file[f"MDHistoWorkspace/{run}/logs/Ei/value"][()] == 50
        assert file["MDHistoWorkspace/experiment1/logs/temperature/value"][()] == 4.2


def test_an_energy_that_is_corrected_goes_into_the_log(tmp_path: Path) -> None:
    save(measured(incident_energy=25.0), tmp_path / "a.nxs")
    h = load(tmp_path / "a.nxs")
    save(h.replace(metadata={**h.metadata, "incident_energy": 26.0}), tmp_path / "b.nxs")
    with h5py.File(tmp_path / "b.nxs") as file:
        assert file["MDHistoWorkspace/experiment0/logs/Ei/value"][()] == 26
    assert load(tmp_path / "b.nxs").metadata["incident_energy"] == 26


def test_energies_of_several_runs_stay(tmp_path: Path) -> None:
    save(measured(incident_energy=25.0), tmp_path / "a.nxs")
    with h5py.File(tmp_path / "a.nxs", "a") as file:
        file["MDHistoWorkspace/experiment1/logs/Ei/value"] = np.array([80.0])
    h = load(tmp_path / "a.nxs")
    assert "incident_energy" not in h.metadata
    save(h.replace(metadata={**h.metadata, "incident_energy": 50.0}), tmp_path / "b.nxs")
    with h5py.File(tmp_path / "b.nxs") as file:
        energies = [file[f"MDHistoWorkspace/experiment{i}/logs/Ei/value"][0] for i in (0, 1)]
    assert energies == [25.0, 80.0]
    assert load(tmp_path / "b.nxs").metadata["incident_energy"] == 50.0
