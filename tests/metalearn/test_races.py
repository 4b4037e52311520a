"""Races: targets on the baseline's curve, and tasks that yield none."""

import pytest

from metalearn import races
from metalearn.races import draw_race
from tasks import Variant

VARIANT = Variant("mlp", "digits", {"width": 24, "depth": 1}, batch_size=32, seed=3)


@pytest.fixture
def race(monkeypatch):
    monkeypatch.setattr(races, "sample_working_size", lambda seed: (VARIANT, 150))
    return draw_race(0)


def test_target_is_the_lowest_loss_at_its_first_step(race):
    assert race.variant == VARIANT and 60 <= race.steps <= 150
    assert 0 < race.target < 1


def test_long_race_has_three_times_the_steps(race, monkeypatch):
    monkeypatch.setattr(races, "race_of", lambda variant, horizon: (variant, horizon))
    assert draw_race(0, "long") == (VARIANT, 450)


def test_races_without_baseline_progress_are_dropped(monkeypatch):
    monkeypatch.setattr(races, "sample_working_size", lambda seed: (VARIANT, 50))
    assert draw_race(0) is None
