"""Starts a submission's process in the sandbox, and ends it with all that it started."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from evaluate.run.channel import Channel
from evaluate.sandbox.guard import data_folders
from evaluate.sandbox.namespaces import entry, namespaces_work

#: Seconds that an end takes which nothing delays.
ENDING = 0.2


class Client:
    """A running submission's process, and the oracle's end of the channel to it."""

    def __init__(self, job: dict, memory: int, folder: Path):
        ours, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        kept = (theirs.fileno(), memory, lifeline)
        scratch = tempfile.mkdtemp(dir=folder, prefix="scratch-")
        self._process = subprocess.Popen(
            [
                *entry(),
                *(sys.executable, "-m", "evaluate.run.client"),
                *(json.dumps(job), *map(str, kept)),
            ],
            pass_fds=kept,
            cwd=scratch,
            env={**os.environ, "TMPDIR": job["private"] if namespaces_work() else scratch},
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        os.close(lifeline)
        self.channel = Channel(ours.detach())

    def stop(self, seconds: float) -> int | None:
        """End the process with all its descendants, which has so many seconds to do so itself.

        Returns its exit code, or None if it had to be ended.
        """
        code = self._ended_within(seconds)
        os.close(self._lifeline)
        self.channel.close()
        # Of the two processes the one that holds the lifeline now ends the other, then itself.
        if self._ended_within(ENDING) is None:
            self._process.kill()
            self._process.wait()
        return code

    def _ended_within(self, seconds: float) -> int | None:
        try:
            return self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None


def client_job(job, data_files: Sequence[str]) -> dict:
    """What the client is told: of the task nothing but which files it is not to see."""
    return {
        "submission": job.submission,
        "threads": job.threads,
        "seed": job.seed,
        "given": job.given,
        "memory_bytes": job.memory_bytes,
        "data_files": sorted(data_files),
        "data_folders": data_folders(),
        "private": job.folder,
        "offline": not namespaces_work(),
    }
