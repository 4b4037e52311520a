"""The table of docs/policy.md on fine-tuning.

    python -m benchmarks.fine_tuning_table docs/results/fine_tuning.json docs/policy.md

writes the table between its two markers.
"""

import numpy as np

from benchmarks import page as pages

METHODS = {
    **{rate: f"Adam, cosine from {rate}" for rate in ("1e-2", "3e-3", "1e-3", "3e-4", "1e-4")},
    "plain": "LearnedLR",
    "trained": "LearnedLR, trained=True",
    "low": "the same, lr=0.1",
}


def markdown(result):
    """One row a method, with a column for each case; where the numbers come from."""
    cases = list(dict.fromkeys(row["case"] for row in result["rows"]))
    runs = {case: [row for row in result["rows"] if row["case"] == case] for case in cases}
    start = ["before", *(f"{_median(runs[case], '1e-3', first):.3f}" for case in cases)]
    rows = [[name, *(_cell(runs[case], key) for case in cases)] for key, name in METHODS.items()]
    table = pages.markdown(["", *cases], [start, *rows])
    return f"{table}\n\nn = {len({r['seed'] for r in result['rows']})}. {pages.origin(result)}"


def _cell(runs, method):
    """The last test loss, and the lowest."""
    return f"{_median(runs, method, last):.3f} ({_median(runs, method, np.min):.3f})"


def _median(runs, method, of):
    losses = np.array([run[method] for run in runs], dtype=float)
    losses[~np.isfinite(losses)] = np.inf  # in a file they are null
    return float(np.median([of(row) for row in losses]))


def first(losses):
    return losses[0]


def last(losses):
    return losses[-1]


if __name__ == "__main__":
    pages.table_command("fine-tuning", markdown)
