"""The tables of docs/learned_lr.md on weights that are trained already.

    python -m benchmarks.trained_weights_table docs/results/trained_weights.json docs/learned_lr.md

writes them between their two markers.
"""

import itertools

import numpy as np

from benchmarks import page as pages
from benchmarks.kinds import KINDS
from writing.markdown import table as table_of

NAMES = {"adam": "Adam", "learned": "LearnedLR"}
WHERE = "network", "trained by", "data"
METHODS = {
    "adam": "Adam(1e-3)",
    "plain": "LearnedLR",
    "trained": "trained=True",
    "low": "lr=0.1",
}


def markdown(result):
    """A row for each network of a training family, trainer and kind of data; one for each trainer
    of all networks of other kinds; where the numbers come from."""
    own = [row for row in result["rows"] if row["network"] not in KINDS]
    others = [row for row in result["rows"] if row["network"] in KINDS]
    table = table_of([*WHERE, "before", *METHODS.values()], list(_networks(own)))
    summary = table_of(["trained by", "networks", *METHODS.values()], list(_kinds(others)))
    seeds = {row["seed"] for row in own}
    return f"{table}\n\nn = {len(seeds)}.\n\n{summary}\n\n{pages.origin(result)}"


def _networks(rows):
    by_case = itertools.groupby(rows, key=lambda row: (row["network"], row["trainer"]))
    for (network, trainer), group in by_case:
        runs = list(group)
        for data in dict.fromkeys(run["data"] for run in runs):
            cases = [run for run in runs if run["data"] == data]
            before = f"{np.median([run['adam'][0] for run in cases]):.3f}"
            yield [network, NAMES[trainer], data, before, *(_losses(cases, m) for m in METHODS)]


def _losses(runs, method):
    """Medians of the last test loss and of the highest one after the start."""
    losses = losses_of(runs, method)[:, 1:]
    return f"{np.median(losses[:, -1]):.3f} ({np.median(losses.max(1)):.3f})"


def _kinds(rows):
    for trainer in dict.fromkeys(row["trainer"] for row in rows):
        runs = [row for row in rows if row["trainer"] == trainer]
        yield [NAMES[trainer], str(len(runs)), *(_changes(runs, method) for method in METHODS)]


def _changes(runs, method):
    """Median of the last test loss over that at the start; runs that end above the start."""
    losses = losses_of(runs, method)
    change = losses[:, -1] / losses[:, 0]
    return f"{np.median(change):.3f}; {np.sum(change > 1)} higher"


def losses_of(runs, method):
    """Test losses ``[runs, tests]``, infinite where they are not finite: in a file they are
    null."""
    losses = np.array([run[method] for run in runs], dtype=float)
    losses[~np.isfinite(losses)] = np.inf
    return losses


if __name__ == "__main__":
    pages.table_command("trained weights", markdown)
