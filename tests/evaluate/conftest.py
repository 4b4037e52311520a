"""What the tests of evaluate share: a tiny task, submissions as files, and results as data."""

import textwrap

import pytest
import torch

from evaluate.outcomes import Outcome
from evaluate.score.results import Result
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


@pytest.fixture
def make_result():
    """A result as the runner would make it, with any fields replaced."""

    def make(**fields):
        curve = {"seconds": [0.5, 1.0], "steps": [1, 2], "loss": [2.0, 0.5]}
        defaults = {
            "suite": "demo",
            "pair": "digits",
            "variant": {"family": "mlp"},
            "variant_digest": "0123456789abcdef",
            "target": 0.6,
            "role": "submission",
            "submission": "train",
            "submission_path": "train.py",
            "submission_sha256": "a" * 64,
            "repeat": 0,
            "seed": 0,
            "outcome": Outcome.REACHED,
            "message": "",
            "limit_seconds": 60.0,
            "seconds": 1.0,
            "steps": 2,
            "calls": {"batch_loss_and_gradient": 2, "batch_loss": 0, "test": 1},
            "test_seconds": 0.1,
            "verified_test_losses": [0.5],
            "train_curve": curve,
            "test_curve": curve,
            "learning_rates": None,
            "tensor_shapes": [[2]],
            "hardware": {
                "cpu": "a cpu", "cores": 2, "gpu": None, "device": "cpu", "threads": 1
            },
            "versions": {"python": "3.11.7", "torch": "2.13.0", "numpy": "2.0", "cuda": ""},
            "git": {"commit": "f" * 40, "dirty": False},
            "command": ["python", "-m", "evaluate"],
            "started_at": "2026-01-02T03:04:05.678901+00:00",
        }  # fmt: skip
        if fields.get("role") == "baseline":
            defaults |= {"submission": "adam", "submission_sha256": "b" * 64}
        return Result(**defaults | fields)

    return make
