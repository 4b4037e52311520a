"""Count, measure and kill the descendants of a process."""

import contextlib
import os
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from evaluate.sandbox.hide import WORK

#: Processes that a submission may have; more end the run.
MOST_PROCESSES = 32


def processes_below(process: int, most: int) -> list[int]:
    """Return the IDs of a process's descendants. Stop soon after `most`."""
    found, queue = [], [process]
    while queue and len(found) <= most:
        for child in _children(queue.pop()):
            found.append(child)
            queue.append(child)
    return found


def takes_more_than(
    processes: Sequence[int], most_bytes: int, is_urgent: Callable[[], bool] = lambda: False
) -> bool:
    """Return whether the processes together hold more than `most_bytes` of memory.

    An in-memory working folder counts too, since shared memory is files there
    (evaluate.sandbox.calls). Pages shared by several processes, as after a fork, count once. The
    kernel walks all pages for that, so a cheap upper bound is checked first. If many processes
    compete for the cores, the walk takes seconds; once something else `is_urgent`, give up and
    return False.
    """
    files = _bytes_in_files(processes)
    # Without an in-memory folder, count the mapped part of files.
    shmem, pss_shmem = ("|RssShmem", "|Pss_Shmem") if files is None else ("", "")
    left = most_bytes - (files or 0)
    bound = sum(_sum_of_lines(one, "status", "RssAnon|VmSwap|VmPTE" + shmem) for one in processes)
    if bound <= left:
        return False
    for process in processes:
        left -= _sum_of_lines(process, "smaps_rollup", "Pss_Anon|SwapPss" + pss_shmem)
        left -= _sum_of_lines(process, "status", "VmPTE")  # page tables, also of untouched pages
        if left < 0 or is_urgent():
            break
    return left < 0


def kill_all_below(process: int) -> None:
    """Kill the descendants of a process, including those forked in the meantime.

    Kill children first: if one is a namespace's init, the whole namespace ends with it.
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


def _threads(process: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{process}/task")
    except OSError:
        return []  # the process has ended


def _children(process: int) -> list[int]:
    found = []
    for thread in _threads(process):
        path = Path(f"/proc/{process}/task/{thread}/children")
        with contextlib.suppress(OSError):  # the thread has ended
            found += map(int, path.read_text().split())
    return found


def _bytes_in_files(processes: Sequence[int]) -> int | None:
    """Return the bytes in the working folder; None if the processes share our root."""
    for process in processes:
        root = f"/proc/{process}/root"
        with contextlib.suppress(OSError):
            if os.stat(root).st_dev != os.stat("/").st_dev:
                found = os.statvfs(root + WORK)
                return (found.f_blocks - found.f_bfree) * found.f_frsize
    return None


def _sum_of_lines(process: int, file: str, names: str) -> int:
    """Return the sum, in bytes, of the lines `names` (in kB) of a process's file in /proc.

    Any live thread's file has them. The main thread may have ended.
    """
    line = re.compile(rf"^(?:{names}):\s*(\d+)".encode(), re.MULTILINE)
    for thread in _threads(process):
        with contextlib.suppress(OSError):
            # Read bytes: the file also holds the process's name, which may be invalid UTF-8.
            content = Path(f"/proc/{process}/task/{thread}/{file}").read_bytes()
            if found := line.findall(content):
                return 1024 * sum(map(int, found))
    return 0
