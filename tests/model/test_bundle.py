"""Models on disk: round trip, and everything that is wrong with a foreign one."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mantid_exp2sim
from mantid_exp2sim import Model
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.model import bundle
from mantid_exp2sim.model.bundle import load_bundle, open_bundle, save_bundle
from mantid_exp2sim.model.card import MAX_CARD_BYTES, Card, read_card
from mantid_exp2sim.model.registry import list_models
from mantid_exp2sim.model.weights import load_network


def _edit(folder: Path, **changes: object) -> None:
    path = folder / "card.json"
    card = json.loads(path.read_text())
    for dotted, value in changes.items():
        *parents, last = dotted.split("__")
        place = card
        for parent in parents:
            place = place[parent]
        place[last] = value
    path.write_text(json.dumps(card))


def _exchange(folder: Path, role: str, data: bytes) -> None:
    """Another weight file with the right size and checksum on the card."""
    (folder / f"{role}.safetensors").write_bytes(data)
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    _edit(folder, **{f"weights__{role}": entry})


def test_round_trip(model: Model, bundle_copy: Path, tmp_path: Path, picture: Histogram) -> None:
    networks = {role: model.bundle.network(role) for role in model.card.weights}
    card = save_bundle(tmp_path / "again", model.card, networks)
    again = load_bundle(tmp_path / "again")
    assert again.card == card == model.card
    assert again.checksum == model.checksum
    assert (
        Model(again).deconvolve(picture).intensity.tobytes() == model.deconvolve(picture).intensity.tobytes()
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "tiny"]
    for name in ("card.json", "deconvolve.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (bundle_copy / name).read_bytes()


def test_saving_replaces_only_a_model_and_only_if_asked(model: Model, tmp_path: Path) -> None:
    networks = {"deconvolve": model.bundle.network("deconvolve")}
    target = tmp_path / "m"
    save_bundle(target, model.card, networks)
    with pytest.raises(Exp2SimError, match="exists"):
        save_bundle(target, model.card, networks)
    save_bundle(target, model.card, networks, overwrite=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(Exp2SimError, match="not a model"):
        save_bundle(tmp_path / "mine", model.card, networks, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "mine"]


def test_what_lies_beside_a_model_stays_when_it_is_written_again(model: Model, tmp_path: Path) -> None:
    networks = {role: model.bundle.network(role) for role in model.card.weights}
    target = tmp_path / "m"
    save_bundle(target, model.card, networks)
    (target / "evaluation").mkdir()
    (target / "evaluation" / "report.json").write_text("{}")
    (target / "mine.safetensors").write_bytes(b"of another program")
    (target / "link").symlink_to("nowhere")
    save_bundle(target, model.card, {"deconvolve": model.bundle.network("deconvolve")}, overwrite=True)
    assert sorted(each.name for each in target.iterdir()) == [
        "card.json", "deconvolve.safetensors", "evaluation", "link", "mine.safetensors"
    ]  # fmt: skip
    assert (target / "evaluation" / "report.json").read_text() == "{}"
    os.mkfifo(target / "pipe")
    before = (target / "card.json").read_bytes()
    with pytest.raises(Exp2SimError, match="Cannot keep what lies beside"):
        save_bundle(target, model.card, networks, overwrite=True)
    assert (target / "card.json").read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["m"]


def test_a_model_that_cannot_be_read_back_is_not_saved(model: Model, tmp_path: Path) -> None:
    import torch

    wrong = {"deconvolve": torch.nn.Linear(2, 2)}
    with pytest.raises(Exp2SimError, match="do not fit"):
        save_bundle(tmp_path / "m", model.card, wrong)
    assert not list(tmp_path.iterdir())


def test_lists_and_finds_models(
    models_folder: Path, bundle_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXP2SIM_MODELS", str(models_folder))
    assert set(list_models()) >= {"tiny", "tiny-3d"}
    assert open_bundle("tiny") is open_bundle("tiny")
    assert open_bundle(bundle_copy) is open_bundle(bundle_copy / "card.json")
    before = open_bundle(bundle_copy)
    _edit(bundle_copy, description="changed")
    assert open_bundle(bundle_copy).card.description == "changed"
    assert open_bundle(bundle_copy) is not before
    with pytest.raises(Exp2SimError, match=r"no model 'nothing'.*tiny"):
        open_bundle("nothing")
    for odd in ("", "../..", "a\0b", "/dev/null"):
        with pytest.raises(Exp2SimError):
            open_bundle(odd)


def test_ten_histograms_load_the_networks_once(
    bundle_copy: Path, monkeypatch: pytest.MonkeyPatch, volume: Histogram
) -> None:
    monkeypatch.setenv("EXP2SIM_MODELS", str(bundle_copy.parent))
    reads: list[str] = []

    def counted(folder: Path, card: Card, key: str) -> torch.nn.Module:
        reads.append(key)
        return load_network(folder, card, key)

    monkeypatch.setattr(bundle, "load_network", counted)
    for _ in range(10):
        mantid_exp2sim.load_model("tiny").deconvolve(volume, uncertainty=False)
    assert reads == ["deconvolve"]


def test_a_card_is_read_without_torch_and_its_absence_is_explained(models_folder: Path) -> None:
    code = """
import sys, numpy as np
sys.modules["torch"] = None
from mantid_exp2sim import load_model
from mantid_exp2sim.mosaic import mosaic_histogram
from mantid_exp2sim.errors import Exp2SimError
model = load_model("tiny")
print(model.card.classes)
try:
    model.deconvolve(mosaic_histogram(np.ones((240, 400))))
except Exp2SimError as error:
    print(error)
"""
    environment = {**os.environ, "EXP2SIM_MODELS": str(models_folder)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "Goodenough" in done.stdout
    assert "PyTorch is not installed" in done.stdout


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights__deconvolve__sha256": "0" * 64}, "not the file"),
        ({"weights__deconvolve__size": 100}, "bytes"),
        ({"weights__deconvolve__size": 10**6}, "not the file"),
        ({"weights__deconvolve__size": 10**15}, "weights.deconvolve.size"),
        ({"weights__deconvolve__file": "../../secret"}, "weights.deconvolve.file"),
        ({"weights__../../secret": {"sha256": "0" * 64, "size": 10}}, "weights"),
        ({"weights__classifier_centre": {"sha256": "0" * 64, "size": 10}}, "classifiers does not describe"),
        ({"weights": {}}, "names no weights"),
        ({"generator__width": 10**9}, "generator.width"),
        ({"generator__surprise": 1}, "generator.surprise"),
        ({"generator__preset": "../evil"}, "generator.preset"),
        ({"scaling__intensity_scale": float("nan")}, "scaling.intensity_scale"),
        ({"scaling__gain": 0}, "scaling.gain"),
        ({"layout__windows": 9}, "9 energy channels"),
        ({"layout__dimension": 3}, "layout"),
        ({"format": 2}, "format"),
        ({"name": "../../x"}, "name"),
        ({"description": "\x1b[2J"}, "control characters"),
        ({"classes": ["a", "a"]}, "class names"),
        ({"classes": ["a", "none"]}, "class names"),
        ({"classes": ["a"]}, "2 classes"),
        ({"axes": []}, "axes"),
        ({"incident_energies": []}, "incident_energies"),
        ({"incident_energies": [float("inf")]}, "incident_energies"),
        ({"classifiers__integrated__network__panels": 17}, "panels"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_card_with_wrong_entries_is_refused(
    bundle_copy: Path, changes: dict[str, Any], message: str
) -> None:
    _edit(bundle_copy, **changes)
    with pytest.raises(Exp2SimError, match=message):
        load_bundle(bundle_copy)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a":' * 5000, b"{}"])
def test_a_card_that_is_none_is_refused(bundle_copy: Path, text: bytes) -> None:
    (bundle_copy / "card.json").write_bytes(text)
    with pytest.raises(Exp2SimError, match="no valid model card"):
        load_bundle(bundle_copy)


def test_a_card_of_endless_size_is_not_read(bundle_copy: Path) -> None:
    with (bundle_copy / "card.json").open("r+b") as file:
        file.truncate(MAX_CARD_BYTES + 1)
    with pytest.raises(Exp2SimError, match="At most"):
        load_bundle(bundle_copy)


def test_weights_of_endless_size_are_not_read(bundle_copy: Path) -> None:
    with (bundle_copy / "deconvolve.safetensors").open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(Exp2SimError, match="At most"):
        load_bundle(bundle_copy)


def test_damaged_and_missing_weights(bundle_copy: Path) -> None:
    path = bundle_copy / "convolve.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        path.write_bytes(damaged)
        with pytest.raises(Exp2SimError, match="not the file that the model's card describes"):
            load_bundle(bundle_copy)
    path.unlink()
    with pytest.raises(Exp2SimError, match="has no file"):
        load_bundle(bundle_copy)
    model = load_bundle(bundle_copy, verify=False)
    with pytest.raises(Exp2SimError, match="has no file"):
        model.network("convolve")


def test_weights_exchanged_after_loading_are_noticed(bundle_copy: Path) -> None:
    model = load_bundle(bundle_copy)
    path = bundle_copy / "deconvolve.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + b"abcd")
    with pytest.raises(Exp2SimError, match="checksum differs"):
        model.network("deconvolve")


def _tensors(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load

    return dict(load((folder / "deconvolve.safetensors").read_bytes()))


def test_foreign_tensors_are_refused(bundle_copy: Path) -> None:
    from safetensors.numpy import save

    good = _tensors(bundle_copy)
    name = next(iter(good))
    cases = {
        "not finite": {**good, name: np.full_like(good[name], np.nan)},
        "of shape": {**good, name: np.zeros((2, 3), np.float32)},
        "type": {**good, name: good[name].astype(np.float16)},
        "do not fit": {**good, "extra": np.zeros(3, np.float32)},
        "fit its network": {key: value for key, value in good.items() if key != name},
    }
    for message, tensors in cases.items():
        _exchange(bundle_copy, "deconvolve", save(tensors))
        with pytest.raises(Exp2SimError, match=message):
            load_bundle(bundle_copy).network("deconvolve")
    huge = {name: {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    header = json.dumps(huge).encode()
    for data in (b"no safetensors at all", len(header).to_bytes(8, "little") + header, b"\xff" * 64):
        _exchange(bundle_copy, "deconvolve", data)
        with pytest.raises(Exp2SimError, match="cannot be read"):
            load_bundle(bundle_copy).network("deconvolve")


def test_a_card_that_asks_for_a_giant_network_allocates_nothing(bundle_copy: Path) -> None:
    _edit(bundle_copy, generator__width=1024, generator__blocks=64)
    with pytest.raises(Exp2SimError, match=r"do not fit|takes"):
        load_bundle(bundle_copy).network("deconvolve")


def test_a_role_the_model_does_not_have(make_model: Callable[..., Model]) -> None:
    with pytest.raises(Exp2SimError, match="no network for classifier_centre"):
        make_model().bundle.network("classifier_centre")


def test_a_card_survives_json(model: Model) -> None:
    text = model.card.model_dump_json().encode()
    assert read_card(text, where="here") == model.card
    assert isinstance(model.card, Card)
