"""The training of the deconvolver for any material: it ends in time, goes on, and ships what it learnt."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.inference.unrolled import open_deconvolver
from mantid_exp2sim.networks.unrolled import NetworkSettings
from mantid_exp2sim.simulation.conditions import MeasurementConditions
from mantid_exp2sim.training.trainers.unrolled import Recipe, read_unrolled_recipe, train_unrolled

RECIPES = Path(__file__).parents[3] / "training" / "recipes"
SMALL = Recipe(
    seed=112,  # its first setting is a cut along the energy: quick
    settings=1,
    pairs=2,
    seconds=0.5,
    check_every=0.2,
    network=NetworkSettings(steps=2, width=4),
    conditions=MeasurementConditions(counts=(20.0, 50.0), background=(0.1, 0.2)),
)


def test_a_training_ends_in_time_goes_on_and_writes_a_model(tmp_path: Path) -> None:
    first = train_unrolled(SMALL, tmp_path, tmp_path / "pairs")
    weights = open_deconvolver(tmp_path / "model").network.state_dict()
    again = train_unrolled(SMALL, tmp_path, tmp_path / "pairs")
    assert again["step"] == first["step"] >= 1
    more = SMALL.model_copy(update={"seconds": first["seconds"] + 1.5})
    longer = train_unrolled(more, tmp_path, tmp_path / "pairs")
    assert longer["step"] > first["step"]
    after = open_deconvolver(tmp_path / "model").network.state_dict()
    assert any(not torch.equal(weights[name], after[name]) for name in weights)


def test_conditions_go_from_clean_ones_to_all() -> None:
    kinds = [SMALL.conditions_at(place) for place in (0.0, 0.5, 0.99)]
    assert [kind.counts[1] for kind in kinds] == [0.0, 50.0, 50.0]
    assert [kind.background[1] for kind in kinds] == [0.0, 0.0, 0.2]


def test_the_recipe_is_read_and_a_wrong_one_refused(tmp_path: Path) -> None:
    assert read_unrolled_recipe(RECIPES / "chopper-any.toml").network.steps == 4
    (tmp_path / "wrong.toml").write_text("seed = 1\nsettings = 1\nseconds = 1\nmagic = 2\n")
    with pytest.raises(Exp2SimError, match="magic"):
        read_unrolled_recipe(tmp_path / "wrong.toml")
