"""What the submission's own process costs a step of evaluate: as seconds, and as a ratio.

A step is the next batch, its gradient and a plain update of the weights, on the clock that
evaluate keeps. It is taken with the submission in the worker's process, and in a process of its own
as in any run on the CPU, in turn: plain, apart, plain, apart. The baseline pays the same, so what
counts is how far that pulls a ratio of times towards 1.
"""

import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.origin import sentence
from benchmarks.settings import Settings
from evaluate.pairs import Pair, load_suite
from evaluate.run.process import Job, environment
from evaluate.run.worker import run, run_apart, warm_up
from evaluate.sandbox.namespaces import isolation
from tasks import build_task
from writing.markdown import table as table_of

NAME, PAGE, ALONE = "isolation_cost", None, True
RESULT = Path("runs/isolation_cost.json")
SUITES = "smoke", "demo"
BLOCKS, SECONDS = 3, 0.5  # timed blocks of each kind and pair, and their length
PROBE = Path(__file__).with_name("gradient_steps.py")


def jobs(settings: Settings) -> list[Pair]:
    """Pairs of the suites. The runs are in this process and its children."""
    os.environ.update(environment(threads=1))
    return [pair for name in SUITES for pair in load_suite(name)]


def about(settings: Settings, rows: list[dict]) -> dict:
    return {"isolation": isolation(is_apart=True)}


def measure(pair: Pair) -> list[dict]:
    """Seconds per step, plain and apart, of each block; medians of the ratio and the difference."""

    def build():
        return build_task(pair.variant)

    def apart(job, build):
        return run_apart(job, build, ())

    task = build()
    warm_up(task)
    both = [
        [seconds_per_step(runner, pair, build) for runner in (run, apart)] for _ in range(BLOCKS)
    ]
    here, there = zip(*both, strict=True)
    row = {
        "suite": pair.suite,
        "pair": pair.name,
        "tensors": len(task.state),
        "weights": sum(weight.numel() for weight in task.state),
        "plain_seconds": here,
        "apart_seconds": there,
        "ratio": statistics.median(b / a for a, b in both),
        "overhead_seconds": statistics.median(b - a for a, b in both),
    }
    return [row]


def seconds_per_step(runner: Callable, pair: Pair, build: Callable) -> float:
    """Mean seconds of a step in a block. Raises RuntimeError if it is cut short."""
    with tempfile.TemporaryDirectory(prefix="isolation-") as folder:
        variant = pair.variant.to_dict()
        job = Job(str(PROBE), variant, 0, SECONDS, device="cpu", threads=1, folder=folder)
        # The limit of the run before may have struck where gradients are switched off.
        with torch.enable_grad():
            report, _ = runner(job, build)
    if report["outcome"] != "timeout":
        raise RuntimeError(f"{pair.name}: {report['outcome']}: {report['message']}")
    return report["seconds"] / report["steps"]


def table(result: dict) -> str:
    """One row a pair, times in milliseconds."""
    header = "pair", "tensors", "weights", "plain, ms", "apart, ms", "more, ms", "ratio"
    rows = [
        (
            row["pair"],
            str(row["tensors"]),
            f"{row['weights']:,}",
            f"{1e3 * statistics.median(row['plain_seconds']):.3g}",
            f"{1e3 * statistics.median(row['apart_seconds']):.3g}",
            f"{1e3 * row['overhead_seconds']:.3g}",
            f"{row['ratio']:.3f}",
        )
        for row in result["rows"]
    ]
    return f"{table_of(header, rows)}\n\n{sentence(result)}"
