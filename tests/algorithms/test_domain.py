"""CheckModelDomainMD, and what a translation says of the domain."""

import math
from types import SimpleNamespace

import pytest

from mantid_exp2sim import applicability
from mantid_exp2sim.applicability import DomainCheck


@pytest.fixture
def judged(monkeypatch):
    """Let every check come out as given."""

    def give(**values):
        found = DomainCheck(**{"p_value": 0.4, "distance": 1.5, "verdict": "trustworthy", **values})
        monkeypatch.setattr(applicability, "check_domain", lambda *args, **options: found)
        return found

    return give


def test_a_model_without_reference_says_not_known(api, make, state, capfd):
    workspace = make("hke")
    before = state(workspace)
    answer = api.CheckModelDomainMD(InputWorkspace="ws", Model="volumes", ReportWorkspace="report")
    assert answer.Verdict == "not known"
    assert math.isnan(answer.PValue)
    assert math.isnan(answer.Distance)
    assert state(api.mtd["ws"]) == before
    assert api.mtd["report"].cell("Verdict", 0) == "not known"
    assert "not known" in "".join(capfd.readouterr())


def test_the_answer_and_the_report(api, make, judged):
    judged(p_value=0.25, score=1.0, limit=4.0)
    make("hke")
    answer = api.CheckModelDomainMD(InputWorkspace="ws", Model="volumes", ReportWorkspace="report")
    assert (answer.PValue, answer.Distance, answer.Verdict) == (0.25, 1.5, "trustworthy")
    row = next(iter(api.mtd["report"]))
    assert (row["Workspace"], row["PValue"], row["Limit"]) == ("ws", 0.25, 4.0)


def test_untrustworthy_data_are_refused_unless_forced(api, make, judged, state, capfd):
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


def test_the_words_are_those_of_the_package():
    assert SimpleNamespace(**DomainCheck(None, None, "not known").to_dict()).verdict == "not known"
