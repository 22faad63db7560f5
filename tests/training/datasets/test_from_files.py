from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from mantid_exp2sim import save
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.histogram.rebinning import rebin
from mantid_exp2sim.mosaic import mosaic_histogram
from mantid_exp2sim.training.datasets.dataset import open_dataset
from mantid_exp2sim.training.datasets.from_files import shards as shards_module
from mantid_exp2sim.training.datasets.from_files.axes import axes_of_recipe, volumes_on
from mantid_exp2sim.training.datasets.from_files.build import build_dataset
from mantid_exp2sim.training.datasets.from_files.recipe import AxesRecipe, RebinRecipe, read_recipe
from mantid_exp2sim.training.datasets.inspect import draw, inspect_dataset
from tests.helpers.file_sets import file_set

AXES = """
[axes.h]
width = 0.25
range = [-1.0, 1.0]
[axes.k]
width = 0.25
range = [-1.0, 1.0]
[axes.energy]
width = 0.1
range = [0.1, 0.5]
relative_to_incident_energy = true
"""
EI = 50.0
EDGES = (np.linspace(-1, 1, 9), np.linspace(-1, 1, 9), np.linspace(5, 25, 5))


def axes_of(h: Any, k: Any, energy: Any) -> Any:
    return (
        Axis("[H,0,0]", h, unit="r.l.u.", frame="HKL"),
        Axis("[0,K,0]", k, unit="r.l.u.", frame="HKL"),
        Axis("DeltaE", energy, unit="meV", frame="General Frame"),
    )


def volume(seed: int = 0, *, edges: Any = EDGES, ei: Any = EI, mask: Any = None) -> Any:
    rng = np.random.default_rng(seed)
    shape = tuple(len(e) - 1 for e in edges)
    metadata = {} if ei is None else {"incident_energy": ei}
    return Histogram.from_arrays(
        rng.gamma(2, 1, shape), axes_of(*edges), rng.gamma(2, 0.1, shape), mask, metadata=metadata
    )


def model_axes(text: str = AXES) -> Any:
    import tomllib

    return axes_of_recipe(AxesRecipe.model_validate(tomllib.loads(text)["axes"]))


def recipe_file(folder: Path, text: str, *, axes: str = AXES, top: str = "") -> Path:
    path = folder / "recipe.toml"
    path.write_text(f'name = "mine"\n{top}\n{axes}\n{text}')
    return path


SOURCES = """
[[convolved]]
files = ["measured"]
[[integrated]]
files = ["simulated"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    """Six measured and eight simulated volumes; stems 0 to 5 are in both."""
    for name, count in (("measured", 6), ("simulated", 8)):
        (tmp_path / name).mkdir()
        for number in range(count):
            ending = (".nxs", ".npz")[number % 2]
            save(volume(number + 100 * (name == "simulated")), tmp_path / name / f"run{number}{ending}")
    return tmp_path


class TestRebin:
    def random(self, edges: Any, seed: int = 0) -> Any:
        rng = np.random.default_rng(seed)
        shape = tuple(len(e) - 1 for e in edges)
        return rng.normal(3, 1, shape), rng.gamma(2, 1, shape), np.zeros(shape, bool)

    def test_counts_and_their_variances_are_conserved(self) -> None:
        source = [np.sort(np.random.default_rng(i).uniform(0, 4, 9 + i)) for i in range(3)]
        target = [np.linspace(e[0] - 0.1, e[-1] + 0.1, 5 + i) for i, e in enumerate(source)]
        intensity, variance, mask = self.random(source)
        found = rebin(intensity, variance, mask, source, target, minimum_measured=1e-9)

        def volumes(edges: Any) -> Any:
            return np.einsum("i,j,k->ijk", *(np.diff(e) for e in edges))

        before, measured = volumes(source), found.share * volumes(target)
        assert (found.intensity * measured).sum() == pytest.approx((intensity * before).sum())
        assert (found.variance * measured**2).sum() == pytest.approx((variance * before**2).sum())

    def test_a_constant_stays_constant_where_something_was_measured(self) -> None:
        source = [np.linspace(0, 1, 11)] * 3
        target = [np.linspace(0.03, 0.93, 4)] * 3
        _, variance, _ = self.random(source)
        mask = np.random.default_rng(3).random(variance.shape) < 0.4
        found = rebin(np.full(variance.shape, 2.5), variance, mask, source, target, minimum_measured=0.2)
        assert not found.mask.all()
        np.testing.assert_allclose(found.intensity[~found.mask], 2.5)
        assert (found.intensity[found.mask] == 0).all()

    def test_masked_bins_have_no_influence(self) -> None:
        source, target = [np.linspace(0, 1, 9)] * 3, [np.linspace(0, 1, 4)] * 3
        intensity, variance, mask = self.random(source)
        mask[2:5, 1:4, ::3] = True
        other = np.where(mask, 1e9, intensity)
        one, two = (rebin(x, variance, mask, source, target) for x in (intensity, other))
        np.testing.assert_array_equal(one.intensity, two.intensity)

    def test_the_threshold_masks_what_was_hardly_measured(self) -> None:
        edges = [np.linspace(0, 1, 5), np.array([0.0, 1.0]), np.array([0.0, 1.0])]
        mask = np.array([True, False, True, True])[:, None, None]
        half = [np.array([0.0, 0.5, 1.0]), *edges[1:]]
        ones = np.ones((4, 1, 1))
        found = rebin(ones, ones, mask, edges, half, minimum_measured=0.5)
        assert found.mask.ravel().tolist() == [False, True]
        assert rebin(ones, ones, mask, edges, half, minimum_measured=0.6).mask.all()

    def test_sums_stay_sums(self) -> None:
        edges, half = [np.linspace(0, 1, 5)], [np.linspace(0, 1, 3)]
        counts = np.array([1.0, 2.0, 3.0, 4.0])
        found = rebin(counts, counts, np.zeros(4, bool), edges, half, values="sum")
        np.testing.assert_allclose(found.intensity, [3.0, 7.0])
        np.testing.assert_allclose(found.variance, [3.0, 7.0])


class TestAxes:
    def test_the_models_own_bins_come_through_as_they_are(self) -> None:
        histogram = volume()
        (found,) = volumes_on(histogram, model_axes(), RebinRecipe())
        assert found.exact
        np.testing.assert_allclose(found.binned.intensity, histogram.intensity, rtol=1e-12)
        np.testing.assert_allclose(found.binned.variance, histogram.variance, rtol=1e-12)

    def test_axes_are_found_by_what_they_measure(self) -> None:
        histogram = volume()
        turned = Histogram.from_arrays(
            histogram.intensity.transpose(2, 0, 1),
            [histogram.axes[i] for i in (2, 0, 1)],
            histogram.variance.transpose(2, 0, 1),
            metadata=histogram.metadata,
        )
        (found,) = volumes_on(turned, model_axes(), RebinRecipe())
        np.testing.assert_allclose(found.binned.intensity, histogram.intensity, rtol=1e-12)

    def test_energies_relative_to_the_incident_one(self) -> None:
        edges = (*EDGES[:2], EDGES[2] * 2)
        (found,) = volumes_on(volume(edges=edges, ei=100.0), model_axes(), RebinRecipe())
        assert found.exact
        assert found.incident_energy == 100.0

    def test_finer_bins_are_averaged_and_beyond_the_range_cut_off(self) -> None:
        fine = (np.linspace(-2, 2, 33), np.linspace(-2, 2, 33), np.linspace(5, 25, 5))
        histogram = volume(edges=fine)
        (found,) = volumes_on(histogram, model_axes(), RebinRecipe())
        assert not found.exact
        wanted = histogram.intensity[8:24, 8:24].reshape(8, 2, 8, 2, 4).mean((1, 3))
        np.testing.assert_allclose(found.binned.intensity, wanted)
        errors = histogram.variance[8:24, 8:24].reshape(8, 2, 8, 2, 4).sum((1, 3)) / 16
        np.testing.assert_allclose(found.binned.variance, errors)

    def test_what_a_file_does_not_cover_is_masked(self) -> None:
        edges = (np.linspace(-1, 0, 5), *EDGES[1:])
        (found,) = volumes_on(volume(edges=edges), model_axes(), RebinRecipe())
        assert found.exact
        assert found.binned.mask[4:].all()
        assert not found.binned.mask[:4].any()

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"edges": (np.linspace(-1, 1, 5), *EDGES[1:])}, "bins up to 0.5 r.l.u. wide"),
            ({"edges": (np.linspace(2, 4, 9), *EDGES[1:])}, "no bin in common"),
            ({"edges": (np.linspace(-1, 1, 9) + 0.1, *EDGES[1:])}, "bins are not the model's"),
            ({"ei": None}, "Set incident_energy"),
            ({"mask": np.ones((8, 8, 4), bool)}, "were measured"),
        ],
    )
    def test_what_cannot_match_is_refused(self, change: dict[str, Any], words: str) -> None:
        rules = RebinRecipe(allowed=False)
        with pytest.raises(Exp2SimError, match=words):
            volumes_on(volume(**change), model_axes(), rules)

    def test_axes_that_a_model_has_not(self) -> None:
        edges = EDGES[0]
        slanted = Axis("[H,H,0]", edges, unit="r.l.u.", frame="HKL")
        histogram = Histogram.from_arrays(np.ones((8, 4)), [slanted, axes_of(*EDGES)[2]])
        with pytest.raises(Exp2SimError, match=r"\[H,H,0\]"):
            volumes_on(histogram, model_axes(), RebinRecipe(), incident_energy=EI)

    def test_an_axis_that_was_integrated(self) -> None:
        text = AXES.replace(
            "[axes.k]\nwidth = 0.25\nrange = [-1.0, 1.0]", "[axes.k]\nintegrated = [-0.1, 0.1]"
        )
        assert text != AXES
        h, _, energy = axes_of(*EDGES)
        metadata = {"incident_energy": EI, "integrated": [{"axis": "[0,K,0]", "range": [-0.1, 0.1]}]}
        cut = Histogram.from_arrays(np.ones((8, 4)), [h, energy], metadata=metadata)
        (found,) = volumes_on(cut, model_axes(text), RebinRecipe())
        assert found.binned.intensity.shape == (8, 1, 4)
        whole = {**metadata, "integrated": [{"axis": "[0,K,0]", "range": [-1, 1]}]}
        wide = Histogram.from_arrays(np.ones((8, 4)), [h, energy], metadata=whole)
        with pytest.raises(Exp2SimError, match=r"integrated over \[0,K,0\] from -1 to 1"):
            volumes_on(wide, model_axes(text), RebinRecipe())
        silent = Histogram.from_arrays(np.ones((8, 4)), [h, energy], metadata={"incident_energy": EI})
        with pytest.raises(Exp2SimError, match="missing = true"):
            volumes_on(silent, model_axes(text), RebinRecipe())
        said = text.replace("integrated = [-0.1, 0.1]", "integrated = [-0.1, 0.1]\nmissing = true")
        assert len(volumes_on(silent, model_axes(said), RebinRecipe())) == 1

    def test_a_mosaic_is_its_six_volumes(self) -> None:
        from mantid_exp2sim.mosaic import volumes_from_picture
        from mantid_exp2sim.training.datasets.from_files.axes import axes_of_description
        from mantid_exp2sim.training.datasets.simulate import describe
        from mantid_exp2sim.training.datasets.simulation_recipe import Recipe

        recipe = Recipe(name="mosaic", seed=0, train=1, validation=1, test=1)
        picture = np.random.default_rng(0).random((240, 400))
        found = volumes_on(
            mosaic_histogram(picture), axes_of_description(describe(recipe), "it"), RebinRecipe()
        )
        assert [v.incident_energy for v in found] == [25.0, 35.0, 50.0, 70.0, 100.0, 140.0]
        assert all(v.exact for v in found)
        np.testing.assert_allclose(
            np.stack([v.binned.intensity for v in found]), volumes_from_picture(picture), rtol=1e-9
        )


class TestBuild:
    def test_files_come_back_from_the_data_set(self, folder: Path, tmp_path: Path) -> None:
        build_dataset(recipe_file(folder, SOURCES), tmp_path / "out")
        dataset = file_set(tmp_path / "out")
        for kind, seed in (("convolved", 0), ("integrated", 100)):
            items = dataset.items(kind)
            for index, item in enumerate(items):
                number = int(Path(item.file).stem[3:])
                wanted = volume(number + seed).intensity
                np.testing.assert_allclose(dataset.part(kind, index, 0), wanted, rtol=1e-6)
                assert item.exact
        assert (len(dataset.items("convolved")), len(dataset.items("integrated"))) == (6, 8)

    def test_a_parameter_set_is_in_one_split(self, folder: Path, tmp_path: Path) -> None:
        top = "seed = 3\n[split]\nvalidation = 0.25\ntest = 0.25"
        build_dataset(recipe_file(folder, SOURCES, top=top), tmp_path / "out")
        splits: dict[str, set[str]] = {}
        dataset = file_set(tmp_path / "out")
        for kind in ("convolved", "integrated"):
            for item in dataset.items(kind):
                splits.setdefault(Path(item.file).stem, set()).add(item.split)
        assert all(len(found) == 1 for found in splits.values())
        assert {next(iter(found)) for found in splits.values()} == {"train", "validation", "test"}

    def test_labels_groups_and_pairs_of_a_file(self, folder: Path, tmp_path: Path) -> None:
        rows = ["file,class,group,pair,J1"]
        rows += [f"run{n}.nxs,{'AB'[n % 4 // 2]},g{n // 2},,{n}.5" for n in range(0, 8, 2)]
        rows += [f"run{n}.npz,{'AB'[n % 4 // 2]},g{n // 2},," for n in range(1, 8, 2)]
        (folder / "labels.csv").write_text("\n".join(rows))
        labels = '[labels]\nsource = "file"\nfile = "labels.csv"\n'
        build_dataset(recipe_file(folder, labels + SOURCES, top="pairs = true"), tmp_path / "out")
        dataset = file_set(tmp_path / "out")
        assert dataset.description.classes == ("A", "B")
        every = np.arange(6)
        groups = dataset.groups(every, "convolved")
        assert len(set(groups.tolist())) == 3
        assert dataset.labels(every, "convolved").tolist() == [0, 0, 1, 1, 0, 0]
        partners = dataset.counterparts(every, "convolved")
        names = [dataset.items("integrated")[i].file for i in partners]
        assert names == [item.file for item in dataset.items("convolved")]
        lonely = dataset.counterparts(np.arange(8), "integrated")
        assert (lonely >= 0).sum() == 6

    def test_pairs_are_kept_only_where_asked_for(self, folder: Path, tmp_path: Path) -> None:
        build_dataset(recipe_file(folder, SOURCES), tmp_path / "out")
        assert (open_dataset(tmp_path / "out").counterparts(np.arange(6), "convolved") == -1).all()

    def test_two_counterparts_are_refused(self, folder: Path, tmp_path: Path) -> None:
        save(volume(7), folder / "simulated" / "run0.npz")
        with pytest.raises(Exp2SimError, match="more than one counterpart"):
            build_dataset(recipe_file(folder, SOURCES, top="pairs = true"), tmp_path / "out")

    def test_classes_of_folders(self, tmp_path: Path) -> None:
        for name in ("Dimer", "Goodenough"):
            (tmp_path / "s" / name).mkdir(parents=True)
            for number in range(3):
                save(volume(number), tmp_path / "s" / name / f"{number}.npz")
        text = '[labels]\nsource = "folder"\n[[integrated]]\nfiles = ["s/**/*.npz"]\n'
        build_dataset(recipe_file(tmp_path, text), tmp_path / "out")
        report = inspect_dataset(tmp_path / "out")
        assert report["classes"] == ["Dimer", "Goodenough"]
        assert report["domains"]["integrated"]["parameter_sets"] == 3
        counts = [
            split.get(name, 0)
            for split in report["domains"]["integrated"]["splits"].values()
            for name in ("Dimer", "Goodenough")
        ]
        assert sum(counts) == 6

    def test_spinw_parameters_make_classes_and_parameter_sets(self, tmp_path: Path) -> None:
        h, k = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9), indexing="ij")
        hkl = np.stack([h.ravel(), k.ravel(), 0 * h.ravel()])
        for name, strong in (("one", -11.0), ("two", -11.0), ("three", -2.0)):
            spec = {
                "hkl": hkl,
                "swConv": np.random.default_rng(len(name)).random((20, 81)),
                "Evect": np.linspace(5, 25, 21),
                "obj": {
                    "matrix": {
                        "mat": np.stack([np.eye(3) * strong, np.diag([0, 0, 0.07])], axis=2),
                        "label": np.array(["JF1", "D"], dtype=object),
                    }
                },
            }
            savemat(tmp_path / f"{name}.mat", {"spec": spec})
        text = (
            '[labels]\nsource = "spinw"\n[labels.classes.Dimer]\nJF1 = [-20, -5]\n'
            "[labels.classes.Goodenough]\nJF1 = [-5, 0]\n"
            '[[integrated]]\nfiles = ["*.mat"]\nincident_energy = 50\n'
        )
        build_dataset(recipe_file(tmp_path, text), tmp_path / "out")
        items = {item.file: item for item in file_set(tmp_path / "out").items("integrated")}
        assert items["one.mat"].group == items["two.mat"].group != items["three.mat"].group
        assert items["one.mat"].label == items["two.mat"].label == 0
        assert items["three.mat"].label == 1

    def test_what_does_not_fit_is_recorded_by_its_name_alone(self, folder: Path, tmp_path: Path) -> None:
        save(volume(edges=(np.linspace(3, 5, 9), *EDGES[1:])), folder / "measured" / "far.nxs")
        (folder / "measured" / "broken.nxs").write_bytes(b"nothing")
        build_dataset(recipe_file(folder, SOURCES), tmp_path / "out")
        text = (tmp_path / "out" / "dataset.json").read_text()
        assert str(tmp_path) not in text
        refused = {entry["file"]: entry["reason"] for entry in json.loads(text)["refused"]}
        assert set(refused) == {"far.nxs", "broken.nxs"}
        assert "no bin in common" in refused["far.nxs"]

    def test_nothing_that_fits_is_an_error(self, folder: Path, tmp_path: Path) -> None:
        text = SOURCES.replace("measured", "other")
        (folder / "other").mkdir()
        (folder / "other" / "x.nxs").write_bytes(b"nothing")
        with pytest.raises(Exp2SimError, match="None of the 1 files of 'convolved' can be used"):
            build_dataset(recipe_file(folder, text), tmp_path / "out")
        assert not (tmp_path / "out" / "dataset.json").exists()

    def test_a_stopped_build_goes_on(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, out = recipe_file(folder, SOURCES), tmp_path / "out"
        build_dataset(path, tmp_path / "whole")
        real = shards_module.read_volumes
        calls: list[str] = []

        def stopped(entry: Any, *args: Any) -> Any:
            if len(calls) == 4:
                raise KeyboardInterrupt
            calls.append(entry.path.name)
            return real(entry, *args)

        monkeypatch.setattr(shards_module, "read_volumes", stopped)
        with pytest.raises(KeyboardInterrupt):
            build_dataset(path, out)
        assert not (out / "dataset.json").exists()
        again: list[str] = []

        def counted(entry: Any, *args: Any) -> Any:
            again.append(entry.path.name)
            return real(entry, *args)

        monkeypatch.setattr(shards_module, "read_volumes", counted)
        assert build_dataset(path, out) == out
        assert len(again) == 14 - 4
        assert (out / "dataset.json").read_bytes() == (tmp_path / "whole" / "dataset.json").read_bytes()
        assert not [p for p in (out / "shards").iterdir() if not p.name.endswith(".h5")]

    def test_a_changed_file_is_read_again_and_other_folders_are_left_alone(
        self, folder: Path, tmp_path: Path
    ) -> None:
        path, out = recipe_file(folder, SOURCES), tmp_path / "out"
        build_dataset(path, out)
        save(volume(55), folder / "measured" / "run0.nxs", overwrite=True)
        build_dataset(path, out)
        np.testing.assert_allclose(open_dataset(out).part("convolved", 0, 0), volume(55).intensity, rtol=1e-6)
        with pytest.raises(Exp2SimError, match="no data set"):
            build_dataset(path, folder)
        path.write_text(path.read_text().replace('"mine"', '"other"'))
        with pytest.raises(Exp2SimError, match="another recipe"):
            build_dataset(path, out)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (("width = 0.1", "width = 0.11"), "whole number of widths"),
            (("files =", "flies ="), "Extra inputs|flies"),
            (('["measured"]', '["nowhere/*.nxs"]'), "no file nowhere"),
            (('name = "mine"', ""), "name"),
        ],
    )
    def test_bad_recipes(self, folder: Path, tmp_path: Path, change: tuple[str, str], words: str) -> None:
        path = recipe_file(folder, SOURCES)
        text = path.read_text()
        assert change[0] in text
        path.write_text(text.replace(*change))
        with pytest.raises(Exp2SimError, match=words):
            build_dataset(path, tmp_path / "out")

    def test_names_in_a_data_set_are_never_paths(self, folder: Path, tmp_path: Path) -> None:
        build_dataset(recipe_file(folder, SOURCES), tmp_path / "out")
        path = tmp_path / "out" / "dataset.json"
        found = json.loads(path.read_text())
        found["domains"]["../../x"] = found["domains"].pop("convolved")
        found["kinds"][0] = "../../x"
        path.write_text(json.dumps(found))
        with pytest.raises(Exp2SimError, match="kinds are of"):
            open_dataset(tmp_path / "out")

    def test_real_files(self, reference_data: Path, tmp_path: Path) -> None:
        text = f"""
[[convolved]]
files = ["{reference_data}/pcsmo/measured_4K_clipped_120.npy"]
mask = "{reference_data}/pcsmo/nanmask.mat"
measurement = true
[[integrated]]
files = [
  "{reference_data}/pcsmo/tobyfit_goodenough_best_fit.npy",
  "{reference_data}/nxspe",
  "{reference_data}/horace",
]
lattice = [5.4, 5.4]
"""
        axes = (
            "[axes.h]\nwidth = 0.05128205128205128\nrange = [-1.0256410256410256, 1.0256410256410256]\n"
            "[axes.k]\nwidth = 0.05128205128205128\nrange = [-1.0256410256410256, 1.0256410256410256]\n"
            "[axes.energy]\nwidth = 0.06\nrange = [0.1, 0.7]\nrelative_to_incident_energy = true\n"
        )
        build_dataset(recipe_file(tmp_path, text, axes=axes), tmp_path / "out")
        report = inspect_dataset(tmp_path / "out")
        measured = report["domains"]["convolved"]
        assert measured["measurements"] == measured["samples"] == 6
        assert measured["rebinned"] == 0
        assert measured["coverage"]["mean"] == pytest.approx(0.79884, abs=1e-4)
        assert report["domains"]["integrated"]["rebinned"] == 1
        assert len(report["refused"]) == 5


class TestInspect:
    def run(self, capsys: pytest.CaptureFixture[str], *words: Any) -> Any:
        from mantid_exp2sim.training.cli import register

        parser = argparse.ArgumentParser()
        register(parser.add_subparsers())
        args = parser.parse_args(["data", *map(str, words)])
        assert args.run(args) == 0
        return capsys.readouterr().out

    def test_build_and_inspect(
        self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        path = recipe_file(folder, SOURCES)
        built = json.loads(self.run(capsys, "build", path, "--out", out, "--json"))
        picture = tmp_path / "picture.png"
        found = json.loads(self.run(capsys, "inspect", out, "--plot", picture, "--json"))
        assert {key: found[key] for key in built} == built
        assert found["domains"]["convolved"]["splits"]["train"]["all"] >= 3
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert "6 samples" in self.run(capsys, "inspect", out)

    def test_simulated_sets(
        self, tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        text = self.run(capsys, "inspect", tiny_dataset, "--plot", tmp_path / "p.png")
        assert "convolved: 28 samples" in text
        assert "Dimer 10, Goodenough 10" in text

    def test_a_picture_has_the_same_bins_of_both_kinds_on_one_scale(
        self, tiny_dataset: Path, tmp_path: Path
    ) -> None:
        frames = [axes for axes in draw(tiny_dataset, tmp_path / "p.png").axes if axes.get_title()]
        rows = len(open_dataset(tiny_dataset).description.kinds)
        columns = len(frames) // rows
        assert (rows, columns) == (3, 6)
        for column in range(columns):
            same = frames[column::columns]
            assert len({axes.get_title() for axes in same}) == 1
            assert len({axes.images[0].get_clim() for axes in same}) == 1

    def test_the_recipe_in_the_help_is_one(self, tmp_path: Path) -> None:
        import textwrap

        from mantid_exp2sim.training.cli.data import BUILD_EXAMPLES

        text = BUILD_EXAMPLES.split("all):\n")[1].split("\nexamples:")[0]
        path = tmp_path / "r.toml"
        path.write_text(textwrap.dedent(text))
        assert read_recipe(path).name == "mine"


def test_the_recipes_of_the_documentation_can_be_read(tmp_path: Path) -> None:
    import re
    import tomllib

    from mantid_exp2sim.training.config import TranslatorConfig

    text = (Path(__file__).parents[3] / "docs" / "data.md").read_text()
    names, data, losses = [], [], []
    for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL):
        (tmp_path / "r.toml").write_text(block)
        if block.startswith("[data]"):
            data.append(tomllib.loads(block)["data"])
        elif block.startswith("[losses]"):
            losses.append(tomllib.loads(block)["losses"])
        else:
            names.append(read_recipe(tmp_path / "r.toml").name)
    assert names == ["my-material", "from-mantid", "from-nxspe"]
    plain, under_conditions = (
        [
            TranslatorConfig.model_validate({"data": table, "losses": tables, "schedule": {"steps": 1}})
            for tables in losses
        ]
        for table in data
    )
    assert [config.losses.needs_pairs for config in plain] == [True, False]
    conditions = under_conditions[0].data.conditions
    assert conditions is not None
    assert conditions.debye_waller == (0.0, 0.02)
    measured = plain[0].data.measured
    assert measured is not None
    assert measured.scale == "auto"
