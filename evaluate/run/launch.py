"""Start a submission's process in the sandbox, and kill it with all its descendants."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from evaluate.run.channel import Channel
from evaluate.run.process import Job
from evaluate.sandbox.guard import data_folders, known_data_files
from evaluate.sandbox.hide import WORK, needed
from evaluate.sandbox.namespaces import entry, namespaces_work

#: Seconds within which a process exits if nothing delays it.
ENDING = 0.2
#: Environment variables passed to a submission. The others may hold keys and passwords.
_ENVIRONMENT = re.compile(
    "PATH|LANG|LANGUAGE|LC_.*|TZ|LD_.*|VIRTUAL_ENV|CONDA_PREFIX"
    "|(PYTHON|OMP_|KMP_|GOMP_|MKL_|OPENBLAS_|ATEN_|DNNL_|ONEDNN_|TORCH_|CUDA_).*"
)


class Client:
    """A running submission's process, and the oracle's end of the channel to it.

    Nothing about the task is passed here. What the process inherits is available while the
    submission's file is loaded, off the clock.
    """

    def __init__(self, job: dict, folder: Path):
        ours, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        told, tell = os.pipe()  # not the command line, which the submission can read
        kept = (theirs.fileno(), lifeline, told)
        scratch = tempfile.mkdtemp(dir=folder, prefix="scratch-")
        self._process = subprocess.Popen(
            [*entry(), sys.executable, "-m", "evaluate.run.client", *map(str, kept)],
            pass_fds=kept,
            cwd=scratch,
            env=_environment(WORK if namespaces_work() else scratch),
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        os.close(lifeline)
        os.close(told)
        with contextlib.suppress(BrokenPipeError), open(tell, "w") as pipe:
            json.dump(job, pipe)
        self.channel = Channel(ours.detach())

    def stop(self, seconds: float) -> int | None:
        """Wait up to `seconds` for the process to exit, then kill it with all its descendants.

        Return its exit code, or None if it had to be killed.
        """
        code = self._ended_within(seconds)
        os.close(self._lifeline)
        self.channel.close()
        # The process that holds the lifeline now kills its child, then exits.
        if self._ended_within(ENDING) is None:
            self._process.kill()
            self._process.wait()
        return code

    def _ended_within(self, seconds: float) -> int | None:
        try:
            return self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None


def client_job(job: Job, data_files: Iterable[str]) -> dict:
    """Return what the client is told. Of the task, this is only which files to hide."""
    return {
        "submission": job.submission,
        "threads": job.threads,
        "seed": job.seed,
        "given": job.given,
        "memory_bytes": job.memory_bytes,
        "data_files": sorted(data_files),
        "known_data_files": known_data_files(),
        "data_folders": data_folders(),
        "results": job.results,
        "shown": needed(),
        "offline": not namespaces_work(),
    }


def _environment(work: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if _ENVIRONMENT.fullmatch(name)}
    # Safe path: don't import from the working folder.
    return {**kept, "TMPDIR": work, "HOME": work, "PYTHONSAFEPATH": "1"}
