"""The tuned peer gets the best point of its grid."""

from pathlib import Path

import pytest

from evaluate.outcomes import Outcome
from evaluate.score.tuning import COSINES, FALLBACK, LEARNING_RATES, best_point, grid
from evaluate.submission import Submission

TUNED = Submission(Path("adam_tuned.py"), "adam_tuned", "a" * 64, is_peer=True)


def test_grid_is_the_product_and_each_point_a_separate_peer():
    points = grid(TUNED)
    assert len(points) == len(LEARNING_RATES) * len(COSINES)
    assert len({point.sha256 for point in points}) == len(points)
    assert all(point.is_peer for point in points)


@pytest.fixture
def grid_run(make_result):
    """Return a function that runs points, and its limits; three points reach the target."""
    steps = {(2e-3, None): 300, (8e-3, 0.5): 200, (4e-3, 1.0): 250}
    limits = []

    def run_one(peer, most_steps):
        limits.append(most_steps)
        taken = steps.get((peer.given["learning_rate"], peer.given["cosine"]), 10**9)
        missed = taken > most_steps
        return make_result(steps=taken, outcome=Outcome.TIMEOUT if missed else Outcome.REACHED)

    return lambda peers, most_steps: [run_one(peer, most_steps) for peer in peers], limits


@pytest.mark.parametrize("at_once", [1, 4])
def test_fewest_steps_win_and_bound_later_points(grid_run, at_once):
    run, limits = grid_run
    assert best_point(TUNED, 400, run, at_once) == {"learning_rate": 8e-3, "cosine": 0.5}
    assert limits == sorted(limits, reverse=True)
    assert (limits[0], limits[-1]) == (400, 200)
    assert len(limits) == len(grid(TUNED))


def test_points_run_at_the_requested_concurrency(make_result):
    counts = []

    def run(peers, most_steps):
        counts.append(len(peers))
        return [make_result(outcome=Outcome.TIMEOUT)] * len(peers)

    assert best_point(TUNED, 400, run, at_once=4) == FALLBACK
    assert counts == [4] * 7 + [2]


def test_pair_that_no_point_solves_falls_back(make_result):
    def run(peers, most_steps):
        return [make_result(outcome=Outcome.TIMEOUT)] * len(peers)

    assert best_point(TUNED, 400, run) == FALLBACK
