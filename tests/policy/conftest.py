"""A small task to be made hostile, a run of it with a limit, and a batch size to decide on."""

import math

import pytest
import torch

from policy.driver.batch_size import FIRST_DECISION, BatchSize
from policy.driver.run import run
from policy.rule.spec import Spec
from policy.rule.weights import initial_weights

SPEC = Spec(base_rate=5e-3)
WEIGHTS = initial_weights(SPEC, 0)


class Done(Exception):
    """The task's own exception."""


class Limit(BaseException):
    """Ends a run from outside, like a harness."""


class Bowl:
    """A quadratic bowl around ones; its initial loss is 1 for weights at zero.

    `tested` holds the true loss at each test, `batch_sizes` the sizes asked for.
    """

    default_batch_size, target_test_loss = 8, 0.01

    def __init__(self, calls=300):
        self.calls = calls
        self.state = self.make_state()
        self.tested, self.batch_sizes = [], []

    def make_state(self):
        return [torch.zeros(3, 2), torch.zeros(5)]

    def true_loss(self, state=None):
        parts = [(p.detach().double() - 1).reshape(-1) for p in (state or self.state)]
        return float(torch.cat(parts).pow(2).mean())

    def train_iterator(self, batch_size, shuffle):
        self.batch_sizes.append(batch_size)
        return range(10)

    def batch_loss(self, batch):
        return self.true_loss()

    def batch_loss_and_gradient(self, batch):
        self.calls -= 1
        if self.calls < 0:
            raise Limit
        return self.batch_loss(batch), self.gradients()

    def gradients(self):
        return [p.detach() - 1 for p in self.state]

    def test(self, state):
        loss = self.true_loss(state)
        if loss < self.target_test_loss:
            raise Done
        self.tested.append(loss)
        return loss


def finish(task, spec=SPEC, trace=None, weights=WEIGHTS):
    """Run the driver; return `"done"`, `"limit"` or the message of its RuntimeError.

    Any other end fails the test, and so does a model left worse than at the best test.
    """
    initial = task.true_loss()
    try:
        run(task, spec, weights, trace)
    except Done:
        return "done"
    except Limit:
        outcome = "limit"
    except RuntimeError as error:
        outcome = str(error)
    left = task.true_loss()
    assert math.isfinite(left) or not math.isfinite(initial)
    seen = [loss for loss in task.tested if math.isfinite(loss)] or [initial]
    assert not left > min(seen) * (1 + 1e-3) + 1e-6, (left, min(seen))
    return outcome


def begun(default):
    """Return a batch size that is due for its first decision."""
    batch_size = BatchSize(default)
    batch_size.opened(1000, 0.0)
    batch_size.updated(1.0, 0.0)
    for _ in range(FIRST_DECISION):
        batch_size.made(1.0)
    return batch_size


@pytest.fixture(name="Bowl")
def bowl_class():
    return Bowl


@pytest.fixture(name="finish")
def finish_function():
    return finish


@pytest.fixture(name="begun")
def begun_function():
    return begun
