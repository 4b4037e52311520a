"""Run one worker process from job to report, under limits that it can't ignore."""

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
#: Seconds past the limit after which a worker that has not stopped is killed.
GRACE = 15.0

#: Seconds between two checks of the submission's processes. A check takes 0.1 ms.
POLL_SECONDS = 0.1
#: Bytes to keep from the end of a worker's output, for its last line.
LAST_BYTES = 4096
#: Seconds to wait for the rest of the output. Without namespaces, a process that escaped may keep
#: the pipe open.
LAST_SECONDS = 1.0
#: Start of the message for a process that ended without a report.
DIED = "the process ended"

#: The report for a worker that could not write one.
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
    """What a worker runs, under which limits, and where it puts the result."""

    submission: str  # path of the train.py
    variant: dict  # the pair's Variant.to_dict(), reseeded for this repeat
    seed: int  # of Python's, NumPy's and PyTorch's generators
    limit_seconds: float  # on the clock
    device: str
    threads: int
    limit_steps: int | None = None  # gradients that the submission may compute
    memory_bytes: int = MEMORY_BYTES  # of the submission's processes together
    given: dict | None = None  # information for peers only (evaluate.peers)
    results: str = ""  # folder of the results so far, hidden from the submission
    folder: str = ""  # the worker's own, for the files below

    @property
    def is_apart(self) -> bool:
        """Whether the submission runs in its own process, apart from the task's."""
        return torch.device(self.device).type == "cpu"

    @property
    def started(self) -> Path:
        """Path of an empty file, created when the clock starts."""
        return Path(self.folder) / "started"

    @property
    def report(self) -> Path:
        """Path of the report, JSON."""
        return Path(self.folder) / "report.json"

    @property
    def snapshot(self) -> Path:
        """Path of the state that reached the target. Only written if it was reached."""
        return Path(self.folder) / "snapshot.pt"


class Interrupted(Exception):
    """A run was stopped because the evaluation is stopping."""


def run_in_process(job: Job, stop: threading.Event) -> tuple[dict, dict | None]:
    """Run a job in a new temporary folder.

    Return the worker's report and the snapshot of the state that it claims reached the target, or
    None. Once `stop` is set, kill the worker and raise Interrupted.
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
            start_new_session=True,  # only this process handles Ctrl-C
        )
        words = LastWords(process.stdout)
        try:
            broken = _wait(process, job, stop)
        finally:
            _kill_group(process)
        # If the worker was killed, another process may have written the report.
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
    """Return this process's environment, with our packages importable and the threads set."""
    root = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    count = str(threads)
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([root, inherited] if inherited else [root]),
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        # Otherwise kernels load at their first call, the submission's own on the clock.
        "CUDA_MODULE_LOADING": "EAGER",
    }


def _wait(process: subprocess.Popen, job: Job, stop: threading.Event) -> dict | None:
    """Wait for the worker to exit, and kill processes that exceed a limit.

    Return the outcome and message of an exceeded limit, or None. Raise Interrupted once `stop` is
    set.
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
                kill_all_below(process.pid)  # but not the worker: it writes the report
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
    """Kill the worker, its descendants and everything in its session."""
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
    """Read a pipe continuously, and keep only the end of what processes print into it.

    It is a pipe, not a file: processes can neither change nor pile up their earlier output.
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
        """Return the last line, after all printing processes have ended."""
        self._thread.join(LAST_SECONDS)
        lines = self._end.decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else "no output"
