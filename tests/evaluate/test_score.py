"""Scores against values computed by hand."""

import math

import numpy as np
import pytest

from evaluate.outcomes import Outcome
from evaluate.score.score import (
    bootstrap_interval,
    mean_speed_up,
    score_pair,
    speed_up,
)


def test_harmonic_mean_of_speed_ups_is_inverse_of_mean_relative_time():
    assert mean_speed_up([[1.0], [1 / 2], [1 / 4]]) == pytest.approx(12 / 7)


def test_one_miss_makes_the_strict_mean_zero():
    assert mean_speed_up([[0.5], [math.inf]]) == 0


def test_speed_up_uses_the_median_cost():
    assert speed_up([0.25, 1.0, 0.5]) == 2.0
    assert speed_up([0.5, 0.5, math.inf]) == 2.0
    assert speed_up([0.5, math.inf]) == 0.0  # half of the runs missed


def test_pair_is_scored_repeat_by_repeat(make_result):
    baselines = [
        make_result(role="baseline", repeat=0, seconds=10.0, steps=100),
        make_result(role="baseline", repeat=1, seconds=20.0, steps=300),
    ]
    runs = [
        make_result(repeat=0, seconds=5.0, steps=25),
        make_result(repeat=1, seconds=5.0, steps=75),
    ]
    score = score_pair(baselines, runs)
    assert score.seconds == (0.5, 0.25)
    assert score.steps == (0.25, 0.25)
    assert speed_up(score.seconds) == pytest.approx(1 / 0.375)
    assert speed_up(score.steps) == 4.0
    assert score.solved


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome != "reached"])
def test_miss_costs_infinity_or_the_limit(make_result, outcome):
    baselines = [make_result(role="baseline", seconds=10.0, steps=100)]
    missed = make_result(outcome=outcome, seconds=1.0, steps=3, limit_seconds=50.0)
    score = score_pair(baselines, [missed])
    assert score.seconds == score.steps == (math.inf,)
    assert score.seconds_at_limit == score.steps_at_limit == (5.0,)
    assert not score.solved


@pytest.mark.parametrize("limits", [{"limit_seconds": 1.0}, {"limit_steps": 10}])
def test_miss_with_a_limit_below_the_baseline_is_no_speed_up(make_result, limits):
    baselines = [make_result(role="baseline", seconds=10.0, steps=100)]
    missed = make_result(outcome=Outcome.STOPPED, seconds=0.5, steps=3, **limits)
    score = score_pair(baselines, [missed])
    assert score.seconds_at_limit == score.steps_at_limit == (1.0,)


def test_run_without_steps_counts_as_one_step(make_result):
    """It may compute its own gradients, or reuse the result of another run."""
    baselines = [make_result(role="baseline", steps=100)]
    assert score_pair(baselines, [make_result(steps=0)]).steps == (0.01,)


def test_no_score_without_a_baseline_that_reached_the_target(make_result):
    failed = make_result(role="baseline", outcome=Outcome.STOPPED)
    other_repeat = make_result(role="baseline", repeat=1)
    assert score_pair([failed, other_repeat], [make_result()]) is None


def test_bootstrap_needs_repeats_and_brackets_the_mean():
    assert bootstrap_interval([[0.5], [0.2]]) is None
    assert bootstrap_interval([]) is None
    assert bootstrap_interval([[0.5, 0.5], [0.25, 0.25]]) == pytest.approx((8 / 3, 8 / 3))
    costs = [[0.4, 0.5, 0.6], [0.2, 0.25, 0.3]]
    low, high = bootstrap_interval(costs)
    assert 1 / 0.45 <= low < mean_speed_up(costs) < high <= 1 / 0.3


def test_bootstrap_interval_holds_95_of_100_resampled_means():
    draws = np.random.default_rng(1).lognormal(size=(1, 400))
    means = [
        1 / np.median(np.random.default_rng(seed).choice(draws[0], 400)) for seed in range(1000)
    ]
    low, high = bootstrap_interval(draws.tolist())
    assert np.mean([low <= mean <= high for mean in means]) == pytest.approx(0.95, abs=0.02)


def test_bootstrap_reaches_zero_when_misses_can_be_the_median():
    low, high = bootstrap_interval([[0.5, 0.5, math.inf]])
    assert low == 0.0 and high == 2.0
