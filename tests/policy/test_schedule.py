"""When to test: rules replayed on made-up curves, where a step takes one second."""

import math
import random

import pytest

from policy.driver.forecast import Forecast
from policy.driver.schedule import Schedule

STEPS = 3000


def training_curve(noise=0.1, seed=0):
    generator = random.Random(seed)
    return [2.3 * (1 + n / 30) ** -0.5 + generator.gauss(0, noise) for n in range(STEPS)]


def replay(train, tested, target, cost):
    """Tests as `(step, test loss)` until one is below the target, and the time at the end."""
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
def test_little_time_is_lost_to_an_all_knowing_tester(name, crossing, cost):
    tested = [CURVES[name](y) for y in training_curve(noise=0.0)]
    tests, now = replay(training_curve(), tested, tested[crossing], cost)
    assert tests[-1][1] < tested[crossing]
    # Of an offset that no test has shown yet nothing can be known: a few tests are spent on it.
    assert now - (crossing + 1 + cost) <= 0.25 * crossing + 6 * cost


@pytest.mark.parametrize("cost", [1, 15, 60])
def test_hopeless_runs_spend_little_on_tests(cost):
    train = training_curve()
    floor = [max(y, 0.6) for y in training_curve(noise=0.0)]
    tests, now = replay(train, floor, 0.3, cost)
    assert len(tests) * cost < 0.3 * now


def test_crossing_that_the_training_loss_does_not_show_is_found():
    train = [2.0 + 0.1 * math.sin(n) for n in range(STEPS)]
    tested = [2.3 if n < 400 else 1.0 for n in range(STEPS)]
    tests, _ = replay(train, tested, 1.5, cost=5)
    assert tests[-1][1] == 1.0 and tests[-1][0] < 800


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300])
def test_values_that_tell_nothing_do_no_harm(value):
    schedule = Schedule(0.5, 0.0)
    for step in range(1, 200):
        schedule.observe(value if step % 3 else 1.0, 1)
        if schedule.is_due(float(step)):
            schedule.record(value, step, step + 1)
        assert 0 <= schedule.forecasted <= 1
        assert 0.1 <= round(schedule.trust, 9) <= 0.9


@pytest.mark.parametrize(
    ("target", "expected"), [(math.inf, 1.0), (-math.inf, 0.0), (math.nan, 0.0)]
)
def test_targets_that_are_not_finite(target, expected):
    forecast = Forecast(target)
    forecast.observe(1.0, 1)
    assert forecast.probability() == expected


def test_free_tests_are_made_at_every_step():
    schedule = Schedule(0.5, 0.0)
    for _ in range(20):
        schedule.observe(1.0, 1)
    schedule.record(1.0, 20.0, 20.0)
    assert all(schedule.is_due(20.0 + step) for step in range(1, 5))


def test_a_forecast_that_a_test_refutes_is_trusted_less():
    schedule = Schedule(0.5, 0.0)
    for _ in range(100):
        schedule.observe(0.1, 1)
    before = schedule.trust
    schedule.record(1.0, 100.0, 101.0)
    assert before > 0.8 and schedule.trust < 0.2


def test_the_cost_of_a_test_follows_the_later_ones_and_outlives_a_new_beginning():
    schedule = Schedule(0.5, 0.0)
    schedule.observe(1.0, 1)
    for begin, seconds in ((0.0, 100.0), (200.0, 1.0), (210.0, 1.0), (220.0, 1.0), (230.0, 1.0)):
        schedule.record(1.0, begin, begin + seconds)
    assert 1.0 < schedule.cost < 20.0
    renewed = schedule.renewed(300.0)
    assert renewed.cost == schedule.cost and renewed.forecast.tested is None


def test_forecast_learns_the_gap_between_test_and_training_loss():
    forecast = Forecast(1.0)
    for step in range(400):
        forecast.observe(1.5 - 0.002 * step, 1)
        if step % 50 == 49:
            forecast.record(forecast.smooth + 1.0)
    assert forecast.smooth < 0.9, "the training loss alone would say that the target is crossed"
    assert forecast.probability() < 0.05


def test_forecast_learns_how_far_the_test_loss_moves_with_the_training_loss():
    forecast = Forecast(1.0)
    for step in range(800):
        forecast.observe(3 - 0.003 * step, 1)
        if step < 700 and step % 50 == 49:
            forecast.record(1.1 + 0.1 * forecast.smooth)
    assert forecast.smooth < 0.9, "a test loss that moved as far would have crossed the target"
    assert forecast.probability() < 0.1


def test_older_changes_of_the_test_loss_count_less():
    """By 0.7 a test, in the slope of test on training loss."""
    forecast = Forecast(1.0)
    for smooth, tested in ((4.0, 4.0), (2.0, 2.0), (1.0, 2.0)):
        forecast.smooth = smooth
        forecast.record(tested)
    forecast.smooth = 0.0
    assert forecast._expected() == pytest.approx(2 - (0.7 * 4 + 0) / (0.7 * 4 + 1))


def test_forecast_learns_how_far_it_misses():
    """Two runs whose tests differ by noise alone."""
    chances = []
    for noise in (0.0, 0.3):
        forecast = Forecast(1.8)
        for step in range(400):
            forecast.observe(3 - 0.004 * step, 1)
            if step % 50 == 49:
                forecast.record(forecast.smooth + 0.5 + noise * (-1) ** (step // 50))
        for _ in range(100):
            forecast.observe(1.4, 1)
        chances.append(forecast.probability())
    sure, doubtful = chances
    assert sure < 1e-3 and 0.2 < doubtful < 0.8
