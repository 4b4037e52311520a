"""When to test: rules replayed on made-up curves, with steps of one second."""

import math
import random

import pytest

from policy.driver.schedule import Schedule

STEPS = 3000


def training_curve(noise=0.1, seed=0):
    generator = random.Random(seed)
    return [2.3 * (1 + n / 30) ** -0.5 + generator.gauss(0, noise) for n in range(STEPS)]


def replay(train, tested, target, cost):
    """Return tests as `(step, test loss)` until one is below the target, and the final time."""
    schedule = Schedule(target, 0.0)
    now, tests = 0.0, []
    for step, (loss, test_loss) in enumerate(zip(train, tested, strict=True)):
        now += 1
        schedule.observe(loss, 1)
        if schedule.is_due(now):
            now += cost
            tests.append((step, test_loss))
            if test_loss < target:
                break
            schedule.record(test_loss, now - cost, now)
    return tests, now


CURVES = {
    "equal to the training loss": lambda y: y,
    "above it": lambda y: y + 1,
    "below it": lambda y: y - 0.5,
    "steeper": lambda y: 2 * y,
    "flatter": lambda y: 0.3 * y + 1,
    "negative": lambda y: y - 5,
}


@pytest.mark.parametrize("cost", [1, 15, 60])
@pytest.mark.parametrize("crossing", [100, 400, 1500])
@pytest.mark.parametrize("name", CURVES)
def test_little_time_is_lost_against_an_oracle_tester(name, crossing, cost):
    tested = [CURVES[name](y) for y in training_curve(noise=0.0)]
    tests, now = replay(training_curve(), tested, tested[crossing], cost)
    assert tests[-1][1] < tested[crossing]
    # The gap between test and training loss is unknown at first, and finding it costs some tests.
    assert now - (crossing + 1 + cost) <= 0.25 * crossing + 7 * cost


@pytest.mark.parametrize("cost", [1, 15, 60])
def test_hopeless_runs_spend_little_on_tests(cost):
    train = training_curve()
    floor = [max(y, 0.6) for y in training_curve(noise=0.0)]
    tests, now = replay(train, floor, 0.3, cost)
    assert len(tests) * cost < 0.3 * now


def test_crossing_hidden_from_the_training_loss_is_found():
    train = [2.0 + 0.1 * math.sin(n) for n in range(STEPS)]
    tested = [2.3 if n < 400 else 1.0 for n in range(STEPS)]
    tests, _ = replay(train, tested, 1.5, cost=5)
    assert tests[-1][1] == 1.0 and tests[-1][0] < 800


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300])
def test_uninformative_values_are_harmless(value):
    schedule = Schedule(0.5, 0.0)
    for step in range(1, 200):
        schedule.observe(value if step % 3 else 1.0, 1)
        if schedule.is_due(float(step)):
            schedule.record(value, step, step + 1)
        assert 0 <= schedule.expected_delay <= step


@pytest.mark.parametrize(("target", "step"), [(math.inf, 6), (-math.inf, 51), (math.nan, 51)])
def test_targets_that_are_not_finite(target, step):
    """An infinite target is always reached, the others never are."""
    schedule = Schedule(target, 0.0)
    schedule.observe(1.0, 1)
    assert [schedule.is_due(float(i)) for i in range(1, step + 1)] == [False] * (step - 1) + [True]


def test_free_tests_are_made_at_every_step():
    schedule = Schedule(0.5, 0.0)
    for _ in range(20):
        schedule.observe(1.0, 1)
    schedule.record(1.0, 20.0, 20.0)
    assert all(schedule.is_due(20.0 + step) for step in range(1, 5))


def test_first_test_follows_the_crossing_of_the_training_loss():
    """It follows a few steps later, or after 50 if the loss never crosses."""
    for train, expected in ((lambda step: 1.0 if step < 20 else 0.1, 26), (lambda step: 1.0, 50)):
        schedule, step, due = Schedule(0.5, 0.0), 0, None
        while not due:
            step += 1
            schedule.observe(train(step), 1)
            due = schedule.is_due(float(step))
        assert abs(step - expected) <= 2


def test_gap_between_test_and_training_loss_is_learned():
    """A training loss below the target then causes no test until it has fallen further."""
    schedule = Schedule(1.0, 0.0)
    for _ in range(100):
        schedule.observe(0.9, 1)
    schedule.record(1.9, 100.0, 110.0)
    late = []
    for step in range(111, 400):
        schedule.observe(0.9, 1)
        late.append(schedule.is_due(float(step)))
    after = late.index(True)
    assert after > 50, "the guess alone has it tested"
    schedule.record(1.9, 400.0, 410.0)
    for _ in range(100):
        schedule.observe(-0.5, 1)
    assert [schedule.is_due(410.0 + i) for i in range(1, 14)].index(True) >= 9


def test_next_test_waits_for_two_thirds_of_the_last_ones_cost():
    for cost, expected in ((5.0, 4), (20.0, 13)):
        schedule = Schedule(0.5, 0.0)
        schedule.observe(0.1, 1)
        schedule.record(0.5, 0.0, 100.0)
        schedule.record(0.5, 1000.0, 1000.0 + cost)
        for _ in range(30):
            schedule.observe(0.0, 1)
        due = [schedule.is_due(1000.0 + cost + i) for i in range(1, 50)]
        assert abs(due.index(True) + 1 - expected) <= 1


def test_restarted_run_knows_the_cost_of_a_test():
    schedule = Schedule(0.5, 300.0, cost=20.0)
    schedule.observe(0.1, 1)
    assert [schedule.is_due(300.0 + i) for i in range(1, 30)].index(True) == 11
