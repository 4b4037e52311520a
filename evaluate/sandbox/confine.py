"""Limits that a process sets on itself and on all that it starts. Imports nothing heavy."""

import contextlib
import ctypes
import os
import re
import resource
import signal
from pathlib import Path

#: Bytes of the largest file that a submission may write.
LARGEST_FILE = 2**30
#: Processes and threads that the kernel lets it have where it can be told, so that a fork bomb does
#: not starve those who are to end it. The least that the kernel takes is 301.
MOST_TASKS = 320
#: The first Linux in which a process namespace has a `pid_max` of its own. Before, there is one
#: for the machine, and root in a namespace may write it.
_OWN_PID_MAX = (6, 14)
_PID_MAX = Path("/proc/sys/kernel/pid_max")
_PR_SET_PDEATHSIG = 1


def limit_this_process(memory_bytes: int, in_namespace: bool) -> None:
    """Limit the memory, the files and the children of this process, and of each that it starts."""
    _lower(resource.RLIMIT_DATA, memory_bytes)
    _lower(resource.RLIMIT_FSIZE, LARGEST_FILE)
    _lower(resource.RLIMIT_CORE, 0)
    if in_namespace:  # elsewhere all other processes of the user count too
        _lower(resource.RLIMIT_NPROC, MOST_TASKS)


def limit_further_memory(memory_bytes: int) -> None:
    """Let this process take so much memory more than it has."""
    lines = Path("/proc/self/status").read_text().splitlines()
    has = next(int(line.split()[1]) for line in lines if line.startswith("VmData:"))
    _lower(resource.RLIMIT_DATA, 1024 * has + memory_bytes)


def limit_this_namespace() -> None:
    """Limit the tasks in the process namespace that this process is the first of.

    For root, whom RLIMIT_NPROC does not bind; does nothing before Linux 6.14.
    """
    release = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))
    if release >= _OWN_PID_MAX:
        with contextlib.suppress(OSError):
            _PID_MAX.write_text(str(MOST_TASKS))


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process as soon as the thread that started it is gone.

    Ends it now if `parent`, the process that started it, is gone already.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the evaluation is gone")


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))
