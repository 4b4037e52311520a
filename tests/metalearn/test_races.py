"""Races: targets on the baseline's curve, and when a run crosses them."""

import math

import pytest

from metalearn import races
from metalearn.races import draw_race
from tasks import Variant

VARIANT = Variant("mlp", "digits", {"width": 24, "depth": 1}, batch_size=32, seed=3)


@pytest.fixture
def race(monkeypatch):
    monkeypatch.setattr(races, "sample_working_size", lambda seed, files: (VARIANT, 150))
    return draw_race(0)


def test_the_target_is_the_lowest_loss_and_its_first_step(race):
    assert race.variant == VARIANT and 60 <= race.steps <= 150
    assert 0 < race.target < 1


def test_a_long_race_is_the_same_for_three_times_the_steps(race, monkeypatch):
    monkeypatch.setattr(races, "race_of", lambda variant, horizon: (variant, horizon))
    assert draw_race(0, "long") == (VARIANT, 450)


def test_races_that_the_baseline_hardly_runs_are_none(monkeypatch):
    monkeypatch.setattr(races, "sample_working_size", lambda seed, files: (VARIANT, 50))
    assert draw_race(0) is None


@pytest.mark.parametrize(
    ("tests", "target", "step"),
    [
        ([(10, 0.9)], 2.0, 10),
        ([(30, 0.4)], 0.7, 30),
        ([(10, 3.0), (20, 1.0)], 2.0, 15),
        ([(0, 2.0), (10, 1.0), (30, 0.4)], 0.7, pytest.approx(20.0)),
        ([(10, 3.0), (20, 2.5)], 2.0, 20),
        ([(10, math.inf), (20, 1.0)], 2.0, 20),
        # The live weights, tested right after the averaged ones, share their step.
        ([(10, 1.0), (30, 0.8), (30, 0.4)], 0.7, pytest.approx(20.0)),
    ],
    ids=["at once", "at once, late", "in between", "last", "not yet", "infinite", "same step"],
)
def test_crossings_lie_on_the_line_between_two_tests(tests, target, step):
    assert races.crossing(tests, target) == step
