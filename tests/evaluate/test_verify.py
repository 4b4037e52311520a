"""Claims are verified by fresh tests of the state."""

import dataclasses
import math
import statistics

import pytest
import torch

from evaluate.outcomes import Outcome
from evaluate.run.counting import snapshot
from evaluate.run.runner import verified
from evaluate.run.verify import MANY, confirms, fresh_test_losses
from tasks import Variant, build_task

BATCH_NORM = Variant("cnn", "digits", arch={"norm": "batch"}, batch_size=32, seed=3, target=0.5)
LANGUAGE = Variant(
    "rnn_lm",
    "topics",
    arch={"width": 12, "dropout": 0.3},
    data_options={"context": 12, "train": 4_000, "test": 2_000},
    batch_size=16,
    seed=1,
    oracle="language",
    target=0.5,
)


def trained(variant, steps=4):
    """Return a task after some steps of gradient descent, with moved weights and statistics."""
    task = build_task(variant)
    batches = iter(task.train_iterator(batch_size=variant.batch_size, shuffle=True))
    for _, batch in zip(range(steps), batches, strict=False):
        _, gradients = task.batch_loss_and_gradient(batch)
        for weight, gradient in zip(task.state, gradients, strict=True):
            weight.sub_(0.1 * gradient)
    return task


def test_fresh_test_reproduces_a_batch_norm_task():
    task = trained(BATCH_NORM)
    tested = [0.9 * weight for weight in task.state]
    expected = task.test(tested)
    kept = snapshot(task, tested)
    losses = fresh_test_losses(build_task, BATCH_NORM, kept)
    assert losses == [expected] * len(losses)
    kept["buffers"] = snapshot(build_task(BATCH_NORM))["buffers"]
    assert fresh_test_losses(build_task, BATCH_NORM, kept)[0] != expected


def test_fresh_test_uses_live_weights_if_the_oracle_does():
    task = trained(LANGUAGE)
    decoy = [torch.zeros_like(weight) for weight in task.state]
    torch.manual_seed(0)
    expected = task.test(decoy)
    losses = fresh_test_losses(build_task, LANGUAGE, snapshot(task, decoy))
    assert losses[0] == expected
    assert len(set(losses)) > 1  # dropout is on


def test_fresh_test_without_argument_and_in_evaluation_mode():
    task = trained(LANGUAGE)
    expected = task.test()
    losses = fresh_test_losses(build_task, LANGUAGE, snapshot(task))
    assert losses == [expected] * len(losses)


def test_deterministic_test_gets_no_tolerance():
    assert confirms([0.49999] * 5, target=0.5)
    assert not confirms([0.5] * 5, target=0.5)
    assert not confirms([float("nan")] * 5, target=0.5)


def test_noisy_test_gets_a_tolerance_for_its_noise():
    losses = [0.50, 0.51, 0.52, 0.51, 0.51] * (MANY // 5)  # mean 0.51, s 0.0064
    assert confirms(losses, target=0.48)
    assert not confirms(losses, target=0.47)
    assert not confirms(losses[:5], target=0.50)  # too few tests


def test_honest_claims_on_a_noisy_test_hold():
    """In the worst honest claim, the luckiest of twenty tests is just below the target.

    Without a false verdict in n = 2,000 claims, their rate is below 0.15 % (95 % bound).
    """
    draw = torch.Generator().manual_seed(0)
    lucky = torch.randn(2_000, 20, generator=draw, dtype=torch.float64).amin(1)
    fresh = torch.randn(2_000, MANY, generator=draw, dtype=torch.float64)
    claims = zip(fresh.tolist(), lucky.tolist(), strict=True)
    assert all(confirms(losses, math.nextafter(own, 1.0)) for losses, own in claims)


def test_lucky_claim_is_tested_more_and_confirmed():
    task = trained(LANGUAGE)
    kept = snapshot(task, task.state)
    losses = [task.test(task.state) for _ in range(40)]
    lucky = dataclasses.replace(LANGUAGE, target=math.nextafter(min(losses), 100.0))
    fresh = fresh_test_losses(build_task, lucky, kept)
    assert len(fresh) == MANY and statistics.fmean(fresh) > lucky.target
    assert confirms(fresh, lucky.target)
    false = dataclasses.replace(lucky, target=lucky.target - 9 * statistics.stdev(losses))
    assert not confirms(fresh_test_losses(build_task, false, kept), false.target)


@pytest.fixture
def report():
    return {"outcome": "reached", "message": "", "test_curve": {"loss": [1.0, None]}}


def test_true_claim_keeps_its_outcome_and_gets_its_loss(report):
    easy = BATCH_NORM.from_dict(BATCH_NORM.to_dict() | {"target": 50.0})
    task = trained(easy)
    found = verified(report, snapshot(task, task.state), easy, build_task)
    assert found["outcome"] is Outcome.REACHED
    assert found["test_curve"]["loss"][-1] == found["verified_test_losses"][0] < 50.0


def test_false_claim_is_cheating(report):
    task = trained(BATCH_NORM)
    found = verified(report, snapshot(task, task.state), BATCH_NORM, build_task)
    assert found["outcome"] is Outcome.CHEATED
    assert found["message"].startswith("a fresh test gives ")
    report["test_curve"]["loss"][-1] = 0.4  # as reported by the oracle
    found = verified(report, snapshot(task, task.state), BATCH_NORM, build_task)
    assert found["message"].endswith(", the run's own gave 0.4")
    assert found["test_curve"]["loss"][-1] == 0.4
    found = verified(report, snapshot(task, [torch.ones(1)]), BATCH_NORM, build_task)
    assert found["outcome"] is Outcome.CHEATED and "shapes" in found["message"]
    found = verified(report, None, BATCH_NORM, build_task)
    assert found["outcome"] is Outcome.CHEATED


def test_outcomes_without_a_claim_are_unchanged(report):
    found = verified(report | {"outcome": "stopped"}, None, BATCH_NORM, build_task)
    assert found["outcome"] is Outcome.STOPPED and found["verified_test_losses"] == []
