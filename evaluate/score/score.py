"""Scores: pure functions of results.

Everything is a relative cost, c = t / t_baseline: the submission's time (or number of steps) on a
pair over that of the baseline's run of the same repeat. A miss costs infinity (the strict reading,
the challenge's), or, however it ended, the limit's time over the baseline's time (a penalty that
keeps the other pairs visible). Over repeats a pair's cost is the median; its speed-up is 1 / c.
Over pairs

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

#: Bootstrap resamples; at 2,000 the ends of the interval move by a few per cent of its width.
RESAMPLES = 2000


@dataclass(frozen=True)
class PairScore:
    """A submission on a pair: relative costs, one per repeat whose baseline reached the target."""

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
    """The measure that counts: seconds on the clock."""
    return result.seconds


def steps(result: Result) -> float:
    """The measure that leaves out the cost of a step: number of gradients, at least one."""
    return max(result.steps, 1)


def score_pair(baselines: Sequence[Result], runs: Sequence[Result]) -> PairScore | None:
    """Score runs on one pair against the baseline's runs there, matched by repeat.

    None if no repeat has both a run and a baseline that reached the target.
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
    """Relative cost of a run; infinite if it missed the target."""
    return measure(run) / measure(base) if run.reached else math.inf


def cost_at_limit(base: Result, run: Result, measure: Callable[[Result], float]) -> float:
    """Relative cost, where a miss costs the limit.

    A limit is a time, or a number of steps where nothing is timed; in the other measure a miss is
    charged the same multiple of the baseline. Never less than the baseline's own cost, which may
    have been run under another limit.
    """
    if run.reached:
        return cost(base, run, measure)
    if run.limit_steps is not None:
        return max(1.0, run.limit_steps / base.steps)
    return max(1.0, run.limit_seconds / base.seconds)


def speed_up(costs: Sequence[float]) -> float:
    """Speed-up on a pair: 1 / median cost over the repeats; 0 if the median run missed."""
    return float(1 / np.median(costs))


def mean_speed_up(costs: Sequence[Sequence[float]]) -> float:
    """Harmonic mean over pairs of the pairs' speed-ups, 0 if one is; `costs[pair][repeat]`."""
    return statistics.harmonic_mean([speed_up(pair) for pair in costs])


def bootstrap_interval(
    costs: Sequence[Sequence[float]], level: float = 0.95
) -> tuple[float, float] | None:
    """Percentile bootstrap interval of `mean_speed_up(costs)`; None without repeats.

    Repeats are resampled within each pair (Efron and Tibshirani, "An Introduction to the
    Bootstrap", 1993, chapter 13). The pairs are held fixed: the interval tells how far another
    evaluation on the same pairs would differ, not how the method does on other pairs. With fewer
    than about five repeats it is too narrow.
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
