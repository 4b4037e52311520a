"""Races of a policy against constant rates, with tests at fixed steps."""

import pytest
import torch

from benchmarks import fresh_races
from benchmarks.fresh_races import measure, steps_to_target, summaries
from checkpoints_to_source.train_file import HAND_SET
from metalearn.races import Race
from policy.checkpoint import Policy
from tasks import Variant, build_task


def test_means_over_a_family_and_over_all():
    rows = [
        {"family": "a", "kind": "usual", "costs": [0.25, 0.5]},
        {"family": "a", "kind": "usual", "costs": [0.5, 1.0]},
        {"family": "b", "kind": "usual", "costs": [1.0, 0.25]},
        {"family": "b", "kind": "scarce", "costs": [0.5, 1.0]},
    ]
    found = summaries(rows)
    little = ["b, little data", "all, little data"]
    assert list(found) == ["a", "b", "all", *little]
    assert [found[name]["ratio"] for name in little] == pytest.approx([2, 2])
    assert [found[name]["races"] for name in ("a", "b", "all")] == [2, 1, 3]
    assert found["a"]["speedups"] == pytest.approx([1 / 0.375, 1 / 0.75])
    assert found["a"]["ratio"] == pytest.approx(2) == found["a"]["interval"][0]
    assert found["all"]["ratio"] == pytest.approx(1)
    low, high = found["all"]["interval"]
    assert low == pytest.approx(0.25) and high == pytest.approx(2)


def test_a_race_repeats_exactly_and_ends_at_the_baselines_steps():
    variant = Variant("mlp", "digits", {"width": 16, "depth": 1}, {}, 32, 1)
    first = build_task(variant)
    start = first.test(first.state)
    easy = Race(variant, 0.8 * start, 60)
    found = steps_to_target(easy, HAND_SET, None)
    assert 0 < found < 60
    torch.manual_seed(7)
    assert steps_to_target(easy, HAND_SET, None) == found
    assert steps_to_target(Race(variant, 0.0, 15), HAND_SET, None) == 15


def test_costs_are_steps_over_the_baselines(monkeypatch):
    race = Race(Variant("mlp", "digits", {"width": 16, "depth": 1}, {}, 32, 1), 1.8, 60)
    monkeypatch.setattr(fresh_races, "draw_race", lambda seed, kind: race if seed == 3 else None)
    policies = [Policy(HAND_SET, None), Policy(HAND_SET._replace(base_rate=1e-9), None)]
    (row,) = measure((3, "long", policies))
    assert row["costs"] == [steps_to_target(race, HAND_SET, None) / 60, 1.0]
    assert row["costs"][0] < 1 and (row["seed"], row["family"]) == (3, "mlp")
    assert row["kind"] == "long" and measure((4, "long", policies)) == []
