"""The batch grows where a larger one takes little longer and has a better gradient, only there."""

import pytest
import torch

import policy.driver
from policy.batch_size import (
    EARLY,
    FIRST_DECISION,
    LARGEST_FACTOR,
    LEAST_BATCHES,
    SETTLING,
    TRIAL,
    BatchSize,
)
from policy.driver import run
from policy.echo import Echo
from policy.learner import NOISE_FROM, Learner
from policy.spec import Spec


def sizes(seconds, noise, steps=3000, batches=1000, default=16):
    """Size at each step, of a task with ``seconds(size)`` a step and ``noise(size)``."""
    batch_size, found = BatchSize(default), []
    for _ in range(steps):
        batch_size.batches = batches * default // batch_size.size
        found.append(batch_size.size)
        batch_size.made(seconds(batch_size.size))
        if batch_size.is_due():
            batch_size.decide(noise(batch_size.size))
    return found


def test_grows_to_the_limit_where_samples_cost_nothing():
    found = sizes(lambda size: 1.0, lambda size: 1e4 / size)
    assert set(found[:FIRST_DECISION]) == {16}
    assert found[-1] == 16 * LARGEST_FACTOR


def test_returns_after_a_trial_where_time_grows_with_the_batch():
    found = sizes(lambda size: float(size), lambda size: 1e4 / size)
    assert set(found) == {16, 32} and found.count(32) == SETTLING + EARLY and found[-1] == 16


def test_a_trial_is_given_up_early_only_where_no_noise_could_make_up_for_it():
    found = sizes(lambda size: 1.0 if size == 16 else 1.4, lambda size: 1e4 / size)
    assert found.count(32) == SETTLING + TRIAL and found[-1] == 16


def test_a_hiccup_does_not_end_a_trial():
    late = iter([1.0] * (FIRST_DECISION + SETTLING) + [50.0])
    found = sizes(lambda size: next(late, 1.0), lambda size: 1e4 / size)
    assert found[FIRST_DECISION:].index(16) == SETTLING + TRIAL
    assert found[-1] == 16


def test_a_hiccup_before_the_trial_does_not_make_time_at_the_default_look_long():
    late = iter([1.0] * 4 + [50.0])
    assert sizes(lambda size: size * next(late, 1.0), lambda size: 1e4 / size)[-1] == 16


def test_a_step_whose_time_is_not_known_is_not_counted():
    batch_size = BatchSize(16)
    for _ in range(SETTLING + TRIAL - 1):
        batch_size.made(1.0)
    batch_size.made(None)
    assert not batch_size.times
    batch_size.made(1.0)
    assert batch_size.times == {16: TRIAL}


def test_no_trial_where_the_gradient_has_no_noise():
    assert set(sizes(lambda size: 1.0, lambda size: 0.1)) == {16}


def test_no_trial_where_an_epoch_is_short_or_of_unknown_length():
    for batches in (0, 2 * LEAST_BATCHES - 1):
        assert set(sizes(lambda size: 1.0, lambda size: 1e4 / size, batches=batches)) == {16}


def test_later_noise_changes_the_decision_without_a_second_trial():
    step = iter(range(10**6))
    found = sizes(lambda size: 0.8 + size / 80, lambda size: 0.5 if next(step) < 2 else 50.0)
    assert found[-1] > 16
    changes = [(a, b) for a, b in zip(found, found[1:], strict=False) if a != b]
    assert len(changes) == len(set(changes))


class Noisy:
    """Least squares whose gradient has noise of a known scale; a step takes no longer if larger."""

    default_batch_size, target_test_loss = 8, -1.0

    def __init__(self, clock, resets=False, calls=1000):
        self.clock, self.resets, self.calls = clock, resets, calls
        self.state = [torch.full((400,), 3.0)]
        self.generator = torch.Generator().manual_seed(0)
        self.asked, self.used, self.was_reset = [], [], False

    def train_iterator(self, batch_size, shuffle):
        self.asked.append(batch_size)
        self.was_reset = False
        return [batch_size] * (4000 // batch_size)

    def batch_loss(self, batch):
        return float(self.state[0].pow(2).mean())

    def batch_loss_and_gradient(self, batch):
        if self.resets and self.was_reset and batch != self.default_batch_size:
            raise RuntimeError("hidden state of the default batch size")
        self.clock.now += 1.0
        self.used.append(batch)
        self.calls -= 1
        if not self.calls:
            raise KeyboardInterrupt
        noise = torch.randn(400, generator=self.generator) * (200.0 / batch) ** 0.5
        return self.batch_loss(batch), [self.state[0] + noise]

    def test(self, state):
        self.was_reset = True
        return self.batch_loss(None)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("resets", [False, True], ids=["", "hidden state is reset by tests"])
def test_in_the_driver(monkeypatch, resets):
    clock = Clock()
    monkeypatch.setattr(policy.driver, "Echo", lambda: Echo(clock))
    task = Noisy(clock, resets)
    with pytest.raises(KeyboardInterrupt):
        run(task, Spec(), None)
    assert max(task.used) > task.default_batch_size
    assert (task.used[-1] == task.default_batch_size) == resets


def constant_learner(shapes, **settings):
    """A learner of weights at zero, with constant rates."""

    class Task:
        state, target_test_loss = [torch.zeros(shape) for shape in shapes], 0.0

    return Learner(Task, Spec(**settings), None)


def test_rates_follow_the_root_of_the_batch_and_come_back():
    learner, batch_size = constant_learner([(3, 4), (4,)]), BatchSize(8)
    before, rates = learner.rates(), learner.carry.rates.clone()
    for size, factor in ((32, 2.0), (8, 1.0), (4, 1.0)):
        batch_size.size = size
        learner.scale_rates(batch_size.rate_factor())
        assert learner.rates() == pytest.approx([factor * rate for rate in before])
        assert torch.allclose(learner.carry.rates, factor * rates)


def test_a_new_beginning_keeps_the_factor_of_the_batch():
    learner = constant_learner([(3, 4), (4,)])
    learner.restart()
    careful = learner.rates()
    learner.scale_rates(2.0)
    learner.restart()
    assert learner.rates() == pytest.approx([2 * rate for rate in careful])


def test_noise_scale_of_a_known_gradient():
    generator = torch.Generator().manual_seed(0)
    for scale, steps in ((0.5, 100), (2.0, 100), (8.0, 100), (2.0, 12)):
        learner = constant_learner([(20_000,)], base_rate=0.0)
        mean = torch.randn(20_000, generator=generator).sign()
        for _ in range(steps):
            noise = scale**0.5 * torch.randn(20_000, generator=generator)
            learner.step(1.0, [mean + noise])
        assert learner.noise() == pytest.approx(scale, rel=0.35)


def test_the_batch_size_is_let_be_in_the_first_steps_after_a_new_beginning(monkeypatch):
    """Their moments are the gradient of a single step, which once was a division by zero."""
    monkeypatch.setattr(BatchSize, "is_due", lambda batch_size: True)
    begun = []

    def noted(learner, of=Learner.noise):
        begun.append((learner.carry.step, of(learner)))
        return begun[-1][1]

    monkeypatch.setattr(Learner, "noise", noted)
    monkeypatch.setattr(policy.driver.Tester, "test", lambda tester: tester.learner.restart())
    task = Noisy(Clock(), calls=200)
    with pytest.raises(KeyboardInterrupt):
        run(task, Spec(), None)
    assert [step for step, _ in begun].count(1) > 1  # also after a new beginning
    assert all((noise is None) == (step < NOISE_FROM) for step, noise in begun)
