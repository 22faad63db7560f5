"""CheckModelDomainMD, and what a translation says of the domain."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from mantid.api import AlgorithmManager

from mantid_exp2sim.application import model
from mantid_exp2sim.domain import check as domain
from mantid_exp2sim.domain.check import DomainReport


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Callable[..., DomainReport]:
    """Let every check come out as given."""

    def give(**values: Any) -> DomainReport:
        found = DomainReport(**{"p_value": 0.4, "distance": 1.5, "verdict": "trustworthy", **values})
        for module in (domain, model):
            monkeypatch.setattr(module, "check_domain", lambda *args, **options: found)
        return found

    return give


def test_a_model_without_reference_says_not_known(
    api: Any, make: Any, state: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    workspace = make("hke")
    before = state(workspace)
    answer = api.CheckModelDomainMD(InputWorkspace="ws", Model="volumes", ReportWorkspace="report")
    assert answer.Verdict == "not known"
    assert math.isnan(answer.PValue)
    assert math.isnan(answer.Distance)
    assert state(api.mtd["ws"]) == before
    assert api.mtd["report"].cell("Verdict", 0) == "not known"
    assert "not known" in "".join(capfd.readouterr())


def test_the_answer_and_the_report(api: Any, make: Any, judged: Callable[..., DomainReport]) -> None:
    judged(p_value=0.25, score=1.0, limit=4.0)
    make("hke")
    answer = api.CheckModelDomainMD(InputWorkspace="ws", Model="volumes", ReportWorkspace="report")
    assert (answer.PValue, answer.Distance, answer.Verdict) == (0.25, 1.5, "trustworthy")
    row = next(iter(api.mtd["report"]))
    assert (row["Workspace"], row["PValue"], row["Limit"]) == ("ws", 0.25, 4.0)


def test_untrustworthy_data_are_refused_unless_forced(
    api: Any,
    make: Any,
    judged: Callable[..., DomainReport],
    state: Any,
    capfd: pytest.CaptureFixture[str],
) -> None:
    judged(p_value=0.001, verdict="untrustworthy")
    before = state(make("hke"))
    with pytest.raises(RuntimeError, match="outside what the model"):
        api.DeconvolveMD(InputWorkspace="ws", OutputWorkspace="out", Model="volumes")
    assert "out" not in api.mtd
    with pytest.raises(RuntimeError, match="outside what the model"):
        api.ConvolveMD(InputWorkspace="ws", OutputWorkspace="ws", Model="volumes")
    assert state(api.mtd["ws"]) == before
    capfd.readouterr()
    api.DeconvolveMD(InputWorkspace="ws", OutputWorkspace="out", Model="volumes", Force=True)
    history = api.mtd["out"].getHistory().lastAlgorithm()
    assert history.getPropertyValue("Force") in ("1", "True")
    assert "untrustworthy" in "".join(capfd.readouterr())


def test_a_group_has_a_row_for_each_member(
    api: Any, make: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    found = {
        50.0: DomainReport(0.4, 1.5, "trustworthy"),
        70.0: DomainReport(0.001, 9.0, "untrustworthy"),
        35.0: DomainReport(0.02, 3.0, "expert opinion"),
    }
    monkeypatch.setattr(
        model, "check_domain", lambda data, direction: found[data.volumes.incident_energies[0]]
    )
    for energy in found:
        make("hke", name=f"run{energy:g}", energy=energy)
    names = ["run50", "run70", "run35"]
    api.GroupWorkspaces(InputWorkspaces=names, OutputWorkspace="all")
    for members in ("all", names, "run50,run70,run35"):
        answer = api.CheckModelDomainMD(InputWorkspace=members, Model="volumes", ReportWorkspace="report")
        table = api.mtd["report"]
        assert list(table.column("Workspace")) == names
        assert list(table.column("Verdict")) == [check.verdict for check in found.values()]
        assert list(table.column("PValue")) == [0.4, 0.001, 0.02]
        assert (answer.Verdict, answer.PValue, answer.Distance) == ("untrustworthy", 0.001, 9.0)
    log = "".join(capfd.readouterr())
    assert "run70: domain: untrustworthy" in log
    assert sorted(api.mtd.getObjectNames()) == sorted([*names, "all", "report"])


@pytest.mark.parametrize("report", ["ws", "WS", "all"])
def test_a_report_takes_no_input_s_place(api: Any, make: Any, state: Any, report: str) -> None:
    make("hke")
    api.GroupWorkspaces(InputWorkspaces=["ws"], OutputWorkspace="all")
    before = state(api.mtd["ws"])
    algorithm = AlgorithmManager.create("CheckModelDomainMD")
    for key, value in {"InputWorkspace": "all", "Model": "volumes", "ReportWorkspace": report}.items():
        algorithm.setProperty(key, value)
    assert list(algorithm.validateInputs()) == ["ReportWorkspace"]
    with pytest.raises(RuntimeError, match="invalid Properties"):
        api.CheckModelDomainMD(InputWorkspace="all", Model="volumes", ReportWorkspace=report)
    assert state(api.mtd["ws"]) == before


def test_the_member_that_does_not_fit_is_named(api: Any, make: Any) -> None:
    make("hke")
    make("hke", name="wide", limits={"h": (-3.0, 3.0)})
    make("hke", name="bare", logged=False)
    algorithm = AlgorithmManager.create("CheckModelDomainMD")
    for names, blamed in ((["ws", "wide"], "InputWorkspace"), (["ws", "bare"], "IncidentEnergy")):
        for key, value in {"InputWorkspace": names, "Model": "volumes"}.items():
            algorithm.setProperty(key, value)
        found = algorithm.validateInputs()
        assert list(found) == [blamed]
        assert found[blamed].startswith(f"{names[1]}: ")
