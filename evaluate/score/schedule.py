"""The schedule of an evaluation: its runs, their order and their limits.

It is a pure function of the results so far.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evaluate.pairs import Pair
from evaluate.sandbox.limits import MEMORY_BYTES, Limit
from evaluate.score import results
from evaluate.submission import Submission

#: Default limit, in seconds, of the baseline's first repeat on a pair.
BASELINE_LIMIT = 3600.0
#: All other default limits: a multiple of the baseline's time, with a minimum. A submission uses
#: the baseline of its repeat; a later baseline run uses the longest baseline run so far.
LIMIT_RATIO, SHORTEST_LIMIT = 5.0, 60.0


@dataclass(frozen=True)
class Slot:
    """One run in the schedule."""

    pair: Pair
    role: str
    submission: Submission
    baseline: Submission
    repeat: int

    def key(self, place: dict) -> tuple:
        """Return the key that its result will have."""
        return self._key(self.role, self.submission, place)

    def baseline_key(self, place: dict) -> tuple:
        """Return the key of the baseline's result on the same pair and repeat."""
        return self._key("baseline", self.baseline, place)

    def _key(self, role: str, submission: Submission, place: dict) -> tuple:
        pair, sha256 = self.pair, submission.sha256
        digest = pair.variant.digest
        return results.run_key(pair.suite, pair.name, digest, role, sha256, self.repeat, place)


@dataclass(frozen=True)
class Setting:
    """What all runs of an evaluation share. Without `limit_seconds`, the baseline sets limits."""

    folder: Path
    device: str
    threads: int
    limit_seconds: float | None
    command: list[str]
    hardware: dict
    versions: dict
    git: dict
    timed: bool = True
    memory_bytes: int = MEMORY_BYTES
    first_repeat: int = 0

    @property
    def place(self) -> dict:
        """What results comparable with these share (`results.place`)."""
        return results.place(self.hardware, self.timed)


def schedule(
    pairs: Sequence[Pair],
    baseline: Submission,
    submissions: Sequence[Submission],
    repeats: int,
    first: int = 0,
) -> list[Slot]:
    """Return all runs: for each repeat from `first` on and each pair, the baseline and submissions.

    Interleaving spreads a slowdown of the machine over all methods.
    """
    entries = [("baseline", baseline), *(("submission", one) for one in submissions)]
    return [
        Slot(pair, role, submission, baseline, repeat)
        for repeat in range(first, first + repeats)
        for pair in pairs
        for role, submission in entries
    ]


def unfinished(slots: Sequence[Slot], setting: Setting, known: Mapping) -> list[Slot]:
    """Return the slots without a final result in `known` (`results.latest`)."""
    return [slot for slot in slots if not _is_final(slot, setting, known)]


def _is_final(slot: Slot, setting: Setting, known: Mapping) -> bool:
    """Return whether the slot's known result is final.

    If its baseline will be repeated, the slot's limit and a peer's information are still unknown.
    """
    result = known.get(slot.key(setting.place))
    if result is None:
        return False
    if slot.role == "baseline":
        return result.is_final(limits(slot, setting, known))
    if not _is_final(replace(slot, role="baseline", submission=slot.baseline), setting, known):
        known = {}
    baseline = known.get(slot.baseline_key(setting.place))
    is_told = "horizon" in result.given
    if is_told and (baseline is None or result.given["horizon"] != baseline.steps):
        return False
    return result.is_final(limits(slot, setting, known))


def runs_at_once(setting: Setting) -> int:
    """Return how many runs fit on the cores, one core per thread; one on an accelerator."""
    if setting.device != "cpu":
        return 1
    return max(1, setting.hardware["cores"] // setting.threads)


def limits(slot: Slot, setting: Setting, known: Mapping) -> Limit:
    """Return the run's limits. Untimed runs may take `LIMIT_RATIO` times the baseline's steps."""
    if setting.timed or slot.role == "baseline":
        return Limit(limit(slot, setting, known), None)
    baseline = known.get(slot.baseline_key(setting.place))
    steps = None if baseline is None else math.ceil(LIMIT_RATIO * baseline.steps)
    return Limit(setting.limit_seconds or BASELINE_LIMIT, steps)


def limit(slot: Slot, setting: Setting, known: Mapping) -> float:
    """Return the seconds a run may take; infinite before the baseline's run that sets the limit."""
    if setting.limit_seconds is not None:
        return setting.limit_seconds
    if slot.role == "baseline":
        earlier = (replace(slot, repeat=repeat) for repeat in range(slot.repeat))
        found = [known.get(one.baseline_key(setting.place)) for one in earlier]
        times = [result.seconds for result in found if result is not None and result.reached]
        return from_baseline(max(times)) if times else BASELINE_LIMIT
    baseline = known.get(slot.baseline_key(setting.place))
    return math.inf if baseline is None else from_baseline(baseline.seconds)


def from_baseline(seconds: float) -> float:
    """Return the limit in seconds, from the baseline's seconds."""
    return min(BASELINE_LIMIT, max(SHORTEST_LIMIT, LIMIT_RATIO * seconds))
