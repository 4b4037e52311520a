"""The cost of the submission's own process per step of evaluate, in seconds and as a ratio.

A step is: fetch the next batch, compute its gradient, update the weights. It is timed on the clock
that evaluate uses. Blocks alternate between the submission in the worker's process (plain) and in
its own process, as in any run on the CPU (apart). The baseline pays the same cost, so what matters
is how far it pulls a ratio of times towards 1.
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
BLOCKS, SECONDS = 3, 0.5  # timed blocks per kind and pair, and their length
PROBE = Path(__file__).with_name("gradient_steps.py")


def jobs(settings: Settings) -> list[Pair]:
    """Return the pairs of the suites. Runs happen in this process and its children."""
    os.environ.update(environment(threads=1))
    return [pair for name in SUITES for pair in load_suite(name)]


def about(settings: Settings, rows: list[dict]) -> dict:
    return {"isolation": isolation(is_apart=True)}


def measure(pair: Pair) -> list[dict]:
    """Return seconds per step of each block, plain and apart; medians of ratio and difference."""

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
    """Return the mean seconds of a step in a block; raise RuntimeError if it is cut short."""
    with tempfile.TemporaryDirectory(prefix="isolation-") as folder:
        variant = pair.variant.to_dict()
        job = Job(str(PROBE), variant, 0, SECONDS, device="cpu", threads=1, folder=folder)
        # The limit may have ended the previous run while gradients were switched off.
        with torch.enable_grad():
            report, _ = runner(job, build)
    if report["outcome"] != "timeout":
        raise RuntimeError(f"{pair.name}: {report['outcome']}: {report['message']}")
    return report["seconds"] / report["steps"]


def table(result: dict) -> str:
    """Return one row per pair, times in milliseconds."""
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
