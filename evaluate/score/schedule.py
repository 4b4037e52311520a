"""The schedule of an evaluation: which runs are to be had, in which order, under which limits.

A pure function of the results so far.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evaluate.pairs import Pair
from evaluate.sandbox.limits import MEMORY_BYTES, Limit
from evaluate.score import results
from evaluate.submission import Submission

#: Seconds the baseline may take on a pair in its first repeat, unless a limit is given.
BASELINE_LIMIT = 3600.0
#: Any other limit, unless one is given: a multiple of the baseline's time, but not too short. That
#: is the same repeat's for a submission, and the longest so far for a later run of the baseline.
LIMIT_RATIO, SHORTEST_LIMIT = 5.0, 60.0


@dataclass(frozen=True)
class Slot:
    """A place in the schedule: one run that is to be had."""

    pair: Pair
    role: str
    submission: Submission
    baseline: Submission
    repeat: int

    def key(self, place: dict) -> tuple:
        """The key its result will have."""
        return self._key(self.role, self.submission, place)

    def baseline_key(self, place: dict) -> tuple:
        """The key of the baseline's result on the same pair in the same repeat."""
        return self._key("baseline", self.baseline, place)

    def _key(self, role: str, submission: Submission, place: dict) -> tuple:
        pair, sha256 = self.pair, submission.sha256
        digest = pair.variant.digest
        return results.run_key(pair.suite, pair.name, digest, role, sha256, self.repeat, place)


@dataclass(frozen=True)
class Setting:
    """What all runs of an evaluation share. `limit_seconds` None: set by the baseline's time."""

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
        """What results must share with these to be compared."""
        return results.place(self.hardware, self.timed)


def schedule(
    pairs: Sequence[Pair],
    baseline: Submission,
    submissions: Sequence[Submission],
    repeats: int,
    first: int = 0,
) -> list[Slot]:
    """All runs in order: for each repeat, from the `first` on, and pair the baseline, then the
    submissions in turn.

    Interleaved, so that a machine that slows down or warms up is not charged to one of them.
    """
    entries = [("baseline", baseline), *(("submission", one) for one in submissions)]
    return [
        Slot(pair, role, submission, baseline, repeat)
        for repeat in range(first, first + repeats)
        for pair in pairs
        for role, submission in entries
    ]


def unfinished(slots: Sequence[Slot], setting: Setting, known: Mapping) -> list[Slot]:
    """The slots without a final result among the known ones (`results.latest`)."""
    return [slot for slot in slots if not _is_final(slot, setting, known)]


def _is_final(slot: Slot, setting: Setting, known: Mapping) -> bool:
    """A limit that follows from a baseline which is to be run again is not known yet, nor is what a
    peer is told of it."""
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
    """Runs that find a core for each of their threads; one on an accelerator."""
    if setting.device != "cpu":
        return 1
    return max(1, setting.hardware["cores"] // setting.threads)


def limits(slot: Slot, setting: Setting, known: Mapping) -> Limit:
    """What a run may take. Where nothing is timed, `LIMIT_RATIO` times the baseline's steps."""
    if setting.timed or slot.role == "baseline":
        return Limit(limit(slot, setting, known), None)
    baseline = known.get(slot.baseline_key(setting.place))
    steps = None if baseline is None else math.ceil(LIMIT_RATIO * baseline.steps)
    return Limit(setting.limit_seconds or BASELINE_LIMIT, steps)


def limit(slot: Slot, setting: Setting, known: Mapping) -> float:
    """Seconds that a run may take on the clock; infinite if that awaits the baseline's run."""
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
    """The limit where the baseline takes so many seconds."""
    return min(BASELINE_LIMIT, max(SHORTEST_LIMIT, LIMIT_RATIO * seconds))
