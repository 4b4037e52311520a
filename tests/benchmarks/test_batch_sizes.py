"""What choosing the batch size is worth: the benchmark's runs, and its table."""

import json
import math
from dataclasses import replace
from pathlib import Path

from benchmarks.batch_sizes import LARGE, measure, table, with_target
from checkpoints_to_source.train_file import HAND_SET
from policy.checkpoint import Policy
from tasks.suites import suite

ROOT = Path(__file__).parents[2]
RESULT = json.loads((ROOT / "docs" / "results" / "batch_sizes.json").read_text())


def run(seconds, size=1.0, reached=True):
    return {"seconds": seconds, "steps": 100, "size": size, "reached": reached}


def test_both_rules_train_to_the_target_and_one_keeps_the_default_size():
    variant = replace(suite("development")["mlp"], target=0.5)
    (row,) = measure(("mlp", variant, 0, Policy(HAND_SET, None)))
    assert row["chosen"]["reached"] and row["default"]["reached"]
    assert row["default"]["size"] == 1.0 and row["batch"] == 32
    assert min(row[rule]["seconds"] for rule in ("chosen", "default")) > 0


def test_a_target_is_one_that_adam_reaches():
    variant = replace(LARGE["wide_lstm"], batch_size=4, arch={"width": 16, "depth": 1})
    name, found = with_target(("small", variant, 100))
    assert name == "small" and found.arch == variant.arch and 0 < found.target < math.log(200)


def test_times_of_a_task_give_their_geometric_mean():
    rows = [
        {"pair": "a_b", "seed": 0, "batch": 8, "default": run(4.0), "chosen": run(1.0, 0.5)},
        {"pair": "a_b", "seed": 1, "batch": 8, "default": run(1.0), "chosen": run(1.0, 2.0)},
        {"pair": "c", "seed": 0, "batch": 4, "default": run(3.0, 1.0, False), "chosen": run(1.5)},
    ]
    lines = table({**RESULT, "rows": rows}).splitlines()
    assert lines[2] == "| a b | 8 | 4.00, 1.00 | 1.00, 1.00 | 1.00 | 2.00 |"
    assert lines[3] == "| c | 4 | 3.00 (missed) | 1.50 | 1.00 | - |"
    assert lines[4] == "| geometric mean |  |  |  |  | 2.00 (2.00 to 2.00) |"
