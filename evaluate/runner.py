"""The schedule of an evaluation, and one run from its worker's claim to a verified result."""

import datetime
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from threading import Event, Lock

from evaluate import results, tuning
from evaluate.limits import Limit
from evaluate.outcomes import Outcome
from evaluate.pairs import Pair
from evaluate.peers import TUNED
from evaluate.process import MEMORY_BYTES, Job, run_in_process
from evaluate.provenance import portable
from evaluate.results import Result
from evaluate.sandbox import isolation
from evaluate.submission import Submission, demand_unchanged
from evaluate.verify import confirms, fresh_test_losses
from tasks import Variant

#: Seconds the baseline may take on a pair in its first repeat, unless a limit is given.
BASELINE_LIMIT = 3600.0
#: Any other limit, unless one is given: a multiple of the baseline's time, but not too short. That
#: is the same repeat's for a submission, and the longest so far for a later run of the baseline.
LIMIT_RATIO, SHORTEST_LIMIT = 5.0, 60.0
_VERIFICATION = Lock()  # it seeds PyTorch's global generator


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
    """What all runs of an evaluation share. ``limit_seconds`` None: set by the baseline's time."""

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
    """All runs in order: for each repeat, from the ``first`` on, and pair the baseline, then the
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
    """The slots without a final result among the known ones (``results.latest``)."""
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


class Runs:
    """Runs slots under one setting and knows the results so far. Several threads may use it.

    ``build(variant)`` builds a task in this process, to verify on. ``announce(slot, limit)`` is
    called before each run.
    """

    def __init__(self, setting: Setting, known: Mapping, build: Callable, announce: Callable):
        self._setting, self._build, self._announce = setting, build, announce
        self._known = dict(known)
        self._tuning = Lock()
        self._stop = Event()

    def run_all(self, slots: Sequence[Slot], jobs: int = 1) -> Iterator[Result]:
        """Run slots, so many at a time; each result is verified, saved and yielded as it comes.

        In order if one at a time; otherwise the baselines first, as limits follow from them. The
        runs have threads of their own, so that a Ctrl-C cannot come between a run's end and its
        saving: closed or interrupted, this ends the runs under way and waits for those at their
        verification.
        """
        phases = [slots] if jobs == 1 else _baselines_first(slots)
        pool = ThreadPoolExecutor(jobs)
        try:
            for some in phases:
                futures = [pool.submit(self.run, slot) for slot in some]
                yield from (future.result() for future in as_completed(futures))
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)

    def run(self, slot: Slot) -> Result:
        """Run one slot and save its result."""
        return self._run(slot, self._setting, limits(slot, self._setting, self._known))

    def _run(self, slot: Slot, setting: Setting, limit: Limit) -> Result:
        given = self._given(slot)
        self._announce(slot, limit)
        result = run_slot(slot, limit, given, setting, self._build, self._stop)
        results.save(setting.folder, result)
        self._known[result.key] = result
        return result

    def _given(self, slot: Slot) -> dict:
        """What a peer may know and no submission does: see evaluate.peers."""
        baseline = self._known.get(slot.baseline_key(self._setting.place))
        if slot.role == "baseline" or not slot.submission.is_peer or baseline is None:
            return {}
        given = {**slot.submission.given, "horizon": baseline.steps}
        if slot.role != "tuning" and slot.submission.name == TUNED:
            given |= self._tuned(replace(slot, repeat=self._setting.first_repeat))
        return given

    def _tuned(self, first: Slot) -> dict:
        baseline = self._known.get(first.baseline_key(self._setting.place))
        if baseline is None:
            return tuning.FALLBACK
        at_once = runs_at_once(self._setting)
        # The lock: once for each pair, whatever runs at the same time.
        with self._tuning, ThreadPoolExecutor(at_once) as pool:

            def run(points: Sequence[Submission], most_steps: int) -> Iterator[Result]:
                slots = [replace(first, role="tuning", submission=point) for point in points]
                return pool.map(self._counted, slots, repeat(most_steps))

            return tuning.best_point(first.submission, baseline.steps, run, at_once)

    def _counted(self, slot: Slot, most_steps: int) -> Result:
        """A run of which only the steps matter, unless it is known and told the same."""
        setting = replace(self._setting, timed=False)
        limit = limits(slot, setting, self._known)._replace(steps=most_steps)
        known = self._known.get(slot.key(setting.place))
        if known and known.given == self._given(slot) and known.is_final(limit):
            return known
        return self._run(slot, setting, limit)


def runs_at_once(setting: Setting) -> int:
    """Runs that find a core for each of their threads; one on an accelerator."""
    if setting.device != "cpu":
        return 1
    return max(1, setting.hardware["cores"] // setting.threads)


def _baselines_first(slots: Sequence[Slot]) -> list[list[Slot]]:
    return [[s for s in slots if (s.role == "baseline") is first] for first in (True, False)]


def limits(slot: Slot, setting: Setting, known: Mapping) -> Limit:
    """What a run may take. Where nothing is timed, ``LIMIT_RATIO`` times the baseline's steps."""
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


def run_slot(
    slot: Slot, limit: Limit, given: dict, setting: Setting, build: Callable, stop: Event
) -> Result:
    """Run one slot in a process of its own and check what it claims.

    Raises Interrupted if ``stop`` is set before the process ends, and InputError if the file of the
    submission changes meanwhile.
    """
    pair, submission = slot.pair, slot.submission
    variant = pair.of_repeat(slot.repeat)
    started_at = datetime.datetime.now(datetime.UTC).isoformat()
    job = Job(
        submission=str(submission.path.resolve()),
        variant=variant.to_dict(),
        seed=slot.repeat,
        limit_seconds=limit.seconds,
        limit_steps=limit.steps,
        memory_bytes=setting.memory_bytes,
        given=given,
        device=setting.device,
        threads=setting.threads,
    )
    demand_unchanged(submission)
    report, snapshot = run_in_process(job, stop)
    demand_unchanged(submission)
    with _VERIFICATION:
        checked = verified(report, snapshot, variant, build)
    return Result(
        suite=pair.suite,
        pair=pair.name,
        variant=pair.variant.to_dict(),
        variant_digest=pair.variant.digest,
        target=pair.variant.target,
        role=slot.role,
        submission=submission.name,
        submission_path=portable(str(submission.path)),
        submission_sha256=submission.sha256,
        repeat=slot.repeat,
        seed=slot.repeat,
        limit_seconds=limit.seconds,
        limit_steps=limit.steps,
        memory_bytes=setting.memory_bytes if job.is_apart else None,
        isolation=isolation(job.is_apart),
        given=given,
        timed=setting.timed,
        hardware=setting.hardware,
        versions=setting.versions,
        git=setting.git,
        command=setting.command,
        started_at=started_at,
        **checked,
    )


def verified(report: dict, snapshot: dict | None, variant: Variant, build: Callable) -> dict:
    """The worker's report with its claim checked.

    Adds ``verified_test_losses``, and replaces the outcome where the claim does not hold.
    """
    report = {**report, "outcome": Outcome(report["outcome"]), "verified_test_losses": []}
    if report["outcome"] is not Outcome.REACHED:
        return report
    if snapshot is None:
        return {**report, "outcome": Outcome.CHEATED, "message": "claims a state it does not show"}
    try:
        losses = fresh_test_losses(build, variant, snapshot)
    except ValueError as problem:
        return {**report, "outcome": Outcome.CHEATED, "message": str(problem)}
    except RuntimeError as problem:  # above all no memory left for a second network
        message = " ".join(f"could not be verified: {problem}".split())
        return {**report, "outcome": Outcome.ERROR, "message": message}
    mean = statistics.fmean(losses)
    report["verified_test_losses"] = losses
    curve = report["test_curve"]["loss"]
    told = curve[-1]
    if told is None:  # some oracles tell no loss when they raise Done; the fresh tests do
        curve[-1] = mean
    if confirms(losses, variant.target):
        return report
    own = "" if told is None else f", the run's own gave {told:.6g}"
    message = f"a fresh test gives {mean:.6g}, the target is {variant.target:.6g}{own}"
    return {**report, "outcome": Outcome.CHEATED, "message": message}
