"""The file of a deconvolver, and axes as the network sees them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim.errors import AxisError, Exp2SimError
from mantid_exp2sim.inference.bins import lay_out
from mantid_exp2sim.inference.unrolled import open_deconvolver, save_deconvolver
from mantid_exp2sim.networks.unrolled import NetworkSettings, Unrolled

ABOUT: dict[str, Any] = {"name": "small", "version": "1", "description": "a test"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_deconvolver(tmp_path / "small", Unrolled(NetworkSettings(steps=2, width=4)), **ABOUT)


def covariances(centres: list[np.ndarray]) -> np.ndarray:
    d = len(centres)
    return np.broadcast_to(np.diag(np.arange(1.0, d + 1)), (*(len(x) for x in centres), d, d))


def test_a_deconvolver_is_read_as_it_was_written(folder: Path) -> None:
    opened = open_deconvolver(folder)
    assert opened.card.name == "small"
    assert opened.network.settings.steps == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "network.safetensors").write_bytes(b"x" * 100),
        lambda folder: (folder / "network.safetensors").unlink(),
        lambda folder: (folder / "deconvolver.json").write_text("{}"),
        lambda folder: (folder / "deconvolver.json").write_text("{"),
        lambda folder: (folder / "deconvolver.json").write_text(" " * 2**21),
        lambda folder: (folder / "deconvolver.json").write_text(
            json.dumps(
                json.loads((folder / "deconvolver.json").read_text()) | {"network": {"steps": 3, "width": 4}}
            )
        ),
    ],
)
def test_a_damaged_deconvolver_is_refused(folder: Path, damage: Any) -> None:
    damage(folder)
    with pytest.raises(Exp2SimError, match="cannot be used"):
        open_deconvolver(folder)


@pytest.mark.parametrize(
    ("bins", "energy", "shape"),
    [
        ((4, 5, 6), 2, (4, 5, 6)),
        ((6, 4, 5), 0, (4, 5, 6)),
        ((4, 1, 6), 2, (4, 1, 6)),
        ((6, 4), 0, (4, 1, 6)),
        ((4, 5), None, (4, 5, 1)),
        ((6,), 0, (1, 1, 6)),
        ((4, 5, 6), None, (4, 5, 6)),
        ((1, 4, 5, 6), 3, (4, 5, 6)),
    ],
)
def test_energy_lies_last_and_axes_of_one_bin_are_left_out(
    bins: tuple[int, ...], energy: int | None, shape: tuple[int, int, int]
) -> None:
    layout = lay_out([np.arange(n + 1.0) for n in bins], covariances, energy)
    assert layout.shape == shape
    values = np.random.default_rng(0).random(bins).astype(np.float32)
    np.testing.assert_array_equal(layout.restored(layout.arranged(values)), values.squeeze())
    blur = layout.on(np.zeros(bins, dtype=bool))
    np.testing.assert_allclose(blur.blur(np.ones(shape)), 1, rtol=1e-5)
    seen = [
        float(np.sqrt(variance) * np.sqrt(8 * np.log(2)))
        for n, variance in zip(bins, range(1, 9), strict=False)
        if n > 1
    ]
    assert sorted(layout.widths.max(axis=(1, 2, 3)))[-len(seen) :] == pytest.approx(seen, rel=1e-5)


@pytest.mark.parametrize("bins", [(1, 1), (3, 3, 3, 3)])
def test_other_axes_are_refused(bins: tuple[int, ...]) -> None:
    with pytest.raises(AxisError, match="of more than one bin"):
        lay_out([np.arange(n + 1.0) for n in bins], covariances, None)
