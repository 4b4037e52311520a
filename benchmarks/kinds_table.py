"""The table of docs/kinds.md: networks of other kinds.

    python -m benchmarks.kinds_table docs/results/kinds.json docs/kinds.md

writes the table between its two markers.
"""

import itertools
import statistics

import numpy as np

from benchmarks import page as pages
from benchmarks.ablation_table import with_interval
from benchmarks.race_costs import geometric_mean
from writing.markdown import table as table_of

RULES = "the policy", "constant rates"
HEADER = ("kind", "parameters", "Adam's steps", *RULES)


def markdown(result):
    """One row a kind, one for all, both rules beside each other, where the numbers come from."""
    groups = itertools.groupby(result["rows"], key=lambda row: row["kind"])
    by_kind = {kind: list(group) for kind, group in groups}
    rows = [_row(kind.replace("_", " "), runs) for kind, runs in by_kind.items()]
    rows.append(["harmonic mean", "", "", *(_mean(result, i) for i in range(len(RULES)))])
    ratio = with_interval(*geometric_mean(_log_ratios(result, by_kind)))
    sentence = f"Steps of constant rates over the policy's: {ratio}, geometric mean over the kinds."
    return f"{table_of(HEADER, rows)}\n\n{sentence} {pages.origin(result)}"


def _row(kind, runs):
    steps = sorted(run["baseline"] for run in runs)
    cells = [", ".join(f"{x:.2f}" if x else "miss" for x in speedups(runs, i)) for i in (0, 1)]
    between = f"{steps[0]} to {steps[-1]}" if steps[0] < steps[-1] else str(steps[0])
    return [kind, f"{runs[0]['parameters']:,}", between, *cells]


def speedups(runs, rule):
    """Of each run, None for a miss."""
    found = [(run["baseline"], run["steps"][rule]) for run in runs]
    return [baseline / steps if steps else None for baseline, steps in found]


def _log_ratios(result, by_kind):
    """Of the speed-ups, mean over the runs of a kind, ``[kinds]``."""
    pairs = [[_counted(result, runs, rule) for rule in (0, 1)] for runs in by_kind.values()]
    return np.array([np.log(ours).mean() - np.log(other).mean() for ours, other in pairs])


def _counted(result, runs, rule):
    """Speed-ups; a miss counts as a run that takes as long as the limit."""
    return [x or 1 / result["limit"] for x in speedups(runs, rule)]


def _mean(result, rule):
    found = speedups(result["rows"], rule)
    mean = statistics.harmonic_mean(_counted(result, result["rows"], rule))
    slow = sum(x is not None and x < 1 for x in found)
    return f"{mean:.2f}; {found.count(None)} misses, {slow} slower than Adam, of {len(found)}"


if __name__ == "__main__":
    pages.table_command("kinds", markdown)
