"""Actions depend on how often an event occurs in a row; buffers make room first."""

import math
from types import SimpleNamespace

import pytest
import torch

from policy.driver import learner as learners
from policy.driver.batch_size import BatchSize
from policy.driver.learner import Learner, duplicate
from policy.driver.rescue import (
    BAD_LOSS,
    BAD_WEIGHTS,
    LADDERS,
    LOWER,
    MEMORISES,
    NO_MEMORY,
    NO_TEST_MEMORY,
    ORACLE_FAILED,
    RENEW,
    RESTART,
    RESTORE,
    SHRINK,
    SKIP_STEP,
    SPARE,
    STUCK,
    TOO_SLOW,
    Rescue,
)
from policy.rule.spec import Spec


class OnDevice:
    """Stands for a tensor on an accelerator."""

    def cpu(self):
        return torch.zeros(3)

    def clone(self):
        raise RuntimeError("CUDA out of memory")


@pytest.fixture
def rescue(Bowl):
    return Rescue(Learner(Bowl(), Spec(), None), BatchSize(64))


@pytest.mark.parametrize(
    "event, actions",
    [
        (BAD_LOSS, [SKIP_STEP] + [RESTORE] * 19 + [None]),
        (BAD_WEIGHTS, [RESTORE] * 30),
        (ORACLE_FAILED, [RENEW, None]),
        (NO_MEMORY, [SHRINK] * 19 + [None]),
        (NO_TEST_MEMORY, [SPARE] * 9 + [None]),
        (TOO_SLOW, [LOWER, RESTART]),
        (MEMORISES, [RESTART]),
        (STUCK, [RESTART]),
    ],
)
def test_actions_for_repeated_events(rescue, event, actions):
    """None marks the end, at which the error propagates."""
    for action in actions:
        if action is None:
            with pytest.raises(RuntimeError, match="the last straw"):
                rescue.meet(event, RuntimeError("the last straw"))
        else:
            assert rescue.meet(event, RuntimeError("not yet")) == action
    assert event in LADDERS


def test_count_restarts_after_recovery(rescue):
    for _ in range(3):
        assert rescue.meet(ORACLE_FAILED) == RENEW
        rescue.over(ORACLE_FAILED)
    assert rescue.accepts(1.0) and not rescue.accepts(math.nan) and rescue.counts[BAD_LOSS] == 1
    assert rescue.accepts(1.0) and rescue.counts[BAD_LOSS] == 0


def test_too_slow_run_gets_a_quarter_of_its_rates(rescue):
    before = rescue.learner.rates()
    rescue.meet(TOO_SLOW)
    assert rescue.learner.rates() == pytest.approx([rate / 4 for rate in before])


def test_second_restart_is_the_last_and_at_a_lower_rate(rescue):
    rates = []
    for event in (MEMORISES, STUCK):
        assert rescue.can_restart()
        rescue.meet(event)
        rates.append(rescue.learner.rates()[0])
    assert rates == pytest.approx([3e-3, 1e-3]) and not rescue.can_restart()


def test_rates_are_halved_from_the_second_restore_on(rescue):
    calm = []
    for _ in range(3):
        assert rescue.accepts(1.0)
        for _ in range(4):
            assert not rescue.accepts(math.nan)
        calm.append(rescue.learner.calm)
    assert calm == [1.0, 0.5, 0.25]


def test_non_finite_weights_are_restored_at_the_first_bad_loss(rescue):
    rescue.learner.carry.buffers.weight.fill_(math.nan)
    assert not rescue.accepts(math.nan)
    assert rescue.learner.is_finite() and rescue.is_restored


def test_averaged_weights_are_restored_before_the_best(rescue):
    learner = rescue.learner
    learner.carry.buffers.average.fill_(2.0)
    for expected in (2.0, 0.0):
        rescue.accepts(math.nan), rescue.accepts(math.nan)
        assert (learner.task.state[1] == expected).all()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    ],
)
def test_memory_is_freed_from_best_weights_before_samples(error):
    learner, batch_size = SimpleNamespace(best=OnDevice()), BatchSize(64)
    rescue = Rescue(learner, batch_size)
    rescue.failed(error, is_oracle=False)
    assert torch.is_tensor(learner.best) and batch_size.size == 64
    rescue.failed(error, is_oracle=False)
    assert batch_size.size == 32 and batch_size.is_fixed


def test_batch_size_on_trial_is_given_up_first():
    learner, batch_size = SimpleNamespace(best=OnDevice()), BatchSize(64)
    batch_size.size = 128
    Rescue(learner, batch_size).meet(NO_MEMORY)
    assert batch_size.size == 64 and isinstance(learner.best, OnDevice)


def test_other_driver_failures_propagate(rescue):
    with pytest.raises(RuntimeError, match="1 gradients"):
        rescue.failed(RuntimeError("1 gradients for 2 tensors"), is_oracle=False)


def test_no_buffer_can_be_freed_before_the_first_test(rescue):
    rescue.meet(NO_MEMORY)
    assert rescue.batch_size.size == 32


def test_best_weights_without_room_are_kept_on_the_host():
    assert torch.equal(duplicate(OnDevice()), torch.zeros(3))


def test_learner_without_room_says_how_much_it_needs(monkeypatch):
    def full(*_):
        raise MemoryError

    task = SimpleNamespace(state=[torch.zeros(1000, 5)], target_test_loss=0.1)
    monkeypatch.setattr(learners.Learner, "start", full)
    with pytest.raises(RuntimeError, match="5,000 weights need 100,000 bytes .* cpu has free"):
        Learner(task, Spec(), None)


def test_other_start_errors_propagate_unchanged(monkeypatch):
    def broken(*_):
        raise RuntimeError("expected a floating point tensor")

    task = SimpleNamespace(state=[torch.zeros(2)], target_test_loss=0.1)
    monkeypatch.setattr(learners.Learner, "start", broken)
    with pytest.raises(RuntimeError, match="floating point"):
        Learner(task, Spec(), None)
