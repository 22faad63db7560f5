"""What a classifier looks at: the map, the panels, and the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mantid_exp2sim import mosaic
from mantid_exp2sim.application.model import Model
from mantid_exp2sim.cli import main
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.inference.attribution import panel_attention
from mantid_exp2sim.io import load, save
from mantid_exp2sim.networks import ClassifierSettings
from mantid_exp2sim.networks.duq import Duq


def test_the_map_has_the_bins_of_the_data(model: Model, picture: Histogram) -> None:
    found = model.explain(picture)
    assert found.name == model.classify(picture).prediction
    assert found.map.axes == picture.axes
    np.testing.assert_array_equal(found.map.mask, picture.mask)
    assert np.isfinite(found.map.intensity[~picture.mask]).all()
    assert found.weights.shape == found.occlusion.shape == found.energies.shape == (6, 10)
    assert np.nansum(found.weights) == pytest.approx(1)
    assert np.isnan(found.weights[1, 2])  # a panel that is masked as a whole
    assert np.isnan(found.occlusion[1, 2])
    assert found.map.metadata["history"][-1]["command"] == "explain"
    assert json.loads(json.dumps(found.to_dict()))["class"] == found.name


def test_the_score_is_that_of_the_correlations(model: Model, picture: Histogram) -> None:
    for name, other in (("Dimer", "Goodenough"), ("Goodenough", "Dimer")):
        correlations = model.classify(picture).correlations
        expected = np.log(correlations[name] / correlations[other])
        assert model.explain(picture, name=name).score == pytest.approx(expected, abs=1e-5)


def test_occlusion_is_what_masking_the_panel_does(model: Model, picture: Histogram) -> None:
    found = model.explain(picture, name="Dimer")
    mask = picture.mask.copy()
    mask[120:160, 200:240] = True
    without = model.explain(mosaic.mosaic_histogram(picture.intensity, mask=mask), name="Dimer")
    assert found.occlusion[3, 5] == pytest.approx(found.score - without.score, abs=1e-5)


def test_a_score_that_reads_one_panel() -> None:
    """A network of which only one channel matters looks at that one alone."""

    class OnePanel(Duq):
        def __init__(self) -> None:
            super().__init__(ClassifierSettings(panels=60, width=4, features=8, centroid=4))
            self.length_scale.fill_(1.0)

        def embed(self, stacked: Any) -> Any:
            return stacked[:, 17].mean(dim=(1, 2))

        def distances(self, value: Any) -> Any:
            return torch.stack([-value, value], 1)

    x = torch.rand(2, 6, 8, 8, 10)
    mask = torch.zeros(x.shape, dtype=torch.bool)
    found = panel_attention([OnePanel()], x, mask, torch.tensor([0, 1]))
    only = np.zeros((6, 10), dtype=bool)
    only[1, 7] = True
    assert (found.occlusion[:, ~only] == 0).all()
    assert found.occlusion[0, 1, 7] > 0 > found.occlusion[1, 1, 7]
    assert (found.bins[0, 1, :, :, 7] > 0).all()
    assert (found.bins[0, 0] == 0).all()
    np.testing.assert_allclose(
        found.bins[:, 1, :, :, 7].sum(axis=(1, 2)), found.occlusion[:, 1, 7], rtol=1e-5
    )


def test_single_volumes(model: Model, volume: Histogram) -> None:
    found = model.explain(volume, data_kind="convolved")
    assert found.map.shape == volume.shape
    assert found.weights.shape == (1, 10)
    with pytest.raises(Exp2SimError, match="hold 1 of"):
        model.explain(volume)
    with pytest.raises(Exp2SimError, match="knows no"):
        model.explain(volume, name="Nobody", data_kind="convolved")


def test_volumes_that_were_not_measured_have_no_part_in_the_score(model: Model, picture: Histogram) -> None:
    mask = picture.mask.copy()
    mask[200:] = True  # the highest incident energy
    found = model.explain(picture.replace(mask=mask), data_kind="convolved", name="Dimer")
    alone = [
        model.explain(volume, data_kind="convolved", name="Dimer").score
        for volume in mosaic.split(picture)[:5]
    ]
    assert found.score == pytest.approx(np.mean(alone), abs=1e-5)


def test_the_command(
    models_folder: Path,
    make_model: Callable[..., Model],
    picture: Histogram,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save(picture, tmp_path / "in.npz")
    arguments = ["explain", str(tmp_path / "in.npz"), "--model", str(models_folder / "tiny")]
    extra = ["--plot", str(tmp_path / "map.png"), "--out", str(tmp_path / "map.npz"), "--json"]
    assert main([*arguments, *extra]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert len(printed["occlusion"]) == 6
    assert printed["occlusion"][1][2] is None
    assert load(tmp_path / "map.npz").intensity[0, 0] == pytest.approx(
        make_model().explain(picture).map.intensity[0, 0], nan_ok=True
    )
    assert (tmp_path / "map.png").stat().st_size > 10_000
    assert main(arguments) == 0
    assert "panels that decide" in capsys.readouterr().out
    assert main([*arguments, "--plot", str(tmp_path / "map.txt")]) == 2
    assert main([*arguments, "--class", "Nobody"]) == 2
