"""`mantid_exp2sim.simulate`: one call from a model to a histogram."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mantid_exp2sim
from mantid_exp2sim import Binning, Exp2SimError, simulate
from mantid_exp2sim.cli import main
from mantid_exp2sim.simulation.material import read_description, shipped

BINNING = Binning.regular(12.0, bins=(6, 5, 4))


def test_a_description_is_the_same_by_name_by_path_and_as_an_object(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(shipped()["rb2mnf4"].read_bytes())
    volumes = [
        simulate(model, binning=BINNING, grid=6) for model in ("rb2mnf4", path, read_description(path))
    ]
    for volume in volumes[1:]:
        np.testing.assert_array_equal(volume.intensity, volumes[0].intensity)
    assert volumes[0].metadata["history"][0]["parameters"] == [0.65, 0.0]


def test_constants_by_name_replace_those_of_the_model() -> None:
    by_name = simulate("rb2mnf4", {"J1": 0.5}, binning=BINNING, grid=6)
    in_order = simulate("rb2mnf4", [0.5, 0.0], binning=BINNING, grid=6)
    default = simulate("rb2mnf4", binning=BINNING, grid=6)
    np.testing.assert_array_equal(by_name.intensity, in_order.intensity)
    assert not np.array_equal(by_name.intensity, default.intensity, equal_nan=True)


def test_the_command_gives_what_the_function_gives(tmp_path: Path) -> None:
    where = ["--model", "Dimer", "--instrument", "MERLIN", "--incident-energy", "40"]
    options = [*where, "--bins", "6", "5", "4", "--grid", "6", "--noise", "0.5", "--seed", "3"]
    assert main(["simulate", "spectrum", str(tmp_path / "out.npz"), *options]) == 0
    binning = Binning.regular(40.0, bins=(6, 5, 4))
    volume = simulate("dimer", binning=binning, instrument="merlin", noise=0.5, seed=3, grid=6)
    written = mantid_exp2sim.load(tmp_path / "out.npz")
    np.testing.assert_array_equal(volume.intensity, written.intensity)
    np.testing.assert_array_equal(volume.variance, written.variance)


def test_gaps_are_those_of_the_detectors_or_none_or_given() -> None:
    mask = np.zeros(BINNING.shape, dtype=bool)
    mask[2] = True
    gaps = [simulate("rb2mnf4", binning=BINNING, grid=6, mask=m).mask for m in ("coverage", None, mask)]
    assert 0 < gaps[0].mean() < 1
    assert not gaps[1].any()
    np.testing.assert_array_equal(gaps[2], mask)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "nothing"}, "no description 'nothing'"),
        ({"binning": None}, "The bins of Rb2MnF4 are not given"),
        ({"parameters": {"J9": 1.0}}, "no parameter 'J9'"),
        ({"parameters": [1.0]}, "takes 2 finite numbers"),
        ({"instrument": "HET"}, "no instrument 'HET'"),
        ({"kind": "sharp"}, "no kind 'sharp'"),
        ({"noise": float("nan")}, "The noise is nan"),
        ({"noise": -1.0}, "The noise is -1"),
        ({"grid": 3}, "The grid is 3"),
    ],
)
def test_wrong_arguments_are_refused_with_a_fix(changes: dict[str, Any], said: str) -> None:
    arguments: dict[str, Any] = {"model": "rb2mnf4", "binning": BINNING, "grid": 6, **changes}
    with pytest.raises(Exp2SimError, match=said) as caught:
        simulate(**arguments)
    assert caught.value.fix


def test_bins_are_refused_where_they_make_no_sense() -> None:
    with pytest.raises(Exp2SimError, match="no numbers of bins"):
        Binning.regular(50.0, bins=(4, 0, 4))
    with pytest.raises(Exp2SimError, match="below the incident energy"):
        Binning.regular(50.0, energy=(10.0, 60.0))
