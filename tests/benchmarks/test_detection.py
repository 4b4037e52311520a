"""A crossing of the target is seen when it happens, and looking leaves no trace."""

import pytest
import torch

from benchmarks import detection
from tasks import build_task, suite


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
    row = detection.outcome(train, detection.Watched(variant, detection.Clock()))
    assert row["tests"] == 1 and row["steps"] == 200
    assert 0 < row["crossing"] < 200 and row["delay"] == 200 / row["crossing"] - 1
    assert 0 < row["share"] < 0.5 and 1 < row["ratio"] < 200


@pytest.mark.parametrize("failure", [None, RuntimeError("the loss stays nan")])
def test_a_run_that_gives_up_has_reached_nothing(failure):
    def train(task):
        if failure:
            raise failure

    watched = detection.Watched(suite("smoke")["digits_mlp"], detection.Clock())
    assert detection.outcome(train, watched) == {}


def test_the_all_knowing_tester_trains_up_to_the_crossing_and_tests_once(monkeypatch):
    """A second a step, ten a test, and a hundred a look, for which the clock is stopped."""
    clock, now, look = detection.Clock(), [0.0], detection.Looker._loss
    clock.system = lambda: now[0]
    watched = detection.Watched(suite("smoke")["digits_mlp"], clock)

    def looked(*arguments):
        now[0] += 50.0
        return look(*arguments)

    def train(task):
        while True:
            for batch in task.train_iterator(task.default_batch_size, True):
                now[0] += 1.0
                _, gradients = task.batch_loss_and_gradient(batch)
                for weight, gradient in zip(task.state, gradients, strict=True):
                    weight.sub_(gradient, alpha=0.3)
                if task.steps % 40 == 0:
                    task.test(task.state)

    def tested(state, test=watched.task.test):
        now[0] += 10.0
        return test(state)

    monkeypatch.setattr(detection, "LIMIT", 1e9)
    monkeypatch.setattr(detection.Looker, "_loss", looked)
    monkeypatch.setattr(watched.task, "test", tested)
    torch.manual_seed(0)
    row = detection.outcome(train, watched)
    assert row["seconds"] == row["steps"] + 10 * row["tests"]
    # The crossing is seen when the next step has begun.
    assert row["ratio"] == row["seconds"] / (row["crossing"] + 1 + 10)


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
