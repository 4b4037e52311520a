"""Run the jobs of a benchmark, and write its result."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from types import ModuleType

import torch
from rich.progress import track

from benchmarks.origin import settled, stamp
from benchmarks.results import append, read, result_file
from benchmarks.settings import PolicySettings, Settings
from policy.checkpoint import digest, load_policy
from writing.files import json_text, write_json, write_text


def run(benchmark: ModuleType, settings: Settings) -> None:
    """Measure, write the result file, and print the table."""
    if not hasattr(benchmark, "jobs"):
        raise ValueError(f"{benchmark.NAME} measures nothing: python -m benchmarks table it")
    out = settings.out or result_file(benchmark)
    if out.suffix == ".jsonl":
        _go_on(benchmark, settings, out)
    else:
        origin = _origin(benchmark, settings)
        unfinished = out.with_suffix(".unfinished.jsonl")
        rows = _all_rows(benchmark, settings, origin, unfinished)
        about = benchmark.about(settings, rows) if hasattr(benchmark, "about") else {}
        write_json(out, {**settled(origin), **about, "rows": rows})
        unfinished.unlink()
    if hasattr(benchmark, "table"):
        print(benchmark.table(read(out)))


def _origin(benchmark, settings):
    """Return the origin before measuring, since files may change during the run."""
    origin = stamp(getattr(settings, "device", "cpu"), getattr(benchmark, "SEED", 0))
    if isinstance(settings, PolicySettings):
        origin["policy sha256"] = digest(load_policy(settings.policy))
    return origin


def _all_rows(benchmark, settings, origin, unfinished):
    """Return the rows of all jobs.

    Until all are measured, `unfinished` holds a line that identifies the run, then one line per
    job. The same run at the same commit resumes from there.
    """
    measured = replace(settings, out=None, processes=1)  # both may change when a run is resumed
    what = json_text([repr(measured), origin["git"]["commit"], origin.get("policy sha256")])
    if not unfinished.exists() or not unfinished.read_text().startswith(what):
        write_text(unfinished, what)
    done = read(unfinished)["rows"][1:]
    for rows in _measured(benchmark, benchmark.jobs(settings)[len(done) :], settings):
        append(unfinished, rows)
    return list(itertools.chain.from_iterable(read(unfinished)["rows"][1:]))


def _go_on(benchmark, settings, out):
    """Append the rows that the file lacks."""
    done = {benchmark.key(row) for row in read(out)["rows"]} if out.exists() else ()
    jobs = [job for job in benchmark.jobs(settings) if benchmark.key(job) not in done]
    for row in itertools.chain.from_iterable(_measured(benchmark, jobs, settings)):
        append(out, row)


def _measured(benchmark, jobs, settings):
    """Return the rows of each job, in order."""
    processes = 1 if getattr(benchmark, "ALONE", False) else settings.processes
    return track(mapped(benchmark.measure, jobs, processes), benchmark.NAME, len(jobs))


def mapped(function: Callable, jobs: Sequence, processes: int) -> Iterator:
    """Yield the function's values for all jobs in order, from processes of one thread each.

    A single process is this one.
    """
    if processes == 1:
        torch.set_num_threads(1)
        yield from map(function, jobs)
        return
    with ProcessPoolExecutor(
        processes, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        yield from pool.map(function, jobs)
