"""Runs a train.py on a fixed task and writes its loss curve: ``python curve.py train.py out.json``.

Needs only what the challenge has, Python 3.7, torch and numpy, so that the same file runs on the
old environment and on today's. Weights and batches are drawn by numpy's legacy generator, whose
stream is frozen, so they are equal everywhere.
"""

import importlib.util
import json
import sys

import numpy as np
import torch

STEPS = 500
BATCH = 32
INPUTS, HIDDEN, CLASSES = 20, 32, 10


class Over(BaseException):
    """Ends the run; not an Exception, which a train.py would take for a failing oracle."""


class Classification:
    """The challenge's interface: a noisy 10-class problem, a two-layer net, in float32."""

    default_batch_size = BATCH
    target_test_loss = 0.05

    def __init__(self):
        generator = np.random.RandomState(0)
        self.centres = generator.randn(CLASSES, INPUTS)
        self.state = []
        for fan_in, units in ((INPUTS, HIDDEN), (HIDDEN, CLASSES)):
            bound = fan_in**-0.5
            for shape in ((units, fan_in), (units,)):
                weight = generator.uniform(-bound, bound, shape)
                self.state.append(torch.tensor(weight, dtype=torch.float32, requires_grad=True))
        self.held_out = self.draw(np.random.RandomState(1), 256)
        self.batches = np.random.RandomState(2)
        self.losses = []

    def draw(self, generator, count):
        labels = generator.randint(CLASSES, size=count)
        inputs = self.centres[labels] + 1.5 * generator.randn(count, INPUTS)
        return torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels, dtype=torch.long)

    def train_iterator(self, batch_size, shuffle):
        assert batch_size == BATCH
        for _ in range(50):
            yield self.draw(self.batches, batch_size)

    def batch_loss(self, batch):
        with torch.no_grad():
            return float(self.loss(batch))

    def batch_loss_and_gradient(self, batch):
        if len(self.losses) == STEPS:
            raise Over
        loss = self.loss(batch)
        gradients = torch.autograd.grad(loss, self.state)
        self.losses.append(loss.item())
        return self.losses[-1], list(gradients)

    def test(self, state):
        return self.batch_loss(self.held_out)

    def loss(self, batch):
        inputs, labels = batch
        first, first_bias, second, second_bias = self.state
        hidden = torch.tanh(torch.nn.functional.linear(inputs, first, first_bias))
        logits = torch.nn.functional.linear(hidden, second, second_bias)
        return torch.nn.functional.cross_entropy(logits, labels)


def load(path):
    spec = importlib.util.spec_from_file_location("train", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.train


def main(train_file, out):
    torch.set_num_threads(1)
    task = Classification()
    try:
        load(train_file)(task)
    except Over:
        pass
    with open(out, "w") as file:
        json.dump({"torch": torch.__version__, "losses": task.losses}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
