"""How long an evaluation is going to take, from what the baseline took on its pairs."""

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

#: Seconds beside the clock: two processes, building the task, verification. Most runs on two
#: cores take 5.6 to 6.6.
SETUP = 6.0


class Forecast:
    """Seconds that slots are expected to take, and what is left of them.

    A run is expected to take as long as the baseline on its pair; the pace of the runs so far
    corrects that. Pairs on which the baseline was never timed are left out.
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
        """One line for the start."""
        line = (
            f"{self._count} runs: about {duration(self._total / self._jobs)} if each takes as long "
            f"as the baseline did, at most about {duration(self._most / self._jobs)}"
        )
        if self._unknown:
            line += f"; and what takes {', '.join(self._unknown)}, never timed"
        return line

    def done(self, result: Result) -> None:
        """A run has ended."""
        self._left.pop(result.key, None)

    def seconds_left(self, elapsed: float) -> float | None:
        """What is left after so many seconds, at the pace so far; None before the first run."""
        left = sum(self._left.values())
        finished = self._total - left
        return left * elapsed / finished if finished else None


def duration(seconds: float) -> str:
    """Seconds as people say them: 45 s, 12 min, 2 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def _rounds(slot: Slot, setting: Setting) -> int:
    """Runs one after the other before the slot's own: the grid of the tuned peer, in its first
    repeat, several at a time and none of them longer than the baseline's."""
    is_first = slot.repeat == setting.first_repeat
    is_grid = slot.submission.name == TUNED and slot.submission.is_peer and is_first
    points = len(tuning.grid(slot.submission)) if is_grid else 0
    return math.ceil(points / runs_at_once(setting))


def _limit(slot: Slot, setting: Setting, baseline: float) -> float:
    own = baseline if slot.role == "baseline" else from_baseline(baseline)
    return SETUP + (setting.limit_seconds or own) + _rounds(slot, setting) * (SETUP + baseline)


def _baseline_seconds(slots: Sequence[Slot], setting: Setting, known: Mapping) -> dict[Pair, float]:
    """Median seconds of the baseline here, or else when the pair's target was measured; no more
    than a run may take."""
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
    # Of the two times the one that other work on the machine did not lengthen.
    seconds = min(record["seconds"], record.get("processor_seconds", math.inf))
    return seconds * record["epoch"] / record["epochs"]
