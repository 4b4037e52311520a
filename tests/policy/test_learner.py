"""The learner without a driver: weights, gradients and the copies that it keeps."""

import math
import weakref

import pytest
import torch

import policy.driver.learner
from policy.driver import tester as testers
from policy.driver.batch_size import BatchSize
from policy.driver.learner import Learner
from policy.driver.losses import LossReader
from policy.driver.rescue import SPARE, STUCK, Rescue
from policy.rule.spec import Spec
from policy.rule.weights import initial_weights

SPEC = Spec(base_rate=5e-3)


@pytest.fixture
def learner(Bowl):
    return Learner(Bowl(), SPEC, initial_weights(SPEC, 0))


def restart(tester):
    """Let the run be stuck."""
    tester.judge.verdict = lambda *_: STUCK
    tester.test()


def train(learner, steps):
    for _ in range(steps):
        learner.step(learner.task.true_loss(), learner.task.gradients())


def test_live_weights_are_restored_after_a_test(learner):
    train(learner, 12)
    live = [p.clone() for p in learner.task.state]
    testers.Tester(learner.task, learner, Rescue(learner, BatchSize(8)), trace=None).test()
    assert learner.task.tested and not torch.equal(learner.averaged[0], live[0])
    assert all(torch.equal(a, b) for a, b in zip(learner.task.state, live, strict=True))


def test_averaged_weights_are_tested_and_kept(learner, monkeypatch):
    train(learner, 12)
    seen = []

    def test(state):
        seen.append(state[0].clone())
        return 1.0

    monkeypatch.setattr(learner.task, "test", test)
    testers.Tester(learner.task, learner, Rescue(learner, BatchSize(8)), trace=None).test()
    assert not torch.equal(learner.live[0], learner.averaged[0])
    assert torch.equal(seen[0], learner.averaged[0])
    learner.show_best()
    assert torch.equal(learner.task.state[0], seen[0])


@pytest.mark.parametrize("missing", [None, torch.zeros(5)])
def test_tensor_without_a_gradient_does_not_move(learner, missing):
    train(learner, 5)
    first, second = (live.clone() for live in learner.live)
    for _ in range(3):
        learner.step(learner.task.true_loss(), [learner.task.gradients()[0], missing])
    assert torch.equal(learner.live[1], second) and not torch.equal(learner.live[0], first)


def test_missing_later_gradient_counts_as_zero(Bowl):
    found = []
    for missing in (None, torch.zeros(5)):
        learner = Learner(Bowl(), SPEC, initial_weights(SPEC, 0))
        train(learner, 3)
        learner.step(1.0, [learner.task.gradients()[0], missing])
        found.append(learner.task.state[1])
    assert torch.equal(*found)


@pytest.mark.parametrize("gradient", ["weight", torch.zeros(()), torch.zeros(5, 1)])
def test_gradient_of_another_shape_is_refused(learner, gradient):
    with pytest.raises(RuntimeError, match="a gradient of .* for a tensor of"):
        learner.step(1.0, [learner.task.gradients()[0], gradient])


def test_restart_frees_the_old_buffers_first(learner, monkeypatch):
    train(learner, 3)
    old = [weakref.ref(matrix) for matrix in learner.carry.buffers]
    pack, alive = learner.layout.pack, []

    def packed(tensors):
        alive.extend(matrix() is not None for matrix in old)
        return pack(tensors)

    monkeypatch.setattr(learner.layout, "pack", packed)
    learner.restart(1e-3)
    assert alive == [False] * len(old)


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize("device_like", [False, True], ids=["at hand", "read every stride"])
def test_tensor_loss_counts_as_its_number(Bowl, monkeypatch, shape, device_like):
    if device_like:
        monkeypatch.setattr(policy.driver.learner, "is_at_hand", lambda x: not torch.is_tensor(x))
    found = []
    for make in (float, lambda loss: torch.full(shape, loss)):
        learner = Learner(Bowl(), SPEC, initial_weights(SPEC, 0))
        for _ in range(7):
            learner.step(make(learner.task.true_loss()), learner.task.gradients())
        found.append(learner.task.state[0])
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("shape", [(), (1,)])
def test_losses_on_an_accelerator_are_read_together_except_bad_ones(monkeypatch, shape):
    monkeypatch.setattr("policy.driver.losses.is_at_hand", lambda loss: False)
    reader = LossReader(stride=3)
    read = [reader.add(torch.full(shape, loss)) for loss in (math.nan, 4.0)]
    assert math.isnan(read[0][0]) and read[1] == (4.0, 1), "each until one is finite"
    read = [reader.add(torch.full(shape, loss)) for loss in (1.0, math.nan, 3.0)]
    assert read == [None, None, (2.0, 3)]
    read = [reader.add(torch.full(shape, math.inf)) for _ in range(3)]
    assert math.isnan(read[2][0])


def test_loss_with_reused_storage_keeps_its_value(monkeypatch):
    monkeypatch.setattr("policy.driver.losses.is_at_hand", lambda loss: False)
    reader, storage = LossReader(stride=2), torch.zeros(())
    assert reader.add(storage) == (0.0, 1)
    assert reader.add(storage.fill_(1.0)) is None
    assert reader.add(storage.fill_(3.0)) == (2.0, 2)


def test_restart_fixes_the_default_batch_size(learner, begun):
    """The measured times don't apply to the steps after a restart."""
    train(learner, 12)
    tester = testers.Tester(learner.task, learner, Rescue(learner, begun(8)), trace=None)
    tester.rescue.batch_size.size = 32
    restart(tester)
    assert learner.is_careful and tester.rescue.batch_size.size == 8
    assert tester.rescue.batch_size.is_fixed


def test_restarted_run_has_a_new_schedule(learner):
    train(learner, 12)
    tester = testers.Tester(learner.task, learner, Rescue(learner, BatchSize(8)), trace=None)
    tester.observe(1.0, 12)
    tester.test()
    before = tester.schedule
    restart(tester)
    assert before.steps == 12 and tester.schedule.steps == 0
    assert before.start < tester.schedule.start and tester.schedule.cost == before.cost


def test_tests_without_memory_free_buffers_then_end_the_run(learner, monkeypatch):
    spared = []
    rescue = Rescue(learner, BatchSize(8))
    rescue.acts[SPARE] = lambda: spared.append(None)
    tester = testers.Tester(learner.task, learner, rescue, trace=None)

    def full(state):
        raise MemoryError

    def fail(times):
        with monkeypatch.context() as patch:
            patch.setattr(learner.task, "test", full)
            for _ in range(times):
                tester.test()

    fail(9)
    assert len(spared) == 9 and tester.best == math.inf
    tester.test()  # succeeds, so the count restarts
    fail(9)
    with pytest.raises(RuntimeError, match="memory ran out 10 times in a row"):
        fail(1)
    assert len(learner.task.tested) == 1
