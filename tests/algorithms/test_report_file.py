"""The property ReportFile: a page for a browser beside the workspaces, and nothing that is replaced."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import mantid_exp2sim
from mantid_exp2sim.mantid import workspace as mdworkspace

QUIET: dict[str, Any] = {"Model": "volumes", "PropagateErrors": False}


def heading(page: Path) -> str:
    match = re.search("<h1>(.*)</h1>", page.read_text(encoding="utf-8"))
    assert match is not None
    return match[1]


def test_the_page_is_that_of_the_command(api: Any, make: Any, tmp_path: Path) -> None:
    make()
    histogram = mdworkspace.read(api.mtd["ws"]).histogram
    page = tmp_path / "page.html"
    api.DeconvolveMD(InputWorkspace="ws", OutputWorkspace="sharp", ReportFile=str(page), **QUIET)
    assert api.mtd.doesExist("sharp")
    other = mantid_exp2sim.report(
        histogram, tmp_path / "other.html", name="ws", model="volumes", method="network", uncertainty=False
    )
    assert page.read_text(encoding="utf-8") == other.read_text(encoding="utf-8")


def test_a_known_resolution_has_a_page(api: Any, make: Any, tmp_path: Path) -> None:
    make()
    page = tmp_path / "page.html"
    about = {"Instrument": "MAPS", "Lattice": "5.4,5.4,12.0", "PropagateErrors": False}
    api.DeconvolveMD(
        InputWorkspace="ws", OutputWorkspace="sharp", Method="richardson-lucy", ReportFile=str(page), **about
    )
    assert "Deconvolved by richardson-lucy" in page.read_text(encoding="utf-8")


def test_members_of_a_group_have_a_page_each(api: Any, make: Any, tmp_path: Path) -> None:
    make(name="a")
    make(name="b", seed=2)
    group = api.GroupWorkspaces(InputWorkspaces=["a", "b"], OutputWorkspace="both")
    api.DeconvolveMD(
        InputWorkspace=group, OutputWorkspace="sharp", ReportFile=str(tmp_path / "page.html"), **QUIET
    )
    assert {path.name: heading(path) for path in tmp_path.iterdir()} == {
        "page-a.html": "a",
        "page-b.html": "b",
    }


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("CheckModelDomainMD", {}),
        ("ClassifySpinWavesMD", {"OutputWorkspace": "table", "Model": "whole", "AsOneMeasurement": True}),
    ],
)
def test_check_and_classification_have_pages(
    api: Any, make: Any, tmp_path: Path, name: str, outputs: dict[str, Any]
) -> None:
    from mantid_exp2sim.mosaic import INCIDENT_ENERGIES

    together = "AsOneMeasurement" in outputs
    energies = INCIDENT_ENERGIES if together else (50.0, 50.0)
    names = [f"ws{number}" for number in range(len(energies))]
    sizes = {"h": 40, "k": 40, "e": 10} if together else None
    for title, energy in zip(names, energies, strict=True):
        make(name=title, energy=energy, sizes=sizes)
    choice = {"Model": "volumes", **outputs}
    getattr(api, name)(InputWorkspace=names, ReportFile=str(tmp_path / "page.html"), **choice)
    pages = ["page.html"] if together else [f"page-{title}.html" for title in names]
    assert sorted(path.name for path in tmp_path.iterdir()) == pages


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("old.html", "is there already"),
        ("none/page.html", "There is no folder"),
        ("page.pdf", "end in .html"),
    ],
)
def test_a_page_that_cannot_be_written_is_said_before_the_work(
    api: Any, make: Any, tmp_path: Path, place: str, text: str
) -> None:
    from mantid.api import AlgorithmManager

    make()
    (tmp_path / "old.html").write_text("mine")
    algorithm = AlgorithmManager.create("DeconvolveMD")
    properties = {"InputWorkspace": "ws", "OutputWorkspace": "out", "ReportFile": str(tmp_path / place)}
    for key, value in {**properties, **QUIET}.items():
        algorithm.setProperty(key, value)
    assert text in algorithm.validateInputs()["ReportFile"]
    with pytest.raises(RuntimeError, match="invalid Properties"):
        algorithm.execute()
    assert not api.mtd.doesExist("out")
    assert [path.name for path in tmp_path.iterdir()] == ["old.html"]
    assert (tmp_path / "old.html").read_text() == "mine"
