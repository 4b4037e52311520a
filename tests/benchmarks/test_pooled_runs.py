"""Runs of several evaluations together."""

import math
from dataclasses import replace

import pytest

from benchmarks import pooled_runs
from benchmarks.pooled_runs import (
    BASELINE,
    CONSTANT,
    OURS,
    gathered,
    log_ratios,
    mean_and_interval,
    table,
)
from evaluate.outcomes import Outcome


@pytest.fixture
def evaluation(make_result):
    """Two pairs, two repeats: the baseline in 12 s; ours in 2 and 3 s, constant rates in 4 s."""

    def make(**last):
        runs = []
        for pair in ("one", "two"):
            for repeat, seconds in ((0, 2.0), (1, 3.0)):
                common = {"pair": pair, "repeat": repeat}
                runs += [
                    make_result(role="baseline", seconds=12.0, steps=120, **common),
                    make_result(submission="train", seconds=seconds, steps=30, **common),
                    make_result(submission="policy_free", seconds=4.0, steps=20, **common),
                ]
        runs[-3] = make_result(role="baseline", seconds=12.0, steps=120, **common, **last)
        return gathered(runs)

    return make


def test_means_are_geometric_over_runs_and_harmonic_over_pairs(evaluation):
    """However often initial weights were run, they are no more than those."""
    result = {"rows": [*evaluation(), *evaluation()]}
    found, low, high = mean_and_interval(log_ratios(result, "seconds", BASELINE, OURS))
    assert found == pytest.approx(24**0.5) and 4.0 <= low < found < high <= 6.0
    once = {"rows": evaluation()}
    ratios = log_ratios(once, "seconds", BASELINE, OURS)
    assert mean_and_interval(ratios) == pytest.approx((found, low, high))
    steps = mean_and_interval(log_ratios(result, "steps", CONSTANT, OURS))
    assert steps == pytest.approx([2 / 3] * 3)
    text = table(result)
    assert "4.90 (" in text and "4 at commit fffffff" in text
    assert "| initial weights | 2 | 2 |" in text and "| runs | 4 | 4 |" in text


def test_initial_weights_that_were_run_more_often_count_once(evaluation):
    """Repeat 0, where ours takes 2 seconds of 12, five times as often as repeat 1."""
    (often,) = evaluation()
    (rest,) = evaluation()
    often["runs"] = 4 * [run for run in often["runs"] if run["repeat"] == 0]
    ratios = log_ratios({"rows": [often, rest]}, "seconds", BASELINE, OURS)
    assert len(ratios["one"][0]) == 5 and len(ratios["one"][1]) == 1
    assert mean_and_interval(ratios)[0] == pytest.approx(24**0.5)


def test_a_repeat_in_which_the_baseline_missed_is_left_out(evaluation):
    result = {"rows": evaluation(outcome=Outcome.TIMEOUT)}
    assert [len(found) for found in log_ratios(result, "steps", BASELINE, OURS).values()] == [2, 1]
    assert "1 left out, as the baseline missed" in table(result)


def test_an_evaluation_that_was_resumed_at_another_commit_counts_as_two(make_result):
    """Also where the baseline was run before it was interrupted, and what was not run is none."""
    runs = []
    for repeat, commits in enumerate(["aaa", "abb", "aaa", "bb"]):
        names = ({"role": "baseline"}, {"submission": "train"}, {"submission": "policy_free"})
        runs += [
            make_result(repeat=repeat, git={"commit": commit}, **name)
            for commit, name in zip(commits, names, strict=False)
        ]
    parts = gathered(runs)
    assert [[run["repeat"] for run in part["runs"]] for part in parts] == [[0, 2], [1]]
    assert [(part["commit"], part["left out"]) for part in parts] == [("a", 0), ("b", 0)]


def test_a_miss_of_constant_rates_is_told(make_result):
    runs = [
        make_result(role="baseline"),
        make_result(submission="train"),
        make_result(submission="policy_free", outcome=Outcome.STOPPED),
    ]
    again = [replace(one, repeat=1, outcome=Outcome.REACHED) for one in runs]
    result = {"rows": gathered(runs + again)}
    assert [list(some) for some in log_ratios(result, "steps", CONSTANT, OURS).values()] == [[1]]
    assert "`policy_free` missed 1, which" in table(result)


def test_runs_of_two_machines_are_not_compared(make_result, monkeypatch):
    free = {"submission": "policy_free", "submission_sha256": "c" * 64}
    names = ({"role": "baseline"}, {"submission": "train"}, free)
    machines = [{**make_result().hardware, "cpu": cpu} for cpu in ("old", "new")]
    runs = [make_result(hardware=hardware, **name) for hardware in machines for name in names[:2]]
    runs.append(make_result(hardware=machines[1], **names[2]))
    monkeypatch.setattr(pooled_runs, "load_all", lambda file: runs)
    (part,) = pooled_runs.jobs(pooled_runs.Settings())
    assert part["hardware"]["cpu"] == "new" and len(part["runs"]) == 1


def test_a_miss_of_ours_makes_the_mean_zero(make_result):
    runs = [
        make_result(role="baseline"),
        make_result(submission="train", outcome=Outcome.STOPPED),
        make_result(submission="policy_free"),
    ]
    ratios = log_ratios({"rows": gathered(runs)}, "seconds", BASELINE, OURS)
    assert ratios == {"digits": {0: [-math.inf]}} and mean_and_interval(ratios)[0] == 0
