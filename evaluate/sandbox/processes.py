"""The descendants of a process: how many, how much memory they hold, and their end."""

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path

#: Processes a submission may have before it is ended.
MOST_PROCESSES = 32


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
