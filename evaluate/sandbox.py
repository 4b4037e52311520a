"""Starts a submission's process with no network, in a process tree of its own, under limits.

Linux namespaces (``unshare`` of util-linux, no privileges needed where the system permits user
namespaces) take the network away and tie every descendant to one process, so that none outlives
the run. Where they are not permitted, Python's own socket calls are refused instead.
"""

import ctypes
import functools
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from evaluate.channel import Channel

#: Bytes of the largest file that a submission may write.
LARGEST_FILE = 2**30
#: Processes and threads a submission may have; a fork bomb passes this in milliseconds.
MOST_PROCESSES = 128
UNSHARE = (
    "unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child",
    "--mount-proc", "--",
)  # fmt: skip
_PR_SET_PDEATHSIG = 1


class Client:
    """A running submission's process, and the oracle's end of the channel to it."""

    def __init__(self, job: dict, memory: int, folder: Path):
        ours, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        kept = (theirs.fileno(), memory, lifeline)
        scratch = tempfile.mkdtemp(dir=folder, prefix="scratch-")
        self._process = subprocess.Popen(
            [
                *(UNSHARE if namespaces_work() else ()),
                *(sys.executable, "-m", "evaluate.client"),
                *(json.dumps(job), *map(str, kept)),
            ],
            pass_fds=kept,
            cwd=scratch,
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        os.close(lifeline)
        self.channel = Channel(ours.detach())

    def stop(self) -> int:
        """End the process with all its descendants; returns the exit code it had, or -9."""
        try:
            self._process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            self._process.kill()
        os.close(self._lifeline)
        self.channel.close()
        return self._process.wait()


def client_job(job, data_files: Sequence[str]) -> dict:
    """What the client is told: nothing of the task, not even its name."""
    return {
        "submission": job.submission,
        "threads": job.threads,
        "seed": job.seed,
        "given": job.given,
        "memory_bytes": job.memory_bytes,
        "data_files": sorted(data_files),
        "offline": not namespaces_work(),
    }


@functools.cache
def namespaces_work() -> bool:
    """Whether this system lets us make the namespaces."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0


def limit_this_process(memory_bytes: int) -> None:
    """Limit the memory and the files of this process, and of each that it starts."""
    _lower(resource.RLIMIT_DATA, memory_bytes)
    _lower(resource.RLIMIT_FSIZE, LARGEST_FILE)
    _lower(resource.RLIMIT_CORE, 0)


def die_with_parent() -> None:
    """Have the kernel end this process as soon as the thread that started it is gone."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def processes_below(process: int, most: int) -> list[int]:
    """Descendants of a process, by id; a little over ``most`` at the most."""
    found, queue = [], [process]
    while queue and len(found) <= most:
        for child in _children(queue.pop()):
            found.append(child)
            queue.append(child)
    return found


def memory_of(processes: Sequence[int]) -> int:
    """Bytes of memory that these processes hold and do not share."""
    return sum(map(_private_bytes, processes))


def kill_all_below(process: int) -> None:
    """Kill the descendants of a process, also those that are being forked meanwhile."""
    for _ in range(100):
        found = processes_below(process, 100_000)
        if not found:
            return
        for one in found:
            try:
                os.kill(one, signal.SIGKILL)
            except ProcessLookupError:
                continue


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def _children(process: int) -> list[int]:
    found = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found += map(int, path.read_text().split())
        except OSError:
            continue  # the thread has ended
    return found


def _private_bytes(process: int) -> int:
    try:
        _, resident, shared, *_ = Path(f"/proc/{process}/statm").read_text().split()
    except OSError:
        return 0
    return (int(resident) - int(shared)) * resource.getpagesize()
