from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mantid_exp2sim import Exp2SimError, mosaic


def random_mosaic(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    return mosaic.mosaic_histogram(
        rng.normal(size=mosaic.SHAPE),
        variance=rng.random(mosaic.SHAPE),
        mask=rng.random(mosaic.SHAPE) < 0.2,
        metadata={"title": "random"},
    )


@given(st.integers(0, 2**32), st.permutations(range(6)))
def test_split_and_join(seed: Any, order: Any) -> None:
    picture = random_mosaic(seed)
    volumes = mosaic.split(picture)
    back = mosaic.join([volumes[i] for i in order])
    for name in ("intensity", "variance", "mask"):
        np.testing.assert_array_equal(getattr(back, name), getattr(picture, name))
    assert back.metadata == picture.metadata


@given(st.integers(0, 239), st.integers(0, 399), st.integers(1, 3))
def test_where_a_pixel_goes(row: Any, column: Any, lead: Any) -> None:
    pictures = np.zeros((lead, 240, 400))
    pictures[-1, row, column] = 1
    volumes = mosaic.volumes_from_picture(pictures)
    expected = (lead - 1, row // 40, 39 - row % 40, column % 40, column // 40)
    assert tuple(int(i) for i in np.argwhere(volumes)[0]) == expected
    np.testing.assert_array_equal(mosaic.picture_from_volumes(volumes), pictures)


def test_axes_of_the_volumes() -> None:
    for ei, volume in zip(mosaic.INCIDENT_ENERGIES, mosaic.split(random_mosaic(0)), strict=True):
        h, k, e = volume.axes
        np.testing.assert_allclose(h.centres, np.linspace(-1, 1, 40), atol=1e-12)
        np.testing.assert_array_equal(h.edges, k.edges)
        np.testing.assert_allclose(e.edges, ei * (0.10 + 0.06 * np.arange(11)))
        assert [volume.find_axis(kind) for kind in ("h", "k", "energy")] == [0, 1, 2]
        assert volume.metadata["incident_energy"] == ei


def test_wrong_input() -> None:
    volumes = mosaic.split(random_mosaic(1))
    with pytest.raises(Exp2SimError, match="incident energies"):
        mosaic.join(volumes[:5])
    with pytest.raises(Exp2SimError, match="incident energies"):
        mosaic.join((*volumes[:5], volumes[0]))
    wrong = volumes[5].replace(metadata={"incident_energy": 25.0})
    with pytest.raises(Exp2SimError, match="bins"):
        mosaic.join((wrong, *volumes[1:5], volumes[0].replace(metadata={"incident_energy": 140.0})))
    with pytest.raises(Exp2SimError, match="not a mosaic"):
        mosaic.split(volumes[0])
    with pytest.raises(Exp2SimError, match="400"):
        mosaic.volumes_from_picture(np.zeros((240, 399)))
    with pytest.raises(Exp2SimError, match="volumes"):
        mosaic.picture_from_volumes(np.zeros((6, 40, 40, 9)))
