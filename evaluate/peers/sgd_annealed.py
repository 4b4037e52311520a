"""What LSTM language models are usually trained with: SGD at a high rate, annealed.

The settings of PyTorch's example `word_language_model`: learning rate 20, no momentum, gradients
cut to a norm of 0.25; a test that is no better than the best divides the rate by four. Ends after
as many steps as the baseline took.
"""

import torch

from evaluate.peers.common import Task, aliases, descend, horizon_of

LONGEST = 0.25  # norm of the gradients
given: dict = {}


def train(task: Task) -> None:
    """Train until `Done`, or for the baseline's number of steps."""
    steps = horizon_of(given)
    weights = aliases(task)
    optimizer = torch.optim.SGD(weights, lr=20.0)

    def step(_):
        torch.nn.utils.clip_grad_norm_(weights, LONGEST)
        optimizer.step()

    descend(_Annealed(task, optimizer), weights, optimizer, given=given, step=step, steps=steps)


class _Annealed:
    """The task, a test of which may lower the rate."""

    def __init__(self, task, optimizer):
        self._task = task
        self._plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=0.25, patience=0, threshold=0.0
        )

    def __getattr__(self, name):
        return getattr(self._task, name)

    def test(self, state):
        loss = self._task.test(state)
        self._plateau.step(loss)
        return loss
