"""Run the jobs of a benchmark, and write its result."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import ModuleType

import torch
from rich.progress import track

from benchmarks.origin import settled, stamp
from benchmarks.pages import result_file
from benchmarks.results import append, read
from benchmarks.settings import PolicySettings, Settings
from policy.checkpoint import digest, load_policy
from writing.files import write_json


def settings_of(benchmark: ModuleType) -> type[Settings]:
    """Return the class of a benchmark's settings."""
    return getattr(benchmark, "Settings", Settings)


def run(benchmark: ModuleType, settings: Settings) -> None:
    """Measure, write the result file, and print the table."""
    if not hasattr(benchmark, "jobs"):
        raise ValueError(f"{benchmark.NAME} measures nothing: python -m benchmarks table it")
    out = settings.out or result_file(benchmark)
    if out.suffix == ".jsonl":
        _go_on(benchmark, settings, out)
    else:
        origin = _origin(benchmark, settings)
        rows = list(_measured(benchmark, benchmark.jobs(settings), settings))
        about = benchmark.about(settings, rows) if hasattr(benchmark, "about") else {}
        write_json(out, {**settled(origin), **about, "rows": rows})
    if hasattr(benchmark, "table"):
        print(benchmark.table(read(out)))


def _origin(benchmark, settings):
    """What is measured, as it is before: it may change meanwhile."""
    origin = stamp(getattr(settings, "device", "cpu"), getattr(benchmark, "SEED", 0))
    if isinstance(settings, PolicySettings):
        origin["policy sha256"] = digest(load_policy(settings.policy))
    return origin


def _go_on(benchmark, settings, out):
    """Add the rows that the file lacks."""
    done = {benchmark.key(row) for row in read(out)["rows"]} if out.exists() else ()
    jobs = [job for job in benchmark.jobs(settings) if benchmark.key(job) not in done]
    for row in _measured(benchmark, jobs, settings):
        append(out, row)


def _measured(benchmark, jobs, settings):
    processes = 1 if getattr(benchmark, "ALONE", False) else settings.processes
    found = mapped(benchmark.measure, jobs, processes)
    return itertools.chain.from_iterable(track(found, benchmark.NAME, len(jobs)))


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
