"""The tables of docs/testing.md are the result files'; a crossing is seen when it happens."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import ablation_table, detection
from benchmarks.page import insert
from benchmarks.testing_tables import rules, runs
from tasks import build_task, suite

ROOT = Path(__file__).parents[2]
TABLES = {
    "test_schedule": ("testing", rules),
    "detection": ("testing", runs),
    "ablation": ("behaviour", ablation_table.markdown),
}


@pytest.mark.parametrize("name", TABLES)
def test_page_shows_the_committed_result(name):
    target, table = TABLES[name]
    result = json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text())
    page = (ROOT / "docs" / f"{target}.md").read_text()
    assert insert(page, name, table(result)) == page, f"stale: make {target}"


def test_detection_is_told_from_the_crossing():
    """A run that makes one test, and that late."""
    variant = suite("smoke")["digits_mlp"]

    def train(task):
        while True:
            for batch in task.train_iterator(task.default_batch_size, True):
                _, gradients = task.batch_loss_and_gradient(batch)
                for weight, gradient in zip(task.state, gradients, strict=True):
                    weight.sub_(gradient, alpha=0.3)
                if task.steps == 200:
                    task.test(task.state)

    torch.manual_seed(0)
    watched = detection.Watched(variant, detection.Clock())
    row = detection.outcome(train, watched)
    per_step = (row["seconds"] - row["testing"]) / row["steps"]
    assert 0.3 < watched.trained / (per_step * row["crossing"]) < 3, "without the time of looking"
    assert row["tests"] == 1 and row["steps"] == 200
    assert 0 < row["crossing"] < 200 and row["delay"] == 200 / row["crossing"] - 1
    assert 0 < row["share"] < 0.5 and 1 < row["ratio"] < 200


def test_looking_leaves_no_trace():
    variant = suite("smoke")["digits_mlp"]
    watched, alone = detection.Watched(variant, detection.Clock()), build_task(variant)
    assert losses_of_an_epoch(watched) == losses_of_an_epoch(alone)
    assert watched.looker.batches and not torch.equal(watched.looker.average[0], alone.state[0])


def losses_of_an_epoch(task):
    losses = []
    for batch in task.train_iterator(task.default_batch_size, True):
        loss, gradients = task.batch_loss_and_gradient(batch)
        losses.append(float(loss))
        for weight, gradient in zip(task.state, gradients, strict=True):
            weight.sub_(gradient, alpha=0.1)
    return losses
