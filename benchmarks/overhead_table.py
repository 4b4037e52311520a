"""The table of docs/learned_lr.md on what a step costs, from benchmarks.step_overhead.

    python -m benchmarks.overhead_table docs/results/step_overhead.json docs/learned_lr.md

writes the table between its two markers.
"""

from benchmarks import page as pages
from evaluate.show.table import three_digits
from writing.markdown import table as table_of

COLUMNS = ("update", "ms", "share of its step", "step / step with AdamW")


def cells(row):
    """The texts of one row, in the order of COLUMNS."""
    share = f"{100 * row['share']:.1f} %"
    return [row["update"], three_digits(row["ms"]), share, f"{row['over AdamW']:.3f}"]


def markdown(result):
    """A table for all workloads, and where its numbers come from."""
    rows = [
        [f"{row['workload'].rstrip('.')}, {three_digits(row['oracle ms'])} ms", *cells(row)]
        for row in result["rows"]
    ]
    table = table_of(("network; forward and backward", *COLUMNS), rows)
    return f"{table}\n\nCPU time on the CPU. {pages.origin(result)}"


if __name__ == "__main__":
    pages.table_command("overhead", markdown)
