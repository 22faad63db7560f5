from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from mantid_exp2sim import Exp2SimError
from mantid_exp2sim.application.install import install_model
from mantid_exp2sim.cli import main
from mantid_exp2sim.model.archive import pack_model, remove_model
from mantid_exp2sim.model.bundle import load_bundle
from mantid_exp2sim.model.registry import list_models
from tests.fuzz import fuzz_bundles as fuzz


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's models."""
    monkeypatch.setenv("EXP2SIM_MODELS", str(tmp_path / "own"))
    return tmp_path / "own"


def test_packed_and_added_again_it_is_the_same(models_folder: Path, tmp_path: Path, own: Path) -> None:
    pack_model(models_folder / "tiny", tmp_path / "a.zip")
    pack_model(models_folder / "tiny", tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    model = install_model(tmp_path / "a.zip")
    assert model.folder == own / "tiny"
    assert model.checksum == load_bundle(models_folder / "tiny").checksum
    assert install_model(models_folder / "tiny", name="other").folder == own / "other"
    assert {"tiny", "other"} <= set(list_models())
    assert sorted(path.name for path in own.iterdir()) == ["other", "tiny"]


def test_info_says_what_it_is_installed_as(models_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install_model(models_folder / "tiny", name="mine")
    assert main(["info", "mine"]) == 0
    assert capsys.readouterr().out.startswith("tiny, installed as mine, version")
    assert main(["info", "mine", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["model"], about["name"]) == ("tiny", "mine")


def test_a_zipped_folder_is_taken(models_folder: Path, tmp_path: Path, own: Path) -> None:
    shutil.make_archive(str(tmp_path / "tiny"), "zip", models_folder, "tiny")
    assert install_model(tmp_path / "tiny.zip").folder == own / "tiny"


def test_names(models_folder: Path, own: Path) -> None:
    install_model(models_folder / "tiny")
    with pytest.raises(Exp2SimError, match="There is a 'tiny'"):
        install_model(models_folder / "tiny")
    install_model(models_folder / "tiny", overwrite=True)
    with pytest.raises(Exp2SimError, match="would hide this one"):
        install_model(models_folder / "tiny", name="pcsmo-maps")
    for name in ("../evil", "a/b", "", ".hidden", "A", "x" * 65):
        with pytest.raises(Exp2SimError, match="no name of a model"):
            install_model(models_folder / "tiny", name=name)
    (own / "notes").mkdir()
    with pytest.raises(Exp2SimError, match="There is a 'notes'"):
        install_model(models_folder / "tiny", name="notes", overwrite=True)


def test_remove(models_folder: Path, own: Path) -> None:
    install_model(models_folder / "tiny")
    (own / "tiny" / "notes.txt").write_text("mine")
    install_model(models_folder / "tiny", overwrite=True)
    with pytest.raises(Exp2SimError, match="holds other files"):
        remove_model("tiny")
    assert load_bundle(own / "tiny").card.name == "tiny"
    (own / "tiny" / "notes.txt").unlink()
    remove_model("tiny")
    assert list(own.iterdir()) == []
    for name in ("tiny", "../own", "pcsmo-maps", ""):
        with pytest.raises(Exp2SimError, match="You have no model"):
            remove_model(name)
    (own / "linked").symlink_to(models_folder / "tiny")
    remove_model("linked")
    assert (models_folder / "tiny" / "card.json").is_file()


def test_commands(models_folder: Path, tmp_path: Path, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pack", str(models_folder / "tiny"), str(tmp_path / "a.zip"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == (tmp_path / "a.zip").stat().st_size
    assert main(["models", "add", str(tmp_path / "a.zip"), "--name", "mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["folder"] == str(own / "mine")
    assert main(["models", "--json", "list"]) == 0
    assert "mine" in {row["name"] for row in json.loads(capsys.readouterr().out)["models"]}
    assert main(["models", "add", str(tmp_path / "a.zip"), "--name", "mine", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]
    assert main(["models", "remove", "mine"]) == 0
    assert main(["models", "add", str(tmp_path / "none.zip")]) == 2


def test_what_is_refused_leaves_nothing(
    models_folder: Path, tmp_path: Path, own: Path, bundle_copy: Path
) -> None:
    files = {path.name: path.read_bytes() for path in (models_folder / "tiny").iterdir()}
    card = json.loads(files["card.json"])
    huge = {**card, "generator": {**card["generator"], "preset": "paper", "width": 1024, "blocks": 64}}
    twice = files["card.json"].replace(b'"name"', b'"name": "x", "name"', 1)
    cases = {
        "not part of the model": {**files, "evil.py": b"raise SystemExit"},
        "a file '../evil'": {**files, "../evil": b""},
        "lacks a file": {name: data for name, data in files.items() if name != "convolve.safetensors"},
        "The network on the card takes": {**files, "card.json": json.dumps(huge).encode()},
        "twice in one object": {**files, "card.json": twice},
        "has no card.json": {"a": b""},
        "checksum differs": {**files, "convolve.safetensors": files["convolve.safetensors"][:-1] + b"\1"},
        "Its card says": {**files, "convolve.safetensors": files["convolve.safetensors"] + b"1"},
    }
    for message, content in cases.items():
        (tmp_path / "a.zip").write_bytes(fuzz.zipped(content))
        with pytest.raises(Exp2SimError, match=message):
            install_model(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for i in range(3000):
            archive.writestr(f"{i}.safetensors", b"")
    with pytest.raises(Exp2SimError, match="lists more files"):
        install_model(tmp_path / "a.zip")
    (bundle_copy / "convolve.safetensors").unlink()
    (bundle_copy / "convolve.safetensors").symlink_to(models_folder / "tiny" / "convolve.safetensors")
    with pytest.raises(Exp2SimError, match="is a link or a folder"):
        install_model(bundle_copy)
    assert not own.exists() or list(own.iterdir()) == []


@pytest.mark.parametrize("kind", [*fuzz.MODELS, *fuzz.OTHERS])
def test_hostile_models_raise_only_our_error(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    found = fuzz.run(kind, 50_000, 25, tmp_path)
    assert found["wrong"] == []
    assert found["refused"]
