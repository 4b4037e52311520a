"""The baseline of every score: Adam (Kingma & Ba, arXiv:1412.6980) at its default rate, 1e-3.

Along the same run the polynomial-decay average of its weights (Shamir & Zhang, arXiv:1212.1824,
section 3.3) is tested too: it reaches what a constant rate never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tasks.batched import BatchedTask

RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
ETA = 9  # of the average: it covers about the last tenth of a run
DENSE, SPACING = 5, 1 / 25  # steps between two tests: at least, and as a share of those made


class Curves(NamedTuple):
    """Test losses of the baseline on V variants at K steps."""

    steps: Tensor  # int64 [K], the first one 0
    own: Tensor  # [V, K], of Adam's weights
    averaged: Tensor  # [V, K], of their average


def steps_to_test(longest: int) -> list[int]:
    """Where to test a run of `longest` steps: every 5 at first, then 4 % apart, and at its end.

    That is 68 points for 600 steps and 181 for 50,000.
    """
    steps = [0]
    while steps[-1] < longest:
        gap = max(DENSE, DENSE * round(SPACING * steps[-1] / DENSE))
        steps.append(min(steps[-1] + gap, longest))
    return steps


@torch.no_grad()
def adam_curves(task: BatchedTask, steps: Sequence[int], seed: int) -> Curves:
    """Run Adam on all variants of `task` and test after each of `steps` (increasing, from 0).

    Batches are drawn with replacement from a generator that `seed` alone determines.
    """
    which = torch.arange(len(task.variants), device=task.device)
    generator = torch.Generator().manual_seed(seed)
    params = task.initial(which)
    average = [p.clone() for p in params]
    first = [torch.zeros_like(p) for p in params]
    second = [torch.zeros_like(p) for p in params]
    tests, due = [], set(steps)
    for step in range(max(due) + 1):
        if step:
            index = torch.randint(
                task.train_size, (len(which), task.batch_size), generator=generator
            )
            batch = task.batch(which, index.to(task.device))
            _, gradients = task.loss_and_gradient(params, which, batch)
            _adam(params, gradients, first, second, step)
            torch._foreach_lerp_(average, params, (ETA + 1) / (step + ETA))
        if step in due:
            tests.append(torch.stack([task.test(params, which), task.test(average, which)]))
    return Curves(torch.tensor(sorted(due), device=task.device), *torch.stack(tests, 2))


def _adam(params, gradients, first, second, step: int) -> None:
    """Algorithm 1 of the paper, in place, with both bias corrections."""
    torch._foreach_lerp_(first, gradients, 1 - BETA1)
    torch._foreach_mul_(second, BETA2)
    torch._foreach_addcmul_(second, gradients, gradients, value=1 - BETA2)
    scale = torch._foreach_div(second, 1 - BETA2**step)
    torch._foreach_sqrt_(scale)
    torch._foreach_add_(scale, EPSILON)
    torch._foreach_addcdiv_(params, first, scale, value=-RATE / (1 - BETA1**step))
