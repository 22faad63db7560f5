"""Training on data sets from files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mantid_exp2sim.application.model import Model
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.bundle import load_bundle
from mantid_exp2sim.training.trainers.train import train
from mantid_exp2sim.training.trainers.trained import load_classifier
from tests.helpers.file_sets import CUBES, PAIRED, SHAPE, bundle, file_set, gan_recipe, volume


@pytest.mark.parametrize("kind", ["paired_set", "unpaired_set"])
@pytest.mark.parametrize("memory", [True, False])
def test_the_gan_trains(kind: str, memory: bool, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    folder = request.getfixturevalue(kind)
    recipe = gan_recipe(tmp_path / "r.toml", folder, data=f"memory = {str(memory).lower()}")
    assert train(recipe, out=tmp_path / "run") == "finished"
    best = json.loads((tmp_path / "run" / "best" / "best.json").read_text())
    paired = "deconvolve_relative_l2" in best["deconvolve"]["metrics"]
    assert paired == (kind == "paired_set")
    assert (tmp_path / "run" / "pictures" / "0000003.png").is_file()


def test_paired_losses_need_pairs(paired_set: Path, unpaired_set: Path, tmp_path: Path) -> None:
    losses = f"{PAIRED}\npaired_square = {{ weight = 1.0 }}"
    recipe = gan_recipe(tmp_path / "r.toml", paired_set, losses=losses)
    assert train(recipe, out=tmp_path / "run") == "finished"
    recipe = gan_recipe(tmp_path / "r.toml", unpaired_set, losses=losses)
    with pytest.raises(Exp2SimError, match="has no pairs"):
        train(recipe, out=tmp_path / "other")


def test_a_classifier_trains(paired_set: Path, tmp_path: Path) -> None:
    (tmp_path / "duq.toml").write_text(
        f'kind = "classifier"\n[data]\nfolder = "{paired_set}"\nkind = "integrated"\n'
        "[network]\nwidth = 4\n[schedule]\nsteps = 3\nbatch = 4\n[validation]\nchecks = 1\n"
    )
    assert train(tmp_path / "duq.toml", out=tmp_path / "run") == "finished"
    assert load_classifier(tmp_path / "run")[1].classes == ("A", "B")
    recipe = tmp_path / "duq.toml"  # masks differ: no energies that are those of all mosaics
    recipe.write_text(recipe.read_text().replace("[sch", '[outliers]\nkinds = ["magnet"]\n[sch'))
    with pytest.raises(Exp2SimError, match="energies of a mosaic's panels"):
        train(recipe, out=tmp_path / "magnets")


def test_the_card_tells_axes_energies_and_the_measurement(paired_set: Path, tmp_path: Path) -> None:
    recipe = gan_recipe(tmp_path / "r.toml", paired_set)
    train(recipe, out=tmp_path / "run")
    bundle(tmp_path, "run", paired_set)
    model = load_bundle(tmp_path / "model")
    card = model.card
    assert card.incident_energies == (50.0, 70.0)
    assert card.axis("h").width == pytest.approx(0.2)
    assert card.axis("h").edges == ()
    assert card.axis("energy").edges == pytest.approx((0.1, 0.2, 0.3, 0.4, 0.5))
    assert card.axis("energy").relative_to_incident_energy
    assert "real measurement" in card.description
    recorded = card.training["measurement"]
    assert isinstance(recorded, dict)
    trained = [item.file for item in file_set(paired_set).items("convolved") if item.split == "train"]
    assert recorded["files"] == sorted(trained)
    assert recorded["volumes"] == len(trained)
    assert str(tmp_path) not in card.model_dump_json()
    assert Model(model).deconvolve(volume(3), uncertainty=False).shape == SHAPE


def test_the_energy_is_cut_only_where_the_layout_allows(paired_set: Path, tmp_path: Path) -> None:
    recipe = gan_recipe(tmp_path / "r.toml", paired_set, data="patch = [6, 6, 2]")
    with pytest.raises(Exp2SimError, match="energy bins are channels"):
        train(recipe, out=tmp_path / "run")
    recipe = gan_recipe(tmp_path / "r.toml", paired_set, data="patch = [6, 6, 2]", layout=CUBES)
    assert train(recipe, out=tmp_path / "other") == "finished"
