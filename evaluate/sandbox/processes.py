"""The descendants of a process: how many, how much memory they hold, and their end."""

import contextlib
import os
import signal
from collections.abc import Sequence
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


def takes_more_than(processes: Sequence[int], most_bytes: int) -> bool:
    """Whether the processes together hold more memory than this, with the files in their working
    folder where that is in memory.

    Pages that several share, as after a fork, count once, and so do files that are mapped. That
    takes the kernel a walk over all pages, so a cheap upper bound is asked first.
    """
    device, in_files = _files(processes)
    if sum(map(_bytes_at_most, processes)) + in_files <= most_bytes:
        return False
    mapped = sum(_mapped_bytes(process, device) for process in processes) if in_files else 0
    held = sum(map(_proportional_bytes, processes))
    return held + max(0, in_files - mapped) > most_bytes


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


def _files(processes: Sequence[int]) -> tuple[int, int]:
    """The number of the device that is the working folder of processes with a root of their own,
    and the bytes of the files there; zeros if they have none."""
    for process in processes:
        root = f"/proc/{process}/root"
        with contextlib.suppress(OSError):
            if os.stat(root).st_dev != os.stat("/").st_dev:
                found, device = os.statvfs(root + WORK), os.stat(root + WORK).st_dev
                return device, (found.f_blocks - found.f_bfree) * found.f_frsize
    return 0, 0


def _mapped_bytes(process: int, device: int) -> int:
    """Of the files on this device what the process has mapped, its share of it; without pages that
    are its own, as after a write to a private mapping."""
    name, total, is_there = f"{os.major(device):02x}:{os.minor(device):02x}", 0, False
    try:
        lines = Path(f"/proc/{process}/smaps").read_text(errors="replace").splitlines()
    except OSError:
        return 0
    for line in lines:
        words = line.split()
        if not words[0].endswith(":"):  # the head of a mapping: place, rights, offset, device
            is_there = words[3] == name
        elif is_there and words[0] in ("Pss:", "Anonymous:"):
            total += int(words[1]) if words[0] == "Pss:" else -int(words[1])
    return 1024 * total


def _sum_of_lines(process: int, file: str, names: tuple[str, ...]) -> int:
    """Of the kilobytes that these lines of a process's file in /proc tell, in bytes."""
    try:
        lines = Path(f"/proc/{process}/{file}").read_text().splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(names))
