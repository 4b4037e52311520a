"""The fixed vocabulary of what can become of a run."""

from enum import StrEnum


class Outcome(StrEnum):
    """How a run ended. Only `REACHED` earns a speed-up above zero."""

    REACHED = "reached"  # the oracle raised Done, and a fresh test of the tested state confirms it
    STOPPED = "stopped"  # train returned without reaching the target
    DIVERGED = "diverged"  # ended unreached (by return or limit), and the last loss was not finite
    TIMEOUT = "timeout"  # the clock passed the limit
    OUT_OF_MEMORY = "out-of-memory"  # an allocation failed, or the system killed the process
    ERROR = "error"  # train raised, or the process died
    CHEATED = "cheated"  # Done was not the oracle's, the bar was moved, or the claim does not hold


#: Outcomes that say nothing about the method, so that a resumed evaluation runs them again.
FAILURES = frozenset({Outcome.OUT_OF_MEMORY, Outcome.ERROR})
