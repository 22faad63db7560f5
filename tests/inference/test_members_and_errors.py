"""Models of several members, and the parts of an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mantid_exp2sim.application.model import Model
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.inference.noise_replicas import noise_key, standard_normal_pair
from mantid_exp2sim.model.bundle import load_bundle, save_bundle
from mantid_exp2sim.model.card import Card
from mantid_exp2sim.model.error_model import ErrorModel
from mantid_exp2sim.networks.generator import Generator

FLAT = ErrorModel(spread=0.0, intensity=(0.0, 1.0), sigma=((1.0, 1.0),) * 6, wide=((3.0, 3.0),) * 6)


@pytest.fixture
def alone(make_model: Callable[..., Model]) -> tuple[Model, Model]:
    """Two models of one member with other weights."""
    first, second = make_model(), make_model()
    torch.manual_seed(8)
    for role in second.card.weights:
        network = second.bundle.network(role)
        for parameter in network.parameters():
            parameter.data += 0.02 * torch.randn_like(parameter)
    return first, second


@pytest.fixture
def save(alone: tuple[Model, Model], tmp_path: Path) -> Callable[..., Any]:
    """A function that writes the two as members of one model."""

    def write(**changes: Any) -> Any:
        networks = {}
        for role in alone[0].card.weights:
            networks[role] = alone[0].bundle.network(role)
            networks[f"{role}-2"] = alone[1].bundle.network(role)
        card = alone[0].card.model_copy(update={"name": "both", **changes})
        save_bundle(tmp_path / "both", card, networks, overwrite=True)
        return Model(load_bundle(tmp_path / "both"))

    return write


def test_the_result_is_the_mean_of_the_members(
    alone: tuple[Model, Model], save: Callable[..., Any], picture: Histogram
) -> None:
    both = save()
    assert (both.folder / "deconvolve-2.safetensors").is_file()
    one, two, mean = (m.deconvolve(picture, uncertainty=False).intensity for m in (*alone, both))
    assert np.nanmax(np.abs(one - two)) > 0.01
    np.testing.assert_allclose(mean, (one + two) / 2, rtol=1e-6, atol=1e-6)


def test_the_classification_is_the_mean_of_the_members(
    alone: tuple[Model, Model], save: Callable[..., Any], picture: Histogram
) -> None:
    each = [m.classify(picture).correlations for m in alone]
    mean = save().classify(picture).correlations
    for name, value in mean.items():
        assert value == pytest.approx(np.mean([found[name] for found in each]), rel=1e-6)


def test_members_are_numbered_without_gaps(model: Model) -> None:
    weights = model.card.model_dump()["weights"]
    for key in ("deconvolve-3", "deconvolve-1", "deconvolve-99", "deconvolve-2/../x"):
        with pytest.raises(ValueError, match=r"numbered|weights"):
            Card.model_validate(
                {**model.card.model_dump(), "weights": {**weights, key: weights["deconvolve"]}}
            )


def test_parts_add_up(save: Callable[..., Any], picture: Histogram) -> None:
    both = save()
    made = both.translate(picture, "deconvolve", replicas=4, parts=True)
    assert (made.model_known, made.calibrated) == (True, False)
    np.testing.assert_allclose(made.histogram.variance, made.input_variance + made.model_variance)
    total = both.deconvolve(picture, replicas=4)
    np.testing.assert_array_equal(total.variance, made.histogram.variance)
    assert total.metadata["history"][-1]["uncertainty"] == {
        "input": "propagated",
        "model": "spread of 2 members, not calibrated",
        "members": 2,
    }


def test_uncalibrated_members_give_their_spread(
    alone: tuple[Model, Model], save: Callable[..., Any], picture: Histogram
) -> None:
    exact = picture.replace(variance=np.zeros(picture.shape))
    one, two = (m.deconvolve(exact).intensity for m in alone)
    made = save().translate(exact, "deconvolve", parts=True)
    np.testing.assert_allclose(made.model_variance, (one - two) ** 2 / 2, rtol=1e-5, atol=1e-8)
    assert not made.input_variance[~picture.mask].any()


def test_one_member_without_calibration_does_not_know_its_error(model: Model, picture: Histogram) -> None:
    made = model.translate(picture, "deconvolve", replicas=2, parts=True)
    assert (made.model_known, made.calibrated) == (False, False)
    assert made.model_variance is not None
    assert not made.model_variance[~picture.mask].any()
    assert made.histogram.metadata["history"][-1]["uncertainty"]["model"] == "not known"


def test_calibration_on_the_card(save: Callable[..., Any], picture: Histogram) -> None:
    both = save(errors={"deconvolve": FLAT})
    assert both.card.errors["deconvolve"] == FLAT
    bins = ~picture.mask
    made = both.translate(picture.replace(variance=np.zeros(picture.shape)), "deconvolve", parts=True)
    size = np.maximum(1.0, np.abs(made.histogram.intensity[bins]))
    np.testing.assert_allclose(np.sqrt(made.model_variance[bins]), size)
    assert made.half_95 is not None
    np.testing.assert_allclose(made.half_95[bins], 3 * size)
    assert made.calibrated
    noisy = both.translate(picture, "deconvolve", replicas=4, parts=True)
    expected = np.sqrt(1.959964**2 * noisy.input_variance[bins] + 9 * size**2)
    np.testing.assert_allclose(noisy.half_95[bins], expected)
    assert np.isnan(noisy.half_95[picture.mask]).all()


def test_the_error_has_the_units_that_went_in(save: Callable[..., Any], picture: Histogram) -> None:
    both = save(errors={"deconvolve": FLAT})
    exact = picture.replace(variance=np.zeros(picture.shape))
    plain = both.deconvolve(exact)
    scaled = both.deconvolve(exact.replace(intensity=1e3 * exact.intensity), scale=1e-3)
    np.testing.assert_allclose(scaled.variance, 1e6 * plain.variance, rtol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"spread": -1.0},
        {"intensity": (1.0, 0.0)},
        {"intensity": (0.0,)},
        {"sigma": ((1.0, 1.0),)},
        {"sigma": ((1.0, -1.0),) * 6},
        {"wide": ((1.0, float("nan")),) * 6},
    ],
)
def test_calibrations_that_make_no_sense(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"spread|intensity|row|number|finite"):
        ErrorModel.model_validate({**FLAT.model_dump(), **changes})


def test_a_calibration_has_a_row_for_each_incident_energy(model: Model) -> None:
    short = FLAT.model_copy(update={"sigma": ((1.0, 1.0),), "wide": ((1.0, 1.0),)})
    with pytest.raises(ValueError, match="row for each"):
        Card.model_validate({**model.card.model_dump(), "errors": {"convolve": short.model_dump()}})


def test_replicas_do_not_depend_on_tiles_or_on_how_many_go_at_once(
    model: Model, picture: Histogram, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mantid_exp2sim.inference import sliding_window as tiles

    whole = model.deconvolve(picture, replicas=5)
    for bins in (1, 5000):
        monkeypatch.setattr(tiles, "BATCH_BINS", bins)
        other = model.deconvolve(picture, replicas=5, tile=17)
        np.testing.assert_allclose(other.variance, whole.variance, rtol=2e-3, atol=1e-5)


def test_noise_is_white_and_the_same_wherever_it_starts() -> None:
    numbers = np.arange(200_000, dtype=np.uint64)
    keys = [noise_key(3, 0, 5), noise_key(3, 2, 5)]
    fields = np.concatenate(standard_normal_pair(keys, numbers))
    assert fields.shape == (4, 200_000)
    np.testing.assert_allclose(np.cov(fields), np.eye(4), atol=0.015)
    np.testing.assert_allclose((fields.astype(float) ** 4).mean(1), 3.0, rtol=0.05)
    neighbours = (fields[:, 1:] * fields[:, :-1]).mean(1)
    np.testing.assert_allclose(neighbours, 0.0, atol=0.015)
    part = np.concatenate(standard_normal_pair(keys, numbers[777:888]))
    np.testing.assert_array_equal(part, fields[:, 777:888])


def test_a_wholly_masked_region_costs_nothing(
    model: Model, picture: Histogram, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Volumes of which nothing was measured are not sent through the network."""
    mask = picture.mask.copy()
    mask[:200] = True
    calls: list[int] = []
    real = Generator.infer

    def infer(self: Generator, x: torch.Tensor, tick: Callable[[], None] | None = None) -> torch.Tensor:
        calls.append(len(x))
        return real(self, x, tick)

    monkeypatch.setattr(Generator, "infer", infer)
    model.deconvolve(picture.replace(mask=mask), uncertainty=False, tile=40)
    assert sum(calls) == 6
    from mantid_exp2sim import mosaic

    with pytest.raises(Exp2SimError, match="masked"):
        model.deconvolve(mosaic.split(picture.replace(mask=mask))[0])


@pytest.mark.parametrize("name", ["tiny", "tiny-paper", "tiny-3d", "tiny-slices"])
def test_the_fast_path_is_the_plain_path(make_model: Callable[..., Model], name: str) -> None:
    model = make_model(name)
    network = model.bundle.network("deconvolve")
    assert isinstance(network, Generator)
    layout = model.card.layout
    x = torch.rand(2, layout.in_channels, *(20, 16, 12)[: layout.dimension])
    with torch.inference_mode():
        plain = network(x)
        assert torch.allclose(network.prepare().infer(x), plain, rtol=1e-4, atol=1e-5)


def test_progress_moves_within_a_network_too(make_model: Callable[..., Model], picture: Histogram) -> None:
    model = make_model("tiny-paper")
    seen: list[tuple[float, str]] = []
    model.deconvolve(
        picture, uncertainty=False, progress=lambda done, total, message: seen.append((done / total, message))
    )
    places = [place for place, _ in seen]
    assert places == sorted(places)
    assert len(set(places)) > 10
    assert "passes of a network" in seen[0][1]
    assert seen[-1] == (1.0, "done")


def test_the_command_writes_the_parts(
    models_folder: Path,
    picture: Histogram,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mantid_exp2sim.cli import main
    from mantid_exp2sim.io import save

    save(picture, tmp_path / "in.npz")
    command = ["deconvolve", str(tmp_path / "in.npz"), str(tmp_path / "out.npz"), "--replicas", "2"]
    command += ["--model", str(models_folder / "tiny"), "--uncertainty-out", str(tmp_path / "errors.npz")]
    assert main(command) == 0
    assert "of the model not known" in capsys.readouterr().out
    with np.load(tmp_path / "errors.npz", allow_pickle=False) as parts:
        assert set(parts) == {"input_variance", "model_variance", "half_68", "half_95"}
        np.testing.assert_array_equal(np.isnan(parts["half_95"]), picture.mask)
    assert main([*command[:-1], str(tmp_path / "errors.txt")]) != 0


def test_memory_does_not_grow_with_the_volume(
    make_model: Callable[..., Model], free_volume: Callable[..., Histogram], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the result itself: of what numpy allocates, which is where whole copies would show."""
    import tracemalloc

    from mantid_exp2sim.inference import sliding_window as tiles

    monkeypatch.setattr(tiles, "BATCH_BINS", 16_384)  # a block is smaller than either volume
    model, above = make_model("tiny-separate"), []
    for bins in (40, 320):
        data = free_volume((40, 40, bins))
        tracemalloc.start()
        result = model.deconvolve(data, replicas=3)
        above.append(tracemalloc.get_traced_memory()[1] - result.intensity.nbytes - result.variance.nbytes)
        tracemalloc.stop()
    assert above[1] < above[0] + 0.25 * result.intensity.nbytes
