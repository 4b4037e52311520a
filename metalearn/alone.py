"""One process at a time writes into a folder."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tasks.locks import locked


@contextlib.contextmanager
def alone_in(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """Hold the folder, which exists, as `tasks.locks.locked` does.

    Raises BlockingIOError where another process still holds it after `patience` seconds.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / ".lock", patience))
        except BlockingIOError:
            raise BlockingIOError(
                f"{folder}: another process writes there; let it end, or give another --out"
            ) from None
        yield
