"""A lock file, held by one process at a time. The system releases it if the process dies."""

import contextlib
import errno
import fcntl
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

#: Errors of file systems without locks (Lustre mounted without them, some network file systems).
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}

PAUSE = 0.1  # seconds between attempts


@contextlib.contextmanager
def locked(path: Path, patience: float = math.inf) -> Iterator[None]:
    """Hold the lock file `path`, which is created if missing.

    On a file system without locks nothing is held. Raises BlockingIOError if another process still
    holds the lock after `patience` seconds, and OSError if the file can't be created.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _acquire(file, time.monotonic() + patience)
        yield
    finally:
        os.close(file)


def _acquire(file: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
        except OSError as refusal:
            if refusal.errno in NO_LOCKS:
                return
            raise
        time.sleep(PAUSE)
