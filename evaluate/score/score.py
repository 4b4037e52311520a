"""Scores: pure functions of results.

The relative cost of a run is c = t / t_baseline: the submission's time (or number of steps) on a
pair over that of the baseline in the same repeat. In the strict score, the challenge's, a miss
costs infinity. In the score at the limit, a miss of any kind costs the limit's time over the
baseline's time: this penalty keeps the other pairs visible. A pair's cost is the median over
repeats, its speed-up 1 / c. Over pairs

    score = harmonic mean of the speed-ups = n / sum(1 / speed-up) = 1 / mean(c),

so one miss makes the strict score 0. The harmonic mean is the right mean of rates over equal work
(Smith, "Characterizing Computer Performance with a Single Number", CACM 31(10), 1988).
"""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evaluate.score.results import Result

#: Bootstrap resamples. With 2,000 the ends of the interval vary by a few per cent of its width.
RESAMPLES = 2000


@dataclass(frozen=True)
class PairScore:
    """Relative costs on a pair, one for each repeat whose baseline reached the target."""

    outcomes: Counter
    seconds: tuple[float, ...]
    steps: tuple[float, ...]
    seconds_at_limit: tuple[float, ...]
    steps_at_limit: tuple[float, ...]

    @property
    def solved(self) -> bool:
        """Whether the median run reached the target."""
        return math.isfinite(np.median(self.steps))


def seconds(result: Result) -> float:
    """Return the main measure: seconds on the clock."""
    return result.seconds


def steps(result: Result) -> float:
    """Return the measure without the cost of a step: the number of gradients, at least one."""
    return max(result.steps, 1)


def score_pair(baselines: Sequence[Result], runs: Sequence[Result]) -> PairScore | None:
    """Score runs on one pair against the baseline's runs, matched by repeat.

    Return None if no repeat has both a run and a baseline that reached the target.
    """
    by_repeat = {result.repeat: result for result in baselines if result.reached}
    matched = [(by_repeat[run.repeat], run) for run in runs if run.repeat in by_repeat]
    if not matched:
        return None
    return PairScore(
        outcomes=Counter(run.outcome for _, run in matched),
        seconds=tuple(cost(base, run, seconds) for base, run in matched),
        steps=tuple(cost(base, run, steps) for base, run in matched),
        seconds_at_limit=tuple(cost_at_limit(base, run, seconds) for base, run in matched),
        steps_at_limit=tuple(cost_at_limit(base, run, steps) for base, run in matched),
    )


def cost(base: Result, run: Result, measure: Callable[[Result], float]) -> float:
    """Return the relative cost of a run; infinite for a miss."""
    return measure(run) / measure(base) if run.reached else math.inf


def cost_at_limit(base: Result, run: Result, measure: Callable[[Result], float]) -> float:
    """Return the relative cost of a run, where a miss costs the limit.

    The limit is a time or, for untimed runs, a number of steps. In the other measure, a miss costs
    the same multiple of the baseline. The cost of a miss is at least 1, since the baseline may have
    run under another limit.
    """
    if run.reached:
        return cost(base, run, measure)
    if run.limit_steps is not None:
        return max(1.0, run.limit_steps / base.steps)
    return max(1.0, run.limit_seconds / base.seconds)


def speed_up(costs: Sequence[float]) -> float:
    """Return the speed-up on a pair: 1 / median cost over repeats; 0 if the median run missed."""
    return float(1 / np.median(costs))


def mean_speed_up(costs: Sequence[Sequence[float]]) -> float:
    """Return the harmonic mean of the pairs' speed-ups, 0 if one is 0; `costs[pair][repeat]`."""
    return statistics.harmonic_mean([speed_up(pair) for pair in costs])


def bootstrap_interval(
    costs: Sequence[Sequence[float]], level: float = 0.95
) -> tuple[float, float] | None:
    """Return the percentile bootstrap interval of `mean_speed_up(costs)`; None without repeats.

    Repeats are resampled within each pair (Efron and Tibshirani, "An Introduction to the
    Bootstrap", 1993, chapter 13). The pairs are fixed: the interval shows how much another
    evaluation on the same pairs would differ, and nothing about other pairs. With fewer than about
    five repeats it is too narrow.
    """
    if min(map(len, costs), default=0) < 2:
        return None
    generator = np.random.default_rng(0)
    medians = [
        np.median(generator.choice(np.asarray(pair), (RESAMPLES, len(pair))), axis=1)
        for pair in costs
    ]
    means = 1 / np.mean(medians, axis=0)
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)
