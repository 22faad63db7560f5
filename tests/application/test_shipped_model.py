"""The model that ships: what a user gets without setting anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mantid_exp2sim
from mantid_exp2sim.application.model import Model
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.inference.classify import NONE
from mantid_exp2sim.model.bundle import load_bundle
from mantid_exp2sim.mosaic import mosaic_histogram, picture_from_volumes
from mantid_exp2sim.training.synthetic.controls import antiferromagnet


@pytest.fixture(scope="module")
def shipped() -> Model:
    return mantid_exp2sim.load_model("pcsmo-maps")


@pytest.fixture(scope="module")
def measured() -> Histogram:
    return mantid_exp2sim.simulate("Goodenough", noise=0.7, seed=4)


@pytest.fixture(scope="module")
def ideal() -> Histogram:
    return mantid_exp2sim.simulate("Dimer", kind="integrated")


def test_each_kind_of_data_meets_its_own_classifier(
    shipped: Model, measured: Histogram, ideal: Histogram
) -> None:
    for data, domain, name in ((measured, "convolved", "Goodenough"), (ideal, "integrated", "Dimer")):
        found = shipped.classify(data)
        assert (found.data_kind, found.prediction) == (domain, name)
        assert found.domain_check is not None
        assert found.domain_check["verdict"] == "trustworthy"


def test_deconvolution_comes_nearer_to_the_truth(shipped: Model, measured: Histogram) -> None:
    truth = mantid_exp2sim.simulate("Goodenough", kind="integrated")
    sharp = shipped.deconvolve(measured, uncertainty=False)
    keep = ~measured.mask
    before, after = (np.linalg.norm(h.intensity[keep] - truth.intensity[keep]) for h in (measured, sharp))
    assert after < 0.85 * before
    assert shipped.classify(sharp).data_kind == "integrated"


def test_what_is_foreign_is_refused_unless_forced(shipped: Model, measured: Histogram) -> None:
    rng = np.random.default_rng(0)
    values = measured.intensity.copy()
    bins = np.flatnonzero(~measured.mask)
    values.flat[bins] = values.flat[rng.permutation(bins)]
    shuffled = mosaic_histogram(values, mask=measured.mask)
    with pytest.raises(Exp2SimError, match="untrustworthy"):
        shipped.deconvolve(shuffled, uncertainty=False)
    forced = shipped.deconvolve(shuffled, uncertainty=False, force=True)
    assert forced.metadata["history"][-1]["domain"]["verdict"] == "untrustworthy"
    answer = shipped.classify(shuffled)
    assert any("untrustworthy" in warning for warning in answer.warnings)


@pytest.mark.parametrize("name", ["pcsmo-maps-3d", "pcsmo-maps-1d-energy"])
def test_models_of_fine_energy_bins_sharpen_a_volume(name: str, tmp_path: Path) -> None:
    """A simulated volume lies in their domain and comes nearer to its truth; pcsmo-maps refuses it."""
    from mantid_exp2sim.cli import main

    model = mantid_exp2sim.load_model(name)
    load_bundle(model.folder)  # checks size and checksum of every file
    assert model.card.domain is not None
    assert set(model.card.errors) == {"deconvolve", "convolve"}
    simulate = ["simulate", "spectrum", "--incident-energy", "50", "--bins", "40", "40", "60"]
    simulate += ["--energy", "5", "35"]
    for kind in ("convolved", "integrated"):
        assert main([*simulate, "--kind", kind, str(tmp_path / f"{kind}.nxs")]) == 0
    raw, truth = (mantid_exp2sim.load(tmp_path / f"{kind}.nxs") for kind in ("convolved", "integrated"))
    sharp = model.deconvolve(raw, incident_energy=50.0, uncertainty=False)
    known = ~(raw.mask | truth.mask | sharp.mask)

    def distance(one: Any) -> Any:
        off = one.intensity[known] - truth.intensity[known]
        return np.linalg.norm(off) / np.linalg.norm(truth.intensity[known])

    assert distance(sharp) < 0.8 * distance(raw)
    assert model.check_domain(raw, incident_energy=50.0).verdict == "trustworthy"
    with pytest.raises(Exp2SimError, match="bins"):
        mantid_exp2sim.load_model("pcsmo-maps").deconvolve(raw, incident_energy=50.0)


@pytest.mark.parametrize("top", [6.6, 14.0, 20.0, 28.0, 50.0])
def test_another_magnet_is_of_no_class(shipped: Model, measured: Histogram, top: float) -> None:
    """Rb2MnF4's antiferromagnet, its band up to ``top`` meV: raw and deconvolved, by either classifier."""
    energies = np.array(shipped.card.incident_energies)
    made = picture_from_volumes(antiferromagnet((6, 40, 40, 10), energies, np.random.default_rng(0), top=top))
    known = ~measured.mask
    made *= measured.intensity[known].mean() / made[known].mean()
    raw = mosaic_histogram(made, mask=measured.mask)
    sharp = shipped.deconvolve(raw, uncertainty=False, force=True)
    read = [shipped.classify(data, data_kind="integrated") for data in (raw, sharp)]
    for found in (*read, shipped.classify(raw, data_kind="convolved")):
        assert found.prediction == NONE
        assert max(found.correlations.values()) < 0.5


@pytest.mark.parametrize(
    ("name", "bins", "axis"), [("pcsmo-maps-1d-energy", 60, 2), ("pcsmo-maps-1d-q", 10, 0)]
)
def test_models_of_cuts_sharpen_single_cuts(
    name: str, bins: int, axis: int, tmp_path: Path, cut: Callable[..., Any]
) -> None:
    """Bright cuts of a simulated volume lie in their domain and come nearer to their truth."""
    from mantid_exp2sim.cli import main

    model = mantid_exp2sim.load_model(name)
    simulate = ["simulate", "spectrum", "--incident-energy", "50", "--bins", "40", "40", str(bins)]
    for kind in ("convolved", "integrated"):
        assert main([*simulate, "--energy", "5", "35", "--kind", kind, str(tmp_path / f"{kind}.nxs")]) == 0
    raw, truth = (mantid_exp2sim.load(tmp_path / f"{kind}.nxs") for kind in ("convolved", "integrated"))
    total = np.where(truth.mask, 0, truth.intensity).sum(axis=axis)
    whole = (~raw.mask).mean(axis=axis) > 0.8
    brightest = np.argsort(np.where(whole, total, 0), axis=None)[-60::6]
    before, after, verdicts = [], [], []
    for place in zip(*np.unravel_index(brightest, total.shape), strict=True):
        one, true = (cut(h, axis, *map(int, place)) for h in (raw, truth))
        verdicts.append(model.check_domain(one, incident_energy=50.0).verdict)
        sharp = model.deconvolve(one, incident_energy=50.0, uncertainty=False, force=True)
        known = ~(one.mask | true.mask)
        size = np.linalg.norm(true.intensity[known])
        before.append(np.linalg.norm((one.intensity - true.intensity)[known]) / size)
        after.append(np.linalg.norm((sharp.intensity - true.intensity)[known]) / size)
    assert np.mean(after) < 0.9 * np.mean(before)
    assert verdicts.count("trustworthy") >= 7
