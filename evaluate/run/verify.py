"""Verify with fresh tests, outside the run's process, that a claimed state reaches the target."""

import dataclasses
import math
import statistics
from collections.abc import Callable
from typing import Any

import torch

from evaluate.run.counting import modules
from tasks import Task, Variant

#: Tests of the claimed state. One suffices for a deterministic test; the others measure the noise
#: of a random one (dropout left on, sampled test data).
FEW = 5
#: Tests if the first `FEW` are noisy and don't confirm the claim: five estimate the noise badly.
#: With a tolerance of three of their standard deviations, up to 1 honest claim in 40 would fail.
MANY = 50
#: Standard deviations by which the run's own test may be below the mean of the fresh ones. With
#: `MANY` tests, chance exceeds this in 4 of a million cases, by Student's t.
TOLERANCE = 5.0


def fresh_test_losses(build: Callable, variant: Variant, snapshot: dict) -> list[float]:
    """Return `FEW` or `MANY` test losses of a snapshot on a new task, under different seeds.

    Restore the snapshot's live weights, buffers and modes, then call `test` as the run did. The
    new task from `build(variant)` has no target, since `Done` would hide the loss. Raise ValueError
    if the snapshot does not fit the task.
    """
    task = build(dataclasses.replace(variant, target=None))
    losses = []
    for seed in range(MANY):
        if seed == FEW and (_is_settled(losses) or confirms(losses, variant.target)):
            break
        # Restore each time, in case the test itself changes something.
        _restore(task, snapshot)
        torch.manual_seed(seed)
        losses.append(_test(task, snapshot["tested"]))
    del task
    torch.cuda.empty_cache()  # the next worker needs the memory
    return losses


def _is_settled(losses: list[float]) -> bool:
    """Return whether more tests are useless: all losses are equal, or one is not finite."""
    return not all(map(math.isfinite, losses)) or len(set(losses)) == 1


def confirms(losses: list[float], target: float) -> bool:
    """Return whether fresh test losses confirm a claim to be below the target.

    The run's own single test was below. The mean of the fresh losses must be below too. With all
    `MANY` tests it may exceed the target by less than `TOLERANCE` times s sqrt(1 + 1/n), the
    standard deviation of one more test from the mean of n. So a deterministic test gets no
    tolerance, and a noisy one gets a tolerance in proportion to its noise.
    """
    if not all(map(math.isfinite, losses)):
        return False
    above = statistics.fmean(losses) - target
    if above < 0 or len(losses) < MANY:
        return above < 0
    return above < TOLERANCE * statistics.stdev(losses) * math.sqrt(1 + 1 / len(losses))


@torch.no_grad()
def _restore(task: Task, snapshot: dict) -> None:
    held = modules(task)
    buffers = [buffer for module in held for buffer in module.buffers()]
    parts = [part for module in held for part in module.modules()]
    for saved, live in [
        *_pairs(snapshot["state"], task.state),
        *_pairs(snapshot["buffers"], buffers),
    ]:
        live.copy_(saved)
    for mode, part in zip(snapshot["training"], parts, strict=True):
        part.training = mode


def _test(task: Any, tested: list | None) -> float:
    if tested is None:
        return float(task.test())
    return float(task.test([saved.to(live.device) for saved, live in _pairs(tested, task.state)]))


def _pairs(saved: list, live: list) -> list[tuple]:
    if [one.shape for one in saved] != [one.shape for one in live]:
        raise ValueError("the tested tensors do not have the shapes of the task's")
    return list(zip(saved, live, strict=True))
