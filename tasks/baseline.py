"""The baseline of every score: Adam (Kingma & Ba, arXiv:1412.6980) at its default rate, 1e-3.

The polynomial-decay average of its weights (Shamir & Zhang, arXiv:1212.1824, section 3.3) is
tested along the same run. It reaches losses that a constant rate never does.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tasks.batched import BatchedTask

RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
ETA = 9  # of the average, which then covers about the last tenth of a run
DENSE, SPACING = 5, 1 / 25  # steps between tests: least number, and share of the steps so far


class Curves(NamedTuple):
    """Test losses of the baseline on V variants at K steps."""

    steps: Tensor  # int64 [K], the first one 0
    own: Tensor  # [V, K], of Adam's weights
    averaged: Tensor  # [V, K], of their average


def steps_to_test(longest: int) -> list[int]:
    """Return the steps to test at: every 5 at first, then 4 % apart, and finally `longest`.

    These are 68 steps for `longest` 600, and 181 for 50,000.
    """
    steps = [0]
    while steps[-1] < longest:
        gap = max(DENSE, DENSE * round(SPACING * steps[-1] / DENSE))
        steps.append(min(steps[-1] + gap, longest))
    return steps


@torch.no_grad()
def adam_curves(
    task: BatchedTask, steps: Sequence[int], seed: int, record: Callable | None = None
) -> Curves:
    """Run Adam on all variants of `task`, and test after each of `steps` (increasing, from 0).

    Batches are drawn with replacement, and depend on `seed` alone. `record` may wrap a step to make
    it faster, as `metalearn.graph.graphed` does on a GPU.
    """
    which = torch.arange(len(task.variants), device=task.device)
    generator = torch.Generator().manual_seed(seed)
    params = task.initial(which)
    zeros = [torch.zeros_like(p) for p in params]
    run = Run(params, [p.clone() for p in params], zeros, [z.clone() for z in zeros])
    advance: Callable = functools.partial(_advance, task, which)
    if record:
        advance = record(advance, which)
    tests, due = [], set(steps)
    factors = _factors(max(due)).to(params[0])
    for step in range(max(due) + 1):
        if step:
            index = torch.randint(
                task.train_size, (len(which), task.batch_size), generator=generator
            )
            advance(run, {"factors": factors[step - 1]}, index.to(task.device))
        if step in due:
            tests.append(torch.stack([task.test(weights, which) for weights in run[:2]]))
    return Curves(torch.tensor(sorted(due), device=task.device), *torch.stack(tests, 2))


class Run(NamedTuple):
    """The state of all variants. Each field is a list of tensors [V, *shape]."""

    params: list[Tensor]
    average: list[Tensor]
    first: list[Tensor]  # moments
    second: list[Tensor]


def _factors(steps: int) -> Tensor:
    """Return each step's factors, float64 [steps, 3]: the two bias corrections, and the weight of
    the newest term in the average."""
    step = torch.arange(1, steps + 1, dtype=torch.float64)
    return torch.stack(
        [(1 - BETA2**step).rsqrt(), -RATE / (1 - BETA1**step), (ETA + 1) / (step + ETA)], 1
    )


def _advance(task: BatchedTask, which: Tensor, run: Run, constants: Any, index: Tensor) -> None:
    """Make a step on the samples `index` [V, N] in place: Adam's algorithm 1, and the average.

    Factors that change are tensors, so that a CUDA graph can record the step.
    """
    params, average, first, second = run
    root, rate, share = constants["factors"].unbind()
    _, gradients = task.loss_and_gradient(params, which, task.batch(which, index))
    torch._foreach_lerp_(first, gradients, 1 - BETA1)
    torch._foreach_mul_(second, BETA2)
    torch._foreach_addcmul_(second, gradients, gradients, value=1 - BETA2)
    scale = torch._foreach_sqrt(second)
    torch._foreach_mul_(scale, root)
    torch._foreach_add_(scale, EPSILON)
    move = torch._foreach_div(first, scale)
    torch._foreach_mul_(move, rate)
    torch._foreach_add_(params, move)
    drift = torch._foreach_sub(params, average)
    torch._foreach_mul_(drift, share)
    torch._foreach_add_(average, drift)
