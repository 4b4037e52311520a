"""The schedule of an evaluation, and one run from its worker's claim to a verified result."""

import datetime
import math
import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluate import results
from evaluate.outcomes import Outcome
from evaluate.pairs import Pair
from evaluate.process import Job, run_in_process
from evaluate.results import Result
from evaluate.submission import Submission
from evaluate.verify import confirms, fresh_test_losses
from tasks import Variant

#: Seconds the baseline may take on a pair, unless a limit is given.
BASELINE_LIMIT = 3600.0
#: A submission's limit, unless one is given: a multiple of the baseline's time, but not too short.
LIMIT_RATIO, SHORTEST_LIMIT = 5.0, 60.0


@dataclass(frozen=True)
class Slot:
    """A place in the schedule: one run that is to be had."""

    pair: Pair
    role: str
    submission: Submission
    baseline: Submission
    repeat: int

    def key(self, hardware: dict) -> tuple:
        """The key its result will have."""
        return self._key(self.role, self.submission, hardware)

    def baseline_key(self, hardware: dict) -> tuple:
        """The key of the baseline's result on the same pair in the same repeat."""
        return self._key("baseline", self.baseline, hardware)

    def _key(self, role: str, submission: Submission, hardware: dict) -> tuple:
        pair, sha256 = self.pair, submission.sha256
        digest = pair.variant.digest
        return results.run_key(pair.suite, pair.name, digest, role, sha256, self.repeat, hardware)


@dataclass(frozen=True)
class Setting:
    """What all runs of an evaluation share. ``limit_seconds`` None: set by the baseline's time."""

    folder: Path
    device: str
    threads: int
    limit_seconds: float | None
    command: tuple[str, ...]
    hardware: dict
    versions: dict
    git: dict


def schedule(
    pairs: Sequence[Pair], baseline: Submission, submissions: Sequence[Submission], repeats: int
) -> list[Slot]:
    """All runs in order: for each repeat and pair the baseline, then the submissions in turn.

    Interleaved, so that a machine that slows down or warms up is not charged to one of them.
    """
    entries = [("baseline", baseline), *(("submission", one) for one in submissions)]
    return [
        Slot(pair, role, submission, baseline, repeat)
        for repeat in range(repeats)
        for pair in pairs
        for role, submission in entries
    ]


def unfinished(slots: Sequence[Slot], setting: Setting, known: Mapping) -> list[Slot]:
    """The slots without a final result among the known ones (``results.latest``)."""

    def is_final(slot: Slot) -> bool:
        result = known.get(slot.key(setting.hardware))
        return result is not None and result.is_final(limit(slot, setting, known))

    return [slot for slot in slots if not is_final(slot)]


def run_all(
    slots: Sequence[Slot],
    setting: Setting,
    known: Mapping,
    build: Callable,
    announce: Callable[[Slot, float], None],
) -> Iterator[Result]:
    """Run slots in order; each result is verified, saved and yielded as it comes.

    ``build(variant)`` builds a task in this process, to verify on. ``announce(slot, limit)`` is
    called before each run.
    """
    known = dict(known)
    for slot in slots:
        seconds = limit(slot, setting, known)
        announce(slot, seconds)
        result = run_slot(slot, seconds, setting, build, given(slot, setting, known))
        results.save(setting.folder, result)
        known[result.key] = result
        yield result


def limit(slot: Slot, setting: Setting, known: Mapping) -> float:
    """Seconds that a run may take on the clock; infinite if that awaits the baseline's run."""
    if setting.limit_seconds is not None:
        return setting.limit_seconds
    if slot.role == "baseline":
        return BASELINE_LIMIT
    baseline = known.get(slot.baseline_key(setting.hardware))
    if baseline is None:
        return math.inf
    return min(BASELINE_LIMIT, max(SHORTEST_LIMIT, LIMIT_RATIO * baseline.seconds))


def given(slot: Slot, setting: Setting, known: Mapping) -> dict | None:
    """What a peer may know and no submission does: see evaluate.peers. None if there is nothing."""
    baseline = known.get(slot.baseline_key(setting.hardware))
    if slot.role == "baseline" or not slot.submission.is_peer or baseline is None:
        return None
    return {"baseline_steps": baseline.steps}


def run_slot(
    slot: Slot, limit_seconds: float, setting: Setting, build: Callable, known_to_it: dict | None
) -> Result:
    """Run one slot in a process of its own and check what it claims."""
    pair, submission = slot.pair, slot.submission
    started_at = datetime.datetime.now(datetime.UTC).isoformat()
    report, snapshot = run_in_process(
        Job(
            submission=str(submission.path.resolve()),
            variant=pair.of_repeat(slot.repeat).to_dict(),
            seed=slot.repeat,
            limit_seconds=limit_seconds,
            device=setting.device,
            threads=setting.threads,
            given=known_to_it,
        )
    )
    return Result(
        suite=pair.suite,
        pair=pair.name,
        variant=pair.variant.to_dict(),
        variant_digest=pair.variant.digest,
        target=pair.variant.target,
        role=slot.role,
        submission=submission.name,
        submission_path=os.path.relpath(submission.path),
        submission_sha256=submission.sha256,
        repeat=slot.repeat,
        seed=slot.repeat,
        limit_seconds=limit_seconds,
        hardware=setting.hardware,
        versions=setting.versions,
        git=setting.git,
        command=list(setting.command),
        started_at=started_at,
        **verified(report, snapshot, pair.of_repeat(slot.repeat), build),
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
    # The oracle tells no loss when it raises Done; the fresh tests do.
    report["test_curve"]["loss"][-1] = mean
    if confirms(losses, variant.target):
        return report
    message = f"a fresh test gives {mean:.6g}, the target is {variant.target:.6g}"
    return {**report, "outcome": Outcome.CHEATED, "message": message}
