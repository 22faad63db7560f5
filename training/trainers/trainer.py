"""The training loop, shared by translators and classifiers.

A step is a pure function of the state and (seed, step): stopped and resumed, by a signal, a crash or
``kill -9``, a run on the CPU ends with the same bytes as one that was never stopped.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.storage.atomic import atomic_path, make_folder
from mantid_exp2sim.training.config import OptimiserSettings, ScheduleSettings
from mantid_exp2sim.training.trainers import distributed as parallel
from mantid_exp2sim.training.trainers.checkpoint import load_checkpoint, save_checkpoint, write_tensors
from mantid_exp2sim.training.trainers.logs import Board, Table, one_line

if TYPE_CHECKING:
    import torch
    from rich.progress import Progress
    from torch import nn

CHECKPOINT = "checkpoint.safetensors"
STATUS = "status.json"
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
MAX_SKIPPED = 20
"""Abort after this many consecutive non-finite steps."""
LOG_STEPS = 20
"""Write the mean losses of this many steps."""
CHECKPOINT_SECONDS = 120.0
"""Write a checkpoint at least as often, beside those at the checks."""


class NotFinite(ArithmeticError):
    """A loss or a gradient is not finite: the step is to be skipped."""


class Task(Protocol):
    """What the loop trains."""

    def networks(self) -> Mapping[str, nn.Module]:
        """Return all that belongs in a checkpoint."""
        ...

    def optimisers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return the optimisers; their groups hold ``initial_lr``."""
        ...

    def train_step(self, step: int) -> dict[str, float]:
        """Update once; raise :class:`NotFinite` before anything has changed."""
        ...

    def check(self) -> dict[str, float]:
        """Measure on the validation split."""
        ...

    def scores(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return, for each network that is shipped, the number it is chosen by; lower is better."""
        ...

    def shipped(self, name: str) -> nn.Module:
        """Return the network as it would be shipped now."""
        ...

    def picture(self, path: Path) -> None:
        """Draw samples to a PNG file, or do nothing."""
        ...


def make_optimiser(
    settings: OptimiserSettings, parameters: Iterable[nn.Parameter], learning_rate: float | None = None
) -> torch.optim.Optimizer:
    """Make the optimiser of a recipe: one pass over the weights for each update, where torch can."""
    import torch

    rate = learning_rate or settings.learning_rate
    group: Any = [{"params": list(parameters), "initial_lr": rate}]
    options: Any = {"lr": rate, "betas": settings.betas, "weight_decay": settings.weight_decay}
    try:
        return torch.optim.AdamW(group, **options, fused=True)
    except RuntimeError:
        return torch.optim.AdamW(group, **options)


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> torch.Tensor:
    """Shorten gradients to a norm of at most ``limit``; return the norm they had."""
    import torch

    return torch.nn.utils.clip_grad_norm_(list(parameters), limit)


def move_average(
    averages: Iterable[torch.Tensor], values: Iterable[torch.Tensor], ema: float, step: int
) -> None:
    """Move averaged weights; faster at the start, when there is little to average."""
    import torch

    memory = min(ema, (1 + step) / (10 + step))
    with torch.no_grad():
        for average, value in zip(averages, values, strict=True):
            average.lerp_(value, 1 - memory)


def read_scalars(report: Mapping[str, torch.Tensor], totals: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Read the scalars of a step as numbers, averaged over the processes that train together.

    Everything leaves its device at once, so that a GPU is waited for once a step.

    Raises `NotFinite` if a gradient or one of the ``totals``, which are not reported, is not finite: on every
    process.
    """
    numbers = parallel.means({**report, **totals})
    wrong = parallel.not_finite(
        {name: v for name, v in numbers.items() if name in totals or "gradient" in name}
    )
    if wrong:
        raise NotFinite(f"the {wrong}")
    return {name: numbers[name] for name in report}


def step_seed(seed: int, step: int, stream: int = 0) -> int:
    """Make a seed for torch that depends on (seed, step, stream) alone.

    >>> step_seed(1, 2) == step_seed(1, 2) != step_seed(2, 1)
    True
    """
    import numpy as np

    return int(np.random.SeedSequence([seed, stream, step]).generate_state(1, np.uint64)[0] >> np.uint64(1))


class Run:
    """One stage of a training in one folder.

    The folder holds ``config.json`` (the settings), ``checkpoint.safetensors``, ``best/NAME.safetensors`` and
    ``best/best.json``, ``losses.csv``, ``metrics.csv``, ``pictures/``, ``tensorboard/`` and ``status.json``.
    A checkpoint in it is gone on with.
    """

    def __init__(
        self,
        task: Task,
        *,
        out: Path,
        schedule: ScheduleSettings,
        checks: int,
        tensorboard: bool = False,
        log: Callable[[str], None],
    ) -> None:
        self.task, self.out, self.schedule, self.log = task, out, schedule, log
        self.due = {round(schedule.steps * (i + 1) / checks) for i in range(checks)}
        self.state: dict[str, Any] = {"step": 0, "best": {}, "skipped": 0, "skipped_in_row": 0, "sums": {}}
        self.stop, self._signal = "", 0
        self.writes = parallel.number() == 0
        if not self.writes:
            self.log = lambda text: None
        if (out / CHECKPOINT).is_file():
            self.state |= load_checkpoint(out / CHECKPOINT, task.networks(), task.optimisers())
            check_state(self.state, out / CHECKPOINT)
            self.log(f"resumed at step {self.state['step']}")
        step = self.state["step"]
        if self.writes:
            self.losses = Table(out / "losses.csv", step=step)
            self.metrics = Table(out / "metrics.csv", step=step)
        self.board = Board(out / "tensorboard", step=step, enabled=tensorboard and self.writes)
        self._started, self._first = time.monotonic(), step
        self._saved = self._started

    def go(self) -> str:
        """Train to the end, or to a SIGTERM or SIGINT: ``finished`` or ``stopped``."""
        try:
            with self._signals(), self._bar() as advance:
                while self.state["step"] < self.schedule.steps and not self.stop:
                    self._step()
                    advance(self.state["step"])
        except BaseException as error:
            with suppress(Exp2SimError):  # the disk may be what failed
                self._status(FAILED, f"{type(error).__name__}: {error}")
            raise
        finally:
            self.board.close()
        done = self.state["step"] >= self.schedule.steps
        status = FINISHED if done else STOPPED
        self._status(status, self.stop)
        return status

    def _step(self) -> None:
        step = self.state["step"]
        self._set_rates(step)
        try:
            losses = self.task.train_step(step)
            self.state["skipped_in_row"] = 0
            for name, value in losses.items():
                self.state["sums"].setdefault(name, []).append(value)
        except NotFinite as error:
            self._skip(step, error)
        self.state["step"] = step + 1
        last = step + 1 == self.schedule.steps
        if (step + 1) % LOG_STEPS == 0 or last:
            self._log_losses(step + 1)
        due = step + 1 in self.due
        if due and self.writes:
            self._check(step + 1)
        received = parallel.agree(self._signal)
        self.stop = signal.Signals(received).name if received else ""
        if due or last or self.stop or time.monotonic() - self._saved >= CHECKPOINT_SECONDS:
            self.checkpoint()

    def _set_rates(self, step: int) -> None:
        for optimiser in self.task.optimisers().values():
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * self.schedule.factor(step)

    def _skip(self, step: int, error: NotFinite) -> None:
        self.state["skipped"] += 1
        self.state["skipped_in_row"] += 1
        self.log(f"step {step + 1} skipped: {error}")
        if self.state["skipped_in_row"] >= MAX_SKIPPED:
            raise Exp2SimError(
                f"The training diverged: {self.state['skipped_in_row']} steps in a row were not finite.",
                reason=f"At step {step + 1} {error}.",
                fix="Lower the learning rate and start anew, or resume from the last checkpoint.",
            ) from error

    def _log_losses(self, step: int) -> None:
        means = {name: sum(values) / len(values) for name, values in self.state["sums"].items()}
        self.state["sums"] = {}
        if not self.writes:
            return
        rate = (step - self._first) / max(time.monotonic() - self._started, 1e-9)
        self.losses.add({"step": step, **means, "skipped": self.state["skipped"]})
        self.board.add("loss", means, step)
        self.log(f"step {step}/{self.schedule.steps}  {rate:.2f}/s  {one_line(means)}")

    def _check(self, step: int) -> None:
        metrics = self.task.check()
        self.metrics.add({"step": step, **metrics})
        self.board.add("validation", metrics, step)
        self.log(f"check at step {step}: {one_line(metrics)}")
        make_folder(self.out / "best")
        for name, score in self.task.scores(metrics).items():
            best = self.state["best"].get(name)
            if math.isfinite(score) and (best is None or score < best["score"]):
                self.state["best"][name] = {"score": score, "step": step, "metrics": metrics}
                weights = self.task.shipped(name).state_dict()
                path = self.out / "best" / f"{name}.safetensors"
                write_tensors(path, weights, {"step": step, "score": score})
        write_json(self.out / "best" / "best.json", self.state["best"])
        pictures = make_folder(self.out / "pictures")
        self.task.picture(pictures / f"{step:07d}.png")

    def checkpoint(self) -> None:
        """Write the checkpoint."""
        if self.writes:
            save_checkpoint(self.out / CHECKPOINT, self.task.networks(), self.task.optimisers(), self.state)
        self._saved = time.monotonic()

    def _status(self, status: str, why: str) -> None:
        if not self.writes:
            return
        seconds = time.monotonic() - self._started
        steps = self.state["step"] - self._first
        write_json(
            self.out / STATUS,
            {
                "status": status,
                "why": why,
                "step": self.state["step"],
                "steps": self.schedule.steps,
                "skipped": self.state["skipped"],
                "seconds": round(seconds, 1),
                "steps_per_second": round(steps / max(seconds, 1e-9), 3),
            },
        )

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Turn SIGTERM and SIGINT into a stop after the step that runs; outside the main thread, nothing.

        Of several processes one that is told so is enough: all stop after the same step.
        """

        def ask(number: int, _: object) -> None:
            if self._signal and number == signal.SIGINT:
                raise KeyboardInterrupt
            self._signal = number

        try:
            before = {s: signal.signal(s, ask) for s in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def _bar(self) -> Iterator[Callable[[int], None]]:
        from rich.console import Console

        console = Console(stderr=True)
        if not console.is_terminal or not self.writes:
            yield lambda step: None
            return
        with _progress(console) as progress:
            bar = progress.add_task("training", total=self.schedule.steps)
            yield lambda step: progress.update(bar, completed=step)


def _progress(console: Any) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    return Progress(
        "{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )


def check_state(state: Mapping[str, Any], path: Path) -> None:
    """Raise `Exp2SimError` where the state of a checkpoint is not one that a run has written.

    >>> check_state({"step": -1}, Path("checkpoint.safetensors"))
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: checkpoint.safetensors holds no state of a run. ...
    """
    counts = [state.get(key) for key in ("step", "skipped", "skipped_in_row")]
    tables = [state.get(key) for key in ("best", "sums")]
    good = all(type(count) is int and count >= 0 for count in counts)
    good &= all(isinstance(table, dict) for table in tables)
    good = good and all(isinstance(sums, list) for sums in state["sums"].values())
    good = good and all(isinstance(best, dict) and "score" in best for best in state["best"].values())
    if not good:
        raise Exp2SimError(
            f"{path} holds no state of a run.",
            reason="It was damaged, or another program wrote it.",
            fix="Remove the run's folder and start it anew.",
        )


def write_json(path: Path, value: object) -> None:
    """Write JSON atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
