"""Calls a function in its own process, under limits of time and memory.

Archives, PDF streams and syntax trees can be small on disk and cost their reader any amount of
both.
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
    """A call took more than SECONDS or MEMORY, or brought the interpreter down."""


def bounded(function: Callable, *arguments: Any) -> Any:
    """Return `function(*arguments)`, of plain data. Raises TooMuch beyond the limits."""
    context = multiprocessing.get_context("fork")  # nothing is imported again
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the parent's to handle
    die_with_parent(parent)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit_further_memory(MEMORY)
    try:
        pipe.send(function(*arguments))
    except MemoryError:
        os._exit(1)
