"""Training sets: thousands of Hamiltonians drawn from their ranges, each simulated in every kind.

The classes are built-in models of the manganite or the user's own descriptions. What a recipe names, models
and instrument, is read once and becomes part of ``dataset.json``: a file that changes makes another data set.

A data set is a folder: ``dataset.json`` (recipe, splits, axes), ``mask.npy`` and ``shards/NNNNN.h5``. Sample
i is drawn from the seed sequence (seed, i) alone, so the bytes do not depend on the number of processes, and
a run that was killed goes on with the shards that are missing.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.mosaic import H_EDGES, K_EDGES, WINDOW_EDGES
from mantid_exp2sim.simulation.binning import Kind
from mantid_exp2sim.simulation.geometry import not_covered
from mantid_exp2sim.simulation.manganite import RANGES
from mantid_exp2sim.simulation.measurement import solve
from mantid_exp2sim.simulation.options import Options, SpinWaves
from mantid_exp2sim.simulation.spin_waves import UnstableStructureError
from mantid_exp2sim.storage.atomic import atomic_path, make_folder, sweep
from mantid_exp2sim.storage.locks import locked
from mantid_exp2sim.training.datasets.description import FILE, DatasetDescription
from mantid_exp2sim.training.datasets.simulation_recipe import Recipe

Done: TypeAlias = "Iterator[tuple[int, dict[str, tuple[int, int]]]]"
"""Number of a shard that is finished, and per class (samples, draws)."""

FORMAT = 1
MAX_DRAWS = 1000


def draw(
    recipe: Recipe, index: int, options: Options | None = None
) -> tuple[SpinWaves, dict[Kind, Floats], int]:
    """Draw sample ``index`` until its structure is stable wherever it is needed.

    ``options`` say how it is simulated, in place of those of the recipe.

    Returns the solved Hamiltonian, its mosaics (Ei, h, k, window) of every kind and the number of draws.
    """
    rng = np.random.default_rng(np.random.SeedSequence(recipe.seed, spawn_key=(index,)))
    model = recipe.materials[index % len(recipe.classes)]
    low, high = np.array(RANGES[model] if isinstance(model, str) else model.ranges).T
    binnings, why, options = recipe.binnings, "", options or recipe.options_of(index)
    for count in range(1, MAX_DRAWS + 1):
        parameters = rng.uniform(low, high)
        try:
            waves = solve(model, parameters, options)
            volumes = {k: np.stack([waves.volume(b, k) for b in binnings]) for k in recipe.kinds}
            return waves, volumes, count
        except UnstableStructureError as error:
            why = f"Of the last: {error}"
    name = recipe.class_names[index % len(recipe.classes)]
    raise Exp2SimError(
        f"No stable {name} structure in {MAX_DRAWS} draws.", reason=why, fix="Narrow the ranges."
    )


def measured_mask(recipe: Recipe) -> NDArray[np.bool_]:
    """Bins of a sample (Ei, h, k, E) that no detector reaches, True = not measured."""
    material, options = recipe.materials[0], recipe.options
    return np.stack([not_covered(material, options, binning) for binning in recipe.binnings])


def write_shard(recipe: Recipe, folder: Path, number: int) -> dict[str, tuple[int, int]]:
    """Simulate and write one shard; returns per class (samples, draws)."""
    from mantid_exp2sim.io.hdf5 import add_chunked, created

    indices = np.arange(number * recipe.shard_size, min((number + 1) * recipe.shard_size, recipe.count))
    volumes: dict[Kind, list[NDArray[np.float32]]] = {kind: [] for kind in recipe.kinds}
    parameters, draws = [], []
    width = max(len(names) for names in recipe.parameter_names.values())
    for index in indices:
        waves, mosaics, count = draw(recipe, int(index))
        parameters.append(
            np.pad(waves.parameters, (0, width - len(waves.parameters)), constant_values=np.nan)
        )
        draws.append(count)
        for kind, values in mosaics.items():
            volumes[kind].append(values.astype(np.float32))
    with atomic_path(_shard_path(folder, number)) as temporary, created(temporary) as file:
        for kind, samples in volumes.items():
            data = np.stack(samples)
            add_chunked(file, kind, data, (1, *data.shape[1:]))
        file["label"] = indices % len(recipe.classes)
        file["parameters"] = np.stack(parameters)
        file["index"] = indices
        file["draws"] = np.array(draws)
    return _shard_summary(recipe, folder, number)


def _shard_path(folder: Path, number: int) -> Path:
    return folder / "shards" / f"{number:05d}.h5"


def _shard_summary(recipe: Recipe, folder: Path, number: int) -> dict[str, tuple[int, int]]:
    """Per class (samples, draws) of a shard; `Exp2SimError` where it is not the shard that belongs there."""
    from mantid_exp2sim.io.hdf5 import opened

    path = _shard_path(folder, number)
    indices = np.arange(number * recipe.shard_size, min((number + 1) * recipe.shard_size, recipe.count))
    with opened(path) as file:
        whole = all(file[kind].shape[0] == len(indices) for kind in recipe.kinds)
        if not whole or not np.array_equal(file["index"][()], indices):
            raise Exp2SimError(
                "It is not the shard that belongs there.",
                reason="It is damaged or was exchanged.",
                fix="Delete it and give the same command again: it is simulated anew.",
            )
        label, draws = file["label"][()], file["draws"][()]
    return {
        name: (int((label == i).sum()), int(draws[label == i].sum()))
        for i, name in enumerate(recipe.class_names)
    }


def describe(recipe: Recipe) -> DatasetDescription:
    """Describe the data set of a recipe, before anything of it is simulated."""
    edges = (H_EDGES, K_EDGES, WINDOW_EDGES) if recipe.binning is None else recipe.binning.edges
    names = ("h", "k", "energy_fraction")
    told: dict[str, Any] = {}
    if not all(isinstance(c, str) for c in recipe.classes):
        told["parameters"] = recipe.parameter_names
    if recipe.binning is not None:
        told["axes"] = recipe.binning.rules()
    return DatasetDescription(
        format=FORMAT,
        recipe=recipe.model_dump(mode="json", exclude_none=True),
        seed=recipe.seed,
        classes=recipe.class_names,
        kinds=recipe.kinds,
        shape=(len(recipe.binnings), *recipe.binnings[0].shape),
        incident_energies=tuple(binning.incident_energy for binning in recipe.binnings),
        edges={name: tuple(values.tolist()) for name, values in zip(names, edges, strict=True)},
        units="mb/sr/meV/f.u.",
        projection=recipe.projection,
        lattice=recipe.cell,
        instrument=recipe.options.instrument.settings(),
        count=recipe.count,
        shard_size=recipe.shard_size,
        splits=recipe.splits,
        **told,
    )


def _start(recipe: Recipe, folder: Path) -> None:
    """Write or check ``dataset.json`` and ``mask.npy``."""
    description = describe(recipe)
    make_folder(folder / "shards")
    if not (folder / FILE).exists():
        description.write(folder)
    elif not _same(DatasetDescription.read(folder), description):
        raise Exp2SimError(
            f"{folder} holds a data set of another recipe.",
            reason="Continuing would mix two data sets.",
            fix="Choose another folder, or delete this one.",
        )
    with atomic_path(folder / "mask.npy") as temporary, temporary.open("wb") as file:
        np.save(file, measured_mask(recipe))


def _same(stored: DatasetDescription, description: DatasetDescription) -> bool:
    """Whether a data set is that of a description; an older one may tell less."""
    told, all_told = stored.as_json(), description.as_json()
    return told == {key: all_told.get(key) for key in told}


def simulate_dataset(
    recipe: Recipe,
    folder: Path,
    *,
    processes: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
    cluster: Callable[[Recipe, Path, list[int]], Done] | None = None,
) -> dict[str, Any]:
    """Simulate a data set into ``folder``, or finish one that was interrupted.

    ``processes`` on this machine share the shards, each with one BLAS thread, or a ``cluster`` does (see
    :func:`mantid_exp2sim.training.datasets.dask.on_dask`); ``progress(done, total, name)``
    counts samples. Returns {"count", "simulated", "acceptance": {class: fraction of draws that are stable}}
    and writes it to ``summary.json``. Raises `Exp2SimError` where the folder holds another data set, another
    process writes to it, the disk is full, or a worker dies for the second time; what is done is kept.
    """
    with locked(folder, "data set"):
        for place in (folder, folder / "shards"):
            sweep(place)
        run = cluster or functools.partial(_run, processes=processes)
        return _simulate(recipe, folder, run, progress)


def _simulate(
    recipe: Recipe,
    folder: Path,
    run: Callable[[Recipe, Path, list[int]], Done],
    progress: Callable[[int, int, str], None] | None,
) -> dict[str, Any]:
    _start(recipe, folder)
    numbers = range(-(-recipe.count // recipe.shard_size))
    finished: dict[int, dict[str, tuple[int, int]]] = {}
    for number in numbers:
        if _shard_path(folder, number).exists():
            finished[number] = _shard_summary(recipe, folder, number)
    before = _samples(finished)
    missing = [number for number in numbers if number not in finished]
    if progress is not None:
        progress(before, recipe.count, recipe.name)
    for number, summary in run(recipe, folder, missing):
        finished[number] = summary
        if progress is not None:
            progress(_samples(finished), recipe.count, recipe.name)
    acceptance = {
        name: sum(s[name][0] for s in finished.values()) / max(sum(s[name][1] for s in finished.values()), 1)
        for name in recipe.class_names
    }
    summary_all = {"count": recipe.count, "acceptance": acceptance}
    with atomic_path(folder / "summary.json") as temporary:
        temporary.write_text(json.dumps(summary_all, indent=1), encoding="utf-8")
    return {**summary_all, "simulated": recipe.count - before}


def _samples(finished: dict[int, dict[str, tuple[int, int]]]) -> int:
    return sum(n for s in finished.values() for n, _ in s.values())


def _end_with_parent() -> None:
    """In a worker: leave when the main process is gone, however it went."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run(recipe: Recipe, folder: Path, missing: list[int], processes: int) -> Done:
    """Yield (shard number, summary) as shards are finished; if a worker dies, start them once again."""
    if processes <= 1:
        for number in missing:
            yield number, write_shard(recipe, folder, number)
        return
    left = dict.fromkeys(missing)
    for last in (False, True):
        try:
            for number, summary in _pool(recipe, folder, list(left), processes):
                del left[number]
                yield number, summary
            return
        except BrokenProcessPool as error:
            sweep(folder / "shards")
            if last:
                raise Exp2SimError(
                    "A process that simulates has died twice.",
                    reason=f"{len(missing) - len(left)} of {len(missing)} shards were done in this run and "
                    "are kept. Often there is too little memory for so many processes.",
                    fix="Give the same command again, with a smaller --processes.",
                ) from error


def _pool(recipe: Recipe, folder: Path, missing: list[int], processes: int) -> Done:
    pinned = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    before = {name: os.environ.get(name) for name in pinned}
    os.environ.update(pinned)  # BLAS reads it when a new process imports numpy
    try:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_parent) as pool:
            futures = {pool.submit(write_shard, recipe, folder, number): number for number in missing}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BaseException:  # do not wait for shards that are begun: they are written whole or not
                workers = list((getattr(pool, "_processes", None) or {}).values())
                pool.shutdown(wait=False, cancel_futures=True)
                for worker in workers:
                    worker.terminate()
                for worker in workers:  # what a dead one has left is only swept once it is gone
                    worker.join(10)
                raise
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
