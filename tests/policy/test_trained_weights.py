"""LearnedLR on weights that are trained already: the benchmark's runs, and its table."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import trained_weights
from benchmarks.trained_weights import NETWORKS, go_on, measure
from benchmarks.trained_weights_table import markdown
from policy.checkpoint import digest
from policy.optimizer import shipped_policy
from tasks import build_task

ROOT = Path(__file__).parents[2]
RESULT = json.loads((ROOT / "docs" / "results" / "trained_weights.json").read_text())
FAST = replace(NETWORKS["perceptron"], arch={"width": 32})


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(trained_weights, "STEPS", 150)
    monkeypatch.setattr(trained_weights, "TESTS", 2)


def test_every_optimizer_goes_on_from_the_given_weights():
    other = build_task(replace(FAST, seed=7))
    expected = other.test(other.state)
    runs = dict(go_on(other.state, FAST))
    assert list(runs) == ["adam", "1", "0.3", "0.1"]
    assert all(
        len(losses) == 3 and losses[0] == pytest.approx(expected) for losses in runs.values()
    )
    assert len({losses[-1] for losses in runs.values()}) == 4
    assert other.test(other.state) == expected  # they are copied


@pytest.mark.parametrize("trainer", ["adam", "learned"])
def test_the_network_is_trained_before(monkeypatch, trainer):
    monkeypatch.setitem(NETWORKS, "small", FAST)
    same, new = measure(("small", trainer, 1))
    untrained = build_task(replace(FAST, seed=1))
    assert (same["data"], new["data"]) == ("same", "new")
    assert same["adam"][0] < untrained.test(untrained.state) < new["adam"][0]
    assert new["1"][-1] < new["1"][0]


def test_the_average_is_tested_and_training_goes_on_from_the_live_weights():
    task = build_task(FAST)
    losses = trained_weights.tests(task, 1.0)
    assert losses[-1] == pytest.approx(task.test(task.state)) and losses[-1] < losses[0]
    assert all(bool(torch.isfinite(weight).all()) for weight in task.state)


def test_rows_tell_the_last_and_the_highest_loss():
    def run(network, data, seed, losses):
        row = {"network": network, "trainer": "adam", "data": data, "seed": seed}
        return {**row, **{name: losses for name in ("adam", "1", "0.3", "0.1")}}

    rows = [
        run("CNN", "same", 0, [1.0, 3.0, 2.0]),
        run("CNN", "new", 0, [9.0, 4.0, 1.0]),
        run("CNN", "same", 1, [1.0, None, 2.0]),
        run("CNN", "new", 1, [9.0, 6.0, 3.0]),
    ]
    lines = markdown({**RESULT, "rows": rows}).splitlines()
    assert lines[2].startswith("| CNN | Adam | same | 1.000 | 2.000 (inf) | 2.000 (inf) |")
    assert lines[3].startswith("| CNN | Adam | new | 9.000 | 2.000 (5.000) |")
    assert lines[5].startswith("n = 2. ")


def test_the_documented_table_is_that_of_the_shipped_policy():
    assert markdown(RESULT) in (ROOT / "docs" / "policy.md").read_text()
    assert RESULT["policy sha256"] == digest(shipped_policy())
    assert {row["network"] for row in RESULT["rows"]} == set(NETWORKS)
