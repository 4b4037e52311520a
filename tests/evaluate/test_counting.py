"""The counting proxy follows the contract and counts calls."""

import math

import pytest
import torch

from evaluate.run.counting import CountingTask, Recorder, snapshot, thinned
from evaluate.sandbox.limits import LimitReached
from tasks import Done


@pytest.fixture
def pair(quadratic):
    task, recorder = quadratic(), Recorder()
    recorder.start()
    return task, recorder, CountingTask(task, recorder)


def test_forwards_the_contract(pair):
    task, _, proxy = pair
    assert proxy.state is task.state
    assert (proxy.default_batch_size, proxy.target_test_loss) == (4, 0.1)
    assert len(proxy.train_iterator(batch_size=4, shuffle=True)) == 2
    with pytest.raises(TypeError):  # the real task requires shuffle
        proxy.train_iterator(4)
    loss, gradients = proxy.batch_loss_and_gradient(None)
    assert isinstance(loss, torch.Tensor) and loss == 1.0
    assert gradients[0] is proxy.batch_loss_and_gradient(None)[1][0]  # storage is reused
    proxy.state[0].mul_(2)
    assert proxy.batch_loss(None) == proxy.test() == 4.0
    assert proxy.test([torch.tensor([3.0, 1.0])]) == 5.0


def test_counts_calls_and_keeps_losses(pair):
    _, recorder, proxy = pair
    for _ in range(3):
        proxy.batch_loss_and_gradient(None)
    proxy.batch_loss(None)
    proxy.test(proxy.state)
    assert recorder.calls() == {"batch_loss_and_gradient": 3, "batch_loss": 1, "test": 1}
    assert recorder.train_curve()["loss"] == [1.0] * 3
    assert recorder.train_curve()["steps"] == [1, 2, 3]
    assert recorder.test_curve()["steps"] == [3] and recorder.test_curve()["loss"] == [1.0]
    assert 0 < recorder.test_seconds < recorder.elapsed()
    assert recorder.train_curve()["seconds"] == sorted(recorder.train_curve()["seconds"])


def test_done_stops_the_clock_and_keeps_the_state(pair):
    task, recorder, proxy = pair
    proxy.batch_loss_and_gradient(None)
    tested = [torch.tensor([0.1, 0.1])]
    with pytest.raises(Done):
        proxy.test(tested)
    stopped = recorder.seconds
    assert stopped > 0
    task.state[0].zero_()
    tested[0].zero_()
    assert recorder.snapshot["state"][0].tolist() == [1.0, 1.0]
    assert recorder.snapshot["tested"][0].tolist() == pytest.approx([0.1, 0.1])
    assert recorder.snapshot["buffers"][0].tolist() == [1.0, 1.0]  # batch-norm mean
    recorder.stop()
    assert recorder.seconds == stopped
    for oracle in (proxy.batch_loss, proxy.batch_loss_and_gradient, proxy.test):
        with pytest.raises(Done):
            oracle(None)
    assert recorder.calls() == {"batch_loss_and_gradient": 1, "batch_loss": 0, "test": 1}
    assert math.isnan(recorder.test_curve()["loss"][-1])


def test_no_step_after_the_limit(quadratic):
    recorder = Recorder()
    proxy = CountingTask(quadratic(), recorder, limit_steps=2)
    for _ in range(2):
        proxy.batch_loss_and_gradient(None)
    with pytest.raises(LimitReached):
        proxy.batch_loss_and_gradient(None)
    assert recorder.steps == 2


def test_snapshot_records_that_no_state_was_passed(quadratic):
    assert snapshot(quadratic())["tested"] is None


def test_thinning_keeps_both_ends():
    assert thinned([1, 2, 3], 3) == [1, 2, 3]
    kept = thinned(list(range(1001)), 11)
    assert kept == list(range(0, 1001, 100))
