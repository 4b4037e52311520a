"""One worker process, from its job to its report, under a limit it cannot ignore."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from evaluate.files import write_json
from evaluate.outcomes import Outcome

#: Seconds a worker may take to import, fetch data and build the task.
SETUP_LIMIT = 600.0
#: Seconds past the limit on the clock before a worker that does not stop by itself is killed.
GRACE = 15.0

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
    folder: str = ""  # the worker's own, for the files below

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


def run_in_process(job: Job) -> tuple[dict, dict | None]:
    """Run a job, in a folder that is chosen here.

    Returns the worker's report, and the snapshot of the state it claims reached the target.
    """
    with tempfile.TemporaryDirectory(prefix="evaluate-") as folder:
        job = dataclasses.replace(job, folder=folder)
        path, log = Path(folder) / "job.json", Path(folder) / "log"
        write_json(path, dataclasses.asdict(job))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "evaluate.worker", str(path)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(job.threads),
                start_new_session=True,  # a Ctrl-C is this process's to handle
            )
            try:
                overran = _wait(process, job)
            finally:
                _kill_group(process)
        if job.report.exists():
            return _read(job)
        return _without_report(process.returncode, overran, job, _last_line(log)), None


def _environment(threads: int) -> dict[str, str]:
    """This process's environment, with our packages importable and the threads set."""
    root = str(Path(__file__).resolve().parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    count = str(threads)
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([root, inherited] if inherited else [root]),
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
    }


def _wait(process: subprocess.Popen, job: Job) -> bool:
    """Wait for the worker's end or its deadline; whether it overran that."""
    deadline = time.monotonic() + SETUP_LIMIT
    clock_runs = False
    while time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.1)
            return False
        if not clock_runs and job.started.exists():
            clock_runs = True
            deadline = time.monotonic() + job.limit_seconds + GRACE
    return True


def _kill_group(process: subprocess.Popen) -> None:
    """End the worker and whatever it started in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(job: Job) -> tuple[dict, dict | None]:
    report = json.loads(job.report.read_text())
    if not job.snapshot.exists():
        return report, None
    return report, torch.load(job.snapshot, weights_only=True)


def _without_report(returncode: int, overran: bool, job: Job, last_line: str) -> dict:
    if overran and job.started.exists():
        seconds = job.limit_seconds + GRACE
        message = "did not stop at the limit and was killed"
        return {**EMPTY_REPORT, "outcome": Outcome.TIMEOUT, "message": message, "seconds": seconds}
    if overran:
        outcome, message = Outcome.ERROR, f"set-up took longer than {SETUP_LIMIT:.0f} s"
    elif returncode == -signal.SIGKILL:
        outcome, message = Outcome.OUT_OF_MEMORY, "the system killed the process"
    else:
        outcome, message = Outcome.ERROR, f"the process ended with code {returncode}: {last_line}"
    return {**EMPTY_REPORT, "outcome": outcome, "message": message}


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "no output"
