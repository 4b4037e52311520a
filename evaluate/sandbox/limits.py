"""Limits on a run, and the exceptions that end it."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import NamedTuple

from evaluate.outcomes import Outcome

#: Memory that a submission may take, unless a limit is given.
MEMORY_BYTES = 8 * 2**30


class Limit(NamedTuple):
    """What a run may take: seconds on the clock, and steps unless None."""

    seconds: float
    steps: int | None = None


class LimitReached(BaseException):
    """Raised inside `train` when the clock passes the limit, or the steps do.

    Not an Exception, so that a submission's own handlers let it through.
    """


class Ended(Exception):
    """A run is over, with this outcome."""

    def __init__(self, outcome: Outcome, message: str):
        super().__init__(message)
        self.outcome, self.message = outcome, message


@contextlib.contextmanager
def time_limit(seconds: float, unless: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Raise LimitReached in the block after so many seconds, and each second after that.

    Not while `unless()`: a clock that has stopped in time must not be interrupted afterwards.
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
