from __future__ import annotations

import json
import math
import re
import shutil

import numpy as np
import pytest
import torch

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.card import mosaic_axes
from mantid_exp2sim.training.config import DataSettings, DuqConfig, GanConfig, ScalingSettings, read_config
from mantid_exp2sim.training.datasets.sampler import Domain, Order, choose_scaling, halves, open_dataset
from mantid_exp2sim.training.datasets.sources import domain_indices, gan_domains
from mantid_exp2sim.training.trainers import runs
from mantid_exp2sim.training.trainers.trainer import NotFinite, Run
from mantid_exp2sim.training.trainers.translator import DIRECTIONS, DualGan, stack
from mantid_exp2sim.training.trainers.validation import make_validation


def make_gan(recipe, **loss):
    config = read_config(recipe, GanConfig)
    if loss:
        config = config.model_copy(update={"loss": config.loss.model_copy(update=loss)})
    dataset = open_dataset(config.data.folder)
    convolved, target = domain_indices(dataset, config)
    scaling = choose_scaling(dataset, config.scaling, kind="convolved", indices=convolved)
    domains = gan_domains(dataset, config, scaling, convolved, target)
    return DualGan(config, domains, make_validation(dataset, config, scaling, {}))


def bytes_of(networks):
    return {
        (name, key): tensor.numpy().tobytes()
        for name, network in networks.items()
        for key, tensor in network.state_dict().items()
    }


class TestData:
    def test_domains_share_no_parameter_set(self, gan_recipe):
        config = read_config(gan_recipe(), GanConfig)
        dataset = open_dataset(config.data.folder)
        convolved, target = domain_indices(dataset, config)
        assert not set(convolved) & set(target)
        assert len(convolved) == len(target) == 10
        for part in (convolved, target):
            assert (dataset.labels(part) == 0).sum() == 5

    def test_order_is_state_free_and_complete(self):
        order = Order(7, batch=3, seed=4, stream=1)
        steps = [order.at(step).tolist() for step in range(7)]
        assert steps == [Order(7, 3, 4, 1).at(step).tolist() for step in range(7)]
        flat = [item for step in steps for item in step]
        assert all(sorted(flat[i : i + 7]) == list(range(7)) for i in (0, 7, 14))
        assert flat[:7] != flat[7:14]
        assert steps != [Order(7, 3, 4, 2).at(step).tolist() for step in range(7)]

    def samples(self, folder, *, step=0, **settings):
        dataset = open_dataset(folder)
        data = DataSettings(folder=folder, **settings)
        indices = dataset.split("train")
        scaling = choose_scaling(dataset, ScalingSettings(), kind="convolved", indices=indices)
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

    def test_a_sample_is_its_volume(self, tiny_dataset):
        dataset, scaling, domain, found = self.samples(tiny_dataset, augment=())
        items = domain.order.at(0)
        volumes = dataset.read("convolved", items // 2)[np.arange(6), items % 2]
        np.testing.assert_allclose(scaling.inverse(found.x.double()).numpy(), volumes, rtol=1e-4, atol=1e-4)
        assert found.ei.tolist() == dataset.energies[items % 2].tolist()
        assert found.label.tolist() == (items // 2 % 2).tolist()
        assert float((found.x * found.mask).abs().max()) == 0

    def test_disk_and_memory_agree_and_a_step_repeats(self, tiny_dataset):
        one = self.samples(tiny_dataset, step=5, noise=(0.1, 0.3))[3]
        two = self.samples(tiny_dataset, step=5, noise=(0.1, 0.3), memory=False)[3]
        assert torch.equal(one.x, two.x)
        assert torch.equal(one.mask, two.mask)
        other = self.samples(tiny_dataset, step=6, noise=(0.1, 0.3))[3]
        assert not torch.equal(one.x, other.x)

    def test_symmetries_move_mask_and_counterpart_along(self, tiny_dataset):
        found = self.samples(tiny_dataset, augment=("h", "k", "swap"))[3]
        assert found.counterpart is not None
        assert float((found.counterpart * found.mask).abs().max()) == 0
        # smoothing along k and E keeps the sum along them: a moved counterpart still has the same total
        measured = 1 - found.mask
        assert float((found.x * measured).sum()) > 0
        correlation = np.corrcoef(found.x.flatten(), found.counterpart.flatten())[0, 1]
        assert correlation > 0.6

    def test_noise_has_the_variance_it_says(self):
        from mantid_exp2sim.simulation.noise import MeasurementNoise

        volumes = np.full((2, 40, 40, 40), 4.0, dtype=np.float32)
        noisy = MeasurementNoise(counting=(0.25, 0.25)).apply(np.random.default_rng(0), volumes)
        assert noisy.std() == pytest.approx(1.0, rel=0.01)
        assert MeasurementNoise().apply(np.random.default_rng(0), volumes) is volumes

    def test_noise_of_a_subtracted_background_is_blind_to_the_intensity(self):
        from mantid_exp2sim.simulation.noise import MeasurementNoise

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

    def test_halves_need_no_equal_counts(self):
        one, two = halves(np.array([0, 0, 0, 1, 1]), 0)
        assert sorted([*one, *two]) == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize("damage", ["description", "mask", "shard"])
    def test_damaged_data_are_refused(self, damage, tiny_dataset, tmp_path):
        folder = tmp_path / "set"
        shutil.copytree(tiny_dataset, folder)
        if damage == "description":
            (folder / "dataset.json").write_text("{}")
        if damage == "mask":
            np.save(folder / "mask.npy", np.zeros((2, 2), dtype=bool))
        if damage == "shard":
            (folder / "shards" / "00001.h5").write_bytes(b"nothing")
        with pytest.raises(Exp2SimError):
            open_dataset(folder).read("convolved", np.arange(20))


class TestGanStep:
    def test_auxiliary_loss_reaches_the_generator(self, gan_recipe):
        only = {"gan": 0.0, "nce": 0.0, "identity": 0.0, "cycle": 0.0, "flux": 0.0, "auxiliary": 1.0}
        gan = make_gan(gan_recipe(), **only)
        report = gan.train_step(0)
        assert report["generator_gradient"] > 0
        assert set(report) >= {"deconvolve_auxiliary", "convolve_auxiliary"}

    def test_flux_loss_reaches_the_generator(self, gan_recipe):
        only = {"gan": 0.0, "nce": 0.0, "identity": 0.0, "cycle": 0.0, "auxiliary": 0.0, "flux": 1.0}
        report = make_gan(gan_recipe(), **only).train_step(0)
        assert report["generator_gradient"] > 0

    def test_the_auxiliary_head_learns_in_the_discriminator_alone(self, gan_recipe):
        report = make_gan(gan_recipe(), auxiliary=0.0, auxiliary_discriminator=1.0).train_step(0)
        assert "deconvolve_auxiliary" not in report
        assert report["deconvolve_discriminator_class"] > 0

    def test_masked_bins_have_no_influence_on_any_loss(self, gan_recipe):
        reports = []
        for junk in (0.0, 1e3):
            gan = make_gan(gan_recipe())
            for domain in gan.domains.values():
                for held in domain._held.values():
                    held[:, gan.domains["deconvolve"].dataset.mask] = junk
            reports.append(gan.train_step(0))
        assert reports[0] == reports[1]

    def test_paired_training_needs_no_discriminator_and_learns(self, gan_recipe):
        only = {
            "gan": 0.0,
            "nce": 0.0,
            "identity": 0.0,
            "cycle": 0.0,
            "flux": 0.0,
            "auxiliary": 0.0,
            "paired": 1.0,
        }
        gan = make_gan(gan_recipe(), **only)
        assert not gan.discriminators
        values = [gan.train_step(step)["convolve_paired"] for step in range(200)]
        assert np.mean(values[-20:]) < 0.6 * np.mean(values[:20])

    def test_networks_see_zero_where_nothing_was_measured(self, gan_recipe):
        gan = make_gan(gan_recipe())
        batch = stack(gan.domains["deconvolve"].at(0), gan.layout)
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
    def test_every_layout_trains(self, layout, gan_recipe):
        recipe = gan_recipe()
        text = recipe.read_text().replace(
            'layout = { dimension = 2, energy = "channels", windows = 3 }',
            "layout = {" + ", ".join(f"{k} = {json.dumps(v)}" for k, v in layout.items()) + "}",
        )
        recipe.write_text(text)
        report = make_gan(recipe).train_step(0)
        assert all(math.isfinite(value) for value in report.values())

    def test_paper_preset_trains(self, gan_recipe):
        recipe = gan_recipe()
        recipe.write_text(
            recipe.read_text()
            .replace("[network]", '[network]\npreset = "paper"')
            .replace("blocks = 1", "blocks = 6")
        )
        report = make_gan(recipe, nce=4.0, gan_kind="log").train_step(0)
        assert all(math.isfinite(value) for value in report.values())

    def test_checks_report_both_directions_and_raw(self, gan_recipe):
        gan = make_gan(gan_recipe())
        metrics = gan.check()
        for name in DIRECTIONS:
            assert metrics[f"{name}_relative_l2"] == pytest.approx(
                metrics[f"raw_{name}_relative_l2"], rel=0.02
            )
        assert set(gan.scores(metrics)) == set(DIRECTIONS)

    def test_pictures(self, gan_recipe, tmp_path):
        gan = make_gan(gan_recipe())
        gan.validation.picture(gan, tmp_path / "one.png")
        assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


class TestGuard:
    def poison(self, gan, at):
        original = gan.domains["deconvolve"].at

        def poisoned(step):
            samples = original(step)
            if step in at:
                samples.x[:] = float("nan")
            return samples

        gan.domains["deconvolve"].at = poisoned

    def run(self, gan, out):
        config = gan.config
        return Run(
            gan,
            out=out,
            schedule=config.schedule.model_copy(update={"max_skipped": 3}),
            settings=config.run,
            checks=1,
            resume=False,
            log=lambda text: None,
        )

    def test_a_bad_step_changes_nothing(self, gan_recipe):
        gan = make_gan(gan_recipe())
        self.poison(gan, {1})
        gan.train_step(0)
        before = bytes_of(gan.networks())
        with pytest.raises(NotFinite):
            gan.train_step(1)
        assert bytes_of(gan.networks()) == before

    def test_bad_steps_are_counted_and_passed_over(self, gan_recipe, tmp_path):
        gan = make_gan(gan_recipe(steps=6))
        self.poison(gan, {1, 2, 4})
        run = self.run(gan, tmp_path)
        assert run.go() == "finished"
        assert run.state["skipped"] == 3
        assert json.loads((tmp_path / "status.json").read_text())["skipped"] == 3

    def test_many_in_a_row_end_the_run(self, gan_recipe, tmp_path):
        gan = make_gan(gan_recipe(steps=9))
        self.poison(gan, {2, 3, 4})
        with pytest.raises(Exp2SimError, match="3 steps in a row"):
            self.run(gan, tmp_path).go()
        assert json.loads((tmp_path / "status.json").read_text())["status"] == "failed"


class TestRecipes:
    @pytest.mark.parametrize("text", ["[data]\nfolder = 'x'\n", "nonsense", "[schedule]\nsteps = 3\n"])
    def test_bad_recipes(self, text, tmp_path):
        path = tmp_path / "bad.toml"
        path.write_text(text)
        with pytest.raises(Exp2SimError):
            read_config(path, GanConfig)

    def test_unknown_keys_are_refused(self, gan_recipe):
        path = gan_recipe()
        path.write_text(path.read_text().replace("noise =", "noize ="))
        with pytest.raises(Exp2SimError, match="noize"):
            read_config(path, GanConfig)

    def test_shipped_recipes_can_be_read(self):
        from importlib.resources import files

        folder = files("mantid_exp2sim.training") / "recipes"
        names = sorted(p.name for p in folder.iterdir())
        assert any(name.startswith("gan") for name in names)
        for name in names:
            kind = {"gan": GanConfig, "duq": DuqConfig}.get(name[:3])
            if kind is not None:
                read_config(folder / name, kind)


class TestDuqRun:
    def test_learns_and_is_far_from_what_it_does_not_know(self, duq_recipe, tmp_path):
        assert runs.train_duq(duq_recipe(steps=150, penalty=0.0), out=tmp_path / "run") == "finished"
        best = json.loads((tmp_path / "run" / "best" / "best.json").read_text())["classifier"]
        assert best["metrics"]["accuracy"] == 1.0
        classifier = runs.load_classifier(tmp_path / "run")
        empty = torch.zeros(1, 2, 8, 8, 3)
        mask = torch.zeros(2, 8, 8, 3).bool()
        assert (classifier.correlations(empty, mask) < 0.3).all()
        dataset = open_dataset(read_config(duq_recipe(steps=150), DuqConfig).data.folder)
        test = dataset.split("test")
        found = classifier.correlations(
            torch.from_numpy(dataset.read("integrated", test)), torch.from_numpy(dataset.mask)
        )
        assert (found.argmax(1).numpy() == dataset.labels(test)).all()

    def test_penalty_has_a_gradient(self):
        from mantid_exp2sim.training.trainers.classifier import gradient_penalty

        x = torch.tensor([[1.0, 2.0], [0.5, 0.0]], requires_grad=True)
        weight = torch.tensor([3.0, 4.0], requires_grad=True)
        penalty = gradient_penalty((x * weight).sum(), x)
        assert float(penalty.detach()) == pytest.approx(16.0)
        penalty.backward()
        assert weight.grad.abs().sum() > 0

    def test_meets_other_magnets(self, tiny_dataset, duq_recipe, tmp_path):
        folder = shutil.copytree(tiny_dataset, tmp_path / "data")
        description = json.loads((folder / "dataset.json").read_text())
        axes = [axis.model_dump(mode="json") for axis in mosaic_axes(windows_fixed=True)]
        axes[2] |= {"edges": [0.1, 0.3, 0.5, 0.7], "width": 0.2}
        (folder / "dataset.json").write_text(json.dumps({**description, "axes": axes}))
        path = duq_recipe()
        text = path.read_text().replace("[loss]", '[loss]\noutlier_kinds = ["magnet", "zeros"]')
        path.write_text(re.sub(r'folder = ".*"', f'folder = "{folder}"', text))
        assert runs.train_duq(path, out=tmp_path / "run") == "finished"
        best = json.loads((tmp_path / "run" / "best" / "best.json").read_text())["classifier"]
        assert 0 <= best["metrics"]["null_magnet"] <= 1

    def test_wrong_panels_are_refused(self, duq_recipe, tmp_path):
        path = duq_recipe()
        path.write_text(path.read_text().replace("panels = 6", "panels = 60"))
        with pytest.raises(Exp2SimError, match="Set panels = 6"):
            runs.train_duq(path, out=tmp_path / "run")


def test_command_line(gan_recipe, tmp_path, capsys):
    import argparse

    from mantid_exp2sim.training.cli import register

    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    out = tmp_path / "run"
    args = parser.parse_args(["train", "gan", str(gan_recipe(steps=4)), "--out", str(out), "--json"])
    assert args.run(args) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["status"] == "finished"
    assert set(printed["best"]) == set(DIRECTIONS)
    network, model = runs.load_generator(out, "deconvolve")
    assert model.layout.windows == 3
    assert network(torch.zeros(1, 7, 8, 8)).shape == (1, 3, 8, 8)
