"""Policies against each other: their costs on a race, and the table of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import race_costs
from benchmarks.policy_races import table
from benchmarks.race_costs import costs, steps_to_target
from benchmarks.statistics import geometric_mean
from checkpoints_to_source.train_file import HAND_SET
from metalearn.races import Race
from policy.checkpoint import Policy
from tasks import Variant

ROOT = Path(__file__).parents[2]
RESULT = json.loads((ROOT / "docs" / "results" / "policy_races.json").read_text())


def test_costs_are_steps_over_the_baselines(monkeypatch):
    race = Race(Variant("mlp", "digits", {"width": 16, "depth": 1}, {}, 32, 1), 1.8, 60)
    monkeypatch.setattr(race_costs, "draw_race", lambda seed, kind: race if seed == 3 else None)
    policies = [Policy(HAND_SET, None), Policy(HAND_SET._replace(base_rate=1e-9), None)]
    (row,) = costs((3, "long", policies))
    assert row["costs"] == [steps_to_target(race, HAND_SET, None) / 60, 1.0]
    assert row["costs"][0] < 1 and (row["seed"], row["family"]) == (3, "mlp")
    assert row["kind"] == "long" and costs((4, "long", policies)) == []


def test_the_table_compares_to_the_first():
    rows = [
        {"seed": 1, "family": "a", "kind": "long", "costs": [0.5, 0.25]},
        {"seed": 1, "family": "a", "kind": "scarce", "costs": [0.5, 0.5]},
        {"seed": 2, "family": "b", "kind": "scarce", "costs": [0.2, 0.8]},
    ]
    shown = table({**RESULT, "policies": ["one", "two"], "rows": rows}).splitlines()
    header, _, first, second = shown[:4]
    assert header.endswith("| 1 long | 2 scarce | 2 a | 1 b |")
    assert first.startswith("| one | 2.50 | 1.00 (1.00 to 1.00) | 1.00 |")
    cells = second.strip("| ").split(" | ")
    assert cells[:2] == ["two", "1.94"] and cells[3:] == ["2.00", "0.50", "1.41", "0.25"]
    assert float(cells[2].split()[0]) == pytest.approx(0.79, abs=0.01)


def test_races_of_one_network_are_drawn_together():
    """Twice as many races that tell the same make the interval no narrower."""
    logs = np.random.default_rng(1).normal(size=30)
    mean, (low, high) = geometric_mean(logs)
    twice, networks = np.repeat(logs, 2), np.repeat(np.arange(30), 2)
    again, (lower, higher) = geometric_mean(twice, networks)
    assert again == pytest.approx(mean)
    assert (lower, higher) == pytest.approx((low, high))
    _, (narrow, _) = geometric_mean(twice)
    assert mean - narrow < 0.85 * (mean - lower)
