"""The table of docs/kinds.md: networks of other kinds.

    python -m benchmarks.kinds_table docs/results/kinds.json docs/kinds.md

writes the table between its two markers.
"""

import itertools
import statistics

from benchmarks import page as pages

RULES = "the policy", "constant rates"
HEADER = ("kind", "parameters", "Adam's steps", *RULES)


def markdown(result):
    """One row a kind, one for all, and where the numbers come from."""
    by_kind = itertools.groupby(result["rows"], key=lambda row: row["kind"])
    rows = [_row(kind.replace("_", " "), list(group)) for kind, group in by_kind]
    rows.append(["harmonic mean", "", "", *(_mean(result, i) for i in range(len(RULES)))])
    return f"{pages.markdown(HEADER, rows)}\n\n{pages.origin(result)}"


def _row(kind, runs):
    steps = sorted(run["baseline"] for run in runs)
    cells = [", ".join(f"{x:.2f}" if x else "miss" for x in speedups(runs, i)) for i in (0, 1)]
    between = f"{steps[0]} to {steps[-1]}" if steps[0] < steps[-1] else str(steps[0])
    return [kind, f"{runs[0]['parameters']:,}", between, *cells]


def speedups(runs, rule):
    """Of each run, None for a miss."""
    found = [(run["baseline"], run["steps"][rule]) for run in runs]
    return [baseline / steps if steps else None for baseline, steps in found]


def _mean(result, rule):
    """Over all runs; a miss counts as a run that takes as long as the limit."""
    found = speedups(result["rows"], rule)
    mean = statistics.harmonic_mean([x or 1 / result["limit"] for x in found])
    slow = sum(x is not None and x < 1 for x in found)
    return f"{mean:.2f}; {found.count(None)} misses, {slow} slower than Adam, of {len(found)}"


if __name__ == "__main__":
    pages.table_command("kinds", markdown)
