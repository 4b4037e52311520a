"""Compare one method with each other method: how many times longer do the others take?

The ratio for each pair and repeat is t_other / t_ours; both start from the same initial weights.
As in the score (evaluate.score.score), take the median over repeats, then the harmonic mean over
pairs. If the other method missed, its time so far is a lower bound, and so is the ratio. If ours
missed, the ratio is 0.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evaluate.score.results import Result
from evaluate.score.score import seconds, steps
from evaluate.score.standing import baseline_name, labels, pair_names, runs_of

MEASURES: dict[str, Callable[[Result], float]] = {"seconds": seconds, "steps": steps}


@dataclass(frozen=True)
class Versus:
    """A method's rival, with t_ours / t_rival of each repeat, by measure and pair.

    `is_bound`: the rival missed in some repeats, so its ratios there use its time until the miss.
    """

    rival: str
    costs: dict[str, dict[str, tuple[float, ...]]]
    is_bound: bool

    @property
    def is_complete(self) -> bool:
        """Whether every pair has a ratio. Means over different pairs can't be compared."""
        return all(self.costs["steps"].values())


def against_each(group: Sequence[Result], ours: str) -> list[Versus]:
    """Compare the method of digest `ours` with the baseline, then with each other method."""
    names = labels(group)
    rivals = [sha256 for sha256 in names if sha256 != ours]
    return [
        _versus(group, ours, None, baseline_name(group)),
        *(_versus(group, ours, sha256, names[sha256]) for sha256 in rivals),
    ]


def _versus(group: Sequence[Result], ours: str, rival: str | None, name: str) -> Versus:
    trios = {
        pair: _trios(
            runs_of(group, pair, "baseline"),
            runs_of(group, pair, None, ours),
            runs_of(group, pair, None if rival else "baseline", rival),
        )
        for pair in pair_names(group)
    }
    costs = {
        name: {
            pair: tuple(_cost(ours, theirs, measure) for _, ours, theirs in some)
            for pair, some in trios.items()
        }
        for name, measure in MEASURES.items()
    }
    missed = any(not theirs.reached for some in trios.values() for _, _, theirs in some)
    return Versus(name, costs, missed)


def _trios(
    bases: Sequence[Result], ours: Sequence[Result], theirs: Sequence[Result]
) -> list[tuple[Result, ...]]:
    """Return (baseline, ours, theirs) of each repeat with all three whose baseline succeeded."""
    by_repeat = [{run.repeat: run for run in runs} for runs in (bases, ours, theirs)]
    common = sorted(set.intersection(*map(set, by_repeat)))
    found = [tuple(runs[repeat] for runs in by_repeat) for repeat in common]
    return [trio for trio in found if trio[0].reached]


def _cost(ours: Result, theirs: Result, measure: Callable) -> float:
    spent = measure(theirs)  # 0 if it failed before its clock started
    return measure(ours) / spent if ours.reached and spent else math.inf
