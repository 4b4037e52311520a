"""Does the state that a run claims reach the target? Tested afresh, out of the run's process."""

import dataclasses
import math
import statistics
from collections.abc import Callable
from typing import Any

import torch

from evaluate.run.counting import modules
from tasks import Task, Variant

#: Tests of the claimed state. One would do for a test that is a function of the state; the others
#: show the noise of one that is not (dropout left on, sampled test data).
FEW = 5
#: Tests where few noisy ones do not bear out the claim: five tell too little of the noise. With a
#: tolerance of three of their standard deviations, up to 1 honest claim in 40 would fail.
MANY = 50
#: Standard deviations that the run's own test may lie below the fresh ones: with `MANY`, chance
#: alone exceeds it in 4 of a million tests, by Student's t.
TOLERANCE = 5.0


def fresh_test_losses(build: Callable, variant: Variant, snapshot: dict) -> list[float]:
    """Test losses of a snapshot on a newly built task, under different seeds: `FEW` or `MANY`.

    The snapshot's live weights, buffers and modes are put where the run had them, then `test` is
    called as the run called it. `build(variant)` gives a task; its target is taken away, as
    `Done` would hide the loss. Raises ValueError if the snapshot does not fit the task.
    """
    task = build(dataclasses.replace(variant, target=None))
    losses = []
    for seed in range(MANY):
        if seed == FEW and (_is_settled(losses) or confirms(losses, variant.target)):
            break
        # Restored each time, in case the test itself moves something.
        _restore(task, snapshot)
        torch.manual_seed(seed)
        losses.append(_test(task, snapshot["tested"]))
    del task
    torch.cuda.empty_cache()  # the next worker needs the memory
    return losses


def _is_settled(losses: list[float]) -> bool:
    """Whether more tests would tell no more: they are all alike, or one is not finite."""
    return not all(map(math.isfinite, losses)) or len(set(losses)) == 1


def confirms(losses: list[float], target: float) -> bool:
    """Whether fresh test losses bear out a claim to be below the target.

    The run's one test was below. Their mean must be too, or, with all `MANY` of them, so little
    above that a test may fall below by chance: by less than `TOLERANCE` times s sqrt(1 + 1/n),
    the standard deviation of one more test from the mean of n. So a test that gives the same loss
    each time gets no tolerance at all, and a noisy one that of its noise.
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
