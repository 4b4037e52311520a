"""What is tested, and what it costs besides."""

import pytest
import torch
from clock import Clock
from torch import nn

import policy.driver.tester
from policy.driver.learner import Learner
from policy.driver.run import run
from policy.driver.tester import PROBE, REFRESH
from policy.rule.spec import Spec


@pytest.fixture
def Counted(Bowl):
    class Counted(Bowl):
        """Whose tests never reach the target. ``forward`` counts calls beside those for gradients,
        ``gain`` is what its vector starts at."""

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
def test_statistics_are_renewed_only_where_there_may_be_some(Counted, finish, start):
    class Task(Counted):
        gain = start

        def test(self, state):  # above the training loss
            return 1 + super().test(state)

    task = Task(calls=3000)
    assert finish(task) == "limit"
    comparisons = len(task.tested)
    assert comparisons > 1
    assert (task.forward >= comparisons + REFRESH - 2) == bool(start)


def test_a_test_that_differs_by_rounding_alone_renews_nothing(Counted, finish):
    class Task(Counted):
        def test(self, state):
            return (1 + super().test(state)) * (1 + 1e-7 * (len(self.tested) % 2))

    task = Task(calls=3000)
    assert finish(task) == "limit"
    assert len(task.tested) > PROBE + 3
    extra = task.forward - len(task.tested)  # a comparison each, but one test has none
    assert REFRESH - 2 <= extra <= REFRESH, "at the probe alone"


class Angles:
    """The loss is of the directions of a matrix's rows, or of the rows themselves. ``passed`` holds
    the forward passes before each test, since the one before."""

    default_batch_size, target_test_loss = 8, -1.0

    def __init__(self, is_normalised):
        self.is_normalised = is_normalised
        self.state = [torch.tensor([[1.0, 0.1]] * 8), torch.ones(8)]
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
        if len(self.passed) > PROBE + 2:
            raise Over
        return 1 / len(self.passed)


class Over(Exception):
    """Ends a run."""


@pytest.fixture
def clocked(monkeypatch):
    """Makes a tester of a class of tasks, and its clock: on it a forward pass takes 2 seconds and a
    test 3; either tells a loss of 1."""
    clock = Clock()
    monkeypatch.setattr(policy.driver.tester, "time", clock)

    def make(kind):
        class Task(kind):
            def batch_loss(self, batch):
                clock.spend(2.0)
                return 1.0

            def test(self, state):
                clock.spend(3.0)
                return 1.0

        task = Task()
        return policy.driver.tester.Tester(task, Learner(task, Spec(), None), None, None), clock

    return make


@pytest.mark.parametrize("is_normalised", [True, False])
def test_statistics_are_renewed_from_the_first_test_on_where_the_gradient_shows_batch_norm(
    is_normalised,
):
    task = Angles(is_normalised)
    with pytest.raises(Over):
        run(task, Spec(), None)
    if is_normalised:
        assert min(task.passed) > 5 and max(task.passed) == 1 + REFRESH
    else:  # one comparison; statistics are renewed between the two tests of the probe
        assert task.passed == [1] * PROBE + [REFRESH, 1 + REFRESH, 1 + REFRESH]


def test_no_test_is_repeated_whose_loss_is_that_of_training(Counted, finish):
    """Statistics that belong to other weights would have made it higher."""

    class Task(Counted):
        def test(self, state):
            return super().test(state) * 0.5

    task = Task(calls=3000)
    assert finish(task) == "limit"
    assert len(task.tested) > PROBE + 3 and task.forward <= len(task.tested)


def test_the_probe_is_no_part_of_what_a_test_costs(Counted, clocked):
    tester, clock = clocked(Counted)
    tester.needs_refresh = False
    for batch in range(REFRESH):
        tester.remember(batch)
    for _ in range(PROBE):
        tester.test()
    assert clock.now == 3.0 * (PROBE + 1) + 2.0 * REFRESH and tester.schedule.cost == 3.0


def test_the_comparison_is_part_of_what_a_test_costs(Bowl, clocked):
    tester, clock = clocked(Bowl)
    tester.compare(0, 1.0, tester.task.gradients())
    clock.spend(100.0)  # the step between them
    tester.test()
    assert tester.schedule.cost == 5.0
    tester.test()
    assert tester.schedule.cost == 4.0, "no comparison came before the second one"
