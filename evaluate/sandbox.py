"""Starts a submission's process with no network, in a process tree of its own, under limits.

Linux namespaces (``unshare`` of util-linux, no privileges needed where the system permits user
namespaces) take the network away, hide the data, and tie every descendant to one process, so that
none outlives the run. Where they are not permitted, Python's own calls are refused instead.
"""

import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from evaluate.channel import Channel
from evaluate.guard import data_folders
from evaluate.hide import SHARED_MEMORY

#: Processes a submission may have before it is ended.
MOST_PROCESSES = 32
#: Seconds that an end takes which nothing delays.
ENDING = 0.2
UNSHARE = (
    "unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child",
    "--mount-proc", "--",
)  # fmt: skip


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


@functools.cache
def namespaces_work() -> bool:
    """Whether this system lets us make the namespaces."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0


def is_hidden(path: Path) -> bool:
    """Whether a submission does not see what lies there: its shared memory is one of its own."""
    hidden = [SHARED_MEMORY, *data_folders()]
    return namespaces_work() and any(map(path.resolve().is_relative_to, hidden))


def isolation(is_apart: bool) -> str:
    """How well submissions are kept apart, in a word: "namespaces", "process" or "none"."""
    if not is_apart:
        return "none"
    return "namespaces" if namespaces_work() else "process"


def processes_below(process: int, most: int) -> list[int]:
    """Descendants of a process, by id; a little over ``most`` at the most."""
    found, queue = [], [process]
    while queue and len(found) <= most:
        for child in _children(queue.pop()):
            found.append(child)
            queue.append(child)
    return found


def takes_more_than(processes: Sequence[int], most_bytes: int) -> bool:
    """Whether the processes together hold more memory than this.

    Pages that several share, as after a fork, count once. That takes the kernel a walk over all
    pages, so a cheap upper bound is asked first.
    """
    if sum(map(_bytes_at_most, processes)) <= most_bytes:
        return False
    return sum(map(_proportional_bytes, processes)) > most_bytes


def kill_all_below(process: int) -> None:
    """Kill the descendants of a process, also those that are being forked meanwhile.

    Its children first: where one is a namespace's, all in the namespace end with it at once.
    """
    _kill(_children(process))
    for _ in range(100):
        if not (found := processes_below(process, 1000)):
            return
        _kill(found)


def _kill(processes: Sequence[int]) -> None:
    for one in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def _children(process: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{process}/task")
    except OSError:
        return []  # the process has ended
    found = []
    for thread in threads:
        path = Path(f"/proc/{process}/task/{thread}/children")
        try:
            found += map(int, path.read_text().split())
        except OSError:
            continue  # the thread has ended
    return found


def _bytes_at_most(process: int) -> int:
    return _sum_of_lines(process, "status", ("RssAnon:", "RssShmem:"))


def _proportional_bytes(process: int) -> int:
    return _sum_of_lines(process, "smaps_rollup", ("Pss_Anon:", "Pss_Shmem:"))


def _sum_of_lines(process: int, file: str, names: tuple[str, ...]) -> int:
    """Of the kilobytes that these lines of a process's file in /proc tell, in bytes."""
    try:
        lines = Path(f"/proc/{process}/{file}").read_text().splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(names))
