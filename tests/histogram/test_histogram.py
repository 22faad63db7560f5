from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import mantid_exp2sim
from mantid_exp2sim import Axis, Exp2SimError, Histogram

E = Axis("DeltaE", np.arange(4.0), unit="meV", frame="General Frame")


def test_arrays_are_read_only_copies() -> None:
    values = np.ones(3)
    h = Histogram.from_arrays(values, [E])
    values[0] = 5
    assert h.intensity[0] == 1
    for array in (h.intensity, h.variance, h.mask, h.axes[0].edges):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@given(hnp.arrays(np.float64, 3), hnp.arrays(np.bool_, 3))
def test_masked_bins_and_no_others_are_nan(values: Any, mask: Any) -> None:
    unknown = mask | ~np.isfinite(values)
    h = Histogram(values, np.ones(3), unknown, (E,))
    np.testing.assert_array_equal(np.isnan(h.intensity), unknown)
    np.testing.assert_array_equal(np.isnan(h.variance), unknown)
    np.testing.assert_array_equal(h.intensity[~unknown], values[~unknown])


@pytest.mark.parametrize(
    ("intensity", "variance", "mask"),
    [
        (np.ones(2), np.ones(3), np.zeros(3)),
        (np.ones(3), np.ones(2), np.zeros(3)),
        (np.ones(3), np.ones(3), np.zeros(4)),
        (np.array([1, np.nan, 1]), np.ones(3), np.zeros(3)),
        (np.ones(3), np.array([1, np.inf, 1]), np.zeros(3)),
        (np.ones(3), np.array([1, -1.0, 1]), np.zeros(3)),
        (np.array(["a", "b", "c"]), np.ones(3), np.zeros(3)),
    ],
)
def test_bad_arrays(intensity: Any, variance: Any, mask: Any) -> None:
    with pytest.raises(Exp2SimError):
        Histogram(intensity, variance, mask, (E,))


@pytest.mark.parametrize("edges", [[1.0], [1.0, 1.0], [2.0, 1.0], [0.0, np.nan], [[0.0, 1.0]], ["a", "b"]])
def test_bad_edges(edges: Any) -> None:
    with pytest.raises(Exp2SimError):
        Axis("x", edges)


def test_metadata_must_be_json() -> None:
    with pytest.raises(Exp2SimError, match="JSON"):
        Histogram.from_arrays(np.ones(3), [E], metadata={"x": np.ones(2)})


@pytest.mark.parametrize(
    ("name", "unit", "frame", "kind"),
    [
        ("[H,0,0]", "r.l.u.", "HKL", "h"),
        ("[0,K,0]", "in 1.08 A^-1", "HKL", "k"),
        ("[0,0,L]", "r.l.u.", "HKL", "l"),
        ("[1 0 0]", "r.l.u", "[1 0 0]", "h"),
        ("D1", "r.l.u", "[0 1 0]", "k"),
        ("[H,H,0]", "r.l.u.", "HKL", None),
        ("[H,-H,0]", "r.l.u.", "HKL", None),
        ("DeltaE", "meV", "General Frame", "energy"),
        ("DeltaE", "DeltaE", "General Frame", "energy"),
        ("E", "", "Unknown frame", "energy"),
        ("|Q|", "A^-1", "General Frame", "modQ"),
        ("K", "r.l.u.", "HKL", "k"),
        ("row", "px", "General Frame", None),
    ],
)
def test_kind_of_axis(name: str, unit: str, frame: str, kind: str | None) -> None:
    assert Axis(name, np.arange(3.0), unit=unit, frame=frame).kind == kind


def test_two_axes_of_one_kind_are_refused() -> None:
    h = Histogram.from_arrays(np.ones((3, 3)), [E, E])
    with pytest.raises(Exp2SimError, match="More than one"):
        h.find_axis("energy")


def test_replace_keeps_the_rest() -> None:
    h = Histogram.from_arrays(np.ones(3), [E], np.full(3, 2.0), [True, False, False], metadata={"title": "t"})
    new = h.replace(intensity=h.intensity * 2)
    assert new.axes is h.axes
    assert new.metadata == {"title": "t"}
    np.testing.assert_array_equal(new.intensity, [np.nan, 2, 2])
    np.testing.assert_array_equal(new.mask, h.mask)


@given(st.text(), st.text(), st.text())
def test_errors_survive_pickling(what: Any, why: Any, fix: Any) -> None:
    error = pickle.loads(pickle.dumps(Exp2SimError(what, reason=why, fix=fix)))
    assert (error.summary, error.reason, error.fix) == (what, why, fix)


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, mantid_exp2sim, mantid_exp2sim.cli; mantid_exp2sim.Histogram\n"
        "heavy = {'torch', 'ot', 'matplotlib', 'h5py', 'scipy', 'pydantic', 'rich'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there() -> None:
    for name in ("load", "save", "Histogram", "Axis", "Exp2SimError", "Cancelled", "__version__"):
        assert name in dir(mantid_exp2sim)
        assert getattr(mantid_exp2sim, name) is not None
    with pytest.raises(AttributeError):
        _ = mantid_exp2sim.no_such_name


def test_arguments_of_a_wrong_type_say_what_is_taken(tmp_path: Path) -> None:
    no_paths: tuple[Any, ...] = (None, 3, b"a.npz")
    no_histogram: Any = np.ones(3)
    for use in (mantid_exp2sim.load, mantid_exp2sim.load_model):
        for wrong in no_paths:
            with pytest.raises(Exp2SimError, match=r"Got a \w+\. It takes the "):
                use(wrong)
    with pytest.raises(Exp2SimError, match=r"Got a ndarray\. It takes a Histogram"):
        mantid_exp2sim.save(no_histogram, tmp_path / "a.npz")
    with pytest.raises(Exp2SimError, match="the path of a file"):
        mantid_exp2sim.save(Histogram.from_arrays([1.0], [Axis("DeltaE", np.array([0.0, 1.0]))]), no_paths[0])
    assert list(tmp_path.iterdir()) == []
