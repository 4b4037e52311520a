"""Limits on a run, and the exceptions that end it."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import NamedTuple

from evaluate.outcomes import Outcome

#: Default limit of a submission's memory.
MEMORY_BYTES = 8 * 2**30


class Limit(NamedTuple):
    """Limits of a run: seconds on the clock, and steps unless None."""

    seconds: float
    steps: int | None = None


class LimitReached(BaseException):
    """Raised inside `train` when time or steps reach the limit.

    It is not an Exception, so it passes through a submission's own handlers.
    """


class Ended(Exception):
    """The run is over, with this outcome."""

    def __init__(self, outcome: Outcome, message: str):
        super().__init__(message)
        self.outcome, self.message = outcome, message


@contextlib.contextmanager
def time_limit(seconds: float, unless: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Raise LimitReached in the block after `seconds`, and again every second.

    Don't raise while `unless()` is true: a run whose clock has stopped must not be interrupted.
    """

    def expire(signum, frame):
        if not unless():
            raise LimitReached

    handler = signal.signal(signal.SIGALRM, expire)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)
