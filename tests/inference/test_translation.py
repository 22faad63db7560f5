"""Translation: tiles, masks, axes, units, errors, history, cancelling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mantid_exp2sim import mosaic
from mantid_exp2sim.application.model import Model
from mantid_exp2sim.errors import Cancelled, Exp2SimError
from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.inference.volumes import open_volumes
from mantid_exp2sim.networks.generator import Generator


def generator(model: Model, role: str = "deconvolve") -> Generator:
    network = model.bundle.network(role)
    assert isinstance(network, Generator)
    return network


shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)


def _with_axis(h: Histogram, position: int, axis: Axis) -> Histogram:
    axes = [*h.axes[:position], axis, *h.axes[position + 1 :]]
    return Histogram(h.intensity, h.variance, h.mask, tuple(axes), h.metadata)


def _close(a: Histogram, b: Histogram) -> None:
    np.testing.assert_array_equal(a.mask, b.mask)
    limit = 1e-5 * np.nanmax(np.abs(b.intensity))
    np.testing.assert_allclose(a.intensity, b.intensity, rtol=1e-5, atol=limit)


@shared
@given(tile=st.integers(16, 50))
def test_any_tile_size_gives_the_same(model: Any, picture: Any, tile: int) -> None:
    whole = model.deconvolve(picture, uncertainty=False)
    _close(model.deconvolve(picture, uncertainty=False, tile=tile), whole)


@shared
@given(
    name=st.sampled_from(["tiny-separate", "tiny-slices", "tiny-3d"]),
    shape=st.tuples(st.integers(2, 40), st.integers(2, 12), st.integers(2, 20)),
    tile=st.integers(16, 24),
)
def test_any_tile_size_and_shape_in_other_layouts(
    make_model: Callable[..., Model], free_volume: Callable[..., Histogram], name: str, shape: Any, tile: int
) -> None:
    model, h = make_model(name), free_volume(shape)
    _close(model.convolve(h, uncertainty=False, tile=tile), model.convolve(h, uncertainty=False))


def test_a_big_image_is_cut_without_being_asked(
    make_model: Callable[..., Model], free_volume: Callable[..., Histogram]
) -> None:
    seen: list[int] = []
    model, h = make_model("tiny-separate"), free_volume((300, 300, 1))
    cut = model.deconvolve(h, uncertainty=False, progress=lambda done, total, message: seen.append(total))
    assert seen[-1] == 9 * generator(model, "convolve").steps
    _close(cut, model.deconvolve(h, uncertainty=False, tile=300))


def test_a_network_that_sees_everything_is_not_tiled(
    make_model: Callable[..., Model], picture: Histogram
) -> None:
    model = make_model("tiny-paper")
    assert model.deconvolve(picture, uncertainty=False).shape == (240, 400)
    with pytest.raises(Exp2SimError, match="normalises over the whole image"):
        model.deconvolve(picture, uncertainty=False, tile=20)


@pytest.mark.parametrize("direction", ["deconvolve", "convolve"])
def test_nan_in_nan_out_and_nowhere_else(model: Model, picture: Histogram, direction: str) -> None:
    result = getattr(model, direction)(picture, replicas=2)
    for array in (result.intensity, result.variance):
        np.testing.assert_array_equal(np.isnan(array), picture.mask)
    np.testing.assert_array_equal(result.mask, picture.mask)


def test_what_lies_under_the_mask_has_no_influence(model: Model, picture: Histogram) -> None:
    wild = np.where(picture.mask, 1e6, picture.intensity)
    other = mosaic.mosaic_histogram(wild, variance=picture.variance, mask=picture.mask)
    np.testing.assert_array_equal(
        model.deconvolve(picture, uncertainty=False).intensity,
        model.deconvolve(other, uncertainty=False).intensity,
    )


def test_the_network_is_told_what_is_masked(model: Model, picture: Histogram) -> None:
    zeros = picture.replace(intensity=np.nan_to_num(picture.intensity), mask=np.zeros(picture.shape, bool),
                            variance=np.zeros(picture.shape))  # fmt: skip
    a, b = model.deconvolve(picture, uncertainty=False), model.deconvolve(zeros, uncertainty=False)
    assert np.nanmax(np.abs(a.intensity - b.intensity)) > 1e-3


def test_nothing_crosses_a_panel_border(model: Model, picture: Histogram) -> None:
    changed = picture.intensity.copy()
    changed[80:120, 120:160] += 3.0
    before = model.deconvolve(picture, uncertainty=False).intensity
    after = model.deconvolve(picture.replace(intensity=changed), uncertainty=False).intensity
    moved = mosaic.volumes_from_picture(np.nan_to_num(before - after)).any(axis=(1, 2, 3))
    assert moved.tolist() == [False, False, True, False, False, False]


def test_a_volume_alone_equals_its_part_of_the_mosaic(model: Model, picture: Histogram) -> None:
    together = mosaic.split(model.deconvolve(picture, replicas=3))
    for part, whole in zip(mosaic.split(picture), together, strict=True):
        alone = model.deconvolve(part, replicas=3)
        _close(alone, whole)
        np.testing.assert_allclose(alone.variance, whole.variance, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("order", [(0, 2, 1), (1, 0, 2), (2, 0, 1), (2, 1, 0)])
def test_axes_are_found_by_what_they_are(
    model: Model, volume: Histogram, order: tuple[int, int, int]
) -> None:
    names = [volume.axes[i].name for i in order]
    straight, turned = model.deconvolve(volume), model.deconvolve(volume.transpose(*names))
    np.testing.assert_array_equal(turned.intensity, np.transpose(straight.intensity, order))
    np.testing.assert_array_equal(turned.variance, np.transpose(straight.variance, order))
    assert [axis.name for axis in turned.axes] == names


def test_an_integrated_fourth_axis_stays_where_it_was(model: Model, volume: Histogram) -> None:
    l_axis = Axis("[0,0,L]", np.array([-10.0, 10.0]), unit="r.l.u.", frame="HKL")
    axes = (volume.axes[0], l_axis, *volume.axes[1:])
    intensity, variance, mask = volume.intensity[:, None], volume.variance[:, None], volume.mask[:, None]
    result = model.deconvolve(Histogram(intensity, variance, mask, axes, volume.metadata))
    assert result.shape == (40, 1, 40, 10)
    np.testing.assert_array_equal(result.intensity[:, 0], model.deconvolve(volume).intensity)


def test_a_single_cut_is_a_row_of_the_volume(
    make_model: Callable[..., Model], volume: Histogram, cut: Callable[..., Any]
) -> None:
    """Along h, or along k in its place; along neither it is refused."""
    model = make_model("tiny-cuts")

    whole = model.deconvolve(volume, uncertainty=False, force=True)
    along_h = model.deconvolve(cut(volume, 0, 20, 3), uncertainty=False, force=True)
    assert along_h.intensity == pytest.approx(whole.intensity[:, 20, 3], rel=1e-5, nan_ok=True)
    turned = volume.replace(
        intensity=volume.intensity.swapaxes(0, 1),
        variance=volume.variance.swapaxes(0, 1),
        mask=volume.mask.swapaxes(0, 1),
    )
    along_k = model.deconvolve(cut(turned, 1, 20, 3), uncertainty=False, force=True)
    assert along_k.axes[0].name == "[0,K,0]"
    assert np.array_equal(along_k.intensity, along_h.intensity, equal_nan=True)
    with pytest.raises(Exp2SimError, match=r"no more than one bin along \[H,0,0\]"):
        model.deconvolve(cut(volume, 2, 20, 20), uncertainty=False, force=True)
    wide = Axis("[0,K,0]", np.array([-1.0, 1.0]), unit="r.l.u.", frame="HKL")
    one = cut(volume, 0, 20, 3)
    spread = Histogram(
        one.intensity[:, None], one.variance[:, None], one.mask[:, None], (*one.axes, wide), one.metadata
    )
    with pytest.raises(Exp2SimError, match="integrated over 2"):
        model.deconvolve(spread, uncertainty=False, force=True)


def test_slices_with_an_integrated_axis(
    make_model: Callable[..., Model], free_volume: Callable[..., Histogram]
) -> None:
    model = make_model("tiny-slices")
    h = free_volume((30, 1, 12))
    flat = Histogram(h.intensity[:, 0], h.variance[:, 0], h.mask[:, 0], (h.axes[0], h.axes[2]), h.metadata)
    with_axis, without = model.deconvolve(h), model.deconvolve(flat)
    np.testing.assert_array_equal(with_axis.intensity[:, 0], without.intensity)
    wide = _with_axis(h, 1, Axis("[0,K,0]", np.array([-0.5, 0.5]), unit="r.l.u.", frame="HKL"))
    np.testing.assert_array_equal(model.deconvolve(wide).intensity, with_axis.intensity)
    too_wide = _with_axis(h, 1, Axis("[0,K,0]", np.array([-5.0, 5.0]), unit="r.l.u.", frame="HKL"))
    with pytest.raises(Exp2SimError, match=r"integrated over 10 r\.l\.u\.\."):
        model.deconvolve(too_wide)
    fine = Axis("DeltaE", np.linspace(5.0, 11.0, 13), unit="meV", frame="General Frame")
    with pytest.raises(Exp2SimError, match=r"bins 0\.5 meV wide \(0\.01 Ei, with Ei = 50 meV\)"):
        model.deconvolve(_with_axis(h, 2, fine))


def test_an_array_is_no_histogram(model: Model) -> None:
    values: Any = np.ones((240, 400))
    for use in (model.deconvolve, model.convolve, model.classify, model.validate, model.check_domain):
        with pytest.raises(Exp2SimError, match=r"Got a ndarray.*mosaic_histogram"):
            use(values)


def test_the_result_is_in_the_units_that_went_in(model: Model, picture: Histogram) -> None:
    plain = model.deconvolve(picture, scale=1.0, replicas=4)
    scaled = picture.replace(intensity=1e3 * picture.intensity, variance=1e6 * picture.variance)
    result = model.deconvolve(scaled, scale=1e-3, replicas=4)
    np.testing.assert_allclose(result.intensity, 1e3 * plain.intensity, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(result.variance, 1e6 * plain.variance, rtol=1e-2, atol=1.0)
    one, other = (model.deconvolve(h, scale="auto", uncertainty=False) for h in (picture, scaled))
    np.testing.assert_allclose(other.intensity, 1e3 * one.intensity, rtol=1e-4, atol=1e-2)
    assert one.metadata["history"][-1]["options"]["factor"] == pytest.approx(
        7.0 / np.nanmean(picture.intensity)
    )


def test_a_constant_stays_constant_away_from_borders(
    make_model: Callable[..., Model], free_volume: Callable[..., Histogram]
) -> None:
    model, h = make_model("tiny-separate"), free_volume((30, 30, 2))
    flat = h.replace(
        intensity=np.full(h.shape, 4.0), variance=np.zeros(h.shape), mask=np.zeros(h.shape, bool)
    )
    inside = model.deconvolve(flat).intensity[6:-6, 6:-6, 0]
    np.testing.assert_allclose(inside, inside[0, 0], rtol=1e-5)


def test_errors(model: Model, picture: Histogram) -> None:
    result = model.deconvolve(picture, replicas=4, seed=1)
    assert np.nanmin(result.variance) > 0
    assert not model.deconvolve(picture, uncertainty=False).variance[~picture.mask].any()
    exact = picture.replace(variance=np.zeros(picture.shape))
    assert not model.deconvolve(exact).variance[~picture.mask].any()
    np.testing.assert_array_equal(
        model.deconvolve(exact).intensity, model.deconvolve(picture, uncertainty=False).intensity
    )


def test_variance_is_right_where_the_truth_is_known(
    make_model: Callable[..., Model], free_volume: Callable[..., Histogram]
) -> None:
    """With a zero last layer a generator is the identity, and so variance out = variance in."""

    model, h = make_model("tiny-separate"), free_volume((20, 20, 2))
    small = h.replace(variance=np.where(h.mask, 0, 1e-4 * (1 + h.intensity)))
    state = generator(model).state_dict()
    for name in ("last.weight", "last.bias"):
        state[name].zero_()
    result = model.deconvolve(small, replicas=200)
    np.testing.assert_allclose(result.intensity, small.intensity, rtol=1e-5)
    ratio = (result.variance / small.variance)[~small.mask]
    assert abs(ratio.mean() - 1) < 0.02
    assert ratio.std() == pytest.approx(np.sqrt(2 / 199), rel=0.2)


def test_variance_stays_zero_in_an_exact_volume(model: Model, picture: Histogram) -> None:
    exact = mosaic.split(picture)
    some = [h.replace(variance=h.variance * (i == 1)) for i, h in enumerate(exact)]
    result = mosaic.split(model.deconvolve(mosaic.join(some), replicas=2))
    assert [bool(np.nansum(h.variance) > 0) for h in result] == [i == 1 for i in range(6)]


def test_the_same_seed_gives_the_same_bytes(model: Model, picture: Histogram) -> None:
    first, again, other = (model.deconvolve(picture, replicas=2, seed=seed) for seed in (4, 4, 5))
    assert first.variance.tobytes() == again.variance.tobytes()
    assert first.intensity.tobytes() == other.intensity.tobytes()
    assert first.variance.tobytes() != other.variance.tobytes()


def test_history_is_enough_to_repeat_it(model: Model, picture: Histogram) -> None:
    result = model.convolve(model.deconvolve(picture, seed=7, replicas=2, tile=30))
    first, second = result.metadata["history"]
    assert (first["command"], second["command"]) == ("deconvolve", "convolve")
    assert first["model"] == "tiny"
    assert first["checksum"] == model.checksum
    assert first["seed"] == 7
    assert first["options"]["tile"] == 30
    assert result.metadata["title"] == "test"
    assert "history" not in picture.metadata


def test_progress_and_cancel(model: Model, picture: Histogram) -> None:
    calls: list[tuple[int, int]] = []
    model.deconvolve(
        picture, tile=20, replicas=2, progress=lambda done, total, _: calls.append((done, total))
    )
    total = 72 * generator(model).steps
    assert calls[0] == (0, total)
    assert calls[-1] == (total, total)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)

    for error in (Cancelled, KeyboardInterrupt):

        def stop(done: Any, total: Any, message: str, error: Any = error) -> None:
            if done > total / 2:
                raise error

        with pytest.raises(error):
            model.deconvolve(picture, tile=20, replicas=2, progress=stop)


def test_torch_threads_and_gradients_are_left_alone(model: Model, picture: Histogram) -> None:
    import torch

    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    model.deconvolve(picture, uncertainty=False)
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_two_torch_threads_give_the_same_and_leave_no_thread(model: Model, picture: Histogram) -> None:
    import threading

    import torch

    single = model.deconvolve(picture, replicas=2)
    before = set(threading.enumerate())
    during: set[threading.Thread] = set()
    torch.set_num_threads(2)

    def stop(done: Any, total: Any, message: str) -> None:
        raise Cancelled("no")

    try:
        double = model.deconvolve(
            picture, replicas=2, progress=lambda *_: during.update(threading.enumerate())
        )
        with pytest.raises(Cancelled):
            model.deconvolve(picture, progress=stop)
    finally:
        torch.set_num_threads(1)
    assert during > before
    assert set(threading.enumerate()) == before
    np.testing.assert_array_equal(double.intensity, single.intensity)
    np.testing.assert_array_equal(double.variance, single.variance)


@pytest.mark.parametrize(
    "options",
    [
        {"tile": 0},
        {"tile": 15},
        {"tile": 2.5},
        {"tile": True},
        {"replicas": 1},
        {"replicas": 10**9},
        {"seed": -1},
        {"scale": 0.0},
        {"scale": float("nan")},
        {"scale": "automatic"},
    ],
)
def test_options_out_of_range(model: Model, picture: Histogram, options: dict[str, Any]) -> None:
    with pytest.raises(Exp2SimError, match=f"{next(iter(options))}|tile size"):
        model.deconvolve(picture, **options)


def test_intensities_that_no_network_can_take(model: Model, picture: Histogram) -> None:
    with pytest.raises(Exp2SimError, match="not finite"):
        model.deconvolve(
            picture.replace(intensity=np.full(picture.shape, 1e300)), scale=1e200, uncertainty=False
        )


def test_data_the_model_does_not_take(model: Model, volume: Histogram) -> None:
    q = volume.axes[0]
    wrong = {
        "bins 0.1": Axis(q.name, np.linspace(-2, 2, 41), unit=q.unit, frame=q.frame),
        "unit": Axis(q.name, q.edges, unit="A^-1", frame=q.frame),
        "frame": Axis(q.name, q.edges, unit=q.unit, frame="QSample"),
        "are not those": Axis("[H,H,0]", q.edges, unit=q.unit, frame=q.frame),
    }
    for message, axis in wrong.items():
        with pytest.raises(Exp2SimError, match=message):
            model.deconvolve(_with_axis(volume, 0, axis))
    energy = volume.axes[2]
    shifted = Axis(energy.name, energy.edges + 3, unit=energy.unit, frame=energy.frame)
    with pytest.raises(Exp2SimError, match=r"10 bins from 8 to 38 meV \(0\.16 to 0\.76 Ei"):
        model.deconvolve(_with_axis(volume, 2, shifted))
    nothing = volume.replace(mask=np.ones(volume.shape, bool))
    with pytest.raises(Exp2SimError, match="Every bin is masked"):
        model.deconvolve(nothing)


def test_incident_energy(model: Model, volume: Histogram) -> None:
    unknown = volume.replace(metadata={})
    with pytest.raises(Exp2SimError, match="incident energy of the data is not known"):
        model.deconvolve(unknown)
    given = model.deconvolve(unknown, incident_energy=50.0)
    np.testing.assert_array_equal(given.intensity, model.deconvolve(volume).intensity)
    assert given.metadata["history"][0]["options"]["incident_energy"] == 50.0
    wrong = model.deconvolve(volume.replace(metadata={"incident_energy": 35.0}), incident_energy=50.0)
    np.testing.assert_array_equal(wrong.intensity, given.intensity)
    assert wrong.metadata["incident_energy"] == given.metadata["incident_energy"] == 50.0
    for value in (300.0, -1.0, True):
        with pytest.raises(Exp2SimError, match="incident energy"):
            model.deconvolve(unknown, incident_energy=value)


def test_a_mosaic_has_its_own_incident_energies(model: Model, picture: Histogram) -> None:
    with pytest.raises(Exp2SimError, match="Leave it out"):
        model.deconvolve(picture, incident_energy=50.0)


def test_units_as_mantid_writes_them(model: Model, volume: Histogram) -> None:
    q = volume.axes[0]
    odd = _with_axis(volume, 0, Axis(q.name, q.edges.astype(np.float32), unit="in 1.162 A^-1", frame="HKL"))
    np.testing.assert_array_equal(model.deconvolve(odd).intensity, model.deconvolve(volume).intensity)


def test_data_are_checked_beforehand(model: Model, volume: Histogram) -> None:
    model.validate(volume)
    with pytest.raises(Exp2SimError, match="not one that the model"):
        model.validate(volume, incident_energy=300.0)


def test_a_missing_axis_is_named(model: Model, volume: Histogram) -> None:
    flat = Histogram.from_arrays(np.ones((40, 40)), volume.axes[:2], metadata={"incident_energy": 50.0})
    with pytest.raises(Exp2SimError, match="no axis for energy transfer"):
        model.deconvolve(flat)


def test_what_a_missing_axis_was_integrated_over_counts(volume: Histogram) -> None:
    from mantid_exp2sim import load_model

    card = load_model("pcsmo-maps-1d-energy").card
    energy = Axis("DeltaE", np.linspace(5.0, 35.0, 61), unit="meV", frame="General Frame")
    for half, metadata in ((2.0, "known"), (0.025, "known"), (None, "endless"), (None, "none")):
        entries = [{"axis": name, "range": [half and -half, half]} for name in ("[H,0,0]", "[0,K,0]")]
        known = {"incident_energy": 50.0, **({} if metadata == "none" else {"integrated": entries})}
        cut = Histogram.from_arrays(np.ones(60), [energy], metadata=known)
        if half == 2.0:
            with pytest.raises(Exp2SimError, match="integrated over 4"):
                open_volumes(cut, card)
        else:
            assert open_volumes(cut, card).values.shape == (1, 1, 1, 60)


@settings(max_examples=60)
@given(
    shape=st.lists(st.integers(1, 50), min_size=1, max_size=3),
    tile=st.integers(16, 60),
    reach=st.integers(0, 12),
    step=st.sampled_from([1, 2, 4]),
)
def test_every_bin_is_in_the_core_of_one_tile(shape: Any, tile: int, reach: int, step: Any) -> None:
    from mantid_exp2sim.inference.sliding_window import cut

    total = np.zeros(shape, dtype=int)
    for part in cut(shape, tile=tile, reach=[reach] * len(shape), step=step):
        total[tuple(span.core for span in part)] += 1
        assert all(span.start % step == 0 for span in part)
        for span, size in zip(part, shape, strict=True):
            assert span.start <= max(0, span.first - reach)
            assert span.stop >= min(size, span.last + reach)
            assert np.array_equal(np.arange(size)[span.seen][span.inner], np.arange(size)[span.core])
    assert (total == 1).all()


def test_the_real_measurement(reference_data: Path, model: Model) -> None:
    from mantid_exp2sim import load

    folder = reference_data / "pcsmo"
    measured = load(folder / "measured_4K_clipped_120.npy", mask=folder / "nanmask.mat")
    result = model.deconvolve(measured)
    np.testing.assert_array_equal(np.isnan(result.intensity), measured.mask)
    assert set(model.classify(measured, deconvolve=True).correlations) == {"Dimer", "Goodenough"}


def test_heavy_networks_go_in_small_batches() -> None:
    from mantid_exp2sim.inference.sliding_window import blocks
    from mantid_exp2sim.networks.layout import Layout

    def count(parameters: Any) -> Any:
        layout = Layout(energy="separate")
        return len(blocks((6, 40, 40, 10), layout, tile=None, reach=(1, 1), parameters=parameters))

    assert (count(100_000), count(11_000_000)) == (2, 60)
