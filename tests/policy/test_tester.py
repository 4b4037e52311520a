"""Which weights are tested, and what a test costs besides."""

import math

import pytest
import torch
from clock import Clock
from torch import nn

import policy.driver.tester
from policy.driver.batch_size import BatchSize
from policy.driver.learner import Learner
from policy.driver.rescue import Rescue
from policy.driver.run import run
from policy.driver.tester import LAST_SECONDS, LEAST_REFRESH, REFRESH, refreshes
from policy.rule.spec import Spec


@pytest.fixture
def Counted(Bowl):
    class Counted(Bowl):
        """A bowl whose tests never reach the target.

        `forward` counts forward passes beyond those for gradients; `gain` is its vector's initial
        value.
        """

        forward, gain = 0, 1.0

        def make_state(self):
            return [torch.zeros(3, 2), torch.full((5,), self.gain)]

        def batch_loss(self, batch):
            self.forward += 1
            return super().batch_loss(batch)

        def gradients(self):
            self.forward -= 1
            return super().gradients()

        def test(self, state):
            self.tested.append(self.true_loss(state))
            return self.tested[-1]

    return Counted


@pytest.mark.parametrize("start", [0.0, 1.0])
def test_statistics_are_only_renewed_if_there_may_be_any(Counted, finish, start):
    class Task(Counted):
        gain = start

        def test(self, state):  # the test loss is above the training loss
            return 1 + super().test(state)

    task = Task(calls=3000)
    assert finish(task) == "limit"
    assert len(task.tested) > 1
    assert (task.forward >= LEAST_REFRESH) == bool(start)


def test_rounding_differences_renew_nothing(Counted, finish):
    class Task(Counted):
        def test(self, state):
            return (1 + super().test(state)) * (1 + 1e-7 * (len(self.tested) % 2))

    task = Task(calls=3000)
    assert finish(task) == "limit"
    assert len(task.tested) > 4
    assert LEAST_REFRESH <= task.forward <= REFRESH, "at the probe alone"


def test_statistics_are_renewed_by_more_batches_early_on():
    assert [refreshes(step) for step in (1, 30, 60, 120, 1000)] == [22, 22, 16, 9, 6]


@pytest.fixture
def as_early(monkeypatch):
    """Make each renewal of statistics as long as in the first steps."""
    monkeypatch.setattr(policy.driver.tester, "FAST_STEPS", math.inf)


class Angles:
    """A loss of the directions of a matrix's rows, or of the rows themselves.

    `passed` holds the number of forward passes between each test and the one before.
    """

    default_batch_size, target_test_loss = 8, -1.0

    def __init__(self, is_normalised, gain=1.0):
        self.is_normalised = is_normalised
        self.state = [torch.tensor([[1.0, 0.1]] * 8), torch.full((8,), gain)]
        self.forwards, self.passed = 0, []

    def loss(self):
        rows = self.state[0].detach().requires_grad_()
        seen = nn.functional.normalize(rows) if self.is_normalised else rows
        return (seen - torch.tensor([0.6, 0.8])).square().sum(), rows

    def train_iterator(self, batch_size, shuffle):
        return range(100)

    def batch_loss(self, batch):
        self.forwards += 1
        return float(self.loss()[0].detach())

    def batch_loss_and_gradient(self, batch):
        loss, rows = self.loss()
        return float(loss.detach()), [*torch.autograd.grad(loss, [rows]), torch.zeros(8)]

    def test(self, state):
        self.passed.append(self.forwards)
        self.forwards = 0
        if len(self.passed) > 6:
            raise Over
        return 1 / len(self.passed)


def make_tester(task):
    learner = Learner(task, Spec(), None)
    rescue = Rescue(learner, BatchSize(task.default_batch_size))
    return policy.driver.tester.Tester(task, learner, rescue, None)


class Over(Exception):
    """Ends a run."""


@pytest.fixture
def clocked(monkeypatch):
    """Return a function that makes a tester of a class of tasks, and its clock.

    On that clock a forward pass takes 2 seconds and a test 3. Both return a loss of 1.
    """
    clock = Clock()
    monkeypatch.setattr(policy.driver.tester, "time", clock)

    def make(kind, *arguments):
        class Task(kind):
            def batch_loss(self, batch):
                clock.spend(2.0)
                return 1.0

            def test(self, state):
                clock.spend(3.0)
                return 1.0

        return make_tester(Task(*arguments)), clock

    return make


@pytest.mark.parametrize("gain", [1.0, 0.0], ids=["gains", "no gains"])
@pytest.mark.parametrize("is_normalised", [True, False])
def test_statistics_are_renewed_before_each_test_with_batch_norm(is_normalised, gain, as_early):
    """Batch norm is found without gains, too.

    If only the gains suggest batch norm, the first test is made twice. Here the second one is
    better.
    """
    task = Angles(is_normalised, gain)
    with pytest.raises(Over):
        run(task, Spec(), None)
    if is_normalised:
        assert task.passed == [REFRESH] * 7
    elif gain:
        assert task.passed == [0] + [REFRESH] * 6
    else:
        assert task.passed == [0] * 7


def test_tested_weights_have_their_own_statistics(as_early):
    class Task(Angles):
        seen = []

        def batch_loss(self, batch):
            self.seen.append(self.state[0].clone())
            return super().batch_loss(batch)

        def test(self, state):
            last = self.seen[-REFRESH:]
            assert len(last) == REFRESH and all(torch.equal(w, state[0]) for w in last)
            return super().test(state)

    task = Task(True)
    with pytest.raises(Over):
        run(task, Spec(), None)


def test_test_with_stale_statistics_is_ignored():
    """It is neither the best test nor a sign of a slow run.

    After two such tests, the driver stops renewing statistics.
    """

    class Task(Angles):
        def batch_loss(self, batch):
            raise RuntimeError("no forward pass")

        def test(self, state):
            return 1.0

    task = Task(True)
    tester = make_tester(task)
    tester.observe(1.0, 1)
    tester.learner.steps = 1
    tester.remember(0, task.batch_loss_and_gradient(0)[1])
    assert tester.needs_refresh
    for loss in (math.inf, math.inf, 1.0):
        tester.test()
        assert tester.best == tester.judge.best == loss


def test_interrupt_leaves_best_weights_with_their_statistics(clocked):
    for needed, most in ((True, LAST_SECONDS), (False, 0.0)):
        tester, clock = clocked(Angles, True)
        begin = clock.now
        tester.learner.best = tester.learner.carry.buffers.weight.clone()
        tester.learner.show([p + 1 for p in tester.task.state])
        tester.needs_refresh = needed
        tester.remember(0, None)
        seen = []
        tester.task.batch_loss = lambda batch, task=tester.task, seen=seen, clock=clock: (
            (clock.spend(0.2), seen.append(task.state[0].clone())) and 1.0
        )
        tester.leave_best(KeyboardInterrupt())
        assert most <= clock.now - begin <= 1.5 * most
        assert all(torch.equal(weights, tester.learner.initial[0]) for weights in seen)


def test_test_near_the_training_loss_is_not_repeated(Counted, finish):
    """Wrong statistics would have raised the loss.

    They are renewed once, at the end of the run.
    """

    class Task(Counted):
        def test(self, state):
            return super().test(state) * 0.5

    task = Task(calls=3000)
    assert finish(task) == "limit"
    assert len(task.tested) > 4 and task.forward <= REFRESH


def test_probe_does_not_count_as_test_cost(Counted, clocked):
    tester, clock = clocked(Counted)
    tester.remember(0, None)
    tester.observe(0.5, 1)
    tester.test()
    assert clock.now == 2 * 3.0 + 2.0 * REFRESH and tester.schedule.cost == 3.0
    tester.test()
    assert clock.now == 3 * 3.0 + 2.0 * REFRESH and tester.schedule.cost == 3.0
