"""Threads in place of a run's processes, each with its own `metalearn.shard.Shard`."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from metalearn.shard import Shard

PATIENCE = 60.0  # seconds to wait for the others, which may have raised


@dataclass(frozen=True)
class _Member(Shard):
    """A shard that exchanges data with other threads."""

    barrier: threading.Barrier = None
    given: dict = field(default_factory=dict)

    def sum(self, values):
        self.given[self.rank] = values.clone()
        self.wait()
        total = sum(self.given[rank] for rank in range(self.size))
        self.wait()  # before anyone sends again
        return total

    def wait(self):
        self.barrier.wait()


def side_by_side(size, work):
    """Return the result of `work(shard)`, or the exception that it raised, in order of ranks."""
    barrier, given = threading.Barrier(size, timeout=PATIENCE), {}

    def result(rank):
        try:
            return work(_Member(rank, size, barrier, given))
        except Exception as problem:
            return problem

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(result, range(size)))
