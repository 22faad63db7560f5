"""How a command line is read: options anywhere, and errors that say what was meant, also as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mantid_exp2sim.cli import build_parser, main

RECIPES = Path(__file__).resolve().parents[2] / "training" / "recipes"


def parsed(text: str) -> dict[str, Any]:
    args = vars(build_parser().parse_args(text.split()))
    return {name: value for name, value in args.items() if name != "run"}


@pytest.mark.parametrize(
    ("usual", "others"),
    [
        (
            "deconvolve in.nxs out.nxs --model tiny --seed 3 --json",
            [
                "deconvolve --model tiny in.nxs --seed 3 out.nxs --json",
                "deconvolve --json --seed=3 --mod tiny -- in.nxs out.nxs",
                "--json deconvolve in.nxs out.nxs --model tiny --seed 3",
            ],
        ),
        (
            "deconvolve in.nxs out.nxs --lattice 4.2 4.2 13.8 --beam -1 0 0.5",
            [
                "deconvolve --lattice 4.2 4.2 13.8 in.nxs --beam -1 0 0.5 out.nxs",
                "deconvolve in.nxs --beam -1 0 0.5 --lattice 4.2 4.2 13.8 out.nxs",
            ],
        ),
        ("plot in.nxs out.png --vmax 3", ["plot in.nxs --vmax 3 out.png", "plot --vmax 3 in.nxs out.png"]),
        ("fit a.nxs b.nxs --model Dimer", ["fit a.nxs --model Dimer b.nxs"]),
        (
            "simulate spectrum o.nxs --axes [H,0,0] [-K,2K,0] --h -1 1",
            ["simulate spectrum --h -1 1 o.nxs --axes [H,0,0] [-K,2K,0]"],
        ),
        ("data export set out --convolved nxs d3d", ["data export --convolved nxs d3d set out"]),
        ("models list --json", ["models --json list", "--json models list"]),
    ],
)
def test_options_stand_anywhere(usual: str, others: Sequence[str]) -> None:
    for text in others:
        assert parsed(text) == parsed(usual)


def test_what_looks_like_an_option_can_be_a_file() -> None:
    assert parsed("info -- --name.nxs")["subject"] == "--name.nxs"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("deconvolv in.nxs out.nxs", "Did you mean 'deconvolve'?"),
        ("deconvolve in.nxs out.nxs --insturment MAPS", "Did you mean '--instrument'?"),
        ("deconvolve in.nxs out.nxs --method richardson", "Did you mean 'richardson-lucy'?"),
        ("workbench instal", "Did you mean 'install'?"),
        ("models rmove a", "Did you mean 'remove'?"),
        ("info pcsmo-map", "Did you mean 'pcsmo-maps'?"),
        ("check nothing.npy --model pcsmo-mapss", "Did you mean 'pcsmo-maps'?"),
        ("resolution MERLN --incident-energy 50", "Did you mean 'MERLIN'?"),
        ("train translator-mosiac", f"Did you mean {RECIPES / 'translator-mosaic.toml'}?"),
        (f"train {RECIPES}/dual-gan-2.toml", f"Did you mean {RECIPES / 'dual-gan-2d.toml'}?"),
        ("simulate dataset pcsmo-map.toml", f"Did you mean {RECIPES / 'pcsmo-maps.toml'}?"),
        ("simulate spectrum o.npz --description rb2mnf", "Did you mean 'rb2mnf4'?"),
    ],
)
def test_an_error_says_what_was_meant(
    text: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nothing.npy").touch()
    assert main([*text.split(), "--json"]) == 2
    captured = capsys.readouterr()
    error = json.loads(captured.out)
    assert set(error) == {"error", "reason", "fix"}
    assert meant in error["fix"]
    assert meant in captured.err
    assert [path.name for path in tmp_path.iterdir()] == ["nothing.npy"]


def test_usage_is_shown_with_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deconvolve", "in.nxs", "--seed", "many"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("usage: exp2sim deconvolve")
    assert "--seed: invalid int value: 'many'" in captured.err
    assert captured.out == ""


def test_an_interruption_is_json_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mantid_exp2sim.resolution", stop, raising=False)
    assert main(["resolution", "MAPS", "--incident-energy", "70", "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["error"] == "interrupted"
