"""A run memorises if its test loss rises while its training loss is below the target."""

import math

import pytest
import torch

from policy.driver import tester as testers
from policy.driver.batch_size import BatchSize
from policy.driver.learner import Learner
from policy.driver.memorising import Memorising
from policy.driver.rescue import Rescue
from policy.rule.spec import Spec
from policy.rule.weights import initial_weights


def memorised(tested, training=0.5):
    """Return at which tests a run from a loss of 2 to the target 1 is said to memorise."""
    watch = Memorising(target=1.0)
    return [i for i, loss in enumerate(tested) if watch.record(loss, training, first=2.0)]


def test_second_risen_test_in_a_row_counts():
    assert memorised([1.5, 1.2, 1.3, 1.4]) == [3]
    assert memorised([1.2, 1.3, 1.1, 1.3, 1.15]) == [4]
    assert memorised([1.2, 1.3, 1.15, 1.3]) == []


def test_small_rises_and_high_training_losses_do_not_count():
    assert memorised([1.2, 1.21, 1.215, 1.219]) == []
    assert memorised([1.2, 1.5, 1.6], training=1.1) == []


def test_failed_test_neither_counts_nor_interrupts():
    assert memorised([1.2, 1.3, math.nan, 1.3]) == [3]


def test_noise_of_sound_runs_does_not_count():
    """With a deviation of 1 % of the way, tests of a falling loss rarely seem to rise."""
    generator, found = torch.Generator().manual_seed(0), 0
    for _ in range(100):
        noise = (0.01 * torch.randn(30, generator=generator)).tolist()
        found += bool(memorised([1.3 - i / 100 + x for i, x in enumerate(noise)]))
    assert found <= 2


@pytest.fixture
def tester(Bowl):
    spec, task = Spec(), Bowl()
    task.target_test_loss = 0.1
    learner = Learner(task, spec, initial_weights(spec, 0))
    return testers.Tester(task, learner, Rescue(learner, BatchSize(8)), trace=None)


def test_memorising_run_restarts_with_adam_once(tester, monkeypatch):
    losses = iter([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    monkeypatch.setattr(tester.task, "test", lambda state: next(losses))
    restarts = []
    for _ in range(6):
        tester.observe(1.0, 1)
        for _ in range(30):
            tester.observe(0.0, 20)
        tester.test()
        restarts.append(tester.rescue.restarts)
    assert restarts == [0, 0, 1, 1, 1, 1] and tester.learner.is_careful
    assert tester.learner.rates() == pytest.approx([3e-3] * len(tester.task.state))
    assert tester.best == 0.5
