"""The table of docs/behaviour.md on what each part of the policy is worth.

    python -m benchmarks.ablation_table docs/results/ablation.json docs/behaviour.md

writes the table between its two markers.
"""

from benchmarks import page as pages
from writing.markdown import table as table_of

HEADER = ("variant", "speed-up", "over the policy's")


def with_interval(value, bounds):
    """Of 95 %, in one cell."""
    low, high = bounds
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def markdown(result):
    """One row a variant of the policy, and where the numbers come from."""
    rows = [
        (
            name,
            with_interval(row["speedup"], row["interval"]),
            with_interval(row["relative"], row["relative_interval"]),
        )
        for name, row in result["rows"].items()
    ]
    count = len(result["families"]) * result["episodes"]
    return f"{table_of(HEADER, rows)}\n\nn = {count} episodes. {pages.origin(result)}"


if __name__ == "__main__":
    pages.table_command("ablation", markdown)
