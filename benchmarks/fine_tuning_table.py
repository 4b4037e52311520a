"""The table of docs/learned_lr.md on fine-tuning.

    python -m benchmarks.fine_tuning_table docs/results/fine_tuning.json docs/learned_lr.md

writes the table between its two markers.
"""

import numpy as np

from benchmarks import page as pages
from benchmarks.trained_weights_table import losses_of
from writing.markdown import table as table_of

METHODS = {
    **{rate: f"Adam, cosine from {rate}" for rate in ("1e-2", "3e-3", "1e-3", "3e-4", "1e-4")},
    "plain": "LearnedLR",
    "trained": "LearnedLR, trained=True",
    "low": "the same, lr=0.1",
}


def markdown(result):
    """One row a method, with a column for each case; where the numbers come from."""
    cases = list(dict.fromkeys(row["case"] for row in result["rows"]))
    runs = [[row for row in result["rows"] if row["case"] == case] for case in cases]
    start = ["before", *(f"{np.median(losses_of(mine, '1e-3')[:, 0]):.3f}" for mine in runs)]
    rows = [[name, *(_cell(mine, method) for mine in runs)] for method, name in METHODS.items()]
    table = table_of(["", *cases], [start, *rows])
    return f"{table}\n\nn = {len({r['seed'] for r in result['rows']})}. {pages.origin(result)}"


def _cell(runs, method):
    """Medians of the last test loss, and of the lowest."""
    losses = losses_of(runs, method)
    return f"{np.median(losses[:, -1]):.3f} ({np.median(losses.min(1)):.3f})"


if __name__ == "__main__":
    pages.table_command("fine-tuning", markdown)
