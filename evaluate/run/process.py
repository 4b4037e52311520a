"""One worker process, from its job to its report, under a limit it cannot ignore."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from evaluate.outcomes import Outcome
from evaluate.sandbox.limits import MEMORY_BYTES
from evaluate.sandbox.processes import (
    MOST_PROCESSES,
    kill_all_below,
    processes_below,
    takes_more_than,
)
from writing.files import write_json

#: Seconds a worker may take to import, fetch data and build the task.
SETUP_LIMIT = 600.0
#: Seconds past the limit on the clock before a worker that does not stop by itself is killed.
GRACE = 15.0

#: Seconds between two looks at the submission's processes; a look takes a tenth of a millisecond.
POLL_SECONDS = 0.1
#: Bytes at the end of what a worker printed that its last words are looked for in.
LAST_BYTES = 4096
#: Seconds that are waited for what is still in the pipe; without namespaces some process may have
#: got away and hold it open.
LAST_SECONDS = 1.0
#: How the message on a process that ended without a word begins.
DIED = "the process ended"

#: What a report holds when the worker could not write one.
EMPTY_REPORT = {
    "seconds": 0.0,
    "steps": 0,
    "calls": {"batch_loss_and_gradient": 0, "batch_loss": 0, "test": 0},
    "test_seconds": 0.0,
    "train_curve": {"seconds": [], "steps": [], "loss": []},
    "test_curve": {"seconds": [], "steps": [], "loss": []},
    "learning_rates": None,
    "tensor_shapes": [],
}


@dataclass(frozen=True)
class Job:
    """What a worker is to run, under which limit, and where it puts what came of it."""

    submission: str  # path of the train.py
    variant: dict  # Variant.to_dict() of the pair, reseeded for this repeat
    seed: int  # of Python's, NumPy's and PyTorch's generators
    limit_seconds: float  # on the clock
    device: str
    threads: int
    limit_steps: int | None = None  # gradients the submission may ask for
    memory_bytes: int = MEMORY_BYTES  # of the submission's processes together
    given: dict | None = None  # what a peer may know, and no submission (evaluate.peers)
    results: str = ""  # folder of the results so far, which a submission does not see
    folder: str = ""  # the worker's own, for the files below

    @property
    def is_apart(self) -> bool:
        """Whether the submission gets a process of its own, away from the task's."""
        return torch.device(self.device).type == "cpu"

    @property
    def started(self) -> Path:
        """An empty file, made when the clock starts."""
        return Path(self.folder) / "started"

    @property
    def report(self) -> Path:
        """The report, JSON."""
        return Path(self.folder) / "report.json"

    @property
    def snapshot(self) -> Path:
        """The state that reached the target; written only then."""
        return Path(self.folder) / "snapshot.pt"


class Interrupted(Exception):
    """A run was ended because the evaluation is to end."""


def run_in_process(job: Job, stop: threading.Event) -> tuple[dict, dict | None]:
    """Run a job, in a folder that is chosen here.

    Returns the worker's report, and the snapshot of the state it claims reached the target.
    Once `stop` is set, ends the worker and raises Interrupted.
    """
    if stop.is_set():
        raise Interrupted
    with tempfile.TemporaryDirectory(prefix="evaluate-") as folder:
        job = dataclasses.replace(job, folder=folder)
        path = Path(folder) / "job.json"
        write_json(path, dataclasses.asdict(job))
        process = subprocess.Popen(
            [sys.executable, "-m", "evaluate.run.worker", str(path), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(job.threads),
            start_new_session=True,  # a Ctrl-C is this process's to handle
        )
        words = LastWords(process.stdout)
        try:
            broken = _wait(process, job, stop)
        finally:
            _kill_group(process)
        # Of a worker that did not end by itself it could be another's.
        is_told = job.report.exists() and process.returncode == 0
        report, snapshot = _read(job) if is_told else (EMPTY_REPORT, None)
        if broken and report.get("outcome") != Outcome.REACHED:
            return {**report, **broken}, None
        if "outcome" not in report:
            return {**report, **_without_report(process.returncode, words.line())}, None
        if report["outcome"] == Outcome.ERROR and report["message"].startswith(DIED):
            report["message"] += f": {words.line()}"
        return report, snapshot


def environment(threads: int) -> dict[str, str]:
    """This process's environment, with our packages importable and the threads set."""
    root = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    count = str(threads)
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([root, inherited] if inherited else [root]),
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        # Or else kernels are loaded at their first call, a submission's own on the clock.
        "CUDA_MODULE_LOADING": "EAGER",
    }


def _wait(process: subprocess.Popen, job: Job, stop: threading.Event) -> dict | None:
    """Wait for the worker's end.

    Ends what breaks a limit; returns the outcome and the message of that, None if nothing did.
    Raises Interrupted once `stop` is set.
    """
    deadline = time.monotonic() + SETUP_LIMIT
    clock_runs, broken = False, None
    while time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=POLL_SECONDS)
            return broken
        if stop.is_set():
            raise Interrupted
        if job.is_apart and broken is None:
            broken = _broken_limit(process.pid, job, deadline)
            if broken:
                kill_all_below(process.pid)  # the worker lives on to report
                deadline = time.monotonic() + GRACE
        if not clock_runs and job.started.exists():
            clock_runs = True
            deadline = time.monotonic() + job.limit_seconds + GRACE
    if broken:
        return broken
    if clock_runs:
        seconds = job.limit_seconds + GRACE
        return _verdict(Outcome.TIMEOUT, "did not stop at the limit and was killed") | {
            "seconds": seconds
        }
    return _verdict(Outcome.ERROR, f"set-up took longer than {SETUP_LIMIT:.0f} s")


def _broken_limit(worker: int, job: Job, deadline: float) -> dict | None:
    def found() -> list[int]:
        return processes_below(worker, MOST_PROCESSES)

    def is_urgent() -> bool:
        return len(found()) > MOST_PROCESSES or time.monotonic() > deadline

    processes = found()
    if len(processes) > MOST_PROCESSES:
        return _verdict(Outcome.ERROR, f"started more than {MOST_PROCESSES} processes")
    if takes_more_than(processes, job.memory_bytes, is_urgent):
        gigabytes = job.memory_bytes / 2**30
        return _verdict(Outcome.OUT_OF_MEMORY, f"took more than {gigabytes:.3g} GiB of memory")
    return None


def _verdict(outcome: Outcome, message: str) -> dict:
    return {"outcome": outcome, "message": message}


def _kill_group(process: subprocess.Popen) -> None:
    """End the worker, its descendants and whatever is in its session."""
    kill_all_below(process.pid)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(job: Job) -> tuple:
    report = json.loads(job.report.read_text())
    if not job.snapshot.exists():
        return report, None
    return report, torch.load(job.snapshot, weights_only=True)


def _without_report(returncode: int, last_line: str) -> dict:
    if returncode == -signal.SIGKILL:
        return _verdict(Outcome.OUT_OF_MEMORY, "the system killed the process")
    return _verdict(Outcome.ERROR, f"{DIED} with code {returncode}: {last_line}")


class LastWords:
    """The end of what processes print into a pipe, which is read as it comes and not kept.

    A pipe and no file: what a process has printed it can neither take back nor let grow.
    """

    def __init__(self, pipe: Any):
        self._pipe, self._end = pipe, b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._pipe:
            while some := self._pipe.read1(2**16):
                self._end = (self._end + some)[-LAST_BYTES:]

    def line(self) -> str:
        """The last line, once all who print have ended."""
        self._thread.join(LAST_SECONDS)
        lines = self._end.decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else "no output"
