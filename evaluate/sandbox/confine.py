"""Limits that a process sets on itself and its descendants. Imports nothing heavy."""

import contextlib
import ctypes
import os
import re
import resource
import signal
from pathlib import Path

#: Bytes of the largest file that a submission may write.
LARGEST_FILE = 2**30
#: Open files of a process. The kernel's buffers of sockets and pipes are in no count of memory.
MOST_OPEN_FILES = 1024
#: Processes and threads of a submission, if the kernel can limit them. This keeps a fork bomb from
#: starving the processes that have to kill it. The kernel accepts no less than 301.
MOST_TASKS = 320
#: The first Linux version with a `pid_max` per process namespace. Older ones have one for the whole
#: machine, which root in a namespace may write.
_OWN_PID_MAX = (6, 14)
_PID_MAX = Path("/proc/sys/kernel/pid_max")
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def limit_this_process(memory_bytes: int, in_namespace: bool) -> None:
    """Limit the memory, files and children of this process and of each descendant."""
    _lower(resource.RLIMIT_DATA, memory_bytes)
    _lower(resource.RLIMIT_FSIZE, LARGEST_FILE)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, MOST_OPEN_FILES)
    if in_namespace:  # otherwise the user's other processes count too
        _lower(resource.RLIMIT_NPROC, MOST_TASKS)


def limit_further_memory(memory_bytes: int) -> None:
    """Let this process allocate `memory_bytes` in addition to what it has."""
    lines = Path("/proc/self/status").read_text().splitlines()
    has = next(int(line.split()[1]) for line in lines if line.startswith("VmData:"))
    _lower(resource.RLIMIT_DATA, 1024 * has + memory_bytes)


def limit_this_namespace() -> None:
    """Limit the processes and threads in the process namespace whose init this process is.

    RLIMIT_NPROC does not apply to root. Does nothing before Linux 6.14.
    """
    release = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))
    if release >= _OWN_PID_MAX:
        with contextlib.suppress(OSError):
            _PID_MAX.write_text(str(MOST_TASKS))


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process as soon as the thread that started it ends.

    Raise SystemExit if `parent`, the process that started it, is gone already.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the evaluation is gone")


def adopt_orphans() -> None:
    """Become the parent of each descendant whose own parent ends, so that none gets away."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))
