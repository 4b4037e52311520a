"""Verdicts on the tests of a run, and what the driver makes of them."""

import math

import pytest
import torch

from policy.driver import tester as testers
from policy.driver.batch_size import BatchSize
from policy.driver.judge import Judge
from policy.driver.learner import Learner
from policy.driver.rescue import MEMORISES, ON_PACE, STUCK, TOO_SLOW, Rescue
from policy.rule.spec import Spec
from policy.rule.weights import initial_weights

HIGH = 9.0  # a training loss above any target here


def verdicts(target, tests, training_loss=HIGH, first=2.0):
    """Return the verdict on each test ``(step, loss)`` of one run."""
    judge = Judge(target)
    return [judge.verdict(step, loss, training_loss, first) for step, loss in tests]


def test_too_slow_is_relative_to_the_run_so_far():
    assert set(verdicts(0.0, [(s, 1 / s) for s in range(10, 1000, 10)])) == {None, ON_PACE}
    ahead = 2 * 3 * 1000
    slow = [(s, 0.001 * (1 - (s - 1000) / ahead)) for s in range(1000, 2000, 10)]
    assert TOO_SLOW in verdicts(0.0, slow)[:20], "the target is twice as far as is allowed"
    steady = [(s, 2 - s / 1000) for s in range(1000, 1990, 10)]
    assert set(verdicts(0.0, steady, first=3.0)) == {None, ON_PACE}


def test_long_run_is_not_too_slow_early_on():
    """The loss of a sound run falls with the log of time, or as a small power of it."""
    steps = [round(10 * 1.1**i) for i in range(70)]  # up to 7,000 steps
    for loss in (lambda step: -math.log(step), lambda step: step**-0.3):
        tests = [(step, loss(step)) for step in steps[:-1]]
        late = zip(steps, verdicts(loss(steps[-1]), tests, first=loss(1)), strict=False)
        assert {found for step, found in late if step > steps[-1] / 20} == {None, ON_PACE}


def test_minimal_improvement_is_still_too_slow():
    """A run ruined by overlong steps may improve minimally for ever."""
    found = verdicts(0.0, [(100 * i, 0.9 * 0.999**i) for i in range(1, 20)])
    assert ON_PACE not in found and found.count(TOO_SLOW) > 10


def test_flat_start_is_stuck_at_intervals():
    found = verdicts(0.0, [(step, 1.5) for step in range(10, 1000, 10)])
    assert [10 + 10 * i for i, verdict in enumerate(found) if verdict == STUCK] == [310, 610, 910]
    assert set(found) == {None, STUCK}


@pytest.mark.parametrize("loss, expected", [(0.9, TOO_SLOW), (1.5, STUCK)])
def test_verdict_on_a_flat_loss(loss, expected):
    """The way from 2 to 0.1 is half done at 1.05."""
    assert verdicts(0.1, [(100, loss), (500, loss)]) == [None, expected]


def test_test_without_a_result_does_not_count_for_pace():
    losses = [math.nan if i == 5 else 1 / i for i in range(1, 20)]
    found = verdicts(0.0, [(100 * i, loss) for i, loss in enumerate(losses, 1)])
    assert found[4] is None and set(found) == {None, ON_PACE}


def test_test_noise_does_not_make_a_long_run_too_slow():
    """With a deviation of 1 %, tests rarely make a run restart."""
    generator, begun_anew = torch.Generator().manual_seed(0), 0
    for _ in range(40):
        judge, step, slow = Judge(target=1e4**-0.3), 10, 0
        while step < 1e4 and slow < 2:
            noise = 1 + 0.01 * float(torch.randn((), generator=generator))
            verdict = judge.verdict(step, noise * step**-0.3, HIGH, first=0.5)
            slow = {ON_PACE: 0, TOO_SLOW: slow + 1}.get(verdict, slow)
            step += max(5, round(2 * step**0.5))  # a test costs two steps
        begun_anew += slow > 1
    assert begun_anew <= 4


def memorised(losses, training_loss=0.5):
    """Return which tests, ten steps apart, of a run from a loss of 2 to 1 show memorised data."""
    tests = [(300 + 10 * i, loss) for i, loss in enumerate(losses)]
    found = verdicts(1.0, tests, training_loss)
    return [i for i, verdict in enumerate(found) if verdict == MEMORISES]


def test_second_risen_test_in_a_row_counts():
    assert memorised([1.5, 1.2, 1.3, 1.4]) == [3]
    assert memorised([1.2, 1.3, 1.1, 1.3, 1.15]) == [4]
    assert memorised([1.2, 1.3, 1.15, 1.3]) == []


def test_small_rises_and_high_training_losses_do_not_count():
    assert memorised([1.2, 1.21, 1.215, 1.219]) == []
    assert memorised([1.2, 1.5, 1.6], training_loss=1.1) == []


def test_rise_counts_only_while_the_training_loss_is_low():
    judge = Judge(target=1.0)
    found = [judge.verdict(10 * i, 1.2 + i, x, 2.0) for i, x in enumerate([0.5, 0.5, 1.5, 0.5])]
    assert found == [None] * 4


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
        for _ in range(20):
            tester.observe(0.0, 1)
        tester.test()
        restarts.append(tester.rescue.restarts)
    assert restarts == [0, 0, 1, 1, 1, 1] and tester.learner.is_careful
    assert tester.learner.rates() == pytest.approx([3e-3] * len(tester.task.state))
    assert tester.best == 0.5


@pytest.mark.parametrize(
    "first, events", [(3.0, ["lowered", "anew"]), (1.0, ["anew", "anew"])], ids=["late", "stuck"]
)
def test_slow_runs_restart(tester, monkeypatch, first, events):
    """Past halfway rates are lowered first, and a restarted run is no longer judged."""
    monkeypatch.setattr(tester.task, "test", lambda state: 1.0)
    found, before = [], (1.0, 0)
    for _ in range(400):
        tester.observe(first, 10)
        tester.test()
        after = tester.learner.calm, tester.rescue.restarts
        if after != before:
            found.append("anew" if after[1] != before[1] else "lowered")
            before = after
    assert found == events
