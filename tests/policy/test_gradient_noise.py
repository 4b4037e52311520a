"""The batch size in whole runs of the driver, and the gradient noise that sets it."""

import math

import pytest
import torch
from clock import Clock

import policy.driver.run
from policy.driver.batch_size import LEAST_SIZE, BatchSize
from policy.driver.learner import LEAST_SHARE, Learner
from policy.driver.run import run
from policy.driver.stopwatch import Stopwatch
from policy.rule.spec import Spec


class Noisy:
    """Least squares with noisy gradients.

    A step on more samples takes the same time if `is_free`, and proportionally longer otherwise.
    """

    default_batch_size, target_test_loss = 8, -1.0

    def __init__(self, clock, resets=False, calls=1000, noise=200.0, is_free=True, opening=0.0):
        self.clock, self.resets, self.calls, self.opening = clock, resets, calls, opening
        self.noise, self.is_free = noise, is_free
        self.state = [torch.full((400,), 3.0)]
        self.generator = torch.Generator().manual_seed(0)
        self.asked, self.used, self.was_reset = [], [], False

    def train_iterator(self, batch_size, shuffle):
        self.asked.append(batch_size)
        self.was_reset = False
        self.clock.now += self.opening
        return [batch_size] * (4000 // batch_size)

    def batch_loss(self, batch):
        return float(self.state[0].pow(2).mean())

    def batch_loss_and_gradient(self, batch):
        if self.resets and self.was_reset and batch != self.default_batch_size:
            raise RuntimeError("hidden state of the default batch size")
        self.clock.now += 1.0 if self.is_free else batch / 8
        self.used.append(batch)
        self.calls -= 1
        if not self.calls:
            raise KeyboardInterrupt
        noise = torch.randn(400, generator=self.generator) * (self.noise / batch) ** 0.5
        return self.batch_loss(batch), [self.state[0] + noise]

    def test(self, state):
        self.was_reset = True
        return self.batch_loss(None)


def driven(monkeypatch, **settings):
    """Return a noisy task after the driver's run on it."""
    clock = Clock()
    monkeypatch.setattr(policy.driver.run, "Stopwatch", lambda wait: Stopwatch(wait, clock))
    task = Noisy(clock, **settings)
    with pytest.raises(KeyboardInterrupt):
        run(task, Spec(base_rate=1.5e-3), None)
    return task


@pytest.mark.parametrize("resets", [False, True], ids=["", "hidden state is reset by tests"])
def test_driver_uses_a_larger_size(monkeypatch, resets):
    task = driven(monkeypatch, resets=resets)
    assert max(task.used) > task.default_batch_size
    assert (task.used[-1] == task.default_batch_size) == resets


@pytest.mark.parametrize("resets", [False, True], ids=["", "hidden state is reset by tests"])
def test_driver_uses_a_smaller_size(monkeypatch, resets):
    task = driven(monkeypatch, resets=resets, noise=0.0, is_free=False)
    assert min(task.used) == LEAST_SIZE == task.default_batch_size // 2
    assert (task.used[-1] == task.default_batch_size) == resets


def test_driver_keeps_the_default_size_with_slow_epoch_starts(monkeypatch):
    """The start of an epoch doesn't count as the time of a batch."""
    task = driven(monkeypatch, opening=400.0, calls=1200)
    assert task.asked == 3 * [task.default_batch_size]


def constant_learner(shapes, **settings):
    """Return a learner of zero weights with constant rates."""

    class Task:
        state, target_test_loss = [torch.zeros(shape) for shape in shapes], 0.0

    return Learner(Task, Spec(**settings), None)


def test_rates_follow_the_fourth_root_of_the_batch_size():
    learner, batch_size = constant_learner([(3, 4), (4,)]), BatchSize(8)
    before, rates = learner.rates(), learner.carry.rates.clone()
    for size, factor in ((128, 2.0), (8, 1.0), (4, 1.0)):
        batch_size.size = size
        learner.scale_rates(batch_size.rate_factor())
        assert learner.rates() == pytest.approx([factor * rate for rate in before])
        assert torch.allclose(learner.carry.rates, factor * rates)


def test_driver_scales_rates_by_each_batch(monkeypatch):
    seen, step = set(), Learner.step

    def noted_step(learner, loss, gradients):
        seen.add((learner.task.used[-1], learner.batch_factor))
        return step(learner, loss, gradients)

    monkeypatch.setattr(Learner, "step", noted_step)
    task = driven(monkeypatch)
    assert max(task.used) > task.default_batch_size
    assert seen == {(size, (size / task.default_batch_size) ** 0.25) for size in set(task.used)}


def test_restart_keeps_the_factor_of_the_batch():
    learner = constant_learner([(3, 4), (4,)])
    learner.restart(1e-3)
    careful = learner.rates()
    learner.scale_rates(2.0)
    learner.restart(1e-3)
    assert learner.rates() == pytest.approx([2 * rate for rate in careful])


def test_noise_scale_of_a_known_gradient():
    generator = torch.Generator().manual_seed(0)
    for scale in (0.0, 0.5, 2.0, 8.0):
        learner = constant_learner([(20_000,)], base_rate=0.0)
        mean = torch.randn(20_000, generator=generator).sign()
        first, second = (
            mean + scale**0.5 * torch.randn(20_000, generator=generator) for _ in range(2)
        )
        assert learner.step(1.0, [mean]) is None
        learner.hold([first])
        assert learner.step(1.0, [second]) == pytest.approx(scale, rel=0.2, abs=1e-6)
        assert torch.allclose(learner.gradients[0], (first + second) / 2)
        assert learner.step(1.0, [mean]) is None


MOST = 1 / LEAST_SHARE - 1


@pytest.mark.parametrize(
    "gradient, noise, size",
    [(0.0, MOST, 32), (-1.0, MOST, 32), (1e30, math.nan, 16), (math.nan, math.nan, 16)],
)
def test_noise_of_uninformative_gradients(begun, gradient, noise, size):
    """Noise is bounded, so a larger batch is tried; or it is NaN, and the size stays."""
    learner = constant_learner([(3, 4)])
    learner.hold([torch.ones(3, 4)])
    found = learner.step(1.0, [torch.full((3, 4), gradient)])
    assert found == pytest.approx(noise, nan_ok=True)
    batch_size = begun(16)
    batch_size.decide(found)
    assert batch_size.size == size


def test_gradient_of_other_weights_is_dropped():
    for change in (lambda learner: learner.restart(1e-3), lambda learner: learner.restore(False)):
        learner = constant_learner([(3, 4)])
        learner.step(1.0, [torch.ones(3, 4)])
        learner.hold([torch.ones(3, 4)])
        learner.carry.buffers.momentum.fill_(math.nan)
        change(learner)
        assert learner.step(1.0, [torch.ones(3, 4)]) is None
