"""Oracle calls may reuse the storage of the gradients that an earlier one returned."""

import pytest
import torch

from policy.driver.run import run
from policy.rule.spec import Spec
from policy.rule.weights import initial_weights

CALLS = 200


class Over(Exception):
    """Ends a run after a number of gradient calls."""


class Quadratic:
    """Half the squared norm; with `spoils`, `batch_loss` overwrites the gradient's storage."""

    default_batch_size, target_test_loss = 1, 0.0

    def __init__(self, spoils):
        self.spoils, self.seen, self.forwards = spoils, [], []
        self.state, self.gradient = [torch.ones(4)], torch.zeros(4)
        self.tests = 0

    def train_iterator(self, batch_size, shuffle):
        return [None] * 10

    def batch_loss(self, batch):
        self.forwards.append(len(self.seen))
        if self.spoils:
            self.gradient.fill_(100.0)
        return 0.5 * float(self.state[0].square().sum())

    def batch_loss_and_gradient(self, batch):
        self.seen.append(self.state[0].clone())
        self.gradient.copy_(self.state[0])
        return 0.5 * float(self.state[0].square().sum()), [self.gradient]

    def test(self, state):
        if len(self.seen) >= CALLS:
            raise Over
        self.tests += 1
        # Starts above the training loss, so that running statistics are renewed, and falls fast
        # enough for the driver to leave the rates unchanged.
        return 8 * 0.5**self.tests


def trajectory(spoils):
    task = Quadratic(spoils)
    with pytest.raises(Over):
        run(task, Spec(), initial_weights(Spec(), 0))
    assert min(task.forwards) < CALLS - 10, "no forward pass came in time to spoil anything"
    return torch.stack(task.seen[:CALLS])


def test_gradients_survive_the_forward_passes_of_a_test():
    assert torch.equal(trajectory(True), trajectory(False))
