"""Does the state that a run claims reach the target? Tested afresh, out of the run's process."""

import dataclasses
import math
import statistics
from collections.abc import Callable

import torch

from evaluate.counting import modules
from tasks import Variant

#: Tests of the claimed state. One would do for a test that is a function of the state; the others
#: show the noise of one that is not (dropout left on, sampled test data).
TESTS = 5


def fresh_test_losses(build: Callable, variant: Variant, snapshot: dict) -> list[float]:
    """Test losses of a snapshot on a newly built task, under different seeds.

    The snapshot's live weights, buffers and modes are put where the run had them, then ``test`` is
    called as the run called it. ``build(variant)`` gives a task; its target is taken away, as
    ``Done`` would hide the loss. Raises ValueError if the snapshot does not fit the task.
    """
    task = build(dataclasses.replace(variant, target=None))
    losses = []
    for seed in range(TESTS):
        # Restored each time, in case the test itself moves something.
        _restore(task, snapshot)
        torch.manual_seed(seed)
        losses.append(_test(task, snapshot["tested"]))
    return losses


def confirms(losses: list[float], target: float) -> bool:
    """Whether fresh test losses bear out a claim to be below the target.

    The mean must be below target + 3 s, with s the losses' sample standard deviation. So a test
    that gives the same loss each time gets no tolerance at all, and a noisy one that of its noise.
    """
    if not all(map(math.isfinite, losses)):
        return False
    return statistics.fmean(losses) < target + 3 * statistics.stdev(losses)


@torch.no_grad()
def _restore(task, snapshot: dict) -> None:
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


def _test(task, tested: list | None) -> float:
    if tested is None:
        return float(task.test())
    return float(task.test([saved.to(live.device) for saved, live in _pairs(tested, task.state)]))


def _pairs(saved: list, live: list) -> list[tuple]:
    if [one.shape for one in saved] != [one.shape for one in live]:
        raise ValueError("the tested tensors do not have the shapes of the task's")
    return list(zip(saved, live, strict=True))
