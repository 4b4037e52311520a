"""The table of docs/driver.md on the batch size.

    python -m benchmarks.batch_sizes_table docs/results/batch_sizes.json docs/driver.md

writes the table between its two markers.
"""

import itertools

import numpy as np

from benchmarks import page as pages
from benchmarks.ablation_table import with_interval
from benchmarks.race_costs import geometric_mean
from writing.markdown import table as table_of

HEADER = (
    "task",
    "default batch",
    "its seconds",
    "seconds with the chosen size",
    "mean size over the default",
    "times as fast",
)


def markdown(result):
    """One row a task, the geometric mean of the gains, where the numbers come from."""
    groups = itertools.groupby(result["rows"], key=lambda row: row["pair"])
    by_pair = {pair: list(group) for pair, group in groups}
    rows = [_row(pair.replace("_", " "), runs) for pair, runs in by_pair.items()]
    gains = np.array([_log_gain(runs) for runs in by_pair.values()])
    gains = gains[np.isfinite(gains)]
    mean = with_interval(*geometric_mean(gains))
    table = table_of(HEADER, [*rows, ["geometric mean", "", "", "", "", mean]])
    return f"{table}\n\nn = {len(by_pair[result['rows'][0]['pair']])}. {pages.origin(result)}"


def _row(pair, runs):
    cells = [", ".join(seconds(run[rule]) for run in runs) for rule in ("default", "chosen")]
    size = np.exp(np.mean([np.log(run["chosen"]["size"]) for run in runs]))
    gain = np.exp(_log_gain(runs))
    told = f"{gain:.2f}" if np.isfinite(gain) else "-"
    return [pair, str(runs[0]["batch"]), *cells, f"{size:.2f}", told]


def seconds(run):
    """What a run took, and whether in vain."""
    return f"{run['seconds']:.2f}" + ("" if run["reached"] else " (missed)")


def _log_gain(runs):
    """Mean over the runs of a task, geometric, of how many times as fast they are; those of which
    one was missed tell nothing, NaN where all are."""
    both = [run for run in runs if run["default"]["reached"] and run["chosen"]["reached"]]
    pairs = [(run["default"]["seconds"], run["chosen"]["seconds"]) for run in both]
    return np.mean([np.log(default / chosen) for default, chosen in pairs]) if pairs else np.nan


if __name__ == "__main__":
    pages.table_command("batch sizes", markdown)
