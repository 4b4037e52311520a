"""The baseline on a single task. It sets the targets of the evaluation suites."""

import time
from collections.abc import Iterable, Iterator

import torch

from tasks.baseline import BETA1, BETA2, EPSILON, RATE
from tasks.contract import Task
from tasks.options import VariantError


def adam(task: Task) -> torch.optim.Adam:
    """Return the baseline's optimizer for a task's weights."""
    return torch.optim.Adam(task.state, lr=RATE, betas=(BETA1, BETA2), eps=EPSILON)


def epoch_of(task: Task, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Train for one epoch at the default batch size, and yield after each step.

    Raises VariantError if there is no batch, since an endless run would then never yield.
    """
    is_empty = True
    for batch in task.train_iterator(batch_size=task.default_batch_size, shuffle=True):
        _, gradients = task.batch_loss_and_gradient(batch)
        for tensor, gradient in zip(task.state, gradients, strict=True):
            tensor.grad = gradient
        optimizer.step()
        is_empty = False
        yield
    if is_empty:
        raise VariantError(f"no batch of {task.default_batch_size}: the training data are fewer")


def steps_of(task: Task, optimizer: torch.optim.Optimizer | None = None) -> Iterator[None]:
    """Train without end at the default batch size, and yield after each step. The default optimizer
    is the baseline's."""
    optimizer = optimizer or adam(task)
    while True:
        yield from epoch_of(task, optimizer)


def tested_steps(task: Task, due: Iterable[int]) -> Iterator[tuple[int, float]]:
    """Run the baseline to the last step in `due`; yield each step in `due` with its test loss."""
    due = set(due)
    for step, _ in zip(range(1, max(due) + 1), steps_of(task), strict=False):
        if step in due:
            yield step, float(task.test(task.state))


def adam_epochs(task: Task, epochs: int) -> tuple[list[float], float]:
    """Return the test loss after each epoch of the baseline, and the seconds of the whole run.

    The batch size is the default. Raises Done if the task's target is reached.
    """
    optimizer = adam(task)
    started, losses = time.perf_counter(), []
    for _ in range(epochs):
        for _ in epoch_of(task, optimizer):
            pass
        losses.append(task.test(task.state))
    return losses, time.perf_counter() - started
