"""A thin proxy that counts a task's calls and records losses, and the clock.

Counting adds one attribute look-up and one list append to each call. Losses on an accelerator stay
there until the run is over, so counting never waits for the device.
"""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from evaluate.sandbox.limits import LimitReached
from evaluate.thin import thinned
from tasks import Batch, Done, Task

#: Points of a loss curve to keep in a report.
POINTS_KEPT = 500


@dataclass
class Recorder:
    """A record of calls, of losses with their times, and of the state that reached the target.

    Times are seconds since `start`. `seconds` is set when the clock stops: when the real oracle
    raises `Done`, which also sets `snapshot`, or otherwise when train ends.
    """

    started: float = math.nan
    seconds: float = 0.0
    test_seconds: float = 0.0
    losses_only: int = 0
    train_points: list[tuple[float, object]] = field(default_factory=list)
    test_points: list[tuple[float, int, float]] = field(default_factory=list)
    snapshot: dict | None = None

    def start(self) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return time.perf_counter() - self.started

    def stop(self) -> None:
        """Stop the clock if it is running."""
        self.seconds = self.seconds or self.elapsed()

    @property
    def steps(self) -> int:
        """Number of gradients computed."""
        return len(self.train_points)

    def calls(self) -> dict[str, int]:
        """Return the number of calls of each oracle."""
        return {
            "batch_loss_and_gradient": self.steps,
            "batch_loss": self.losses_only,
            "test": len(self.test_points),
        }

    def last_loss_is_finite(self) -> bool:
        """Return whether the latest training and test losses, if any, are finite."""
        both: list[list] = [self.train_points, self.test_points]
        last = [float(points[-1][-1]) for points in both if points]
        return all(map(math.isfinite, last))

    def train_curve(self) -> dict[str, list]:
        """Return the training losses, thinned, as parallel lists `seconds`, `steps` and `loss`."""
        numbered = [
            (seconds, step, loss) for step, (seconds, loss) in enumerate(self.train_points, 1)
        ]
        return _curve(numbered)

    def test_curve(self) -> dict[str, list]:
        """Return the test losses likewise. The last one is NaN if `Done` did not carry it."""
        return _curve(self.test_points)


def _curve(points: list[tuple[float, int, Any]]) -> dict[str, list]:
    kept = thinned(points, POINTS_KEPT)
    return {
        "seconds": [round(seconds, 6) for seconds, _, _ in kept],
        "steps": [step for _, step, _ in kept],
        "loss": [float(f"{float(loss):.6g}") for _, _, loss in kept],
    }


class CountingTask:
    """The oracle contract and nothing else, forwarded to a real task and recorded.

    `state` is the real task's own list, so in-place updates reach the model. `target_test_loss` is
    a copy: changing it does not move the target, and counts as cheating later. After `Done`, every
    oracle raises it again, so a run that swallows it still ends. At the step limit, if any, the
    next gradient raises LimitReached.
    """

    def __init__(self, task: Any, recorder: Recorder, limit_steps: int | None = None):
        self._task = task
        self._recorder = recorder
        self._most_steps = math.inf if limit_steps is None else limit_steps
        self.state = task.state
        self.default_batch_size = task.default_batch_size
        self.target_test_loss = task.target_test_loss

    def train_iterator(self, *arguments: Any, **keywords: Any) -> Iterable:
        """Return the real task's iterator. The required arguments depend on the task."""
        return self._task.train_iterator(*arguments, **keywords)

    def batch_loss(self, batch: Batch) -> float:
        """Return the real task's loss, and count the call."""
        self._stop_if_done()
        self._recorder.losses_only += 1
        return self._task.batch_loss(batch)

    def batch_loss_and_gradient(self, batch: Batch) -> tuple:
        """Return the real task's loss and gradients, and count one step."""
        self._stop_if_done()
        recorder = self._recorder
        if recorder.steps >= self._most_steps:
            raise LimitReached
        loss, gradient = self._task.batch_loss_and_gradient(batch)
        recorder.train_points.append((recorder.elapsed(), _without_wait(loss)))
        return loss, gradient

    def test(self, state: list[torch.Tensor] | None = None) -> float:
        """Return the real task's test loss. On `Done`, stop the clock and save the state."""
        self._stop_if_done()
        recorder = self._recorder
        begun = time.perf_counter()
        try:
            loss = self._task.test() if state is None else self._task.test(state)
        except Done as done:
            recorder.stop()
            self._note_test(begun, _told(done))
            recorder.snapshot = snapshot(self._task, state)
            raise
        self._note_test(begun, loss)
        return loss

    def _note_test(self, begun: float, loss: float) -> None:
        recorder = self._recorder
        now = time.perf_counter()
        recorder.test_seconds += now - begun
        recorder.test_points.append((now - recorder.started, recorder.steps, float(loss)))

    def _stop_if_done(self) -> None:
        if self._recorder.seconds:
            raise Done


def _told(done: Done) -> float:
    """Return the test loss that `Done` carries, or NaN. The oracles of `tasks` include it."""
    told = done.args[0] if done.args else None
    return float(told) if isinstance(told, float) else math.nan


def _without_wait(loss: Any) -> object:
    """Return the loss as a float, or as a tensor if reading it would wait for an accelerator."""
    on_accelerator = isinstance(loss, torch.Tensor) and loss.device.type != "cpu"
    return loss.detach() if on_accelerator else float(loss)


def modules(task: Task) -> list[torch.nn.Module]:
    """Return the networks among a task's attributes, sorted by attribute name."""
    held = sorted(vars(task).items())
    return [value for _, value in held if isinstance(value, torch.nn.Module)]


def snapshot(task: Task, tested: Sequence[torch.Tensor] | None = None) -> dict[str, list | None]:
    """Return CPU copies of everything that a test can depend on.

    `state`: the live weights. `tested`: the tensors passed to `test`, or None. `buffers`: the
    networks' buffers, mainly batch-norm statistics. `training`: the mode of each of their modules.
    """

    def copies(tensors):
        return [tensor.detach().to("cpu", copy=True) for tensor in tensors]

    return {
        "state": copies(task.state),
        "tested": None if tested is None else copies(tested),
        "buffers": copies(buffer for module in modules(task) for buffer in module.buffers()),
        "training": [part.training for module in modules(task) for part in module.modules()],
    }
