"""Estimate how long an evaluation takes, from the baseline's times on its pairs."""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from evaluate.outcomes import FAILURES
from evaluate.pairs import Pair
from evaluate.peers import TUNED
from evaluate.score import tuning
from evaluate.score.results import Result
from evaluate.score.schedule import Setting, Slot, from_baseline, runs_at_once
from tasks import Variant
from tasks.suites import targets

#: Seconds of a run off the clock: two processes, building the task, verification. On two cores,
#: most runs take 5.6 to 6.6 s.
SETUP = 6.0


class Forecast:
    """A forecast of the seconds that slots take, and of the seconds left.

    Each run is expected to take as long as the baseline on its pair, corrected by the pace so far.
    Pairs without a timed baseline are left out.
    """

    def __init__(self, slots: Sequence[Slot], setting: Setting, known: Mapping, jobs: int):
        self._jobs = jobs
        baseline = _baseline_seconds(slots, setting, known)
        known_slots = [(slot, baseline[slot.pair]) for slot in slots if slot.pair in baseline]
        self._left = {
            slot.key(setting.place): (1 + _rounds(slot, setting)) * (seconds + SETUP)
            for slot, seconds in known_slots
        }
        self._count, self._total = len(slots), sum(self._left.values())
        self._most = sum(_limit(slot, setting, seconds) for slot, seconds in known_slots)
        self._unknown = sorted({slot.pair.name for slot in slots} - {p.name for p in baseline})

    def text(self) -> str:
        """Return one line to print at the start."""
        line = (
            f"{self._count} runs: about {duration(self._total / self._jobs)} if each takes as long "
            f"as the baseline did, at most about {duration(self._most / self._jobs)}"
        )
        if self._unknown:
            line += f"; and what takes {', '.join(self._unknown)}, never timed"
        return line

    def done(self, result: Result) -> None:
        """Record that a run has ended."""
        self._left.pop(result.key, None)

    def seconds_left(self, elapsed: float) -> float | None:
        """Return the seconds left, at the pace of the `elapsed` ones; None before the first run."""
        left = sum(self._left.values())
        finished = self._total - left
        return left * elapsed / finished if finished else None


def duration(seconds: float) -> str:
    """Return a readable duration: 45 s, 12 min, 2 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def _rounds(slot: Slot, setting: Setting) -> int:
    """Return how many rounds of tuning runs come before the slot's own run.

    Only the tuned peer's first repeat has any. Grid points run several at a time, each at most as
    long as the baseline.
    """
    is_first = slot.repeat == setting.first_repeat
    is_grid = slot.submission.name == TUNED and slot.submission.is_peer and is_first
    points = len(tuning.grid(slot.submission)) if is_grid else 0
    return math.ceil(points / runs_at_once(setting))


def _limit(slot: Slot, setting: Setting, baseline: float) -> float:
    own = baseline if slot.role == "baseline" else from_baseline(baseline)
    return SETUP + (setting.limit_seconds or own) + _rounds(slot, setting) * (SETUP + baseline)


def _baseline_seconds(slots: Sequence[Slot], setting: Setting, known: Mapping) -> dict[Pair, float]:
    """Return the baseline's median seconds on each pair, capped at the limit of a run.

    Without runs here, use the time recorded when the pair's target was measured.
    """
    seconds = defaultdict(list)
    for slot in slots:
        result = known.get(slot.baseline_key(setting.place))
        if result and result.outcome not in FAILURES:
            seconds[slot.pair].append(result.seconds)
    found = {slot.pair: _recorded(slot.pair.name, slot.pair.variant) for slot in slots}
    found |= {pair: statistics.median(took) for pair, took in seconds.items()}
    most = setting.limit_seconds or math.inf
    return {pair: min(took, most) for pair, took in found.items() if took is not None}


def _recorded(name: str, variant: Variant) -> float | None:
    record = targets.read().get(name)
    if record is None or Variant.from_dict(record["variant"]) != replace(variant, target=None):
        return None
    # Take the smaller of wall-clock and processor time: other work may lengthen the former.
    seconds = min(record["seconds"], record.get("processor_seconds", math.inf))
    return seconds * record["epoch"] / record["epochs"]
