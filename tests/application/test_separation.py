"""What a deconvolution takes out: it adds up to the measurement, and a known background comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mantid_exp2sim
from mantid_exp2sim.application.intensity import lost_intensity
from mantid_exp2sim.application.model import Model
from mantid_exp2sim.application.separation import separate_network, smooth_part
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.inference.parts import with_background
from mantid_exp2sim.inference.translate import Translation
from mantid_exp2sim.mosaic import mosaic_histogram
from mantid_exp2sim.simulation.setting import Setting
from tests.helpers.small_models import MakeModel

KNOWN: dict[str, Any] = {"instrument": "MERLIN", "lattice": (4.0, 4.0, 6.0)}
H = Axis("[H,0,0]", np.linspace(-1.1, 1, 13), unit="r.l.u.", frame="HKL")
K = Axis("[0,K,0]", np.linspace(-1.1, 1, 13), unit="r.l.u.", frame="HKL")
ENERGY = Axis("DeltaE", np.linspace(2, 20, 13), unit="meV", frame="General Frame")
AXES = {"volume": (H, K, ENERGY), "cut": (H, ENERGY), "energy": (ENERGY,)}


def histogram(axes: tuple[Axis, ...], seed: int = 0, masked: float = 0.0) -> Histogram:
    rng = np.random.default_rng(seed)
    values = 5 + rng.normal(size=[axis.size for axis in axes])
    mask = rng.random(values.shape) < masked
    mask.flat[0] = False
    return Histogram.from_arrays(values, axes, 0.1 + 0 * values, mask, metadata={"incident_energy": 30.0})


def assert_adds_up(measured: Histogram, seen: Histogram, parts: Translation) -> None:
    assert parts.removed is not None
    assert parts.residual is not None
    total = seen.intensity + parts.removed.intensity + parts.residual.intensity
    np.testing.assert_allclose(total, measured.intensity, rtol=1e-5, atol=1e-5)
    for part in (parts.histogram, parts.removed, parts.residual):
        np.testing.assert_array_equal(np.isnan(part.intensity), measured.mask)


@settings(max_examples=15)
@given(
    name=st.sampled_from(sorted(AXES)),
    background=st.sampled_from(["none", "constant", "smooth"]),
    masked=st.sampled_from([0.0, 0.3, 0.9]),
    seed=st.integers(0, 99),
)
def test_parts_of_the_known_resolution_add_up(name: str, background: str, masked: float, seed: int) -> None:
    measured = histogram(AXES[name], seed, masked)
    parts = mantid_exp2sim.separate(
        measured, method="richardson-lucy", background=background, uncertainty=False, **KNOWN
    )
    seen = mantid_exp2sim.convolve(parts.histogram, method="resolution", **KNOWN)
    assert_adds_up(measured, seen, parts)


def test_parts_of_a_network_add_up_through_the_known_resolution(model: Model, picture: Histogram) -> None:
    prepared = model.prepare(picture, uncertainty=False)
    parts = separate_network(model, prepared, model.translate(prepared, "deconvolve"), Setting())
    assert parts.put_back_through == "the known resolution"
    assert_adds_up(prepared.histogram, mantid_exp2sim.convolve(parts.histogram, method="resolution"), parts)


def test_where_nothing_is_known_the_model_puts_back(
    make_model: MakeModel, free_volume: Callable[..., Histogram]
) -> None:
    model = make_model("tiny-separate")
    prepared = model.prepare(free_volume((20, 20, 4)), uncertainty=False)
    sharp = model.translate(prepared, "deconvolve")
    parts = separate_network(model, prepared, sharp, Setting())
    assert parts.put_back_through == "the model's convolve direction"
    assert_adds_up(prepared.histogram, model.convolve(sharp.histogram, uncertainty=False), parts)
    with pytest.raises(Exp2SimError, match="no instrument 'HUBBLE'"):
        separate_network(model, prepared, sharp, Setting(instrument="HUBBLE"))


def test_a_background_that_was_put_in_is_the_smooth_part() -> None:
    """A slope in h, another height at each energy, and one sharp spike: the spike is no background."""
    h, _, energy = np.meshgrid(np.arange(40) / 40, np.arange(40), np.arange(6) + 1.0, indexing="ij")
    axes = [Axis(name, np.arange(41.0)) for name in ("[H,0,0]", "[0,K,0]")]
    values = energy * (1 + 0.2 * h)
    values[20, 20, 3] += 10
    difference = Histogram.from_arrays(values, [*axes, Axis("DeltaE", np.arange(7.0), unit="meV")])
    removed = smooth_part(difference)
    np.testing.assert_allclose(removed, energy * (1 + 0.2 * h), rtol=0.06)
    assert removed[20, 20, 3] == pytest.approx(energy[20, 20, 3] * 1.1, rel=0.02)


def test_background_that_is_kept_is_in_the_result() -> None:
    measured = histogram(AXES["volume"])
    options = {**KNOWN, "method": "richardson-lucy", "background": "constant", "uncertainty": False}
    parts = mantid_exp2sim.separate(measured, **options)
    kept = with_background(parts)
    assert np.nansum(parts.histogram.intensity) < 0.4 * np.nansum(measured.intensity)
    assert np.nansum(kept.intensity) == pytest.approx(np.nansum(measured.intensity), rel=0.02)
    assert kept.metadata["history"][-1]["background_kept_through"] == "the known resolution"


def test_loss_is_told_by_panel_and_warned_of_above_a_tenth() -> None:
    before = mosaic_histogram(np.ones((240, 400)))
    after = np.ones((240, 400))
    after[40:80, 80:120] = 0.7  # Ei 35 meV, the third window
    lost = lost_intensity(before, before.replace(intensity=after))
    assert len(lost.ranges) == 60
    assert lost.total == pytest.approx(0.3 / 60)
    (panel,) = (part for part in lost.ranges if part.significant)
    assert panel.incident_energy == 35.0
    assert panel.lost == pytest.approx(0.3)
    assert panel.energy == pytest.approx((0.22 * 35, 0.28 * 35))
    assert lost.warnings == [
        "1 of 60 parts of the data lose more than 10 % of their intensity, "
        "most at 7.7 to 9.8 meV of Ei 35 meV: 30 %"
    ]
    assert lost_intensity(before, before.replace(intensity=0.95 * before.intensity)).warnings == []


def test_a_loss_within_the_noise_or_in_the_dark_is_no_warning() -> None:
    axis = Axis("DeltaE", np.arange(4.0), unit="meV")
    before = Histogram.from_arrays([100.0, 100.0, 1.0], [axis], [50.0, 50.0, 0.0])
    lost = lost_intensity(before, before.replace(intensity=[80.0, 120.0, -5.0]))
    assert lost.ranges[2].lost is None
    assert lost.warnings == []
    assert lost_intensity(before, before.replace(intensity=[60.0, 100.0, 1.0])).warnings == [
        "20 % of the intensity is lost; 1 of 3 parts of the data lose more than 10 % of their intensity, "
        "most at 0 to 1 meV: 40 %"
    ]
