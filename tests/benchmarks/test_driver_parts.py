"""The benchmark of the driver's parts: its runs and its table."""

from dataclasses import replace

from benchmarks.driver_parts import PARTS, measure, table
from benchmarks.origin import stamp
from checkpoints_to_source.train_file import HAND_SET
from policy.driver.batch_size import BatchSize
from policy.loading import Policy
from tasks.suites import suite


def test_pair_runs_without_each_part_and_the_driver_is_restored():
    variant, is_due = replace(suite("development")["mlp"], target=1.5), BatchSize.is_due
    rows = measure(("mlp", variant, 0, Policy(HAND_SET, None)))
    assert {row["without"] for row in rows} == set(PARTS)
    assert all(row["reached"] and row["seconds"] > 0 for row in rows)
    assert BatchSize.is_due is is_due


def test_table_has_ratios_over_runs_with_all_parts():
    def row(pair, without, seconds, steps, reached=True):
        found = {"seconds": seconds, "steps": steps, "reached": reached}
        return {"pair": pair, "seed": 0, "without": without, **found}

    rows = [row("a", "all", 1.0, 10), row("b", "all", 2.0, 20)]
    rows += [row("a", "blocks", 2.0, 10), row("b", "blocks", 4.0, 20, False)]
    lines = table({"rows": rows, **stamp("cpu", 0)}).splitlines()
    assert lines[2] == "| blocks | 2.00 (2.00 to 2.00) | 1.00 (1.00 to 1.00) | 1 |"
    assert len(lines) == 5 and lines[4].startswith("2 runs each.")
