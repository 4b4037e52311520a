"""The baseline on a single task: what sets the targets of the evaluation suites."""

from __future__ import annotations

import time

import torch

from tasks.baseline import BETA1, BETA2, EPSILON, RATE
from tasks.contract import Task


def adam_epochs(task: Task, epochs: int) -> tuple[list[float], float]:
    """Test loss after each epoch of Adam(1e-3) at the default batch size, and all seconds taken.

    Raises Done if the task's target is reached on the way.
    """
    optimizer = torch.optim.Adam(task.state, lr=RATE, betas=(BETA1, BETA2), eps=EPSILON)
    started, losses = time.perf_counter(), []
    for _ in range(epochs):
        for batch in task.train_iterator(batch_size=task.default_batch_size, shuffle=True):
            _, gradients = task.batch_loss_and_gradient(batch)
            for tensor, gradient in zip(task.state, gradients, strict=True):
                tensor.grad = gradient
            optimizer.step()
        losses.append(task.test(task.state))
    return losses, time.perf_counter() - started
