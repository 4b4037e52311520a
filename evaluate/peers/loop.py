"""What all peers share: the loop, so that they differ in the update alone."""

from collections import deque
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

#: Batches that renew batch-norm statistics at other weights than the latest, before a test there.
REFRESH = 12


def aliases(task) -> list[Tensor]:
    """The weights, to be optimised in place.

    Detached aliases share the model's storage, so steps reach the model, while its own .grad
    fields, which the oracle may use, stay untouched.
    """
    return [weight.detach() for weight in task.state]


def descend(
    task,
    weights: Sequence[Tensor],
    step: Callable[[float], object],
    test: Callable[[Sequence], object] | None = None,
    most_steps: int | None = None,
) -> None:
    """Train at the default batch size until the oracle raises ``Done``, with one test an epoch.

    ``step(loss)`` finds the gradients in the weights' .grad; ``test(recent)`` is called with the
    epoch's last batches, and tests the model as it is by default. Returns after ``most_steps``
    and a last test. Raises ValueError if an epoch holds no batch.
    """
    batch_size, taken = task.default_batch_size, 0
    while most_steps is None or taken < most_steps:
        recent = deque(maxlen=REFRESH)
        for batch in task.train_iterator(batch_size=batch_size, shuffle=True):
            loss, gradients = task.batch_loss_and_gradient(batch)
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.grad = gradient
            step(loss)
            recent.append(batch)
            taken += 1
            if taken == most_steps:
                break
        if not recent:
            raise ValueError(f"train_iterator(batch_size={batch_size}) yields no batch")
        if test is None:
            task.test(task.state)
        else:
            test(recent)


@torch.no_grad()
def test_at(task, weights: Sequence[Tensor], other: Sequence[Tensor], recent: Sequence) -> None:
    """Test other weights in the model's place, then put its own back.

    In its place, as some tasks test the model whatever they are passed.
    """
    live = [weight.clone() for weight in weights]
    _copy(weights, other)
    test_refreshed(task, recent)
    _copy(weights, live)


def test_refreshed(task, recent: Sequence) -> None:
    """Test the model after its batch-norm statistics have followed its weights."""
    for batch in recent:
        task.batch_loss(batch)
    task.test(task.state)


def _copy(to: Sequence[Tensor], source: Sequence[Tensor]) -> None:
    for weight, value in zip(to, source, strict=True):
        weight.copy_(value)
