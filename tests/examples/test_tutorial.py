"""The commands of docs/tutorial.md, as they stand there, at small size."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mantid_exp2sim import load, load_model
from mantid_exp2sim.model.registry import list_models

ROOT = Path(__file__).resolve().parents[2]


def runner() -> ModuleType:
    name = "exp2sim_tutorial_run"
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / "tutorial" / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def look_at_material(folder: Path, printed: str) -> None:
    """The band ends at 4 S J1 = 6.5 meV, as the closed form says."""
    ideal = load(folder / "ideal.npz")
    occupied = np.nansum(ideal.intensity, axis=(0, 1)) > 1e-3 * np.nansum(ideal.intensity)
    edges = ideal.axes[2].edges
    top = int(np.flatnonzero(occupied)[-1])
    assert edges[top] < 4 * 2.5 * 0.65 <= edges[top + 1]
    assert (folder / "ideal.png").stat().st_size > 1000


def look_at_exports(folder: Path, printed: str) -> None:
    """Files of three programs; no class is bound to one of them."""
    names = [path.name for path in (folder / "exports" / "convolved").iterdir()]
    for kind in ("Nearest", "Frustrated"):
        for ending in (".nxs", ".d3d"):
            assert any(name.startswith(kind) and name.endswith(ending) for name in names)
    assert len(list((folder / "exports" / "integrated").glob("*.mat"))) == len(names)
    lines = (folder / "exports" / "labels.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "file,class,group,J1,J2"
    assert len(lines) == 1 + len(names)


def look_at_data(folder: Path, printed: str) -> None:
    described = json.loads((folder / "data" / "dataset.json").read_bytes())
    assert described["classes"] == ["Frustrated", "Nearest"]
    assert not described["refused"]
    one, other = (described["domains"][kind]["items"] for kind in ("convolved", "integrated"))
    assert len(one) == len(other)
    assert all(item["pair"] >= 0 and item["exact"] for item in [*one, *other])
    for item in one:  # pairs are of one parameter set and in one split
        partner = other[item["pair"]]
        assert (item["group"], item["split"], item["label"]) == (
            partner["group"],
            partner["split"],
            partner["label"],
        )
        assert item["incident_energy"] == 24.0
        assert 0.5 < item["measured"] < 1
    assert "paired" in printed
    assert (folder / "data.png").stat().st_size > 1000


def look_at_classifiers(folder: Path, printed: str) -> None:
    for kind in ("integrated", "convolved"):
        model = json.loads((folder / "runs" / f"classifier-{kind}" / "model.json").read_bytes())
        assert model["kind"] == kind
        assert model["classes"] == ["Frustrated", "Nearest"]


def look_at_generators(folder: Path, printed: str) -> None:
    best = json.loads((folder / "runs" / "translator" / "best" / "best.json").read_bytes())
    assert set(best) >= {"deconvolve", "convolve"}


def look_at_model(folder: Path, printed: str) -> None:
    card = load_model(folder / "rb2mnf4").card
    assert card.incident_energies == (24.0,)
    assert card.classes == ("Frustrated", "Nearest")
    assert set(card.classifiers) == {"integrated", "convolved"}
    assert card.errors
    assert card.domain is not None
    energy = next(axis for axis in card.axes if axis.kind == "energy")
    assert energy.edges[0] == pytest.approx(2.4)
    assert energy.edges[-1] == pytest.approx(12.0)
    assert str(folder) not in card.model_dump_json()


def look_at_report(folder: Path, printed: str) -> None:
    report = json.loads((folder / "report" / "report.json").read_bytes())
    assert report["mosaics"] > 0
    assert report["split"] == "test"
    for name in ("target:target", "target:convolved", "target:deconvolved", "convolved:convolved"):
        assert 0 <= report["accuracy"][name]["value"] <= 1
    errors = report["relative_l2"]["deconvolve"]
    assert 0.05 < errors["untranslated"]["mean"] < 1
    assert errors["translated"]["mean"] > 0
    overall = report["coverage"]["deconvolve"]["overall"]
    assert 0 < overall["68"] < overall["95"] <= 1
    assert (folder / "report" / "index.html").stat().st_size > 1000


def look_at_list(folder: Path, printed: str) -> None:
    """The list that Workbench's drop-down is made of."""
    assert "rb2mnf4" in printed
    assert "rb2mnf4" in list_models()


def look_at_use(folder: Path, printed: str) -> None:
    """Sharp and raw data have the same bins; at small size the class means nothing."""
    raw, sharp = load(folder / "new.nxs"), load(folder / "new-deconvolved.nxs")
    assert sharp.shape == raw.shape
    assert np.array_equal(sharp.mask, raw.mask)
    assert np.all(sharp.variance[~sharp.mask] >= 0)
    assert not np.array_equal(sharp.intensity, raw.intensity)
    assert np.nansum(sharp.intensity) == pytest.approx(np.nansum(raw.intensity), rel=0.2)
    found = json.loads((folder / "class.json").read_bytes())
    assert set(found["correlations"]) == {"Frustrated", "Nearest"}
    assert all(0 <= value <= 1 for value in found["correlations"].values())
    assert (folder / "new.png").stat().st_size > 1000


def look_at_hexagonal(folder: Path, printed: str) -> None:
    card = load_model(folder / "cri3").card
    assert card.projection.names == ("[H,0,0]", "[-K,2K,0]")
    assert card.instrument["name"] == "MERLIN"
    raw, sharp = load(folder / "hexagonal.nxs"), load(folder / "hexagonal-deconvolved.nxs")
    assert [axis.name for axis in sharp.axes] == ["[H,0,0]", "[-K,2K,0]", "DeltaE"]
    assert sharp.metadata["lattice"]["gamma"] == 120.0
    assert np.array_equal(sharp.mask, raw.mask)


LOOKS = {
    "Start": lambda folder, printed: None,
    "Describe the material": look_at_material,
    "Export": look_at_exports,
    "Build the data set": look_at_data,
    "Train the classifiers": look_at_classifiers,
    "Train the translators": look_at_generators,
    "Make the model": look_at_model,
    "Evaluate": look_at_report,
    "Install it": look_at_list,
    "Use it": look_at_use,
    "A hexagonal lattice": look_at_hexagonal,
}


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell")
def test_the_tutorial_from_nothing_to_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runner()
    work = tmp_path / "work"
    run.prepare(work, small=True)
    session = run.Session(work)
    monkeypatch.setenv("EXP2SIM_MODELS", session.environment["EXP2SIM_MODELS"])
    found = run.blocks((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))
    assert [block.heading for block in found] == list(LOOKS)
    for block in found:
        printed = session.run(block, small=True)
        LOOKS[block.heading](work / "tutorial", printed)


def test_a_command_that_fails_ends_the_run(tmp_path: Path) -> None:
    run = runner()
    session = run.Session(tmp_path)
    with pytest.raises(subprocess.CalledProcessError):
        session.run(run.Block("x", "exp2sim info nothing-here.nxs\necho went on"), small=True)


def test_small_recipes_are_the_full_ones_but_for_numbers() -> None:
    run = runner()
    for name, numbers in run.SMALL.items():
        text = (ROOT / "examples" / "tutorial" / name).read_text(encoding="utf-8")
        small = run.shrink(text, numbers)
        changed = [a for a, b in zip(text.splitlines(), small.splitlines(), strict=True) if a != b]
        assert len(changed) == len(numbers) + (1 if "width = 0.0625" in text else 0)
    with pytest.raises(ValueError, match="no steps"):
        run.shrink("seed = 1\n", {"steps": 3})
