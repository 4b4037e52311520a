"""What the peers share: one training loop around any optimizer, and averaged weights.

The loop tests once an epoch, as the baseline does; peers with an average at intervals of
2 sqrt(cost of a test * time so far), the rule that the policy's driver had before its forecast. The
driver also chooses the batch size, lowers the rates and begins anew; a peer does none of that.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

Task = Any  # `tasks.Task`: the package is not there where submissions run

#: Batches whose forward pass renews batch-norm statistics before other weights are tested; as many
#: as the policy's driver takes.
REFRESH = 6


def aliases(task: Task) -> list[Tensor]:
    """The task's weights, detached: steps reach the network, its own .grad fields stay as is."""
    return [weight.detach() for weight in task.state]


def horizon_of(given: dict) -> int:
    """The steps that the peer was given. Raises ValueError if there are none."""
    if "horizon" not in given:
        raise ValueError("this peer needs the baseline's number of steps; run it by --peers NAME")
    return max(given["horizon"], 1)


def cosine(
    optimizer: torch.optim.Optimizer, steps: int, warm_up: int = 0
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear warm-up, then half a cosine down to 0 at `steps` (Loshchilov and Hutter 2017)."""

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        share = min(1.0, (step - warm_up) / max(1, steps - warm_up))
        return 0.5 * (1 + math.cos(math.pi * share))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def descend(
    task: Task,
    weights: list[Tensor],
    optimizer: torch.optim.Optimizer,
    *,
    given: dict,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
    steps: float = math.inf,
    step: Callable | None = None,
    swap: Callable | None = None,
    is_paced: bool = False,
) -> None:
    """Train until the oracle raises `Done`, or for so many steps, the last of them tested.

    `step(loss)` replaces `optimizer.step()`. `swap()` is a context in which the weights to
    test are in the network, and is for optimizers whose own weights are not those. `is_paced`:
    test at the intervals of the averaged peers, which always do, instead of once an epoch.
    Raises ValueError if an epoch holds no batch.
    """
    average = Average(weights) if given.get("average") else None
    tester = Tester(task, swap or (average.in_place if average else None))
    is_paced = is_paced or average is not None
    is_due = Pace(tester).is_due if is_paced else lambda: False
    done = 0
    while done < steps:
        batch = None
        for batch in task.train_iterator(batch_size=task.default_batch_size, shuffle=True):
            loss, gradients = task.batch_loss_and_gradient(batch)
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.grad = gradient
            step(loss) if step else optimizer.step()
            if schedule:
                schedule.step()
            if average:
                average.update()
            tester.recent = [*tester.recent[1 - REFRESH :], batch]
            done += 1
            if done >= steps:
                break
            if is_due():
                tester.test()
        if batch is None:
            raise ValueError(f"train_iterator(batch_size={task.default_batch_size}) has no batch")
        if not is_paced or done >= steps:
            tester.test()


class Average:
    """Polynomial-decay average w_avg += 10 / (t + 9) * (w - w_avg), which needs no horizon.

    Shamir and Zhang, "Stochastic Gradient Descent for Non-smooth Optimization", ICML 2013, with
    eta = 9.
    """

    def __init__(self, weights: list[Tensor]):
        self._weights = weights
        self._average = [weight.clone() for weight in weights]
        self._updates = 0

    def update(self) -> None:
        """Take in the weights as they are now."""
        self._updates += 1
        torch._foreach_lerp_(self._average, self._weights, 10 / (self._updates + 9))

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The average is in the network; then the weights are again."""
        live = [weight.clone() for weight in self._weights]
        torch._foreach_copy_(self._weights, self._average)
        yield
        torch._foreach_copy_(self._weights, live)


class Tester:
    """Tests the network, with other weights in it and statistics that fit them if need be."""

    def __init__(self, task: Task, swap: Callable | None):
        self._task, self._swap = task, swap
        self._needs_refresh: bool | None = (
            None  # whether batch statistics matter; None: not known yet
        )
        self.recent: list = []  # batches

    def test(self) -> None:
        """Test once; lets the oracle's `Done` out."""
        if self._swap is None:
            self._test()
            return
        with self._swap():
            if self._needs_refresh is None:
                before = self._test()
                self._refresh()
                after = self._test()
                # Where tests are noisy, two differ anyhow: then no time is spent on refreshing.
                self._needs_refresh = before != after and after == self._test()
            else:
                if self._needs_refresh:
                    self._refresh()
                self._test()

    def _test(self) -> float:
        return self._task.test(self._task.state)

    def _refresh(self) -> None:
        for batch in self.recent:
            self._task.batch_loss(batch)


class Pace:
    """When to test: intervals of 2 sqrt(cost * elapsed), the first after ten steps."""

    def __init__(self, tester: Tester):
        self._test, self._begin = tester.test, time.perf_counter()
        self._steps, self._last = 0, 0.0
        self._cost: float | None = None
        tester.test = self._timed  # type: ignore[method-assign]

    def is_due(self) -> bool:
        """Whether to test after this step."""
        self._steps += 1
        if self._cost is None:
            return self._steps >= 10
        now = time.perf_counter()
        return now - self._last >= 2 * math.sqrt(self._cost * (now - self._begin))

    def _timed(self) -> None:
        begin = time.perf_counter()
        self._test()
        self._last = time.perf_counter()
        spent = self._last - begin
        self._cost = spent if self._cost is None else 0.5 * (self._cost + spent)
