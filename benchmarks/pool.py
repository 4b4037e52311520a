"""One pool of processes for all benchmarks."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch


def mapped(function: Callable, jobs: Sequence, processes: int) -> Iterator:
    """Yield the function's values of all jobs in order, from processes of one thread each.

    One process is this one.
    """
    if processes == 1:
        torch.set_num_threads(1)
        yield from map(function, jobs)
        return
    with ProcessPoolExecutor(
        processes, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        yield from pool.map(function, jobs)
