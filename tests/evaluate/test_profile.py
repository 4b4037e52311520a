"""Performance profiles against values computed by hand."""

import math

import pytest

from evaluate.score.profile import area, ratios, share_within

COSTS = {"a": [1.0, 2.0, math.inf], "b": [2.0, 1.0, 3.0], "c": [math.inf] * 3}


def test_ratios_are_relative_to_the_best_on_each_pair():
    assert ratios(COSTS) == {
        "a": [1.0, 2.0, math.inf],
        "b": [2.0, 1.0, 1.0],
        "c": [math.inf] * 3,
    }


def test_pair_missed_by_all_counts_for_none():
    assert ratios({"a": [math.inf, 1.0], "b": [math.inf, 4.0]}) == {
        "a": [math.inf, 1.0],
        "b": [math.inf, 4.0],
    }


def test_share_within_and_area_under_the_profile():
    a = ratios(COSTS)["a"]
    assert [share_within(a, tau) for tau in (1.0, 1.9, 2.0, 4.0)] == pytest.approx(
        [1 / 3, 1 / 3, 2 / 3, 2 / 3]
    )
    # The integral of rho from 1 to 4, over 3: (1 * 1/3 + 2 * 2/3) / 3.
    assert area(a) == pytest.approx(5 / 9)
    assert area([1.0, 1.0]) == 1.0 and area([math.inf]) == 0.0
