"""The baseline of every score: Adam (Kingma & Ba, arXiv:1412.6980) at its default rate, 1e-3."""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.batched import BatchedTask

RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8


@torch.no_grad()
def adam_curve(task: BatchedTask, steps: int, test_every: int, seed: int) -> Tensor:
    """Test losses of Adam on all V variants, [V, steps // test_every + 1]; column 0 is untrained.

    Batches are drawn with replacement from a generator that `seed` alone determines.
    """
    which = torch.arange(len(task.variants), device=task.device)
    generator = torch.Generator().manual_seed(seed)
    params = task.initial(which)
    first = [torch.zeros_like(p) for p in params]
    second = [torch.zeros_like(p) for p in params]
    curve = [task.test(params, which)]
    for step in range(1, steps + 1):
        index = torch.randint(task.train_size, (len(which), task.batch_size), generator=generator)
        _, gradients = task.loss_and_gradient(
            params, which, task.batch(which, index.to(task.device))
        )
        _adam(params, gradients, first, second, step)
        if step % test_every == 0:
            curve.append(task.test(params, which))
    return torch.stack(curve, 1)


def _adam(params, gradients, first, second, step: int) -> None:
    """Algorithm 1 of the paper, in place, with both bias corrections."""
    torch._foreach_lerp_(first, gradients, 1 - BETA1)
    torch._foreach_mul_(second, BETA2)
    torch._foreach_addcmul_(second, gradients, gradients, value=1 - BETA2)
    scale = torch._foreach_div(second, 1 - BETA2**step)
    torch._foreach_sqrt_(scale)
    torch._foreach_add_(scale, EPSILON)
    torch._foreach_addcdiv_(params, first, scale, value=-RATE / (1 - BETA1**step))
