"""Policies are compared on the same episodes, with a target or of fixed length."""

import math

import pytest

from benchmarks import hindsight
from benchmarks.hindsight import ALONE, CONSTANT, HEIGHTS, OFF, TAUGHT
from checkpoints_to_source.report.measured import at_the_best_height
from metalearn.hindsight.course import Course


@pytest.mark.parametrize("is_fixed", [False, True])
def test_group_has_a_number_per_policy_and_episode(pool, monkeypatch, is_fixed):
    monkeypatch.setattr(hindsight, "build", lambda course, number: ("mlp", pool))
    monkeypatch.setattr(Course, "is_fixed", lambda self, number: is_fixed)
    (_, policies), *_ = hindsight.jobs(hindsight.Settings(groups=1))
    policies["twin"] = policies[TAUGHT]
    (row,) = hindsight.measure((0, policies))
    assert row["fixed"] == is_fixed and row["twin"] == row[TAUGHT]
    assert {len(row[name]) for name in policies} == {hindsight.EPISODES}
    assert all(0 < value <= 2 for name in policies for value in row[name])
    assert row[CONSTANT] != row[TAUGHT] != row[OFF] and row[ALONE] != row[OFF]


def test_table_separates_targets_and_fixed_lengths(monkeypatch):
    monkeypatch.setattr(hindsight, "sentence", lambda result: "origin")
    row = {"family": "mlp", "group": 0, TAUGHT: [0.2, 0.4], OFF: [0.4, 0.8], ALONE: [0.2, 0.4]}
    row |= dict.fromkeys(HEIGHTS, [0.4, 0.8]) | {"rates times 2": [0.1, 0.2]}
    rows = [{**row, CONSTANT: [0.1, 0.2], "fixed": is_fixed} for is_fixed in (False, True)]
    text = hindsight.table({"rows": rows})
    assert "| mlp | target | 1 | 3.33 | 0.51" in text and "| all | fixed length | 1 |  |" in text
    assert text.count("| 1.99") == 4  # 0.003 is added to all times
    assert text.count("| 0.51") == 8, "constant rates, and the height that both halves choose"


def test_height_is_scored_on_the_other_half():
    row = {TAUGHT: [0.2, 0.2]} | dict.fromkeys(HEIGHTS, [0.4, 0.4])
    row["rates times 2"], row["rates times 0.5"] = [0.1, 0.4], [0.4, 0.1]
    assert at_the_best_height(row) == pytest.approx(math.log(0.403 / 0.203))
