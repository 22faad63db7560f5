"""Networks on another device than the CPU: one that is missing is named, one that is there gives the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mantid_exp2sim.application.model import Model
from mantid_exp2sim.errors import Exp2SimError, OptionError
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.inference.options import TranslationOptions

HAS_GPU = torch.cuda.is_available()


@pytest.mark.parametrize("name", ["cuda:77", "gpu", "", "meta"])
@pytest.mark.parametrize("method", ["deconvolve", "classify", "explain"])
def test_a_device_that_is_missing_is_named(model: Model, picture: Histogram, name: str, method: str) -> None:
    options: dict[str, Any] = {"device": name, **({"force": True} if method == "deconvolve" else {})}
    with pytest.raises(OptionError, match=f"There is no device '{name}' here.*sees cpu") as caught:
        getattr(model, method)(picture, **options)
    assert caught.value.option == "device"


def test_a_device_is_a_name() -> None:
    wrong: Any = 0
    with pytest.raises(Exp2SimError, match="It takes the name of a device"):
        TranslationOptions(device=wrong)


def test_the_cpu_named_is_the_default(model: Model, picture: Histogram) -> None:
    plain = model.deconvolve(picture, force=True, replicas=2)
    named = model.deconvolve(picture, force=True, replicas=2, device="cpu")
    np.testing.assert_array_equal(named.intensity, plain.intensity)


@pytest.mark.skipif(not HAS_GPU, reason="there is no GPU that PyTorch can use")
def test_a_gpu_gives_the_same_to_rounding(model: Model, picture: Histogram) -> None:
    plain = model.deconvolve(picture, force=True, replicas=2)
    other = model.deconvolve(picture, force=True, replicas=2, device="cuda")
    scale = float(np.nanmax(np.abs(plain.intensity)))
    np.testing.assert_allclose(other.intensity, plain.intensity, atol=2e-3 * scale)
    assert other.metadata["history"][-1]["options"]["device"] == "cuda"
    correlations = [model.classify(picture, device=name).correlations for name in ("cpu", "cuda")]
    assert correlations[1] == pytest.approx(correlations[0], abs=5e-3)
    scores = [model.explain(picture, device=name).score for name in ("cpu", "cuda")]
    assert scores[1] == pytest.approx(scores[0], rel=5e-2, abs=5e-3)
