from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from matplotlib.image import imread

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.card import DIRECTIONS, mosaic_axes
from mantid_exp2sim.networks.duq import stack_panels
from mantid_exp2sim.simulation.noise import MeasurementNoise
from mantid_exp2sim.training.config import DataSettings, TranslatorConfig
from mantid_exp2sim.training.datasets.sampler import Domain, Order, choose_scaling, halves, open_dataset
from mantid_exp2sim.training.datasets.sources import domain_indices
from mantid_exp2sim.training.losses.loss import stack
from mantid_exp2sim.training.recipe_file import read_recipe
from mantid_exp2sim.training.trainers.train import read_translator_data, train
from mantid_exp2sim.training.trainers.trained import load_classifier, load_generator
from mantid_exp2sim.training.trainers.trainer import NotFinite, Run
from mantid_exp2sim.training.trainers.translator import TranslatorTrainer
from mantid_exp2sim.training.trainers.validation import make_validation


def make_translator(recipe: Path) -> TranslatorTrainer:
    """Make the trainer of a recipe of a translator."""
    config = translator_config(recipe)
    dataset = open_dataset(config.data.folder)
    data = read_translator_data(dataset, config, recipe)
    return TranslatorTrainer(config, data.sources, make_validation(dataset, config, data.scaling))


def translator_config(recipe: Path) -> TranslatorConfig:
    """Read a recipe of one stage."""
    (config,) = read_recipe(recipe)
    assert isinstance(config, TranslatorConfig)
    return config


def bytes_of(networks: Any) -> Any:
    return {
        (name, key): tensor.numpy().tobytes()
        for name, network in networks.items()
        for key, tensor in network.state_dict().items()
    }


def every_network_learns(recipe: Path) -> None:
    """One step of a dual GAN moves the weights of each of its networks, and all losses are numbers."""
    gan = make_translator(recipe)
    before = bytes_of(gan.networks())
    report = gan.train_step(0)
    assert all(math.isfinite(value) for value in report.values())
    after = bytes_of(gan.networks())
    moved = {name for name, key in before if before[name, key] != after[name, key]}
    assert moved == set(gan.networks())


class TestData:
    def test_domains_share_no_parameter_set(self, gan_recipe: Callable[..., Path]) -> None:
        config = translator_config(gan_recipe())
        dataset = open_dataset(config.data.folder)
        convolved, target = domain_indices(dataset, config)
        assert not set(convolved) & set(target)
        assert len(convolved) == len(target) == 10
        for part in (convolved, target):
            assert (dataset.labels(part) == 0).sum() == 5

    def test_order_is_state_free_and_complete(self) -> None:
        order = Order(7, batch=3, seed=4, stream=1)
        steps = [order.at(step).tolist() for step in range(7)]
        assert steps == [Order(7, 3, 4, 1).at(step).tolist() for step in range(7)]
        flat = [item for step in steps for item in step]
        assert all(sorted(flat[i : i + 7]) == list(range(7)) for i in (0, 7, 14))
        assert flat[:7] != flat[7:14]
        assert steps != [Order(7, 3, 4, 2).at(step).tolist() for step in range(7)]

    def samples(self, folder: Path, *, step: int = 0, **settings: Any) -> Any:
        dataset = open_dataset(folder)
        data = DataSettings(folder=folder, **settings)
        indices = dataset.split("train")
        scaling = choose_scaling(dataset, kind="convolved", indices=indices)
        domain = Domain(
            dataset,
            data,
            kind="convolved",
            other="integrated",
            indices=indices,
            scaling=scaling,
            batch=6,
            seed=1,
            stream=0,
            noisy=True,
        )
        return dataset, scaling, domain, domain.at(step)

    def test_a_sample_is_its_volume(self, tiny_dataset: Path) -> None:
        dataset, scaling, domain, found = self.samples(tiny_dataset, augment=())
        items = domain.order.at(0)
        volumes = dataset.read("convolved", items // 2)[np.arange(6), items % 2]
        np.testing.assert_allclose(scaling.inverse(found.x.double()).numpy(), volumes, rtol=1e-4, atol=1e-4)
        assert found.ei.tolist() == dataset.energies[items % 2].tolist()
        assert found.label.tolist() == (items // 2 % 2).tolist()
        assert float((found.x * found.mask).abs().max()) == 0

    def test_disk_and_memory_agree_and_a_step_repeats(self, tiny_dataset: Path) -> None:
        one = self.samples(tiny_dataset, step=5, noise=MeasurementNoise(counting=(0.1, 0.3)))[3]
        two = self.samples(tiny_dataset, step=5, noise=MeasurementNoise(counting=(0.1, 0.3)), memory=False)[3]
        assert torch.equal(one.x, two.x)
        assert torch.equal(one.mask, two.mask)
        other = self.samples(tiny_dataset, step=6, noise=MeasurementNoise(counting=(0.1, 0.3)))[3]
        assert not torch.equal(one.x, other.x)

    def test_symmetries_move_mask_and_counterpart_along(self, tiny_dataset: Path) -> None:
        found = self.samples(tiny_dataset, augment=("h", "k", "swap"))[3]
        assert found.counterpart is not None
        assert float((found.counterpart * found.mask).abs().max()) == 0
        correlation = np.corrcoef(found.x.flatten(), found.counterpart.flatten())[0, 1]
        assert correlation > 0.6

    def test_noise_has_the_variance_it_says(self) -> None:
        volumes = np.full((2, 40, 40, 40), 4.0, dtype=np.float32)
        noisy = MeasurementNoise(counting=(0.25, 0.25)).apply(np.random.default_rng(0), volumes)
        assert noisy.std() == pytest.approx(1.0, rel=0.01)
        assert MeasurementNoise().apply(np.random.default_rng(0), volumes) is volumes

    def test_noise_of_a_subtracted_background_is_blind_to_the_intensity(self) -> None:
        volumes = np.zeros((200, 16, 16, 5), dtype=np.float32)
        volumes[:, :8] = 100
        subtracted = MeasurementNoise(subtraction=6.0, subtraction_share=0.4)
        noise = subtracted.apply(np.random.default_rng(0), volumes) - volumes
        met = noise.any(axis=(1, 2, 3))
        assert 0.3 < met.mean() < 0.5
        bright, dark = (part.std(axis=(1, 2))[met] for part in (noise[:, :8], noise[:, 8:]))
        assert bright == pytest.approx(dark, rel=0.35)
        assert 0 < dark[:, 0].min() < 1
        assert 5 < dark[:, 0].max() < 7
        assert (dark[:, 0] > dark[:, -1]).mean() > 0.9

    def test_halves_need_no_equal_counts(self) -> None:
        one, two = halves(np.array([0, 0, 0, 1, 1]), 0)
        assert sorted([*one, *two]) == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize(
        ("damage", "words"), [("description", "dataset.json"), ("mask", "mask"), ("shard", r"00001\.h5")]
    )
    def test_damaged_data_are_refused(
        self, damage: str, words: str, tiny_dataset: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "set"
        shutil.copytree(tiny_dataset, folder)
        if damage == "description":
            (folder / "dataset.json").write_text("{}")
        if damage == "mask":
            np.save(folder / "mask.npy", np.zeros((2, 2), dtype=bool))
        if damage == "shard":
            (folder / "shards" / "00001.h5").write_bytes(b"nothing")
        with pytest.raises(Exp2SimError, match=words):
            open_dataset(folder).read("convolved", np.arange(20))


class TestGanStep:
    def test_auxiliary_loss_reaches_the_generator(self, gan_recipe: Callable[..., Path]) -> None:
        report = make_translator(gan_recipe(losses="auxiliary = { weight = 1.0 }")).train_step(0)
        assert report["generator_gradient"] > 0
        assert set(report) >= {"deconvolve_auxiliary", "convolve_auxiliary"}
        assert report["deconvolve_discriminator_class"] > 0

    def test_flux_loss_reaches_the_generator(self, gan_recipe: Callable[..., Path]) -> None:
        trainer = make_translator(gan_recipe(losses="flux = { weight = 1.0 }"))
        assert set(trainer.train_step(0)) == {"deconvolve_flux", "convolve_flux", "generator_gradient"}

    def test_a_weight_scales_the_gradient(self, gan_recipe: Callable[..., Path]) -> None:
        """A loss counts as much as its weight says."""
        gradients = []
        for weight in (1.0, 3.0):
            recipe = gan_recipe(losses=f"paired = {{ weight = {weight} }}")
            gradients.append(make_translator(recipe).train_step(0)["generator_gradient"])
        assert gradients[1] == pytest.approx(3 * gradients[0], rel=1e-4)

    def test_masked_bins_have_no_influence_on_any_loss(
        self, gan_recipe: Callable[..., Path], tiny_dataset: Path, tmp_path: Path
    ) -> None:
        reports = []
        for junk in (0.0, 1e3):
            folder = shutil.copytree(tiny_dataset, tmp_path / f"{junk:g}")
            mask = np.load(folder / "mask.npy")
            for shard in (folder / "shards").iterdir():
                with h5py.File(shard, "r+") as file:
                    for kind in ("convolved", "integrated"):
                        file[kind][...] = np.where(mask, junk, file[kind][...])
            recipe = gan_recipe()
            recipe.write_text(recipe.read_text().replace(str(tiny_dataset), str(folder)))
            reports.append(make_translator(recipe).train_step(0))
        assert reports[0] == reports[1]

    def test_paired_training_needs_no_discriminator_and_learns(self, gan_recipe: Callable[..., Path]) -> None:
        gan = make_translator(gan_recipe(losses="paired = { weight = 1.0 }"))
        assert not gan.discriminators
        values = [gan.train_step(step)["convolve_paired"] for step in range(200)]
        assert np.mean(values[-20:]) < 0.6 * np.mean(values[:20])

    def test_networks_see_zero_where_nothing_was_measured(self, gan_recipe: Callable[..., Path]) -> None:
        gan = make_translator(gan_recipe())
        batch = stack(gan.sources["deconvolve"].at(0), gan.layout)
        again = batch.with_intensity(torch.full_like(batch.intensity, 7.0))
        assert float((again[:, :3] * batch.mask).abs().max()) == 0
        assert torch.equal(again[:, 3:], batch.x[:, 3:])

    @pytest.mark.parametrize(
        "layout",
        [
            {"dimension": 3, "energy": "axis"},
            {"dimension": 2, "energy": "separate"},
            {"dimension": 1, "energy": "axis"},
        ],
    )
    def test_every_layout_trains(self, layout: dict[str, Any], gan_recipe: Callable[..., Path]) -> None:
        recipe = gan_recipe()
        text = recipe.read_text().replace(
            'layout = { dimension = 2, energy = "channels", windows = 3 }',
            "layout = {" + ", ".join(f"{k} = {json.dumps(v)}" for k, v in layout.items()) + "}",
        )
        recipe.write_text(text)
        every_network_learns(recipe)

    def test_paper_preset_trains(self, gan_recipe: Callable[..., Path]) -> None:
        recipe = gan_recipe()
        recipe.write_text(
            recipe.read_text()
            .replace("[network]", '[network]\npreset = "paper"')
            .replace("blocks = 1", "blocks = 6")
        )
        every_network_learns(recipe)

    def test_checks_report_both_directions_and_raw(self, gan_recipe: Callable[..., Path]) -> None:
        gan = make_translator(gan_recipe())
        metrics = gan.check()
        for name in DIRECTIONS:
            assert metrics[f"{name}_relative_l2"] == pytest.approx(
                metrics[f"raw_{name}_relative_l2"], rel=0.02
            )
        assert set(gan.scores(metrics)) == set(DIRECTIONS)

    def test_pictures(self, gan_recipe: Callable[..., Path], tmp_path: Path) -> None:
        gan = make_translator(gan_recipe())
        gan.picture(tmp_path / "one.png")
        pixels = imread(tmp_path / "one.png")
        assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 50  # of the maps' colours


class TestGuard:
    def poison(self, gan: Any, at: Any) -> None:
        original = gan.sources["deconvolve"].at

        def poisoned(step: Any) -> Any:
            samples = original(step)
            if step in at:
                samples.x[:] = float("nan")
            return samples

        gan.sources["deconvolve"].at = poisoned

    def run(self, gan: Any, out: Any) -> Any:
        return Run(gan, out=out, schedule=gan.config.schedule, checks=1, log=lambda text: None)

    def test_a_bad_step_changes_nothing(self, gan_recipe: Callable[..., Path]) -> None:
        gan = make_translator(gan_recipe())
        self.poison(gan, {1})
        gan.train_step(0)
        before = bytes_of(gan.networks())
        with pytest.raises(NotFinite):
            gan.train_step(1)
        assert bytes_of(gan.networks()) == before

    def test_bad_steps_are_counted_and_passed_over(
        self, gan_recipe: Callable[..., Path], tmp_path: Path
    ) -> None:
        gan = make_translator(gan_recipe(steps=6))
        self.poison(gan, {1, 2, 4})
        run = self.run(gan, tmp_path)
        assert run.go() == "finished"
        assert run.state["skipped"] == 3
        assert json.loads((tmp_path / "status.json").read_text())["skipped"] == 3

    def test_many_in_a_row_end_the_run(self, gan_recipe: Callable[..., Path], tmp_path: Path) -> None:
        gan = make_translator(gan_recipe(steps=30))
        self.poison(gan, set(range(2, 22)))
        with pytest.raises(Exp2SimError, match="20 steps in a row"):
            self.run(gan, tmp_path).go()
        assert json.loads((tmp_path / "status.json").read_text())["status"] == "failed"


def test_a_training_that_fails_before_its_first_checkpoint_leaves_nothing(
    gan_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "runs" / "of today" / "gan"

    def fail(self: Run) -> str:
        assert (out / "model.json").is_file()
        raise Exp2SimError("20 steps in a row.", fix="Take a smaller rate.")

    monkeypatch.setattr(Run, "go", fail)
    with pytest.raises(Exp2SimError, match="20 steps"):
        train(gan_recipe(), out=out)
    assert not (tmp_path / "runs").exists()
    recipe = gan_recipe()
    recipe.write_text(re.sub('folder = ".*"', 'folder = "no-such-data"', recipe.read_text()))
    with pytest.raises(Exp2SimError):
        train(recipe, out=out)
    assert not (tmp_path / "runs").exists()


class TestRecipes:
    @pytest.mark.parametrize("text", ["[data]\nfolder = 'x'\n", "nonsense", "kind = 'translator'\n"])
    def test_bad_recipes(self, text: str, tmp_path: Path) -> None:
        path = tmp_path / "bad.toml"
        path.write_text(text)
        with pytest.raises(Exp2SimError):
            read_recipe(path)

    def test_unknown_keys_are_refused(self, gan_recipe: Callable[..., Path]) -> None:
        path = gan_recipe()
        path.write_text(path.read_text().replace("noise =", "noize ="))
        with pytest.raises(Exp2SimError, match="noize"):
            read_recipe(path)

    def test_what_is_trained_must_be_said(self, gan_recipe: Callable[..., Path]) -> None:
        path = gan_recipe()
        path.write_text(path.read_text().replace('kind = "translator"', ""))
        with pytest.raises(Exp2SimError, match="does not say what it trains"):
            read_recipe(path)

    def test_a_translator_needs_a_loss(self, gan_recipe: Callable[..., Path]) -> None:
        with pytest.raises(Exp2SimError, match="at least one loss"):
            read_recipe(gan_recipe(losses=""))

    def test_a_stage_changes_settings_of_the_stage_before(self, gan_recipe: Callable[..., Path]) -> None:
        path = gan_recipe(steps=12)
        changes = "[[stage]]\n[stage.schedule]\nsteps = 5\n[[stage]]\n[stage.data.noise]\nbackground = 2.0\n"
        path.write_text(path.read_text() + changes)
        stages = read_recipe(path, seed=9)
        assert [stage.schedule.steps for stage in stages] == [12, 5, 5]
        assert [stage.data.noise.background for stage in stages] == [0.0, 0.0, 2.0]
        assert {stage.data.noise.counting for stage in stages} == {(0.0, 0.1)}
        assert {stage.run.seed for stage in stages} == {9}

    @pytest.mark.parametrize("seed", [-1, 2**32])
    def test_seeds_out_of_range_are_refused(self, seed: int, gan_recipe: Callable[..., Path]) -> None:
        with pytest.raises(Exp2SimError, match="The seed is"):
            read_recipe(gan_recipe(), seed=seed)


class TestDuqRun:
    def test_learns_and_is_far_from_what_it_does_not_know(
        self, duq_recipe: Callable[..., Path], tmp_path: Path
    ) -> None:
        recipe = duq_recipe(steps=150, losses="softmax = { weight = 0.5 }")
        assert train(recipe, out=tmp_path / "run") == "finished"
        best = json.loads((tmp_path / "run" / "best" / "best.json").read_text())["classifier"]
        assert best["metrics"]["accuracy"] == 1.0
        network, model = load_classifier(tmp_path / "run")
        (config,) = read_recipe(recipe)
        dataset = open_dataset(config.data.folder)
        mask = torch.from_numpy(dataset.mask)
        assert (network(stack_panels(torch.zeros(1, 2, 8, 8, 3), mask)) < 0.3).all()
        test = dataset.split("test")
        x = model.scaling.forward(torch.from_numpy(dataset.read("integrated", test)))
        assert (network(stack_panels(x, mask)).argmax(1).numpy() == dataset.labels(test)).all()

    def test_penalty_has_a_gradient(self) -> None:
        from mantid_exp2sim.training.losses.classifier import gradient_penalty

        x = torch.tensor([[1.0, 2.0], [0.5, 0.0]], requires_grad=True)
        weight = torch.tensor([3.0, 4.0], requires_grad=True)
        penalty = gradient_penalty((x * weight).sum(), x)
        assert float(penalty.detach()) == pytest.approx(16.0)
        penalty.backward()
        assert weight.grad is not None
        assert weight.grad.abs().sum() > 0

    def test_meets_other_magnets(
        self, tiny_dataset: Path, duq_recipe: Callable[..., Path], tmp_path: Path
    ) -> None:
        folder = shutil.copytree(tiny_dataset, tmp_path / "data")
        description = json.loads((folder / "dataset.json").read_text())
        axes = [axis.model_dump(mode="json") for axis in mosaic_axes(windows_fixed=True)]
        axes[2] |= {"edges": [0.1, 0.3, 0.5, 0.7], "width": 0.2}
        (folder / "dataset.json").write_text(json.dumps({**description, "axes": axes}))
        path = duq_recipe()
        text = path.read_text().replace("[outliers]", '[outliers]\nkinds = ["magnet", "zeros"]')
        path.write_text(re.sub(r'folder = ".*"', f'folder = "{folder}"', text))
        assert train(path, out=tmp_path / "run") == "finished"
        best = json.loads((tmp_path / "run" / "best" / "best.json").read_text())["classifier"]
        assert set(best["metrics"]) >= {"null_magnet", "null_zeros"}

    def test_panels_and_classes_are_those_of_the_data(
        self, duq_recipe: Callable[..., Path], tmp_path: Path
    ) -> None:
        train(duq_recipe(steps=1, checks=1), out=tmp_path / "run")
        _, model = load_classifier(tmp_path / "run")
        assert (model.network.panels, model.network.classes) == (6, 2)
        assert model.classes == ("Dimer", "Goodenough")
        with pytest.raises(Exp2SimError, match="no run of a translator"):
            load_generator(tmp_path / "run", "deconvolve")


def test_command_line(
    gan_recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import argparse

    from mantid_exp2sim.training.cli import register

    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    out = tmp_path / "run"
    args = parser.parse_args(["train", str(gan_recipe(steps=4)), "--out", str(out), "--json"])
    assert args.run(args) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["status"] == "finished"
    assert set(printed["best"]) == set(DIRECTIONS)
    network, model = load_generator(out, "deconvolve")
    assert model.layout.windows == 3
    assert network(torch.zeros(1, 7, 8, 8)).shape == (1, 3, 8, 8)
