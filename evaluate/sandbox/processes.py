"""The descendants of a process: how many, how much memory they hold, and their end."""

import contextlib
import os
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from evaluate.sandbox.hide import WORK

#: Processes a submission may have before it is ended.
MOST_PROCESSES = 32


def processes_below(process: int, most: int) -> list[int]:
    """Descendants of a process, by id; a little over `most` at the most."""
    found, queue = [], [process]
    while queue and len(found) <= most:
        for child in _children(queue.pop()):
            found.append(child)
            queue.append(child)
    return found


def takes_more_than(
    processes: Sequence[int], most_bytes: int, is_urgent: Callable[[], bool] = lambda: False
) -> bool:
    """Whether the processes together hold more memory than this, with the files in their working
    folder where that is in memory: shared memory is such files (evaluate.sandbox.calls).

    Pages that several share, as after a fork, count once. That takes the kernel a walk over all
    pages, so a cheap upper bound is asked first. Where many processes compete for the cores the
    walk takes seconds: it is given up, with False, once something else `is_urgent`.
    """
    files = _bytes_in_files(processes)
    # Elsewhere files count as far as they are mapped.
    shmem, pss_shmem = ("|RssShmem", "|Pss_Shmem") if files is None else ("", "")
    left = most_bytes - (files or 0)
    bound = sum(_sum_of_lines(one, "status", "RssAnon|VmSwap" + shmem) for one in processes)
    if bound <= left:
        return False
    for process in processes:
        left -= _sum_of_lines(process, "smaps_rollup", "Pss_Anon|SwapPss" + pss_shmem)
        if left < 0 or is_urgent():
            break
    return left < 0


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
    """The bytes of the files in the working folder, or None without a root of their own."""
    for process in processes:
        root = f"/proc/{process}/root"
        with contextlib.suppress(OSError):
            if os.stat(root).st_dev != os.stat("/").st_dev:
                found = os.statvfs(root + WORK)
                return (found.f_blocks - found.f_bfree) * found.f_frsize
    return None


def _sum_of_lines(process: int, file: str, names: str) -> int:
    """Of the kilobytes that these lines of a process's file in /proc tell, in bytes.

    Any thread's file tells them, but that of one that has ended, as a process's first may have.
    """
    line = re.compile(rf"^(?:{names}):\s*(\d+)".encode(), re.MULTILINE)
    for thread in _threads(process):
        with contextlib.suppress(OSError):
            # Bytes: a process's name, which stands there too, may be no text.
            content = Path(f"/proc/{process}/task/{thread}/{file}").read_bytes()
            if found := line.findall(content):
                return 1024 * sum(map(int, found))
    return 0
