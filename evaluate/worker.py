"""One run in a process of its own: ``python -m evaluate.worker JOB.json``.

The job (evaluate.process.Job) says what to run and where to leave the report. The process that
started this one holds the report against a fresh test of the state (evaluate.verify), and kills
this one if it overruns. The clock runs from the call of ``train(task)`` to ``Done`` or its end.
"""

import contextlib
import gc
import json
import random
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from evaluate.counting import CountingTask, Recorder, thinned
from evaluate.files import write_json
from evaluate.outcomes import Outcome
from evaluate.process import Job
from evaluate.submission import learning_rates, load
from tasks import Done, Variant, build_task

#: Rows of learning rates kept in a report, evenly spread over the run.
RATES_KEPT = 200


class LimitReached(BaseException):
    """Raised inside ``train`` when the clock passes the limit.

    Not an Exception, so that a submission's own handlers let it through.
    """


def main(job_path: str) -> None:
    """Run the job in this file and write its report."""
    job = Job(**json.loads(Path(job_path).read_text()))
    torch.set_num_threads(job.threads)
    variant = Variant.from_dict(job.variant)

    def build():
        return build_task(variant, device=job.device)

    warm_up(build())
    gc.collect()
    report, snapshot = run(job, build)
    if snapshot is not None:
        torch.save(snapshot, job.snapshot)
    write_json(job.report, report)


def warm_up(task) -> None:
    """Call each oracle once, so that kernels are loaded and chosen before the clock starts.

    Also makes an optimizer: with the first one, PyTorch imports its compiler, which takes seconds,
    and imports are not on the clock.
    """
    torch.optim.Adam([torch.zeros(1)])
    for batch in task.train_iterator(batch_size=task.default_batch_size, shuffle=True):
        task.batch_loss(batch)
        task.batch_loss_and_gradient(batch)
        break
    with contextlib.suppress(Done):
        task.test(task.state)


def run(job: Job, build: Callable) -> tuple[dict, dict | None]:
    """Build the task, load the submission and run it on the clock.

    Returns the report (plain data) and, if the oracle raised ``Done``, the snapshot of the state.
    """
    seed_everything(job.seed)
    # Built before the submission is loaded, whose module-level code could reach into tasks.
    task = build()
    target = task.target_test_loss
    recorder = Recorder()
    proxy = CountingTask(task, recorder)
    try:
        module = load(Path(job.submission))
        train = module.train
    except BaseException as problem:
        return _report(recorder, Outcome.ERROR, _describe(problem)), None
    job.started.touch()
    outcome, message = clocked(train, proxy, recorder, job.limit_seconds)
    if (task.target_test_loss, proxy.target_test_loss) != (target, target):
        outcome, message = Outcome.CHEATED, "the submission changed target_test_loss"
    report = _report(recorder, outcome, message)
    report["learning_rates"] = thinned(learning_rates(module) or [], RATES_KEPT) or None
    report["tensor_shapes"] = [list(tensor.shape) for tensor in task.state]
    return report, recorder.snapshot if outcome is Outcome.REACHED else None


def clocked(
    train: Callable, proxy: CountingTask, recorder: Recorder, limit_seconds: float
) -> tuple[Outcome, str]:
    """Call ``train(proxy)`` on the clock; returns the outcome and, where it needs one, a message.

    ``reached`` is a claim at this point. What train does after the oracle's ``Done`` is off the
    clock and cannot change the outcome.
    """
    outcome, message = Outcome.STOPPED, ""
    try:
        with time_limit(limit_seconds, unless=lambda: recorder.seconds > 0):
            recorder.start()
            train(proxy)
    except LimitReached:
        outcome = Outcome.TIMEOUT
    except Done:
        outcome, message = Outcome.CHEATED, "Done was not raised by the oracle"
    except BaseException as problem:
        outcome = Outcome.OUT_OF_MEMORY if is_out_of_memory(problem) else Outcome.ERROR
        message = _describe(problem)
    recorder.stop()
    if recorder.snapshot is not None:
        outcome, message = Outcome.REACHED, ""
    elif outcome in (Outcome.STOPPED, Outcome.TIMEOUT) and not recorder.last_loss_is_finite():
        return Outcome.DIVERGED, ""
    return (Outcome.TIMEOUT, "") if recorder.seconds > limit_seconds else (outcome, message)


@contextlib.contextmanager
def time_limit(seconds: float, unless: Callable[[], bool]) -> Iterator[None]:
    """Raise LimitReached in the block after so many seconds, and each second after that.

    Not while ``unless()``: a clock that has stopped in time must not be interrupted afterwards.
    """

    def expire(signum, frame):
        if not unless():
            raise LimitReached

    handler = signal.signal(signal.SIGALRM, expire)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether an exception is a failed allocation, on the accelerator or on the host."""
    if isinstance(problem, MemoryError | torch.OutOfMemoryError):
        return True
    # PyTorch's host allocator raises a plain RuntimeError.
    return isinstance(problem, RuntimeError) and "can't allocate memory" in str(problem)


def seed_everything(seed: int) -> None:
    """Seed the generators a submission or task is likely to draw from."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _report(recorder: Recorder, outcome: Outcome, message: str) -> dict:
    return {
        "outcome": outcome,
        "message": message,
        "seconds": recorder.seconds,
        "steps": recorder.steps,
        "calls": recorder.calls(),
        "test_seconds": recorder.test_seconds,
        "train_curve": recorder.train_curve(),
        "test_curve": recorder.test_curve(),
        "learning_rates": None,
        "tensor_shapes": [],
    }


def _describe(problem: BaseException) -> str:
    """The exception in one line, with the place it came from."""
    frames = traceback.extract_tb(problem.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    text = " ".join(str(problem).split())
    return f"{type(problem).__name__}: {text}{place}"


if __name__ == "__main__":
    main(sys.argv[1])
