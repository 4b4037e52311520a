"""Threads that stand for the processes of a run: each has its `metalearn.shard.Shard`."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from metalearn.shard import Shard

PATIENCE = 60.0  # seconds that one waits for the others: it may have raised


@dataclass(frozen=True)
class _Member(Shard):
    """A shard that exchanges with those of other threads."""

    barrier: threading.Barrier = None
    given: dict = field(default_factory=dict)

    def sum(self, values):
        self.given[self.rank] = values.clone()
        self.wait()
        total = sum(self.given[rank] for rank in range(self.size))
        self.wait()  # before anyone gives the next
        return total

    def wait(self):
        self.barrier.wait()


def side_by_side(size, work):
    """What `work(shard)` returns, or the exception that it raises, in the order of ranks."""
    barrier, given = threading.Barrier(size, timeout=PATIENCE), {}

    def result(rank):
        try:
            return work(_Member(rank, size, barrier, given))
        except Exception as problem:
            return problem

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(result, range(size)))
