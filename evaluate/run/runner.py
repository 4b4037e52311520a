"""Run the slots of an evaluation, and turn each worker's claim into a verified result."""

import datetime
import statistics
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from itertools import repeat
from threading import Event, Lock

from evaluate.outcomes import Outcome
from evaluate.peers import TUNED
from evaluate.provenance import portable
from evaluate.run.process import Job, run_in_process
from evaluate.run.submissions import demand_unchanged
from evaluate.run.verify import confirms, fresh_test_losses
from evaluate.sandbox.limits import Limit
from evaluate.sandbox.namespaces import isolation
from evaluate.score import results, tuning
from evaluate.score.results import Result
from evaluate.score.schedule import Setting, Slot, limits, runs_at_once
from evaluate.submission import Submission
from evaluate.text import LONGEST, clean
from tasks import Variant

_VERIFICATION = Lock()  # verification seeds PyTorch's global generator


class Runs:
    """Runs slots under one setting and keeps the results so far. Several threads may use it.

    `build(variant)` builds a task in this process, for verification. `announce(slot, limit)` is
    called before each run.
    """

    def __init__(self, setting: Setting, known: Mapping, build: Callable, announce: Callable):
        self._setting, self._build, self._announce = setting, build, announce
        self._known = dict(known)
        self._tuning = Lock()
        self._stop = Event()

    def run_all(self, slots: Sequence[Slot], jobs: int = 1) -> Generator[Result]:
        """Run slots, `jobs` at a time. Verify, save and yield each result as it comes.

        A single job runs the slots in order. Several jobs run the baselines first, since limits
        depend on them. Runs are in their own threads, so Ctrl-C can't hit between a run's end and
        saving its result. When closed or interrupted, kill the current runs and wait for those
        already in verification.
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
        """Return the information for peers, empty for submissions (evaluate.peers)."""
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
        # Lock: tune once per pair, even with several jobs.
        with self._tuning, ThreadPoolExecutor(at_once) as pool:

            def run(points: Sequence[Submission], most_steps: int) -> Iterator[Result]:
                slots = [replace(first, role="tuning", submission=point) for point in points]
                return pool.map(self._counted, slots, repeat(most_steps))

            return tuning.best_point(first.submission, baseline.steps, run, at_once)

    def _counted(self, slot: Slot, most_steps: int) -> Result:
        """Run a slot for its steps only. Reuse its known result if the peer was given the same."""
        setting = replace(self._setting, timed=False)
        limit = limits(slot, setting, self._known)._replace(steps=most_steps)
        known = self._known.get(slot.key(setting.place))
        if known and known.given == self._given(slot) and known.is_final(limit):
            return known
        return self._run(slot, setting, limit)


def _baselines_first(slots: Sequence[Slot]) -> list[list[Slot]]:
    return [[s for s in slots if (s.role == "baseline") is first] for first in (True, False)]


def run_slot(
    slot: Slot, limit: Limit, given: dict, setting: Setting, build: Callable, stop: Event
) -> Result:
    """Run one slot in its own process and verify its claim.

    Raise Interrupted if `stop` is set before the process ends, and InputError if the submission's
    file changes during the run.
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
        results=str(setting.folder.resolve()),
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
    """Return the worker's report with `verified_test_losses` added.

    If the claim fails verification, replace the outcome.
    """
    report = {**report, "outcome": Outcome(report["outcome"]), "verified_test_losses": []}
    report["message"] = clean(report["message"], 10 * LONGEST)  # the submission may have written it
    if report["outcome"] is not Outcome.REACHED:
        return report
    if snapshot is None:
        return {**report, "outcome": Outcome.CHEATED, "message": "claims a state it does not show"}
    try:
        losses = fresh_test_losses(build, variant, snapshot)
    except ValueError as problem:
        return {**report, "outcome": Outcome.CHEATED, "message": str(problem)}
    except RuntimeError as problem:  # usually no memory for a second network
        message = " ".join(f"could not be verified: {problem}".split())
        return {**report, "outcome": Outcome.ERROR, "message": message}
    mean = statistics.fmean(losses)
    report["verified_test_losses"] = losses
    curve = report["test_curve"]["loss"]
    told = curve[-1]
    if told is None:  # Done carried no loss: use the fresh tests' mean
        curve[-1] = mean
    if confirms(losses, variant.target):
        return report
    own = "" if told is None else f", the run's own gave {told:.6g}"
    message = f"a fresh test gives {mean:.6g}, the target is {variant.target:.6g}{own}"
    return {**report, "outcome": Outcome.CHEATED, "message": message}
