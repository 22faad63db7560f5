"""Data sets from files, patches, measurements and models as a start, in training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from mantid_exp2sim import save
from mantid_exp2sim.application.model import Model
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.model.bundle import load_bundle
from mantid_exp2sim.training.config import DataSettings, TranslatorConfig, read_recipe
from mantid_exp2sim.training.datasets import dataset as store
from mantid_exp2sim.training.datasets import shards as shards_module
from mantid_exp2sim.training.datasets.dataset import open_dataset
from mantid_exp2sim.training.datasets.from_files.build import build_dataset
from mantid_exp2sim.training.datasets.patches import find_patch, measured_shares
from mantid_exp2sim.training.datasets.sampler import Domain, Mixture, allowed_symmetries, choose_scaling
from mantid_exp2sim.training.datasets.sources import domain_indices
from mantid_exp2sim.training.trainers.bundle import make_bundle
from mantid_exp2sim.training.trainers.train import TranslatorData, read_translator_data, train
from mantid_exp2sim.training.trainers.trained import load_classifier
from mantid_exp2sim.training.trainers.translator import TranslatorTrainer

SHAPE = (12, 10, 4)
RECIPE = """
name = "mine"
seed = 1
{top}
[axes.h]
width = 0.2
range = [-1.2, 1.2]
[axes.k]
width = 0.2
range = [-1.0, 1.0]
[axes.energy]
width = 0.1
range = [0.1, 0.5]
relative_to_incident_energy = true
[split]
validation = 0.2
test = 0.1
[labels]
source = "file"
file = "labels.csv"
[[convolved]]
files = ["measured"]
{more}
[[integrated]]
files = ["simulated"]
"""
GAN = """
kind = "translator"
[data]
folder = "{folder}"
{data}
[network]
width = 4
blocks = 1
discriminator_width = 4
projection_width = 4
layout = {layout}
[losses]
{losses}
[schedule]
steps = 3
batch = 4
[validation]
checks = 1
count = 4
[run]
{run}
"""
DUAL_GAN = """
adversarial = { weight = 1.0, kind = "least_squares" }
contrastive = { weight = 0.1, patches = 8 }
identity = { weight = 1.0 }
auxiliary = { weight = 0.1 }
cycle = { weight = 5.0 }
flux = { weight = 1.0 }
"""
PAIRED = "paired = { weight = 1.0 }"
CHANNELS = '{ dimension = 2, energy = "channels", windows = 4 }'
CUBES = '{ dimension = 3, energy = "axis" }'


def volume(seed: int, *, ei: float = 50.0, shape: Any = SHAPE, centre: float = 0.0) -> Histogram:
    rng = np.random.default_rng(seed)
    h, k = (np.arange(n + 1) * 0.2 - 0.1 * n + centre for n in shape[:2])
    energy = np.linspace(0.1, 0.1 + 0.1 * shape[2], shape[2] + 1) * ei
    axes = (
        Axis("[H,0,0]", h, unit="r.l.u.", frame="HKL"),
        Axis("[0,K,0]", k, unit="r.l.u.", frame="HKL"),
        Axis("DeltaE", energy, unit="meV", frame="General Frame"),
    )
    mask = np.zeros(shape, bool)
    mask[seed % 4 : seed % 4 + 2] = True
    return Histogram.from_arrays(rng.gamma(2, 1, shape), axes, mask=mask, metadata={"incident_energy": ei})


def build(folder: Path, *, top: str = "", more: str = "", measured: int = 5, simulated: int = 9) -> Path:
    rows = ["file,class"]
    for name, count in (("measured", measured), ("simulated", simulated)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            ei = (50.0, 70.0)[number % 2]
            save(volume(number + 50 * (name == "simulated"), ei=ei), folder / name / f"{number}.npz")
    rows += [f"{number},{'AB'[number // 2 % 2]}" for number in range(simulated)]
    (folder / "labels.csv").write_text("\n".join(rows))
    (folder / "recipe.toml").write_text(RECIPE.format(top=top, more=more))
    build_dataset(folder / "recipe.toml", folder / "set")
    return folder / "set"


@pytest.fixture(scope="module")
def paired_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("paired"), top="pairs = true", more="measurement = true")


@pytest.fixture(scope="module")
def unpaired_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("unpaired"), more="labelled = false")


def gan_recipe(
    path: Path, folder: Path, *, data: str = "", layout: Any = CHANNELS, losses: Any = DUAL_GAN, run: str = ""
) -> Path:
    path.write_text(GAN.format(folder=folder, data=data, layout=layout, losses=losses, run=run))
    return path


def bundle(room: Path, run: str, dataset: Path) -> None:
    """Make the model ``mine`` of a run of a translator."""
    make_bundle(room / "model", name="mine", translators=[room / run], classifiers={}, dataset=dataset)


def open_data(recipe: Path, folder: Path) -> TranslatorData:
    """Read what a recipe of a translator is trained on."""
    (config,) = read_recipe(recipe)
    assert isinstance(config, TranslatorConfig)
    return read_translator_data(open_dataset(folder), config, recipe)


def domain(
    folder: Path,
    *,
    kind: str = "convolved",
    other: Any = None,
    batch: int = 6,
    seed: int = 1,
    whole: bool = False,
    **settings: Any,
) -> Domain:
    dataset = open_dataset(folder)
    data = DataSettings(folder=folder, **{"augment": (), **settings})
    indices = dataset.split("train", kind=kind)
    scaling = choose_scaling(dataset, kind=kind, indices=indices)
    return Domain(
        dataset,
        data,
        kind=kind,
        other=other,
        indices=indices,
        scaling=scaling,
        batch=batch,
        seed=seed,
        stream=0,
        whole=whole,
    )


class TestFileSets:
    def test_a_sample_is_its_file_with_its_own_mask(self, paired_set: Callable[..., Path]) -> None:
        found = domain(paired_set)
        samples = found.at(0)
        for place, item in enumerate(found.order.at(0)):
            entry = found.dataset.items("convolved")[found.indices[item]]
            wanted = volume(int(Path(entry.file).stem), ei=entry.incident_energy)
            np.testing.assert_array_equal(samples.mask[place].numpy(), wanted.mask)
            back = found.scaling.inverse(samples.x[place].double()).numpy()
            np.testing.assert_allclose(back, np.where(wanted.mask, 0, wanted.intensity), rtol=1e-4, atol=1e-5)
            assert float(samples.ei[place]) == entry.incident_energy
            assert int(samples.label[place]) == entry.label

    def test_the_counterpart_comes_with_the_joint_mask(self, paired_set: Callable[..., Path]) -> None:
        found = domain(paired_set, other="integrated", augment=("h", "k"))
        samples = found.at(2)
        assert samples.counterpart is not None
        assert (samples.counterpart_mask >= samples.mask).all()
        assert (samples.counterpart_mask != samples.mask).any()
        dataset = found.dataset
        for index in found.indices:
            partner = dataset.items("integrated")[dataset.counterparts(np.array([index]), "convolved")[0]]
            assert partner.file == dataset.items("convolved")[index].file

    def test_disk_and_memory_agree(self, paired_set: Callable[..., Path]) -> None:
        settings = {"other": "integrated", "augment": ("h", "k"), "intensity_jitter": 0.2, "patch": (6, 6, 4)}
        one, two = (domain(paired_set, memory=memory, **settings).at(3) for memory in (True, False))
        for name in ("x", "mask", "ei", "label", "counterpart", "counterpart_mask"):
            assert torch.equal(getattr(one, name), getattr(two, name)), name

    def test_domains_of_different_counts_share_no_parameter_set(
        self, paired_set: Callable[..., Path]
    ) -> None:
        dataset = open_dataset(paired_set)
        for disjoint in (True, False):
            losses = {"cycle" if disjoint else "paired": {"weight": 1.0}}
            config = TranslatorConfig.model_validate(
                {"data": {"folder": str(paired_set)}, "losses": losses, "schedule": {"steps": 1}}
            )
            first, second = domain_indices(dataset, config)
            groups = [set(dataset.groups(i, k)) for i, k in ((first, "convolved"), (second, "integrated"))]
            assert bool(groups[0] & groups[1]) is not disjoint
            assert all(groups)

    def test_only_what_is_needed_is_read(
        self, paired_set: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []
        real = shards_module.Shards.read
        monkeypatch.setattr(
            shards_module.Shards,
            "read",
            lambda self, shard, name, where, shape: (
                asked.append(where) or real(self, shard, name, where, shape)
            ),
        )
        found = domain(paired_set, patch=(4, 4, 4), memory=False)
        asked.clear()
        found.at(0)
        assert asked
        for _, _, *region in asked:
            assert [part.stop - part.start for part in region] == [4, 4, 4]

    def test_few_files_are_open_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "shards").mkdir()
        for number in range(shards_module.OPEN_FILES + 9):
            with h5py.File(tmp_path / "shards" / f"{number}.h5", "w") as file:
                file["values"] = np.full((1, 2), number)
        shards = shards_module.Shards(tmp_path / "shards")
        for number in [*range(shards_module.OPEN_FILES + 9), 3]:
            assert shards.read(f"{number}.h5", "values", (0,), (2,)).tolist() == [number] * 2
        assert len(shards._open) == shards_module.OPEN_FILES

    def test_more_than_memory_is_refused_with_the_way_out(
        self, paired_set: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store, "MAX_BYTES", 1000)
        with pytest.raises(Exp2SimError, match="memory = false"):
            domain(paired_set)

    @pytest.mark.parametrize("kind", ["paired_set", "unpaired_set"])
    @pytest.mark.parametrize("memory", [True, False])
    def test_the_gan_trains(
        self, kind: str, memory: bool, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        folder = request.getfixturevalue(kind)
        recipe = gan_recipe(tmp_path / "r.toml", folder, data=f"memory = {str(memory).lower()}")
        assert train(recipe, out=tmp_path / "run") == "finished"
        best = json.loads((tmp_path / "run" / "best" / "best.json").read_text())
        paired = "deconvolve_relative_l2" in best["deconvolve"]["metrics"]
        assert paired == (kind == "paired_set")
        assert (tmp_path / "run" / "pictures" / "0000003.png").is_file()

    def test_paired_losses_need_pairs(
        self, paired_set: Callable[..., Path], unpaired_set: Callable[..., Path], tmp_path: Path
    ) -> None:
        losses = f"{PAIRED}\npaired_square = {{ weight = 1.0 }}"
        recipe = gan_recipe(tmp_path / "r.toml", paired_set, losses=losses)
        assert train(recipe, out=tmp_path / "run") == "finished"
        recipe = gan_recipe(tmp_path / "r.toml", unpaired_set, losses=losses)
        with pytest.raises(Exp2SimError, match="has no pairs"):
            train(recipe, out=tmp_path / "other")

    def test_a_classifier_trains(self, paired_set: Callable[..., Path], tmp_path: Path) -> None:
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

    def test_the_card_tells_axes_energies_and_the_measurement(
        self, paired_set: Callable[..., Path], tmp_path: Path
    ) -> None:
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
        assert card.training["measurement"]["volumes"] >= 2
        assert str(tmp_path) not in card.model_dump_json()
        assert Model(model).deconvolve(volume(3), uncertainty=False).shape == SHAPE


class TestPatches:
    def test_patches_are_a_function_of_seed_and_step(self, paired_set: Callable[..., Path]) -> None:
        settings = {"patch": (5, 5, 4), "augment": ("h", "k", "swap")}
        one, two = (domain(paired_set, **settings) for _ in range(2))
        two.at(0)  # what was drawn before does not matter
        assert torch.equal(one.at(7).x, two.at(7).x)
        assert not torch.equal(one.at(8).x, one.at(7).x)
        assert not torch.equal(domain(paired_set, seed=2, **settings).at(7).x, one.at(7).x)

    def test_patches_have_enough_measured_bins(self, paired_set: Callable[..., Path]) -> None:
        found = domain(paired_set, patch=(6, 5, 4), batch=20)
        for step in range(5):
            samples = found.at(step)
            assert samples.x.shape == (20, 6, 5, 4)
            assert (1 - samples.mask.float().flatten(1).mean(1) >= 0.5 - 1e-6).all()

    def test_the_one_good_place_is_found(self) -> None:
        mask = np.ones((30, 30, 8), bool)
        mask[20:24, 3:7] = False
        region = find_patch(np.random.default_rng(0), mask.shape, (4, 4, 8), lambda r: mask[r], 1.0)
        assert region == (slice(20, 24), slice(3, 7), slice(0, 8))
        assert find_patch(np.random.default_rng(0), mask.shape, (5, 5, 8), lambda r: mask[r], 1.0) is None

    def test_shares_are_those_of_the_patches(self) -> None:
        mask = np.random.default_rng(1).random((6, 5, 4)) < 0.4
        shares = measured_shares(mask, (2, 3, 2))
        wanted = [
            [[1 - mask[h : h + 2, k : k + 3, e : e + 2].mean() for e in range(3)] for k in range(3)]
            for h in range(5)
        ]
        np.testing.assert_allclose(shares, wanted)

    def test_no_patch_is_large_enough(self, paired_set: Callable[..., Path]) -> None:
        with pytest.raises(Exp2SimError, match="No patch of"):
            domain(paired_set, patch=(40, 5, 4)).at(0)

    def test_the_energy_is_cut_only_where_the_layout_allows(
        self, paired_set: Callable[..., Path], tmp_path: Path
    ) -> None:
        recipe = gan_recipe(tmp_path / "r.toml", paired_set, data="patch = [6, 6, 2]")
        with pytest.raises(Exp2SimError, match="energy bins are channels"):
            train(recipe, out=tmp_path / "run")
        recipe = gan_recipe(tmp_path / "r.toml", paired_set, data="patch = [6, 6, 2]", layout=CUBES)
        assert train(recipe, out=tmp_path / "other") == "finished"

    def test_patches_of_simulated_sets(self, tiny_dataset: Path) -> None:
        found = domain(tiny_dataset, patch=(4, 4, 3), other="integrated")
        samples = found.at(0)
        assert samples.x.shape == (6, 4, 4, 3)
        assert samples.counterpart_mask is None
        assert float((samples.counterpart * samples.mask).abs().max()) == 0

    def test_a_step_goes_through_a_pixel_of_every_symmetry(self, paired_set: Callable[..., Path]) -> None:
        plain = domain(paired_set, patch=(5, 5, 4), batch=40).at(1)
        moved = domain(paired_set, patch=(5, 5, 4), batch=40, augment=("h", "k", "swap")).at(1)
        kinds = set()
        for one, other in zip(plain.x, moved.x, strict=True):
            found = [
                (h, k, swap)
                for h in (0, 1)
                for k in (0, 1)
                for swap in (0, 1)
                if torch.equal(self.turned(one, h, k, swap), other)
            ]
            assert found
            kinds |= set(found)
        assert len(kinds) == 8

    def test_h_and_k_are_not_exchanged_where_their_bins_differ(self, paired_set: Callable[..., Path]) -> None:
        dataset = open_dataset(paired_set)
        assert allowed_symmetries(dataset, ("h", "swap")) == ("h", "swap")
        h, *rest = dataset.description.axes
        wider = (h.model_copy(update={"width": 2 * h.width}), *rest)
        dataset.description = dataset.description.model_copy(update={"axes": wider})
        assert allowed_symmetries(dataset, ("h", "swap")) == ("h",)

    def turned(self, x: Any, h: Any, k: Any, swap: Any) -> Any:
        x = x.flip(0) if h else x
        x = x.flip(1) if k else x
        return x.transpose(0, 1) if swap else x


class TestMeasured:
    def measurement(self, tmp_path: Any, **more: Any) -> Path:
        path = tmp_path / "real.npz"
        save(volume(77, **more), path)
        return path

    def test_half_of_the_samples_are_measured(self, paired_set: Callable[..., Path], tmp_path: Path) -> None:
        path = self.measurement(tmp_path)
        recipe = gan_recipe(tmp_path / "r.toml", paired_set, data=f'measured = "{path}"')
        data = open_data(recipe, paired_set)
        assert data.measurement.about["measured_bins"] == int((~volume(77).mask).sum())
        assert data.measurement.about["files"] == ["real.npz"]
        mixture = data.sources["deconvolve"]
        assert isinstance(mixture, Mixture)
        mask = torch.from_numpy(np.array(volume(77).mask))
        for step in range(4):
            samples = mixture.at(step)
            assert (samples.label == -1).sum() == 2
            one = samples.mask[-1]
            assert any(torch.equal(one, m) for m in (mask, mask.flip(0), mask.flip(1), mask.flip(0, 1)))
        assert train(recipe, out=tmp_path / "run") == "finished"
        bundle(tmp_path, "run", paired_set)
        card = load_bundle(tmp_path / "model").card
        assert card.training["measurement"]["files"] == ["real.npz"]
        assert card.training["measurement"]["share"] == 0.5
        assert "50 % of the measurement-like samples are from real.npz" in card.description
        assert str(tmp_path) not in card.model_dump_json()

    def test_any_share_of_a_batch_on_the_whole(self, paired_set: Callable[..., Path], tmp_path: Path) -> None:
        path = self.measurement(tmp_path)
        data = f'measured = {{ files = "{path}", share = 0.3, scale = "auto" }}'
        recipe = gan_recipe(tmp_path / "r.toml", paired_set, data=data, losses=PAIRED)
        opened = open_data(recipe, paired_set)
        domains, mean, found = opened.sources, opened.mean_intensity, opened.measurement
        measured = sum(int((domains["deconvolve"].at(step).label == -1).sum()) for step in range(50))
        assert measured == 60
        samples = next(s for s in map(domains["deconvolve"].at, range(9)) if (s.label == -1).any())
        assert samples.counterpart_mask[samples.label == -1].all()
        values = found.dataset.values[0]
        assert values[~found.dataset.hidden[0]].mean() == pytest.approx(mean, rel=0.05)

    def test_the_measurement_alone_and_large_with_patches(
        self, paired_set: Callable[..., Path], tmp_path: Path
    ) -> None:
        path = self.measurement(tmp_path, shape=(40, 30, 4), centre=2.0)
        data = f'patch = [8, 8, 4]\nmeasured = {{ files = ["{path}"], share = 1 }}'
        recipe = gan_recipe(tmp_path / "r.toml", paired_set, data=data)
        opened = open_data(recipe, paired_set)
        domains, found = opened.sources, opened.measurement
        assert found.dataset.values[0].shape == (40, 30, 4)
        assert (domains["deconvolve"].at(0).label == -1).all()
        assert train(recipe, out=tmp_path / "run") == "finished"

    def test_a_measurement_with_other_bins_is_refused(
        self, paired_set: Callable[..., Path], tmp_path: Path
    ) -> None:
        path = self.measurement(tmp_path, centre=10.0)
        recipe = gan_recipe(tmp_path / "r.toml", paired_set, data=f'measured = "{path}"')
        with pytest.raises(Exp2SimError, match=r"The measurement real.npz: .* no bin|real.npz: Its axis"):
            train(recipe, out=tmp_path / "run")

    def test_a_built_set_is_a_measurement_too(
        self, paired_set: Callable[..., Path], unpaired_set: Callable[..., Path], tmp_path: Path
    ) -> None:
        recipe = gan_recipe(tmp_path / "r.toml", paired_set, data=f'measured = "{unpaired_set}"')
        found = open_data(recipe, paired_set).measurement
        assert found.about["volumes"] == len(found.indices) >= 3

    def test_the_published_measurement(self, reference_data: Path, tmp_path: Path) -> None:
        folder = Path(__file__).parents[3] / "data" / "pcsmo-maps"
        if not (folder / "dataset.json").is_file():
            pytest.skip(
                "the simulated set is not here: exp2sim simulate dataset training/recipes/pcsmo-maps.toml"
            )
        data = (
            f'limit = 4\nmeasured = {{ files = "{reference_data}/pcsmo/measured_4K_clipped_120.npy", '
            f'mask = "{reference_data}/pcsmo/nanmask.mat" }}'
        )
        recipe = gan_recipe(tmp_path / "r.toml", folder, data=data)
        opened = open_data(recipe, folder)
        domains, found = opened.sources, opened.measurement
        assert found.about["volumes"] == 6
        assert found.about["measured_bins"] == 76689
        assert not found.about["rebinned"]
        samples = domains["deconvolve"].at(0)
        assert samples.x.shape == (4, 40, 40, 10)
        assert torch.isfinite(samples.x).all()


class TestStart:
    def model(self, folder: Path, tmp_path: Any) -> Path:
        train(gan_recipe(tmp_path / "first.toml", folder), out=tmp_path / "first")
        bundle(tmp_path, "first", folder)
        return tmp_path / "model"

    def test_from_a_model(
        self,
        paired_set: Callable[..., Path],
        unpaired_set: Callable[..., Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        model = self.model(paired_set, tmp_path)
        recipe = gan_recipe(tmp_path / "r.toml", unpaired_set, run=f'start = "{model}"')
        seen = {}

        def first_step(trainer: TranslatorTrainer, step: int) -> dict[str, float]:
            seen["weights"] = {n: g.state_dict() for n, g in trainer.generators.items()}
            seen["scaling"] = trainer.scaling
            raise RuntimeError("seen enough")

        monkeypatch.setattr(TranslatorTrainer, "train_step", first_step)
        with pytest.raises(RuntimeError, match="seen enough"):
            train(recipe, out=tmp_path / "run")
        bundle = load_bundle(model)
        assert seen["scaling"] == bundle.card.scaling
        for name, state in seen["weights"].items():
            wanted = bundle.network(name).state_dict()
            assert all(torch.equal(state[key], wanted[key]) for key in wanted)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (("width = 4", "width = 5"), "another generator"),
            (("steps = 3", "steps = 2"), ""),
        ],
    )
    def test_other_networks_are_refused(
        self, change: tuple[str, str], words: str, paired_set: Callable[..., Path], tmp_path: Path
    ) -> None:
        model = self.model(paired_set, tmp_path)
        recipe = gan_recipe(tmp_path / "r.toml", paired_set, run=f'start = "{model}"')
        recipe.write_text(recipe.read_text().replace(*change))
        if not words:
            assert train(recipe, out=tmp_path / "run") == "finished"
            return
        with pytest.raises(Exp2SimError, match=words):
            train(recipe, out=tmp_path / "run")

    def test_what_is_not_there(self, paired_set: Callable[..., Path], tmp_path: Path) -> None:
        recipe = gan_recipe(tmp_path / "r.toml", paired_set, run='start = "no-such-model"')
        with pytest.raises(Exp2SimError, match="no run and no model"):
            train(recipe, out=tmp_path / "run")


def test_labels_that_are_not_known_do_not_count() -> None:
    from mantid_exp2sim.training.losses.adversarial import auxiliary_loss

    ones = torch.ones(2, 1, 3)
    both = auxiliary_loss(ones, torch.tensor([0, -1]), ones)
    assert float(both) == float(auxiliary_loss(ones[:1], torch.tensor([0]), ones[:1]))
