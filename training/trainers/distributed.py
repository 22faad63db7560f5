"""One training run on several processes: ``torchrun`` starts them, DistributedDataParallel joins them.

The batch of a recipe is that of all processes together, so a recipe says the same on any number of them. Of
n processes number r takes the samples r, r + n, r + 2n, … of each batch with the random numbers one process
would have drawn for them. Every loss is a mean over samples; the loss of a step is the mean over the
processes of theirs, all with the same weight. Where all samples count (none is masked altogether) that is
the mean over the whole batch, and n processes do what one does, to rounding; else each process' mean is over
those of its own samples that count. Dropout alone is drawn by each process for itself.

Process 0 validates and writes; the others wait for it at the next step.
"""

from __future__ import annotations

import dataclasses
import gc
import importlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Function = TypeVar("Function", bound=Callable[..., Any])
Instance = TypeVar("Instance", bound="DataclassInstance")

PATIENCE = timedelta(hours=2)
"""How long a process waits for another, which may be validating."""


@contextmanager
def joined() -> Iterator[None]:
    """Join the other processes that ``torchrun`` has started, if it has: gloo on CPUs, nccl on GPUs.

    All leave together, so that none is ended while another still writes, and leave no thread of the group
    behind: one that drops a tensor while Python shuts down aborts the process.

    Raises `Exp2SimError` if this build of torch cannot.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    if not dist.is_available() or not dist.is_gloo_available():
        raise Exp2SimError(
            "This torch cannot train on several processes: it has no gloo.",
            fix="Train with one process, or install another build of torch.",
        )
    # DistributedDataParallel imports it, and its default arguments hold for ever the group that there is then
    importlib.import_module("torch.distributed.nn.functional")
    dist.init_process_group(timeout=PATIENCE)
    try:
        yield
        wait_for_all()
    finally:
        dist.destroy_process_group()
        gc.collect()  # trainers refer to themselves, and theirs hold the group


def processes() -> int:
    """Count the processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def number() -> int:
    """Number this process, from 0."""
    return dist.get_rank() if processes() > 1 else 0


def local_device(device: str) -> str:
    """Name the device of this process: of several GPUs one each."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if processes() > 1 and device == "cuda" else device


def wait_for_all() -> None:
    """Return when every process has come here."""
    agree(0)


def agree(value: int) -> int:
    """Find the largest value of any process."""
    if processes() == 1:
        return value
    largest = torch.tensor(value)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return int(largest)


def means(values: Mapping[str, Tensor]) -> dict[str, float]:
    """Average scalars over the processes, as numbers; they leave their device together, once."""
    stacked = torch.stack([value.detach().float() for value in values.values()])
    if processes() > 1:
        dist.all_reduce(stacked)
        stacked /= processes()
    return dict(zip(values, stacked.tolist(), strict=True))


def not_finite(values: Mapping[str, float]) -> str:
    """Name the first that is not finite and its value, or nothing.

    >>> not_finite({"a": 1.0, "b": float("inf")})
    'b is inf'
    """
    return next((f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)), "")


class _Joined(nn.Module):
    """A function of networks as the one forward pass that DistributedDataParallel wants."""

    def __init__(self, networks: Iterable[nn.Module], function: Callable[..., Any]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.function = function

    def forward(self, *arguments: Any) -> Any:
        return self.function(*arguments)


def averaged(function: Function, networks: Iterable[nn.Module]) -> Function:
    """Make a function whose backward pass leaves the mean of all processes' gradients in the networks.

    With one process the function itself.
    """
    if processes() == 1:
        return function
    whole = nn.parallel.DistributedDataParallel(_Joined(networks, function))
    whole.broadcast_buffers = False  # not in the call, where newer torch warns
    return whole  # type: ignore[return-value]


@dataclasses.dataclass(frozen=True, slots=True)
class Share:
    """What one process takes of each batch.

    >>> Share(1, 2, batch=4).rows(torch.arange(8)).tolist()
    [2, 3, 6, 7]
    """

    number: int = 0
    of: int = 1
    batch: int = 1
    """Samples of all processes together."""

    @classmethod
    def of_this_process(cls, batch: int) -> Share:
        """Make the share of this process.

        Raises `Exp2SimError` if the batch cannot be shared equally.
        """
        if batch % processes():
            raise Exp2SimError(
                f"A batch of {batch} cannot be shared by {processes()} processes.",
                fix="Set batch in [schedule] to a multiple, or start fewer processes.",
            )
        return cls(number(), processes(), batch)

    def samples(self, whole: Instance) -> Instance:
        """Select the samples of this process: a dataclass of tensors with one row per sample."""
        if self.of == 1:
            return whole
        values = {field.name: getattr(whole, field.name) for field in dataclasses.fields(whole)}
        rows = {name: value[self.number :: self.of] for name, value in values.items() if value is not None}
        return dataclasses.replace(whole, **rows)

    def rows(self, whole: Tensor) -> Tensor:
        """Select the rows of this process of a tensor with the same number of rows for each sample."""
        samples = whole.reshape(self.batch, -1, *whole.shape[1:])
        return samples[self.number :: self.of].flatten(0, 1)

    def draw(self, rows: int, make: Callable[[int], Tensor]) -> Tensor:
        """Select ``rows`` of what ``make(rows of all)`` draws for the whole batch."""
        return make(rows) if self.of == 1 else self.rows(make(rows * self.of))

    def gather(self, rows: Tensor) -> Tensor:
        """Join the rows of all processes; each has as many."""
        if self.of == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.of)]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)
