"""Rank the methods on a suite. Pure functions of results."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from evaluate.score.results import Result, latest
from evaluate.score.score import PairScore, mean_speed_up, score_pair


@dataclass(frozen=True)
class Standing:
    """A submission or peer: its name, its digest, and its score on each pair, or None."""

    name: str
    sha256: str
    pairs: dict[str, PairScore | None]

    @property
    def is_complete(self) -> bool:
        """Whether every pair has a score. Means over different pairs can't be compared."""
        return None not in self.pairs.values()

    def costs(self, measure: str) -> list[tuple[float, ...]]:
        """Return the field `measure` of each pair's PairScore, in order."""
        return [getattr(score, measure) for score in self.pairs.values()]


def comparable(results: Sequence[Result]) -> list[list[Result]]:
    """Split results (oldest first) into comparable groups: same suite, hardware and clock.

    Keep only the latest result of each run and the latest variant of each pair. Tuning runs are
    left out.
    """
    groups: dict[tuple, list[Result]] = defaultdict(list)
    for result in latest(results).values():
        if result.role != "tuning":
            groups[result.suite, json.dumps(result.place, sort_keys=True)].append(result)
    return [_current(group) for group in groups.values()]


def runs_of(
    group: Sequence[Result], pair: str, role: str | None, sha256: str | None = None
) -> list[Result]:
    """Return the baseline's runs on a pair (role "baseline"), or a method's (role None)."""
    return [
        result
        for result in group
        if result.pair == pair
        and (result.role == "baseline") == (role == "baseline")
        and sha256 in (None, result.submission_sha256)
    ]


def pair_names(group: Sequence[Result]) -> list[str]:
    """Return the pairs, in the order of their first run."""
    return list(dict.fromkeys(result.pair for result in group))


def labels(group: Sequence[Result]) -> dict[str, str]:
    """Return each method's label by digest: its name, with the digest if names collide."""
    names = {r.submission_sha256: r.submission for r in group if r.role != "baseline"}
    every = [*names.values(), baseline_name(group)]
    return {
        sha256: name if every.count(name) == 1 else f"{name} ({sha256[:7]})"
        for sha256, name in names.items()
    }


def baseline_name(group: Sequence[Result]) -> str:
    """Return the baseline's label."""
    name = next((r.submission for r in group if r.role == "baseline"), "no baseline")
    return f"{name} (baseline)"


def entered(group: Sequence[Result]) -> set[str]:
    """Return the digests of methods entered as files. Peers differ in that `given` is not empty."""
    return {r.submission_sha256 for r in group if r.role == "submission" and not r.given}


def standings(group: Sequence[Result]) -> list[Standing]:
    """Return all methods, best first: by strict score, then by score with misses at the limit."""
    measure = "seconds" if group[0].timed else "steps"
    pairs = pair_names(group)
    found = [
        Standing(
            name,
            sha256,
            {
                pair: score_pair(
                    runs_of(group, pair, "baseline"), runs_of(group, pair, None, sha256)
                )
                for pair in pairs
            },
        )
        for sha256, name in labels(group).items()
    ]

    def rank(standing: Standing) -> tuple:
        if not standing.is_complete:
            return (-1.0, -1.0)
        strict = mean_speed_up(standing.costs(measure))
        return (strict, mean_speed_up(standing.costs(f"{measure}_at_limit")))

    return sorted(found, key=rank, reverse=True)


def _current(group: list[Result]) -> list[Result]:
    """Return the group without results of a pair's old variants or of an old baseline."""
    variants = {result.pair: result.variant_digest for result in group}
    baselines = [result.submission_sha256 for result in group if result.role == "baseline"]
    return [
        result
        for result in group
        if result.variant_digest == variants[result.pair]
        and (result.role != "baseline" or result.submission_sha256 == baselines[-1])
    ]
