"""One run in its own process: `python -m evaluate.run.worker JOB.json PARENT`.

The job (evaluate.run.process.Job) says what to run and where to write the report. This process
holds the task and the clock. On the CPU, it starts another process for the submission
(evaluate.run.launch) and answers its calls (evaluate.run.serving). On an accelerator, the
submission runs here, since each call across processes would wait for the device. The parent process
verifies the report by a fresh test of the state (evaluate.run.verify), watches the memory, and
kills whatever exceeds a limit. The clock runs from the start of `train(task)` until `Done` or
until train ends.
"""

import contextlib
import dataclasses
import gc
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from evaluate.outcomes import Outcome
from evaluate.run.counting import CountingTask, Recorder
from evaluate.run.hidden import hidden_matrices
from evaluate.run.launch import ENDING, Client, client_job
from evaluate.run.process import SETUP_LIMIT, Job
from evaluate.run.serving import Server, Shared
from evaluate.sandbox.confine import adopt_orphans, die_with_parent, limit_further_memory
from evaluate.sandbox.guard import OpenedFiles
from evaluate.sandbox.limits import Ended, LimitReached, time_limit
from evaluate.sandbox.processes import kill_all_below
from evaluate.seeds import seed_everything
from evaluate.submission import checked_rates, describe, is_out_of_memory, learning_rates, load
from tasks import Done, Task, Variant, build_task
from writing.files import write_json

#: Seconds to wait for a silent process to exit by itself: its exit code shows the reason.
LAST_BREATH = 2.0


def main(job_path: str, parent: int) -> None:
    """Run the job in the file `job_path` and write its report. `parent` is the parent's PID."""
    die_with_parent(parent)
    adopt_orphans()
    job = Job(**json.loads(Path(job_path).read_text()))
    Path(job_path).unlink()  # it would reveal the task
    torch.set_num_threads(job.threads)
    variant = Variant.from_dict(job.variant)

    def build():
        return build_task(variant, device=job.device)

    with OpenedFiles() as data_files:
        warm_up(build())
    gc.collect()
    if job.is_apart:
        limit_further_memory(job.memory_bytes)
    report, snapshot = run_apart(job, build, data_files) if job.is_apart else run(job, build)
    kill_all_below(os.getpid())
    if snapshot is not None:
        torch.save(snapshot, job.snapshot)
    write_json(job.report, report)


def warm_up(task: Task) -> None:
    """Call each oracle once, so that kernels are loaded and chosen before the clock starts.

    Also construct an optimizer: the first one makes PyTorch import its compiler, which takes
    seconds. Imports are off the clock.
    """
    torch.optim.Adam([torch.zeros(1)])
    for batch in task.train_iterator(batch_size=task.default_batch_size, shuffle=True):
        task.batch_loss(batch)
        task.batch_loss_and_gradient(batch)
        break
    with contextlib.suppress(Done):
        task.test(task.state)


def run_apart(job: Job, build: Callable, data_files: Iterable[str]) -> tuple[dict, dict | None]:
    """Build the task, run the submission in its own process and answer its calls on the clock.

    Return the report (plain data) and the snapshot of the state, None unless the oracle raised
    `Done`.
    """
    seed_everything(job.seed)
    task = build()
    job = told(job, task)
    shared, recorder = Shared(task), Recorder()
    proxy = CountingTask(task, recorder, job.limit_steps)
    client = Client(client_job(job, data_files), Path(job.folder))
    server = Server(client.channel, shared)
    try:
        server.begin(SETUP_LIMIT)
        job.started.touch()
        outcome, message = clocked(server.serve, proxy, recorder, job.limit_seconds)
        if outcome in (Outcome.TIMEOUT, Outcome.DIVERGED):  # a diverged run may also be out of time
            server.wind_up()
    except Ended as ended:
        outcome, message = ended.outcome, ended.message
    is_silent = outcome is Outcome.ERROR and not message
    code = client.stop(LAST_BREATH if is_silent else ENDING)
    os.close(shared.descriptor)
    if is_silent:
        outcome, message = _of_exit_code(code)
    report = _report(recorder, outcome, message, task)
    report["learning_rates"] = checked_rates(server.learning_rates, len(task.state))
    return report, recorder.snapshot if outcome is Outcome.REACHED else None


def run(job: Job, build: Callable) -> tuple[dict, dict | None]:
    """Build the task, load the submission into this process and run it on the clock.

    Return the same as `run_apart`.
    """
    seed_everything(job.seed)
    # Build first: the submission's module-level code could tamper with tasks.
    task = build()
    job = told(job, task)
    target = task.target_test_loss
    recorder = Recorder()
    proxy = CountingTask(task, recorder, job.limit_steps)
    try:
        module = load(Path(job.submission))
        if job.given:
            module.given = job.given
        train = module.train
    except BaseException as problem:
        return _report(recorder, Outcome.ERROR, describe(problem), task), None
    if torch.device(job.device).type == "cuda":
        torch.cuda.synchronize(job.device)  # keep pending work of the build off the clock
    job.started.touch()
    outcome, message = clocked(train, proxy, recorder, job.limit_seconds)
    if (task.target_test_loss, proxy.target_test_loss) != (target, target):
        outcome, message = Outcome.CHEATED, "the submission changed target_test_loss"
    report = _report(recorder, outcome, message, task)
    report["learning_rates"] = learning_rates(module, len(task.state))
    return report, recorder.snapshot if outcome is Outcome.REACHED else None


def told(job: Job, task: Task) -> Job:
    """Return the job, with information about the task if it is a peer's."""
    if not job.given:
        return job
    return dataclasses.replace(job, given={**job.given, "hidden": hidden_matrices(task)})


def clocked(
    train: Callable, proxy: CountingTask, recorder: Recorder, limit_seconds: float
) -> tuple[Outcome, str]:
    """Call `train(proxy)` on the clock. Return the outcome and a message, empty if not needed.

    `reached` is only a claim here. What train does after the oracle's `Done` is off the clock and
    can't change the outcome.
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
    except Ended as ended:
        outcome, message = ended.outcome, ended.message
    except BaseException as problem:
        outcome = Outcome.OUT_OF_MEMORY if is_out_of_memory(problem) else Outcome.ERROR
        message = describe(problem)
    recorder.stop()
    if recorder.snapshot is not None:
        outcome, message = Outcome.REACHED, ""
    elif outcome in (Outcome.STOPPED, Outcome.TIMEOUT) and not recorder.last_loss_is_finite():
        return Outcome.DIVERGED, ""
    return (Outcome.TIMEOUT, "") if recorder.seconds > limit_seconds else (outcome, message)


def _of_exit_code(code: int | None) -> tuple[Outcome, str]:
    """Return outcome and message of a process that ended without a report.

    An exit code of 128 + n means signal n; None means that the process had to be killed.
    """
    if code is None:
        return Outcome.ERROR, "hung up, or sent too much at once"
    if code in (-9, 128 + 9):
        return Outcome.OUT_OF_MEMORY, "the system killed the process"
    return Outcome.ERROR, f"the process ended with code {code}"


def _report(recorder: Recorder, outcome: Outcome, message: str, task: Task) -> dict:
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
        "tensor_shapes": [list(tensor.shape) for tensor in task.state],
    }


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
