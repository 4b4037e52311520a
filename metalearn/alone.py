"""One process at a time writes into a folder."""

import contextlib

from filelock import FileLock, Timeout


@contextlib.contextmanager
def alone_in(folder, patience=0.0):
    """Hold the folder, which exists. The system frees that of a process that dies.

    Raises BlockingIOError where another process still holds it after ``patience`` seconds. A file
    system without locks has none.
    """
    lock = FileLock(folder / ".lock")
    with contextlib.suppress(NotImplementedError):
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            raise BlockingIOError(
                f"{folder}: another process writes there; let it end, or give another --out"
            ) from None
    try:
        yield
    finally:
        lock.release()
