"""The possible outcomes of a run."""

from enum import StrEnum


class Outcome(StrEnum):
    """How a run ended. Only `REACHED` earns a speed-up above zero."""

    REACHED = "reached"  # the oracle raised Done, and a fresh test confirms it
    STOPPED = "stopped"  # train returned without reaching the target
    DIVERGED = "diverged"  # missed the target (by return or limit), last loss not finite
    TIMEOUT = "timeout"  # the clock passed the limit
    OUT_OF_MEMORY = "out-of-memory"  # an allocation failed, or the system killed the process
    ERROR = "error"  # train raised, or the process died
    CHEATED = "cheated"  # forged Done, changed the target, or made a false claim


#: Outcomes that show nothing about the method. A resumed evaluation repeats these runs.
FAILURES = frozenset({Outcome.OUT_OF_MEMORY, Outcome.ERROR})
