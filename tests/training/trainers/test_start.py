"""Training that starts from a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.bundle import load_bundle
from mantid_exp2sim.training.trainers.train import train
from mantid_exp2sim.training.trainers.translator import TranslatorTrainer
from tests.helpers.file_sets import bundle, gan_recipe


def trained_model(folder: Path, tmp_path: Path) -> Path:
    train(gan_recipe(tmp_path / "first.toml", folder), out=tmp_path / "first")
    bundle(tmp_path, "first", folder)
    return tmp_path / "model"


def test_from_a_model(
    paired_set: Path,
    unpaired_set: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = trained_model(paired_set, tmp_path)
    recipe = gan_recipe(tmp_path / "r.toml", unpaired_set, run=f'start = "{model}"')
    seen: dict[str, Any] = {}

    def first_step(trainer: TranslatorTrainer, step: int) -> dict[str, float]:
        seen["weights"] = {n: g.state_dict() for n, g in trainer.generators.items()}
        seen["scaling"] = trainer.scaling
        raise RuntimeError("seen enough")

    monkeypatch.setattr(TranslatorTrainer, "train_step", first_step)
    with pytest.raises(RuntimeError, match="seen enough"):
        train(recipe, out=tmp_path / "run")
    start = load_bundle(model)
    assert seen["scaling"] == start.card.scaling
    for name, state in seen["weights"].items():
        wanted = start.network(name).state_dict()
        assert all(torch.equal(state[key], wanted[key]) for key in wanted)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("width = 4", "width = 5"), "another generator"),
        (("steps = 3", "steps = 2"), ""),
    ],
)
def test_other_networks_are_refused(
    change: tuple[str, str], words: str, paired_set: Path, tmp_path: Path
) -> None:
    model = trained_model(paired_set, tmp_path)
    recipe = gan_recipe(tmp_path / "r.toml", paired_set, run=f'start = "{model}"')
    recipe.write_text(recipe.read_text().replace(*change))
    if not words:
        assert train(recipe, out=tmp_path / "run") == "finished"
        return
    with pytest.raises(Exp2SimError, match=words):
        train(recipe, out=tmp_path / "run")


def test_what_is_not_there(paired_set: Path, tmp_path: Path) -> None:
    recipe = gan_recipe(tmp_path / "r.toml", paired_set, run='start = "no-such-model"')
    with pytest.raises(Exp2SimError, match="no run and no model"):
        train(recipe, out=tmp_path / "run")
