"""The folder of a training: its settings, its stages, and what of it is finished."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.storage.atomic import is_temporary, make_folder, sweep
from mantid_exp2sim.storage.locks import LOCK, locked
from mantid_exp2sim.training.config import Config
from mantid_exp2sim.training.trainers import distributed as parallel
from mantid_exp2sim.training.trainers.trainer import CHECKPOINT, FINISHED, STATUS, write_json

CONFIG, MODEL = "config.json", "model.json"


def stage_folders(out: Path, count: int) -> list[Path]:
    """List the folders of a training's stages; a single stage has no folder below.

    >>> [folder.name for folder in stage_folders(Path("run"), 2)]
    ['stage-1', 'stage-2']
    """
    return [out] if count == 1 else [out / f"stage-{number}" for number in range(1, count + 1)]


def last_stage(run: Path) -> Path:
    """Find the folder of the last stage of a training, which holds what it ships."""
    return stage_folders(run, len(read_stages(run)))[-1]


def read_stages(run: Path) -> list[dict[str, Any]]:
    """Read the settings of a training's stages."""
    stages = read_json(run / CONFIG).get("stages")
    if not isinstance(stages, list) or not stages:
        raise Exp2SimError(
            f"{run / CONFIG} tells no stages of a training.",
            reason="It was damaged, or another program wrote it.",
            fix="Name the folder of a run of `exp2sim train`.",
        )
    return stages


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Hold the folder of a training: a second one in the same folder is refused.

    Of several processes of one training the first one holds it for all.
    """
    if parallel.number() > 0:
        yield
        return
    with locked(out, "run"):
        for folder in (out, *out.glob("stage-*")):
            for part in (folder, folder / "best", folder / "pictures"):
                sweep(part)
        yield


@contextmanager
def emptied_if_failed(out: Path) -> Iterator[None]:
    """Remove what a training that fails before its first checkpoint has written."""
    before = set(out.iterdir()) if out.is_dir() else set()
    try:
        yield
    except BaseException:
        if parallel.number() == 0 and not any(out.rglob(CHECKPOINT)):
            for path in set(out.iterdir()) - before:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise


def prepare_folder(out: Path, stages: Sequence[Config]) -> None:
    """Make the folder of a training, or check that what is in it was begun with the same settings.

    Of several processes the first does so for all.

    Raises `Exp2SimError` if the folder holds something else, or a run of other settings.
    """
    if parallel.number() == 0:
        path = out / CONFIG
        if path.is_file():
            changed = _differences(read_stages(out), [_plain(stage) for stage in stages])
            if changed:
                raise Exp2SimError(
                    f"The run in {out} was started with other settings: {', '.join(changed)}.",
                    reason="A run goes on with the settings that it was started with.",
                    fix="Give it its own recipe and seed, or choose another --out.",
                )
        elif out.is_dir() and any(path.name != LOCK and not is_temporary(path) for path in out.iterdir()):
            raise Exp2SimError(
                f"{out} is not empty and holds no run.",
                reason="A run would be mixed with what is there.",
                fix="Choose another --out.",
            )
        make_folder(out)
    parallel.wait_for_all()


def write_settings(folder: Path, stages: Sequence[Config]) -> None:
    """Write the settings of a training's stages into its folder; process 0 alone does."""
    if parallel.number() == 0:
        make_folder(folder)
        write_json(folder / CONFIG, {"stages": [_plain(stage) for stage in stages]})


def is_finished(folder: Path) -> bool:
    """Tell whether a stage has come to its end."""
    try:
        finished = json.loads((folder / STATUS).read_bytes())["status"] == FINISHED
    except (OSError, ValueError, LookupError, TypeError):
        finished = False
    return bool(parallel.agree(int(finished and (folder / CHECKPOINT).is_file())))


def read_best(run: Path) -> dict[str, Any]:
    """Read which networks of a run's last stage are the best; nothing where it has not come there."""
    path = last_stage(run) / "best" / "best.json"
    return dict(read_json(path)) if path.is_file() else {}


def _plain(stage: Config) -> dict[str, Any]:
    return dict(json.loads(stage.model_dump_json()))


def _differences(before: Any, now: Any, place: str = "") -> list[str]:
    """Name the settings that differ.

    >>> _differences({"a": {"b": 1}, "c": [2]}, {"a": {"b": 3}, "c": [2]})
    ['a.b']
    """
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            difference
            for key in sorted({*before, *now})
            for difference in _differences(before.get(key), now.get(key), f"{place}.{key}".lstrip("."))
        ]
    tables = [before, now]
    if all(isinstance(part, list) and part and isinstance(part[0], dict) for part in tables):
        if len(before) != len(now):
            return ["number of stages"]
        pairs = enumerate(zip(before, now, strict=True), start=1)
        several = len(now) > 1
        return [d for n, pair in pairs for d in _differences(*pair, f"stage {n}: " if several else "")]
    return [] if before == now else [place.replace(": .", ": ")]


def find_folder(folder: Path, recipe: Path) -> Path:
    """Find a folder that a recipe names: absolute, below the working directory, or beside the recipe."""
    if folder.is_absolute() or folder.is_dir():
        return folder
    return recipe.parent / folder if (recipe.parent / folder).is_dir() else folder


def read_json(path: Path) -> Any:
    """Read the JSON of a file of a run."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise Exp2SimError(
            f"Cannot read {path}.",
            reason=f"{error}.",
            fix="Name the folder of a finished run of `exp2sim train`.",
        ) from error
