"""The exported file trains exactly as the library's controller does, step by step."""

import importlib.util

import pytest
import torch
from torch import nn

from checkpoints_to_source.train_file import train_file
from policy.checkpoint import Policy
from policy.driver.run import run
from policy.rule.spec import Spec
from policy.rule.weights import initial_weights

CALLS = 50  # before the first test: from then on the clock decides what the policy sees


class Over(Exception):
    """Ends a run after a number of oracle calls."""


class Task:
    """A small classification that notes its weights at every gradient call."""

    default_batch_size, target_test_loss = 16, 0.05

    def __init__(self):
        torch.manual_seed(3)
        self.model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
        self.state = [p.data for p in self.model.parameters()]
        self.seen = []

    def train_iterator(self, batch_size, shuffle):
        generator = torch.Generator().manual_seed(len(self.seen))
        inputs = [torch.randn(batch_size, 5, generator=generator) for _ in range(10)]
        # Of no length: the batch size, which depends on the clock, is let be.
        return iter([(x, x[:, :3].argmax(1)) for x in inputs])

    def batch_loss(self, batch):
        x, y = batch
        return nn.functional.cross_entropy(self.model(x), y).item()

    def batch_loss_and_gradient(self, batch):
        self.seen.append([p.clone() for p in self.state])
        x, y = batch
        self.model.zero_grad()
        loss = nn.functional.cross_entropy(self.model(x), y)
        loss.backward()
        return loss.item(), [p.grad.data for p in self.model.parameters()]

    def test(self, state):
        if len(self.seen) >= CALLS:
            raise Over
        return 1.0  # not below the target


def trajectory(train):
    task = Task()
    with pytest.raises(Over):
        train(task)
    return task.seen[:CALLS]


def test_exported_file_equals_the_library_step_by_step(tmp_path):
    spec = Spec()
    weights = initial_weights(spec, 0)
    weights["head.weight"].uniform_(-0.3, 0.3, generator=torch.Generator().manual_seed(1))
    path = tmp_path / "train.py"
    path.write_text(train_file(Policy(spec, weights)).source)
    module_spec = importlib.util.spec_from_file_location("exported_train", path)
    exported = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(exported)

    ours = trajectory(lambda task: run(task, spec, weights))
    theirs = trajectory(exported.train)
    assert len(ours) == len(theirs) == CALLS
    for a, b in zip(ours, theirs, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    moved = (ours[-1][0] - ours[0][0]).abs().max()
    assert moved > 0.01, "weights that hardly move would prove little"
    assert exported.learning_rates, "the rates are not recorded"
