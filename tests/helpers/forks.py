"""Processes forked from one that has imported the trainers: that import takes longer than a tiny training."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PRELOAD = ("mantid_exp2sim.training.trainers.train", "torch.distributed.nn.functional")


def start(function: Callable[..., Any], *arguments: Any) -> BaseProcess:
    """Call a function of a module in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOAD))
    process = context.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def finish(process: BaseProcess) -> None:
    """Wait for its end, without an error."""
    process.join(timeout=200)
    assert process.exitcode == 0


def run_training(recipe: Path, out: Path) -> None:
    """Train on one core."""
    import torch

    from mantid_exp2sim.training.trainers.train import train

    torch.set_num_threads(1)
    train(recipe, out=out)


def join_ranks(rank: int, processes: int, port: int) -> None:
    """Tell torch.distributed the place of this process, as torchrun does."""
    import torch

    torch.set_num_threads(1)
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
    os.environ |= {"MASTER_ADDR": "127.0.0.1"} | {name: str(value) for name, value in places.items()}


def free_port() -> int:
    """Find a port that nothing listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
