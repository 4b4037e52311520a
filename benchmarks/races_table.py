"""The table of docs/behaviour.md on races against constant rates.

    python -m benchmarks.races_table docs/results/fresh_races.json docs/behaviour.md

writes the table between its two markers.
"""

from benchmarks import page as pages
from benchmarks.ablation_table import with_interval
from writing.markdown import table as table_of

HEADER = ("family", "races", "the policy", "constant rates", "steps of these over the policy's")


def markdown(result):
    """One row a family, and where the numbers come from."""
    rows = [
        (
            family,
            str(row["races"]),
            *(f"{speedup:.2f}" for speedup in row["speedups"]),
            with_interval(row["ratio"], row["interval"]),
        )
        for family, row in result["families"].items()
    ]
    return f"{table_of(HEADER, rows)}\n\n{pages.origin(result)}"


if __name__ == "__main__":
    pages.table_command("races", markdown)
