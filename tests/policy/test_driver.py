"""The driver on a friendly task: its steps, tests and records, and the final weights."""

import math

import pytest
import torch
from clock import Clock

import policy.driver.rescue
import policy.driver.tester
from policy.driver.batch_size import BatchSize
from policy.driver.learner import Learner
from policy.driver.plateau import Plateau
from policy.driver.rescue import CALM, Rescue
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


def test_too_slow_is_relative_to_the_run_so_far():
    plateau = Plateau(target=0.0)
    assert not any(plateau.record(step, 1 / step, 2.0) for step in range(10, 1000, 10))
    ahead = 2 * 3 * 1000
    losses = {step: 0.001 * (1 - (step - 1000) / ahead) for step in range(1000, 2000, 10)}
    slow = [step for step, loss in losses.items() if plateau.record(step, loss, 2.0)]
    assert slow and slow[0] < 1200, "after 1,000 steps the target is twice as far as is allowed"
    steady = Plateau(target=0.0)
    assert not any(steady.record(step, 2 - step / 1000, 3.0) for step in range(1000, 1990, 10))


def test_long_run_is_not_too_slow_early_on():
    """The loss of a sound run falls with the log of time, or as a small power of it."""
    tested = [round(10 * 1.1**i) for i in range(70)]  # up to 7,000 steps
    for loss in (lambda step: -math.log(step), lambda step: step**-0.3):
        plateau = Plateau(target=loss(tested[-1]))
        halfway = (loss(1) + plateau.target) / 2
        late = [step for step in tested[:-1] if plateau.record(step, loss(step), halfway)]
        assert not [step for step in late if step > tested[-1] / 20]


def test_test_without_a_result_does_not_count_for_pace():
    plateau = Plateau(target=0.0)
    losses = [math.nan if step == 500 else 1 / step for step in range(100, 2000, 100)]
    assert not any(plateau.record(100 * i, loss, 2.0) for i, loss in enumerate(losses, 1))


def test_test_noise_does_not_make_a_long_run_too_slow():
    """With a deviation of 1 %, tests rarely make a run restart."""
    generator, begun_anew = torch.Generator().manual_seed(0), 0
    for _ in range(40):
        plateau, step, slow = Plateau(target=1e4**-0.3), 10, 0
        while step < 1e4 and slow < 2:
            noise = 1 + 0.01 * float(torch.randn((), generator=generator))
            is_slow = plateau.record(step, noise * step**-0.3, halfway=0.5)
            slow = slow if is_slow is None else slow + 1 if is_slow else 0
            step += max(5, round(2 * step**0.5))  # a test costs two steps
        begun_anew += slow > 1
    assert begun_anew <= 4


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


def test_minimal_improvement_is_still_too_slow():
    """A run ruined by overlong steps may improve minimally for ever."""
    plateau, loss, found = Plateau(target=0.0), 1.0, []
    for step in range(100, 2000, 100):
        found.append(plateau.record(step, loss, halfway=2.0))
        loss *= 0.999
    assert False not in found and found.count(True) > 10


@pytest.mark.parametrize("first, restarts", [(3.0, 1), (1.0, 2)])
def test_run_that_stays_too_slow_lowers_rates_then_restarts(Bowl, first, restarts):
    """A second restart needs a loss that has not come halfway from the first one."""
    task = Bowl()
    learner = Learner(task, SPEC, initial_weights(SPEC, 0))
    rescue = Rescue(learner, BatchSize(8))
    tester = policy.driver.tester.Tester(task, learner, rescue, trace=None)
    events = []
    for _ in range(4000):
        before = learner.calm, rescue.restarts
        learner.step(1.0, [torch.zeros_like(p) for p in task.state])
        tester.observe(first, 1)
        tester.test()  # an unchanged loss
        after = learner.calm, rescue.restarts
        if after != before:
            events.append("anew" if after[1] != before[1] else "lowered")
    assert events == ["lowered", *["anew"] * restarts]


def test_flat_start_is_reported_as_too_slow_at_intervals():
    plateau = Plateau(target=0.0)
    assert [s for s in range(10, 1000, 10) if plateau.record(s, 1.0, 0.5)] == [310, 610, 910]
