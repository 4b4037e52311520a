"""The driver's decisions on a recorded task, one by one, to show that a change alters none.

Losses, gradients and times are exact numbers that depend only on the number of the call, so
decisions are the same on any machine.
"""

import math
from types import SimpleNamespace

import pytest
import torch
from clock import Clock

import policy.driver.run
import policy.driver.tester
from policy.driver.learner import Learner
from policy.driver.rescue import Rescue
from policy.driver.run import run
from policy.driver.stopwatch import Stopwatch
from policy.rule.controller import respond, start_memory
from policy.rule.layout import Layout
from policy.rule.spec import FEATURES, Spec
from policy.rule.weights import initial_weights


class Over(Exception):
    """Ends the run."""


class Recorded:
    """A task whose losses fall to a floor above the target.

    The network takes a second per 16 samples, the update four seconds; some calls fail.
    """

    default_batch_size, target_test_loss = 16, 0.0
    failures = {
        60: math.nan,
        90: math.nan,
        91: math.nan,
        130: RuntimeError("a hidden state of another size"),
        150: RuntimeError("CUDA out of memory"),
    }

    def __init__(self, clock, log):
        self.clock, self.log = clock, log
        self.state = [torch.ones(4, 3), torch.ones(4)]
        self.calls = self.tests = self.size = 0

    def train_iterator(self, batch_size, shuffle):
        self.size = batch_size
        self.log.append((self.calls, f"epoch of {batch_size}"))
        self.clock.spend(0.5)
        return range(6400 // batch_size)

    def loss(self):
        return 0.5 + 256 / (128 + self.calls)

    def batch_loss(self, batch):
        self.clock.spend(0.25)
        return self.loss() + (0.125 if self.calls < 400 else -0.125)

    def batch_loss_and_gradient(self, batch):
        self.calls += 1
        self.clock.spend(self.size / 16)
        failure = self.failures.get(self.calls)
        if isinstance(failure, Exception):
            raise failure
        sign = 2.0 if batch % 2 else -1.0
        gradients = [torch.full((4, 3), sign), torch.full((4,), sign)]
        return (self.loss() if failure is None else failure), gradients

    def test(self, state):
        self.tests += 1
        self.clock.spend(20.0)
        self.log.append((self.calls, "test"))
        if self.calls > 2000:
            raise Over
        return 0.5 + 2.0 / min(self.tests, 4)


@pytest.fixture
def trajectory(monkeypatch):
    """Return decisions as `(oracle calls, decision)`."""
    clock, log = Clock(), []
    task = Recorded(clock, log)

    def noted(owner, name, describe):
        method = getattr(owner, name)

        def call(self, *arguments):
            found = method(self, *arguments)
            log.append((task.calls, describe(*arguments, found)))
            return found

        monkeypatch.setattr(owner, name, call)

    noted(Rescue, "meet", lambda event, *rest: f"{event}: {rest[-1]}")
    noted(Learner, "divide", lambda found: "divided")
    noted(Learner, "keep_best", lambda found: "best")
    noted(Learner, "hold", lambda gradients, found: "noise")
    step = Learner.step

    def slow_step(learner, *arguments):
        clock.spend(4.0)
        return step(learner, *arguments)

    monkeypatch.setattr(Learner, "step", slow_step)
    monkeypatch.setattr(policy.driver.tester, "time", SimpleNamespace(perf_counter=clock))
    monkeypatch.setattr(policy.driver.run, "Stopwatch", lambda wait: Stopwatch(wait, clock))
    with pytest.raises(Over):
        run(task, Spec(), initial_weights(Spec(), 0))
    return log


GOLDEN = [
    (0, "epoch of 16"),
    (2, "divided"),
    (9, "noise"),
    (10, "epoch of 32"),
    (14, "epoch of 64"),
    (19, "epoch of 128"),
    (25, "noise"),
    (35, "noise"),
    (54, "test"),
    (54, "test"),
    (54, "best"),
    (60, "loss not finite: skip"),
    (69, "noise"),
    (69, "epoch of 128"),
    (88, "test"),
    (88, "best"),
    (90, "loss not finite: skip"),
    (91, "loss not finite: restore"),
    (91, "epoch of 128"),
    (130, "oracle failed: new epoch"),
    (130, "epoch of 16"),
    (143, "test"),
    (143, "best"),
    (150, "no memory: smaller batch"),
    (150, "epoch of 8"),
    (290, "test"),
    (290, "too slow: lower"),
    (461, "test"),
    (461, "too slow: restart"),
    (485, "test"),
    (539, "test"),
    (620, "test"),
    (728, "test"),
    (861, "test"),
    (861, "stuck: restart"),
    (885, "test"),
    (939, "test"),
    (950, "epoch of 8"),
    (1020, "test"),
    (1128, "test"),
    (1261, "test"),
    (1420, "test"),
    (1604, "test"),
    (1750, "epoch of 8"),
    (1813, "test"),
    (2047, "test"),
]


def test_decisions_equal_the_record(trajectory):
    assert trajectory == GOLDEN


def test_output_rises_by_at_most_a_quarter():
    """The limit is per decision; the first decision is free."""
    spec, layout = Spec(), Layout([(3,)])
    weights = {name: torch.zeros_like(w) for name, w in initial_weights(spec, 0).items()}
    weights["head.bias"] += 1.0
    memory = start_memory(spec, layout, layout.pack([torch.ones(3)]))
    features = torch.zeros(1, FEATURES)
    first, later = (respond(spec, weights, memory, features, x)[2].exp() for x in (True, False))
    assert torch.allclose(first, torch.tensor(spec.gain).exp())
    assert torch.allclose(later, torch.tensor(1.25))
