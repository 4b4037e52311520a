"""Call a function in its own process, with limits on time and memory.

A small archive, PDF stream or syntax tree can cost its reader any amount of both.
"""

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from typing import Any

from evaluate.sandbox.confine import die_with_parent, limit_further_memory

SECONDS = 60  # of processor time
MEMORY = 2**31  # bytes, in addition to what this process has


class TooMuch(Exception):
    """A call took more than SECONDS or MEMORY, or crashed the interpreter."""


def bounded(function: Callable, *arguments: Any) -> Any:
    """Return `function(*arguments)`, which must be plain data. Raise TooMuch beyond the limits."""
    context = multiprocessing.get_context("fork")  # avoids importing everything again
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_call, args=(os.getpid(), theirs, function, arguments))
    child.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        raise TooMuch from None
    finally:
        child.kill()
        child.join()
        ours.close()


def _call(parent, pipe, function, arguments):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the parent handles Ctrl-C
    die_with_parent(parent)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit_further_memory(MEMORY)
    try:
        pipe.send(function(*arguments))
    except MemoryError:
        os._exit(1)
