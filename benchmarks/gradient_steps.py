"""A train.py that does little besides computing gradients (for benchmarks/isolation_cost.py)."""

from typing import Any


def train(task: Any) -> None:
    """Make plain gradient steps until the limit."""
    while True:
        for batch in task.train_iterator(batch_size=task.default_batch_size, shuffle=True):
            _, gradients = task.batch_loss_and_gradient(batch)
            for weight, gradient in zip(task.state, gradients, strict=True):
                weight.sub_(gradient, alpha=1e-4)
