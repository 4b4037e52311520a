"""The driver on a friendly task: its steps, tests and records, and the final weights."""

import pytest
import torch
from clock import Clock

import policy.driver.rescue
import policy.driver.tester
from policy.driver.learner import Learner
from policy.driver.rescue import CALM
from policy.driver.run import run
from policy.driver.stopwatch import Stopwatch
from policy.rule.layout import Layout
from policy.rule.spec import Spec
from policy.rule.step import learned_step, start_carry
from policy.rule.units import natural_units
from policy.rule.weights import initial_weights

SPEC = Spec(base_rate=5e-3)


def test_done_propagates_with_the_winning_weights_in_place(Bowl, finish):
    task = Bowl()
    assert finish(task) == "done"
    assert task.true_loss() < task.target_test_loss
    assert all(loss >= task.target_test_loss for loss in task.tested)


def test_weights_follow_the_functional_step(Bowl, finish):
    seen = []

    class Task(Bowl):
        target_test_loss = -1.0

        def train_iterator(self, batch_size, shuffle):
            return iter(range(10))  # without length, so the batch size stays

        def gradients(self):
            seen.append([p.clone() for p in self.state])
            return super().gradients()

    task = Task(calls=40)
    assert finish(task) == "limit"

    task = Bowl()
    weights = initial_weights(SPEC, 0)
    layout = Layout([p.shape for p in task.state])
    carry = start_carry(SPEC, layout, layout.pack(task.state))
    for t, weight in enumerate(seen):
        for ours, expected in zip(weight, layout.unpack(carry.buffers.weight), strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)
        gradient = layout.pack([w - 1 for w in weight])  # rounding errors must not feed back
        loss = torch.tensor(task.true_loss(weight) + 1)  # minus the target
        carry = learned_step(SPEC, weights, layout, carry, gradient, loss, t % SPEC.stride == 0)
    assert len(seen) == 40


def silent_rates(task, spec=SPEC):
    """Return the base rate of each tensor, in natural units."""
    layout = Layout([p.shape for p in task.state])
    units = natural_units(layout, layout.pack(task.state))
    return (spec.base_rate * units).tolist()


def test_trace_has_a_rate_per_tensor_and_test(Bowl, finish):
    trace, spec = [], Spec(base_rate=2e-3)
    assert finish(Bowl(calls=900), spec, trace) == "done"
    steps = [step for step, _ in trace]
    assert steps == sorted(set(steps))
    for _, rates in trace:
        assert rates == pytest.approx(silent_rates(Bowl(), spec))


def test_rates_are_constant_without_weights(Bowl, finish, unrestrain):
    unrestrain()  # only the output sets rates
    constant, spoken = [], []
    assert finish(Bowl(), trace=constant, weights=None) == "done"
    weights = initial_weights(SPEC, 0)
    weights["head.bias"] += 1.0
    assert finish(Bowl(), trace=spoken, weights=weights) == "done"
    for _, rates in constant:
        assert rates == pytest.approx(silent_rates(Bowl()))
    assert spoken[0][1][1] > 2 * constant[0][1][1]


def test_averaged_weights_are_tested_and_live_ones_trained(Bowl, finish):
    """On a bowl with noisy gradients the average is better."""
    live = []

    class Task(Bowl):
        target_test_loss = -1.0
        generator = torch.Generator().manual_seed(0)

        def gradients(self):
            live.append(self.true_loss())
            return [g + torch.randn(g.shape, generator=self.generator) for g in super().gradients()]

    task = Task(calls=400)
    assert finish(task, Spec(base_rate=3e-2)) == "limit"
    late = live[200:]
    assert min(task.tested) < 0.5 * sum(late) / len(late)


def test_best_weights_are_left(Bowl, finish, monkeypatch):
    """Training goes past the optimum of the test loss."""
    monkeypatch.setattr(Learner, "restart", lambda learner, rate: None)

    class Task(Bowl):
        target_test_loss = -1.0

        def gradients(self):
            return [p - 3 for p in self.state]

    task = Task(calls=2000)  # enough for the last test to come late
    assert finish(task, Spec(base_rate=2e-4)) == "limit"
    assert task.tested[-1] > 2 * min(task.tested)
    assert task.true_loss() == pytest.approx(min(task.tested), rel=1e-3)


def test_interrupt_during_a_test_leaves_the_best_weights(Bowl):
    class Task(Bowl):
        target_test_loss = 1e-5

        def test(self, state):
            if len(self.tested) == 2:
                state[0].fill_(9.0)
                raise KeyboardInterrupt
            return super().test(state)

    task = Task(calls=3000)  # tests follow the clock
    with pytest.raises(KeyboardInterrupt):
        run(task, SPEC, initial_weights(SPEC, 0))
    assert task.true_loss() == pytest.approx(min(task.tested), rel=1e-3)


@pytest.mark.parametrize("calm", [CALM, 1.0], ids=["rates fall on a plateau", "they never fall"])
def test_rates_too_high_for_the_target(Bowl, finish, monkeypatch, calm):
    monkeypatch.setattr(policy.driver.rescue, "CALM", calm)
    monkeypatch.setattr(Learner, "restart", lambda learner, rate: None)

    class Task(Bowl):
        """A noisy asymmetric valley, where the average of overlong steps misses the floor."""

        target_test_loss = 0.025
        generator = torch.Generator().manual_seed(0)

        def true_loss(self, state=None):
            parts = [(p.detach() - 1).reshape(-1) for p in (state or self.state)]
            distance = torch.cat(parts)
            return float(torch.where(distance > 0, distance, -9 * distance).mean())

        def gradients(self):
            noise = [torch.randn(p.shape, generator=self.generator) for p in self.state]
            slopes = [torch.where(p > 1, p.new_tensor(1.0), p.new_tensor(-9.0)) for p in self.state]
            return [slope + n for slope, n in zip(slopes, noise, strict=True)]

    outcome = finish(Task(calls=12000), Spec(base_rate=0.03), weights=None)
    assert outcome == ("done" if calm < 1 else "limit")


def test_restart_is_adam_from_the_initial_weights(Bowl):
    task = Bowl()
    learner = Learner(task, SPEC, initial_weights(SPEC, 0))
    for _ in range(7):
        learner.step(task.true_loss(), task.gradients())
    learner.keep_best()
    best = learner.best.clone()
    learner.restart(1e-3)
    assert all((p == 0).all() for p in task.state) and torch.equal(learner.best, best)
    fresh = Bowl()
    adam = torch.optim.Adam(fresh.state, lr=1e-3)
    for _ in range(10):
        learner.step(task.true_loss(), task.gradients())
        for weight, gradient in zip(fresh.state, fresh.gradients(), strict=True):
            weight.grad = gradient
        adam.step()
    for weight, expected in zip(task.state, fresh.state, strict=True):
        assert torch.allclose(weight, expected, rtol=1e-5, atol=0) and (weight != 0).all()


def test_nothing_is_orthogonalised_after_a_restart(Bowl, monkeypatch):
    task = Bowl()
    learner = Learner(task, SPEC, initial_weights(SPEC, 0))
    learner.restart(1e-3)
    monkeypatch.setattr("policy.rule.orthogonal.orthogonalise", None)
    learner.step(task.true_loss(), task.gradients())
    assert task.true_loss() < 1


@pytest.mark.parametrize("asking", [0.5, 2.0])
def test_wide_matrices_are_divided_if_updates_dominate(Bowl, finish, monkeypatch, asking):
    clock = Clock()

    class Wide(Bowl):
        def make_state(self):
            return [torch.zeros(200, 300), torch.zeros(5)]

        def gradients(self):
            clock.spend(asking)
            return super().gradients()

    learners, step = [], Learner.step

    def slow_step(learner, *arguments):
        learners.append(learner)
        clock.spend(1.0)
        return step(learner, *arguments)

    monkeypatch.setattr(Learner, "step", slow_step)
    monkeypatch.setattr("policy.driver.run.Stopwatch", lambda wait: Stopwatch(wait, clock))
    finish(Wide(calls=5))
    sides = {side for stacks in learners[0].layout.alike.values() for side in stacks[0].sides}
    assert sides == ({50, 300} if asking < 1.0 else {200, 300})
