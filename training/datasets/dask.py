"""Simulating a data set on a Dask cluster: the same shards, written by workers anywhere.

Needs ``dask[distributed]`` (``pip install mantid_exp2sim[scale]``) and a folder that all workers see under
the same path. A shard is a pure function of recipe and number, so the bytes are those of any other way.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.training.datasets.simulate import Done, write_shard
from mantid_exp2sim.training.datasets.simulation_recipe import Recipe

LOCAL = "local"
PATIENCE = 60
"""Seconds to wait for a scheduler."""


def on_dask(address: str, *, processes: int = 1) -> Callable[[Recipe, Path, list[int]], Done]:
    """What :func:`simulate_dataset` takes as ``cluster``: workers of the scheduler at ``address``.

    ``local`` starts ``processes`` workers on this machine, of one thread each, and stops them at the end.

    Raises `Exp2SimError` if Dask is not installed; when it runs, if the scheduler does not answer or workers
    keep dying.
    """
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise Exp2SimError(
            "Dask is not installed.", fix="Install it with: pip install 'dask[distributed]'"
        ) from error

    def run(recipe: Recipe, folder: Path, missing: list[int]) -> Done:
        with ExitStack() as stack:
            client = stack.enter_context(_client(distributed, address, processes, stack))
            place = folder.resolve()
            numbers = {
                client.submit(write_shard, recipe, place, number, pure=False): number for number in missing
            }
            try:
                for future in distributed.as_completed(list(numbers)):
                    yield numbers[future], future.result()
            except distributed.KilledWorker as error:
                raise Exp2SimError(
                    "Workers of the Dask cluster keep dying; the shards that are done are kept.",
                    reason=str(error),
                    fix="Give the workers more memory, and the same command again.",
                ) from error

    return run


def _client(distributed: Any, address: str, processes: int, stack: ExitStack) -> AbstractContextManager[Any]:
    target: Any = address
    if address == LOCAL:
        target = stack.enter_context(
            distributed.LocalCluster(
                n_workers=processes, threads_per_worker=1, dashboard_address=None, silence_logs=40
            )
        )
    try:
        client: AbstractContextManager[Any] = distributed.Client(target, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise Exp2SimError(
            f"No Dask scheduler answers at {address!r}.",
            reason=str(error),
            fix="Start one with `dask scheduler`, and workers with `dask worker ADDRESS --nthreads 1`.",
        ) from error
    return client
