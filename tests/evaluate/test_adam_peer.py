"""The baseline is bias-corrected Adam, whether or not oracles reuse storage."""

import pytest
import torch

from evaluate.peers import adam
from tasks import Done


class Bowl:
    """A quadratic bowl whose gradient (a * w - b) always comes in the same buffer.

    Raises `Done` at the test after the given number of epochs.
    """

    def __init__(self, epochs, batches=7):
        generator = torch.Generator().manual_seed(3)
        self.a = torch.rand(5, generator=generator, dtype=torch.float64) * 10 ** torch.arange(
            -2.0, 3
        )
        self.b = torch.randn(5, generator=generator, dtype=torch.float64)
        self.model = torch.nn.Parameter(torch.randn(5, generator=generator, dtype=torch.float64))
        self.state = [self.model.data]
        self.default_batch_size, self.target_test_loss = 2, 0.0
        self.trajectory, self._epochs, self._batches = [], epochs, batches
        self._buffer = torch.zeros(5, dtype=torch.float64)

    def train_iterator(self, batch_size, shuffle):
        assert batch_size == self.default_batch_size and shuffle
        return range(self._batches)

    def gradient(self, weight, batch):
        return self.a * weight - self.b * (1 + batch)

    def batch_loss_and_gradient(self, batch):
        self.trajectory.append(self.model.detach().clone())
        self._buffer.copy_(self.gradient(self.model.detach(), batch))
        return 0.0, [self._buffer]

    def test(self, state):
        self._epochs -= 1
        if not self._epochs:
            raise Done
        return 1.0


def run(bowl):
    with pytest.raises(Done):
        adam.train(bowl)
    return torch.stack([*bowl.trajectory, bowl.model.detach().clone()])


def test_equals_the_papers_formula():
    peer = run(Bowl(epochs=3))
    bowl = Bowl(epochs=3)
    weight = bowl.model.detach().clone()
    first, second = torch.zeros(5, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
    expected = [weight]
    for step in range(1, 22):
        gradient = bowl.gradient(weight, (step - 1) % 7)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        corrected = (first / (1 - 0.9**step), second / (1 - 0.999**step))
        weight = weight - 1e-3 * corrected[0] / (corrected[1].sqrt() + 1e-8)
        expected.append(weight)
    torch.testing.assert_close(peer, torch.stack(expected), rtol=1e-12, atol=1e-14)


def test_tests_once_an_epoch():
    bowl = Bowl(epochs=4)
    run(bowl)
    assert len(bowl.trajectory) == 4 * 7


def test_leaves_grad_fields_unchanged():
    bowl = Bowl(epochs=1)
    run(bowl)
    assert bowl.model.grad is None


def test_empty_epoch_is_reported():
    with pytest.raises(ValueError, match=r"train_iterator\(batch_size=2\) yields no batch"):
        adam.train(Bowl(epochs=1, batches=0))
