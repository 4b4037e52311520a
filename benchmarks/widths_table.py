"""The table of docs/driver.md on the width of perceptrons.

    python -m benchmarks.widths_table docs/results/widths.json docs/driver.md

writes the table between its two markers.
"""

import itertools

import numpy as np

from benchmarks import page as pages
from benchmarks.batch_sizes_table import seconds
from writing.markdown import table as table_of

HEADER = "width", "weights", "Adam's seconds", "the policy's", "times as fast", "in steps"


def markdown(result):
    """One row a width, and where the numbers come from."""
    groups = itertools.groupby(result["rows"], key=lambda row: row["width"])
    by_width = {width: list(group) for width, group in groups}
    table = table_of(HEADER, [_row(width, runs) for width, runs in by_width.items()])
    n = len(next(iter(by_width.values())))
    return f"{table}\n\nn = {n}. {pages.origin(result)}"


def _row(width, runs):
    adam = ", ".join(f"{run['adam']['seconds']:.2f}" for run in runs)
    policy = ", ".join(seconds(run["policy"]) for run in runs)
    gains = [_gain(runs, unit) for unit in ("seconds", "steps")]
    return [str(width), f"{runs[0]['weights']:,}", adam, policy, *gains]


def _gain(runs, unit):
    """Geometric mean of the runs; of one that missed nothing is known."""
    logs = [
        np.log(run["adam"][unit] / run["policy"][unit]) for run in runs if run["policy"]["reached"]
    ]
    return f"{np.exp(np.mean(logs)):.2f}" if len(logs) == len(runs) else "-"


if __name__ == "__main__":
    pages.table_command("widths", markdown)
