"""One process at a time writes into a folder."""

import contextlib

from filelock import FileLock, Timeout


@contextlib.contextmanager
def alone_in(folder):
    """Hold the folder, which exists. The system frees that of a process that dies.

    Raises BlockingIOError where another process holds it. A file system without locks has none.
    """
    lock = FileLock(folder / ".lock")
    with contextlib.suppress(NotImplementedError):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise BlockingIOError(
                f"{folder}: another process writes there; let it end, or give another --out"
            ) from None
    try:
        yield
    finally:
        lock.release()
