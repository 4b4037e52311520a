"""What the tests of evaluate share: a tiny task, submissions as files, and results as data."""

import textwrap

import pytest
import torch
from results import make_result

from tasks import Batch, Done


class Quadratic:
    """loss(w) = |w|^2 / 2 from w = (1, 1); gradients reuse storage, losses may be tensors."""

    def __init__(self, target=0.1, batches=2, scale=1.0):
        self.network = torch.nn.BatchNorm1d(2)
        self._weight = torch.nn.Parameter(torch.ones(2))
        self._gradient = torch.zeros(2)
        self._batches, self._scale = batches, scale
        self.state = [self._weight.data]
        self.default_batch_size = 4
        self.target_test_loss = target

    def train_iterator(self, batch_size, shuffle):
        return [Batch(torch.zeros(1), torch.zeros(1))] * self._batches

    def batch_loss(self, batch):
        return self._scale * 0.5 * float(self._weight.data.square().sum())

    def batch_loss_and_gradient(self, batch):
        self.network.running_mean += 1
        self._gradient.copy_(self._weight.data)
        return torch.tensor(self.batch_loss(batch)), [self._gradient]

    def test(self, state=None):
        weight = self.state[0] if state is None else state[0]
        loss = self._scale * 0.5 * float(weight.square().sum())
        if loss < self.target_test_loss:
            raise Done
        return loss


@pytest.fixture
def quadratic():
    """The class of a task that gradient descent with rate 0.5 brings below 0.1 in two steps."""
    return Quadratic


@pytest.fixture
def submission_file(tmp_path):
    """Writes a train.py; returns its path."""

    def write(source, name="train.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path

    return write


@pytest.fixture(name="make_result")
def result_maker():
    return make_result
