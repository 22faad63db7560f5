"""The window's model: data, results, what is shown and told, scripts. Nothing here needs Qt."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import LogNorm, PowerNorm
from matplotlib.figure import Figure

from mantid_exp2sim.domain.check import DomainReport
from mantid_exp2sim.errors import Cancelled, Exp2SimError
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.inference.classify import Classification
from mantid_exp2sim.inference.translate import Translation
from mantid_exp2sim.interface import answers, script
from mantid_exp2sim.interface.drawing import Drawing, norms_of
from mantid_exp2sim.interface.export import save_picture
from mantid_exp2sim.interface.session import Choice, Entry, Outcome, Session, read_entry, read_numbers
from mantid_exp2sim.interface.views import Panel, View, cuts, first_view, panels, slice_of, sliders, volumes
from mantid_exp2sim.interface.work import WORK
from mantid_exp2sim.io import load, save


def no_progress(done: int, total: int, text: str) -> None:
    """Nobody looks."""


@pytest.fixture
def translated(session: Session, choice: Choice) -> Session:
    entry = session.entry
    session.record(entry.name, "translation", WORK["translation"](entry, choice, no_progress), choice)
    return session


@pytest.fixture
def with_result(session: Session) -> Session:
    """A session with a result that cost nothing: half of the data."""
    before = session.entry.histogram
    half = Translation(before.replace(intensity=before.intensity / 2))
    session.record(session.entry.name, "translation", half, Choice())
    return session


def test_names_are_unique_and_removing_looks_at_another(ramp: Histogram) -> None:
    session = Session()
    names = [session.add(Entry("a", ramp)).name for _ in range(3)]
    assert names == ["a", "a (2)", "a (3)"]
    session.remove("a (3)")
    assert session.current == "a"
    session.remove("a")
    session.remove("a (2)")
    with pytest.raises(Exp2SimError, match="no data"):
        _ = session.entry


def test_parts_add_up_to_the_measurement(translated: Session) -> None:
    sharp, removed, residual = (translated.part(name) for name in ("after", "removed", "residual"))
    assert sharp is not None
    assert removed is not None
    assert residual is not None
    before = translated.entry.histogram
    assert np.array_equal(sharp.mask, before.mask)
    from mantid_exp2sim import load_model

    seen_again = load_model("tiny-3d").convolve(sharp, force=True, uncertainty=False)
    total = seen_again.intensity + removed.intensity + residual.intensity
    np.testing.assert_allclose(total[~before.mask], before.intensity[~before.mask], rtol=1e-3, atol=1e-3)


def test_a_result_of_data_that_are_gone_is_dropped(session: Session, choice: Choice) -> None:
    name = session.entry.name
    session.remove(name)
    session.record(name, "domain", DomainReport(0.4, 1.0, "trustworthy"), choice)
    assert session.outcomes == {}


def test_saving_replaces_nothing_without_being_told(with_result: Session, tmp_path: Path) -> None:
    path = tmp_path / "result.npz"
    with_result.save("after", path)
    content = path.read_bytes()
    with pytest.raises(Exp2SimError, match="there already"):
        with_result.save("before", path)
    assert path.read_bytes() == content
    with_result.save("before", path, overwrite=True)
    before = load(path).intensity
    np.testing.assert_array_equal(before, with_result.entry.histogram.intensity)


def test_an_input_is_never_replaced(with_result: Session, volume_file: Path) -> None:
    content = volume_file.read_bytes()
    with pytest.raises(Exp2SimError, match="one of the inputs"):
        with_result.save("after", volume_file, overwrite=True)
    with pytest.raises(Exp2SimError, match="one of the inputs"):
        save_picture(with_result, first_view(with_result.entry.histogram), volume_file)
    assert volume_file.read_bytes() == content


def test_a_part_that_was_not_computed_cannot_be_saved(session: Session, tmp_path: Path) -> None:
    with pytest.raises(Exp2SimError, match="Deconvolve the data first"):
        session.save("after", tmp_path / "result.npz")
    assert list(tmp_path.glob("*.npz")) == []


def test_a_slice_holds_the_bins_of_its_place(ramp: Histogram) -> None:
    flat = slice_of(ramp, View(across=2, up=0, bins=(9, 3, 9)))
    h, energy = np.meshgrid(np.arange(3.0), np.arange(5.0))
    np.testing.assert_array_equal(flat.intensity, 100 * h + 30 + energy)
    assert [axis.name for axis in flat.axes] == ["DeltaE", "[H,0,0]"]
    assert sliders(ramp, View(across=2, up=0)) == (1,)


def test_a_mosaic_is_six_volumes(picture: Histogram) -> None:
    parts = volumes(picture)
    view = first_view(picture)
    assert len(parts) == 6
    flat = slice_of(parts[5], replace(view, bins=(0, 0, 0)))
    # h decreases with the row of the published picture, k increases with the column
    np.testing.assert_array_equal(flat.intensity, picture.intensity[200:240, 0:40][::-1])


def test_cuts_are_means_over_whole_bins_of_the_box(ramp: Histogram) -> None:
    flat = slice_of(ramp, View(across=0, up=1, bins=(0, 0, 2)))
    along, upwards = cuts([Panel("before", flat)], (0.2, 1.9, 1.1, 2.9))
    np.testing.assert_allclose(along["before"].intensity, [17.0, 117.0])
    np.testing.assert_allclose(along["before"].variance, [2.0, 2.0])
    np.testing.assert_allclose(upwards["before"].intensity, [62.0, 72.0])
    with pytest.raises(Exp2SimError, match="beside the data"):
        cuts([Panel("before", flat)], (7.0, 8.0, 1.0, 2.0))


@pytest.mark.parametrize(("show", "value"), [("difference", 111.0), ("ratio", 2.0)])
def test_difference_and_ratio(ramp: Histogram, show: str, value: float) -> None:
    session = Session()
    session.add(Entry("a", ramp))
    double = Translation(ramp.replace(intensity=2 * ramp.intensity))
    session.record("a", "translation", double, Choice())
    view = View(across=0, up=1, bins=(0, 0, 1), show="difference" if show == "difference" else "ratio")
    (panel,) = panels(session, view)
    assert panel.data.intensity[1, 1] == pytest.approx(value)
    assert not panel.data.variance.any()  # both hold the same noise: its error is not known


def test_colour_scales(ramp: Histogram) -> None:
    flat = slice_of(ramp, View(across=0, up=1, bins=(0, 0, 0)))
    shown = [Panel("before", flat), Panel("residual", flat.replace(intensity=flat.intensity - 115), "signed")]
    norms = norms_of(shown, View(up=1, low=5.0, high=50.0))
    assert (norms["intensity"].vmin, norms["intensity"].vmax) == (5.0, 50.0)
    assert norms["signed"].vmin == -norms["signed"].vmax  # type: ignore[operator]
    logarithm = norms_of(shown, View(up=1, scale="logarithm"))["intensity"]
    assert isinstance(logarithm, LogNorm)
    assert logarithm(-3.0) == 0.0  # an intensity below the scale has its lowest colour: it was measured
    root = norms_of(shown, View(up=1, scale="square root", low=0.0, high=100.0))["intensity"]
    assert isinstance(root, PowerNorm)
    assert root(25.0) == pytest.approx(0.5)


def test_a_slider_fills_the_same_pictures(ramp: Histogram) -> None:
    session = Session()
    session.add(Entry("a", ramp))
    drawing, view = Drawing(Figure()), first_view(ramp)
    drawing.show(panels(session, view), view)
    before = drawing.maps
    view = replace(view, bins=(0, 0, 4))
    drawing.show(panels(session, view), view)
    assert drawing.maps is before
    mesh = drawing.maps[0].collections[0]
    np.testing.assert_array_equal(np.ma.asarray(mesh.get_array()).ravel(), ramp.intensity[:, :, 4].T.ravel())


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_picture_is_written(with_result: Session, tmp_path: Path, suffix: str) -> None:
    view = replace(first_view(with_result.entry.histogram), box=(-0.9, -0.5, -0.9, -0.5))
    save_picture(with_result, view, tmp_path / f"picture{suffix}")
    starts = {".png": b"\x89PNG", ".svg": b"<?xml"}
    assert (tmp_path / f"picture{suffix}").read_bytes().startswith(starts[suffix])


def test_work_ends_at_a_cancel(session: Session, choice: Choice) -> None:
    def cancel(done: int, total: int, text: str) -> None:
        raise Cancelled

    for kind in ("translation", "domain", "classification"):
        with pytest.raises(Cancelled):
            WORK[kind](session.entry, choice, cancel)


def test_data_that_a_model_does_not_take_are_not_known_to_it(ramp: Histogram, choice: Choice) -> None:
    report = WORK["domain"](Entry("a", ramp), choice, no_progress)
    assert report.verdict == "not known"
    assert "does not take the data" in report.note


def test_the_verdict_has_reasons() -> None:
    report = DomainReport(0.0012, 3.5, "untrustworthy", score=9.25, limit=4.5, expected_error=0.31)
    word, text = answers.verdict(Outcome(domain=report))
    assert word == "untrustworthy"
    for part in ("0.0012", "9.25", "4.5", "31 %", "richardson-lucy"):
        assert part in text


def test_correlations_are_told_with_warnings() -> None:
    said = Classification(
        {"Dimer": 0.91, "Goodenough": 0.125}, "Dimer", 0.91, "convolved", 0.5, warnings=("a < b",)
    )
    text = answers.correlations(said)
    assert "0.910" in text
    assert "0.125" in text
    assert "a &lt; b" in text


def test_numbers() -> None:
    assert read_numbers("5.4,5.4  19") == (5.4, 5.4, 19.0)
    assert read_numbers("") is None
    with pytest.raises(Exp2SimError, match="not all numbers"):
        read_numbers("5.4 Å")


def test_the_python_script_gives_the_same_result(translated: Session, choice: Choice, tmp_path: Path) -> None:
    entry = translated.entry
    report = WORK["domain"](entry, choice, no_progress)
    translated.record(entry.name, "domain", report, choice)
    view = replace(first_view(entry.histogram), box=(-0.9, -0.4, -0.9, -0.5))
    text = script.python_script(translated, view) + "e2s.save(result, 'again.npz')\n"
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert report.words() in done.stdout
    after = translated.part("after")
    assert after is not None
    np.testing.assert_allclose(load(tmp_path / "again.npz").intensity, after.intensity, rtol=1e-3, atol=1e-3)
    assert (tmp_path / "cut.png").is_file()


def test_data_from_nowhere_have_no_script(ramp: Histogram) -> None:
    session = Session()
    session.add(Entry("a", ramp))
    with pytest.raises(Exp2SimError, match="Save the data"):
        script.python_script(session)


def test_mantid_loads_no_npz(ramp: Histogram, tmp_path: Path) -> None:
    save(ramp, tmp_path / "a.npz")
    session = Session()
    session.add(read_entry(tmp_path / "a.npz"))
    with pytest.raises(Exp2SimError, match=r"save the data as \.nxs"):
        script.mantid_script(session)
