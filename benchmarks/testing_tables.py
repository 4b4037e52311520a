"""The tables of docs/testing.md, from the result files of ``make testing``.

    python -m benchmarks.testing_tables docs/results docs/testing.md

writes each table between its two markers.
"""

from pathlib import Path
from statistics import fmean

import tyro

from benchmarks import page as pages
from writing.markdown import table as table_of

MEANS = ("share", "delay", "ratio")


def rules(result):
    """Table of :mod:`benchmarks.test_schedule`: one row a rule."""
    header = ("rule", "time / all-knowing, mean", "worst", "time in tests", "delay")
    rows = [
        (
            row["rule"],
            f"{row['ratio']:.3f}",
            f"{row['worst']:.2f}",
            f"{row['share']:.1%}",
            f"{row['delay']:.1%}",
        )
        for row in result["rows"]
    ]
    source = f"{result['replays']} replays of {len(result['pairs'])} pairs. {pages.origin(result)}"
    return f"{table_of(header, rows)}\n\n{source}"


def runs(result):
    """Table of :mod:`benchmarks.detection`: one row a run that reached its target, and the mean."""
    header = ("pair", "tests", "time in tests", "crossed at step", "detected at", "delay")
    header += ("time / all-knowing",)
    reached = [row for row in result["rows"] if "steps" in row]
    rows = [
        (
            row["pair"],
            str(row["tests"]),
            f"{row['share']:.1%}",
            f"{row['crossing']:,}",
            f"{row['steps']:,}",
            f"{row['delay']:.1%}",
            f"{row['ratio']:.3f}",
        )
        for row in reached
    ]
    share, delay, ratio = (fmean(row[name] for row in reached) for name in MEANS)
    rows.append(("mean", "", f"{share:.1%}", "", "", f"{delay:.1%}", f"{ratio:.3f}"))
    counts = f"{len(reached)} of {len(result['rows'])} runs reached the target."
    return f"{table_of(header, rows)}\n\n{counts} {pages.origin(result)}"


def main(results: tyro.conf.Positional[Path], page: tyro.conf.Positional[Path]) -> None:
    """Write the tables of both result files into a page.

    Args:
        results: folder of test_schedule.json and detection.json.
        page: Markdown file with the markers.
    """
    tables = {
        "test_schedule": (results / "test_schedule.json", rules),
        "detection": (results / "detection.json", runs),
    }
    pages.update(page, tables)


if __name__ == "__main__":
    tyro.cli(main)
