"""What the submission's own process costs a step of evaluate: as seconds, and as a ratio.

    python -m benchmarks.isolation_cost --out docs/results/isolation_cost.json

A step is the next batch, its gradient and a plain update of the weights, on the clock that
evaluate keeps. It is taken with the submission in the worker's process, and in a process of its own
as in any run on the CPU, in turn: plain, apart, plain, apart. The baseline pays the same, so what
counts is how far that pulls a ratio of times towards 1.
"""

import datetime
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import tyro
from rich.console import Console
from rich.table import Table

from evaluate import provenance
from evaluate.pairs import Pair, load_suite
from evaluate.run.process import Job, environment
from evaluate.run.worker import run, run_apart, warm_up
from evaluate.sandbox.namespaces import isolation
from tasks import build_task
from writing.files import write_json

PROBE = Path(__file__).with_name("gradient_steps.py")


def main(
    out: Path, suites: tuple[str, ...] = ("smoke", "demo"), blocks: int = 3, seconds: float = 0.5
) -> None:
    """Measure all pairs of the suites; print a table and write the results.

    Args:
        out: results, as JSON.
        suites: suites whose pairs to measure.
        blocks: timed blocks of each kind and pair.
        seconds: length of a block.
    """
    torch.set_num_threads(1)
    os.environ.update(environment(threads=1))
    pairs = [pair for name in suites for pair in load_suite(name)]
    rows = [measure(pair, blocks, seconds) for pair in pairs]
    write_json(
        out,
        {
            "rows": rows,
            "isolation": isolation(is_apart=True),
            "hardware": provenance.hardware("cpu", 1),
            "versions": provenance.versions(),
            "git": provenance.git(),
            "command": provenance.portable_command(
                ["python", "-m", "benchmarks.isolation_cost", *sys.argv[1:]]
            ),
            "seed": 0,
            "measured_at": datetime.datetime.now(datetime.UTC).isoformat(),
        },
    )
    Console().print(table(rows))


def measure(pair: Pair, blocks: int, seconds: float) -> dict:
    """Seconds per step, plain and apart, of each block; medians of the ratio and the difference."""

    def build():
        return build_task(pair.variant)

    task = build()
    warm_up(task)
    plain, apart = [], []
    for _ in range(blocks):
        plain.append(seconds_per_step(run, pair, build, seconds))
        apart.append(
            seconds_per_step(lambda job, build: run_apart(job, build, ()), pair, build, seconds)
        )
    both = list(zip(plain, apart, strict=True))
    return {
        "suite": pair.suite,
        "pair": pair.name,
        "tensors": len(task.state),
        "weights": sum(weight.numel() for weight in task.state),
        "plain_seconds": plain,
        "apart_seconds": apart,
        "ratio": statistics.median(there / here for here, there in both),
        "overhead_seconds": statistics.median(there - here for here, there in both),
    }


def seconds_per_step(runner: Callable, pair: Pair, build: Callable, seconds: float) -> float:
    """Mean seconds of a step in a block of this length. Raises RuntimeError if it is cut short."""
    with tempfile.TemporaryDirectory(prefix="isolation-") as folder:
        job = Job(
            submission=str(PROBE),
            variant=pair.variant.to_dict(),
            seed=0,
            limit_seconds=seconds,
            device="cpu",
            threads=1,
            folder=folder,
        )
        report, _ = runner(job, build)
    if report["outcome"] != "timeout":
        raise RuntimeError(f"{pair.name}: {report['outcome']}: {report['message']}")
    return report["seconds"] / report["steps"]


def table(rows: list[dict]) -> Table:
    """One row a pair."""
    shown = Table(title="A step with the submission in the worker's process, and in its own")
    for name in ("pair", "tensors", "weights", "plain, ms", "apart, ms", "more, ms", "ratio"):
        shown.add_column(name, justify="left" if name == "pair" else "right")
    for row in rows:
        shown.add_row(
            row["pair"],
            str(row["tensors"]),
            f"{row['weights']:,}",
            f"{1e3 * statistics.median(row['plain_seconds']):.3g}",
            f"{1e3 * statistics.median(row['apart_seconds']):.3g}",
            f"{1e3 * row['overhead_seconds']:.3g}",
            f"{row['ratio']:.3f}",
        )
    return shown


if __name__ == "__main__":
    tyro.cli(main)
