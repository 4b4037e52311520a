"""Adam and the policy on perceptrons of several widths: the benchmark's runs, and its table."""

import json
from dataclasses import replace
from pathlib import Path

from benchmarks.widths import measure, perceptron, table
from checkpoints_to_source.train_file import HAND_SET
from policy.checkpoint import Policy

ROOT = Path(__file__).parents[2]
RESULT = json.loads((ROOT / "docs" / "results" / "widths.json").read_text())


def test_both_train_to_a_loss_that_adam_finds():
    variant = replace(perceptron(16), data="digits", data_options={"pixels": 8}, batch_size=32)
    (row,) = measure((variant, 1, 200, Policy(HAND_SET, None)))
    assert (row["width"], row["seed"], row["weights"]) == (16, 1, 65 * 16 + 17 * 16 + 17 * 10)
    assert row["policy"]["reached"] and 0 < row["adam"]["steps"] <= 200
    assert min(row[name]["seconds"] for name in ("adam", "policy")) > 0


def test_runs_of_a_width_give_their_geometric_mean():
    def row(width, adam, policy, reached=True):
        return {
            "width": width,
            "seed": 0,
            "weights": 1000 * width,
            "adam": {"seconds": adam, "steps": 100},
            "policy": {"seconds": policy, "steps": 50, "size": 1.0, "reached": reached},
        }

    rows = [row(8, 4.0, 1.0), row(8, 1.0, 1.0), row(16, 3.0, 6.0), row(16, 3.0, 9.0, False)]
    lines = table({**RESULT, "rows": rows}).splitlines()
    assert lines[2] == "| 8 | 8,000 | 4.00, 1.00 | 1.00, 1.00 | 2.00 | 2.00 |"
    assert lines[3] == "| 16 | 16,000 | 3.00, 3.00 | 6.00, 9.00 (missed) | - | - |"
    assert lines[5].startswith("n = 2. ")
