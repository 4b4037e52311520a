"""The committed train.py and learned_lr.py are exports of the committed checkpoint, and train."""

import math
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from checkpoints_to_source.optimizer_file import optimizer_file
from checkpoints_to_source.train_file import train_file
from evaluate.submission import load
from policy.checkpoint import load_policy
from policy.optimizer import LearnedLR

ROOT = Path(__file__).parent.parent


def test_train_py_is_the_export_of_the_shipped_policy():
    exported = train_file(load_policy(ROOT / "checkpoints" / "policy.safetensors")).source
    assert (ROOT / "train.py").read_text() == exported, (
        "run: python -m checkpoints_to_source checkpoints/policy.safetensors --out train.py"
    )


def test_learned_lr_py_is_the_export_of_the_shipped_policy():
    exported = optimizer_file(load_policy(ROOT / "checkpoints" / "policy.safetensors")).source
    assert (ROOT / "learned_lr.py").read_text() == exported, (
        "run: python -m checkpoints_to_source optimizer --out learned_lr.py"
    )


def test_shipped_policy_trains_without_a_setting():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))
    optimizer = LearnedLR(model.parameters())
    x = torch.randn(256, 4)
    y = x[:, :3].argmax(1)
    losses = []
    for _ in range(150):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(loss)
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]


def test_each_call_of_train_has_its_own_rates(train_module):
    """Two calls may run at once."""
    seen = []

    class Task:
        default_batch_size, target_test_loss = 8, 0.0

        def __init__(self, inner):
            self.state, self.inner = [torch.ones(3)], inner

        def train_iterator(self, batch_size, shuffle):
            return range(10)

        def batch_loss_and_gradient(self, batch):
            return float(self.state[0].square().mean()), [self.state[0].clone()]

        def batch_loss(self, batch):
            return float(self.state[0].square().mean())

        def test(self, state):
            if self.inner is None:
                raise KeyError
            seen.append(train_module.learning_rates)
            with pytest.raises(KeyError):
                train_module.train(self.inner)
            seen.append(train_module.learning_rates)
            raise LookupError

    with pytest.raises(LookupError):
        train_module.train(Task(Task(None)))
    assert seen[0] is not seen[1] and [len(rates) for rates in seen] == [1, 1]


@pytest.fixture
def train_module():
    return load(ROOT / "train.py")


def wave(shape, phase):
    """Return random-looking entries that turn with the phase.

    They use no generator, which another torch might change.
    """
    places = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
    return torch.sin(places**2 + phase).float().reshape(shape)


def test_shipped_weights_give_recorded_rates(unrestrain):
    """The weights only fit the features, units and limits that they were trained with.

    Change the literals only with new weights or a new version of their format. They are rates after
    three decisions, which are at no limit by then. Some gradients turn so fast that steps are too
    long, others don't.
    """
    unrestrain()  # only the weights set rates
    shapes = [(40, 36), (40,), (4, 3, 3, 3), (4, 36), (4,)]
    parameters = [nn.Parameter(0.2 * wave(shape, i)) for i, shape in enumerate(shapes)]
    optimizer = LearnedLR(parameters)
    for step in range(11):
        for i, parameter in enumerate(parameters):
            turned = wave(parameter.shape, 1 + (0.41 - 0.03 * i) * step)
            parameter.grad = 0.01 * 0.9**step * turned
        optimizer.step(2.0 - 0.05 * step)
    expected = [0.00575842, 0.000525327, 0.0120629, 0.0371382, 0.00182807]
    assert optimizer.rates() == pytest.approx(expected, rel=3e-4)


def test_task_written_as_documented_is_trained():
    page = (ROOT / "docs" / "tasks.md").read_text()
    example = re.search(r"```python\n(import torch\n.*?)```", page, re.DOTALL)[1]
    torch.manual_seed(0)
    x = torch.randn(400, 8)
    model = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 4))
    data = TensorDataset(x[:300], x[:300, :4].argmax(1))
    names = {"model": model, "data": data, "criterion": nn.functional.cross_entropy}
    names |= {"test_x": x[300:], "test_y": x[300:, :4].argmax(1)}
    exec(example, names)
    model.eval()
    assert float(names["criterion"](model(names["test_x"]), names["test_y"])) < 0.3
