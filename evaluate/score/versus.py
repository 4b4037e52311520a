"""One method against each other method: how many times longer do they take?

For each pair and repeat, t_other / t_ours of the same repeat, whose initial weights both share;
over repeats and pairs as the score (evaluate.score.score): median, then harmonic mean. Where the
other method missed, what it had spent by then is less than it needs, so the figure is a lower
bound; where ours missed it is 0.
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
    """A method's rival: by measure and pair, t_ours / t_rival of each repeat.

    `is_bound`: the rival missed in some of them, and counts with what it spent.
    """

    rival: str
    costs: dict[str, dict[str, tuple[float, ...]]]
    is_bound: bool

    @property
    def is_complete(self) -> bool:
        """Whether there is a ratio on each pair: a mean over fewer compares with nothing."""
        return all(self.costs["steps"].values())


def against_each(group: Sequence[Result], ours: str) -> list[Versus]:
    """The method of digest `ours` against the baseline, then against each other method."""
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
    """Baseline's, our and their run of each repeat that has all three, if the baseline made it."""
    by_repeat = [{run.repeat: run for run in runs} for runs in (bases, ours, theirs)]
    common = sorted(set.intersection(*map(set, by_repeat)))
    found = [tuple(runs[repeat] for runs in by_repeat) for repeat in common]
    return [trio for trio in found if trio[0].reached]


def _cost(ours: Result, theirs: Result, measure: Callable) -> float:
    spent = measure(theirs)  # nothing, where it failed before its clock began
    return measure(ours) / spent if ours.reached and spent else math.inf
