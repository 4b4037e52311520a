"""The table of docs/policy.md on weights that are trained already.

    python -m benchmarks.trained_weights_table docs/results/trained_weights.json docs/policy.md

writes the table between its two markers.
"""

import itertools

import numpy as np

from benchmarks import page as pages

NAMES = {"adam": "Adam", "learned": "LearnedLR"}
WHERE = "network", "trained by", "data"
METHODS = {"adam": "Adam(1e-3)", "1": "LearnedLR", "0.3": "lr=0.3", "0.1": "lr=0.1"}


def markdown(result):
    """One row a network, trainer and kind of data, and where the numbers come from."""
    keyed = itertools.groupby(result["rows"], key=lambda r: (r["network"], r["trainer"]))
    rows = []
    for (network, trainer), group in keyed:
        runs = list(group)
        for data in dict.fromkeys(run["data"] for run in runs):
            own = [run for run in runs if run["data"] == data]
            rows.append([network, NAMES[trainer], data, _before(own), *_cells(own)])
    table = pages.markdown([*WHERE, "before", *METHODS.values()], rows)
    seeds = {run["seed"] for run in result["rows"]}
    return f"{table}\n\nn = {len(seeds)}. {pages.origin(result)}"


def _before(runs):
    return f"{np.median([run['adam'][0] for run in runs]):.3f}"


def _cells(runs):
    """Medians of the last test loss and of the highest one after the start."""
    for method in METHODS:
        losses = np.array([run[method][1:] for run in runs], dtype=float)
        losses[~np.isfinite(losses)] = np.inf  # in a file they are null
        yield f"{np.median(losses[:, -1]):.3f} ({np.median(losses.max(1)):.3f})"


if __name__ == "__main__":
    pages.table_command("trained weights", markdown)
