"""LearnedLR on weights that are trained already: the benchmark's runs, and its tables."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from absent import or_skip

from benchmarks import trained_weights
from benchmarks.networks import KINDS
from benchmarks.trained_weights import (
    METHODS,
    NETWORKS,
    build,
    go_on,
    measure,
    table,
    take_over,
)

ROOT = Path(__file__).parents[2]
RESULT = json.loads((ROOT / "docs" / "results" / "trained_weights.json").read_text())
SMALL = replace(NETWORKS["perceptron"], arch={"width": 32})


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(trained_weights, "STEPS", 150)
    monkeypatch.setattr(trained_weights, "TESTS", 2)
    monkeypatch.setitem(NETWORKS, "small", SMALL)


def test_every_optimizer_goes_on_from_the_given_weights():
    other = build("small", 7)
    expected = other.test(other.state)
    runs = go_on(other, lambda: build("small", 0))
    assert list(runs) == list(METHODS) == ["adam", "plain", "trained", "low"]
    assert all(
        len(losses) == 3 and losses[0] == pytest.approx(expected) for losses in runs.values()
    )
    assert len({losses[-1] for losses in runs.values()}) == 4
    assert other.test(other.state) == expected  # they are copied


@pytest.mark.parametrize("trainer", ["adam", "learned"])
def test_the_network_is_trained_before(trainer):
    same, new = measure(("small", trainer, 1))
    untrained = build("small", 1)
    assert (same["data"], new["data"]) == ("same", "new")
    assert same["adam"][0] < untrained.test(untrained.state) < new["adam"][0]
    assert new["plain"][-1] < new["plain"][0]


def test_the_average_is_tested_and_training_goes_on_from_the_live_weights():
    task = build("small", 0)
    losses = trained_weights.tests(task, "plain")
    assert losses[-1] == pytest.approx(task.test(task.state)) and losses[-1] < losses[0]
    assert all(bool(torch.isfinite(weight).all()) for weight in task.state)


def test_statistics_of_batch_norm_go_with_the_weights_and_are_renewed_for_a_test():
    trained, other = (or_skip(build, "separable", seed) for seed in range(2))
    with torch.no_grad():
        for buffer in trained.kind.model.buffers():
            buffer.fill_(3)
    take_over(other, trained)
    assert all(bool((buffer == 3).all()) for buffer in other.kind.model.buffers())
    taken = trained_weights.tested(other)
    assert taken == pytest.approx(trained_weights.tested(trained), rel=1e-5)
    means = [b for name, b in other.kind.model.named_buffers() if name.endswith("running_mean")]
    assert means and all(bool((mean < 2).any()) for mean in means)


@pytest.mark.parametrize("kind", list(KINDS))
def test_another_seed_of_a_kind_has_the_same_data(kind):
    one, other = (or_skip(build, kind, seed) for seed in (0, 1_000))
    for mine, theirs in zip(one.kind.train, other.kind.train, strict=True):
        assert torch.equal(mine, theirs)


def run(network, data, seed, losses, trainer="adam"):
    row = {"network": network, "trainer": trainer, "data": data, "seed": seed}
    return {**row, **{name: losses for name in METHODS}}


def test_rows_tell_the_last_and_the_highest_loss():
    rows = [
        run("CNN", "same", 0, [1.0, 3.0, 2.0]),
        run("CNN", "new", 0, [9.0, 4.0, 1.0]),
        run("CNN", "same", 1, [1.0, None, 2.0]),
        run("CNN", "new", 1, [9.0, 6.0, 3.0]),
    ]
    lines = table({**RESULT, "rows": rows}).splitlines()
    assert lines[2].startswith("| CNN | Adam | same | 1.000 | 2.000 (inf) | 2.000 (inf) |")
    assert lines[3].startswith("| CNN | Adam | new | 9.000 | 2.000 (5.000) |")
    assert lines[5] == "n = 2."


def test_networks_of_other_kinds_have_one_row_for_each_trainer():
    rows = [
        run("CNN", "same", 0, [1.0, 3.0, 2.0]),
        run("llama", "same", 0, [2.0, 3.0, 1.0]),
        run("deep", "same", 0, [2.0, 3.0, None]),
        run("flow", "same", 0, [2.0, 3.0, 2.2]),
        run("llama", "same", 0, [2.0, 2.5, 1.0], "learned"),
    ]
    lines = table({**RESULT, "rows": rows}).splitlines()
    assert "| Adam | 3 | 1.100; 2 higher | 1.100; 2 higher | 1.100; 2 higher |" in lines[-4]
    assert lines[-3].startswith("| LearnedLR | 1 | 0.500; 0 higher |")
