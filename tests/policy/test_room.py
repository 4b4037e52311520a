"""Room is made by buffers first, where the best weights lie on an accelerator."""

from types import SimpleNamespace

import pytest
import torch

from policy.driver import learner as learners
from policy.driver.batch_size import BatchSize
from policy.driver.learner import Learner, duplicate
from policy.driver.room import Room
from policy.rule.spec import Spec


class OnDevice:
    """Stands for a tensor on an accelerator."""

    def cpu(self):
        return torch.zeros(3)

    def clone(self):
        raise RuntimeError("CUDA out of memory")


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
def test_best_weights_go_to_the_host_and_then_samples(error):
    learner, batch_size = SimpleNamespace(best=OnDevice()), BatchSize(64)
    room = Room(learner, batch_size)
    room.recover(error)
    assert torch.is_tensor(learner.best) and batch_size.size == 64
    room.recover(error)
    assert batch_size.size == 32 and batch_size.is_fixed


def test_a_size_on_trial_is_given_up_first():
    learner, batch_size = SimpleNamespace(best=OnDevice()), BatchSize(64)
    batch_size.size = 128
    Room(learner, batch_size).make()
    assert batch_size.size == 64 and isinstance(learner.best, OnDevice)


def test_other_failures_get_out():
    with pytest.raises(RuntimeError, match="1 gradients"):
        Room(None, BatchSize(64)).recover(RuntimeError("1 gradients for 2 tensors"))


def test_before_the_first_test_there_is_no_buffer_to_spare():
    batch_size = BatchSize(64)
    Room(SimpleNamespace(best=None), batch_size).make()
    assert batch_size.size == 32


def test_best_weights_that_find_no_room_are_kept_on_the_host():
    assert torch.equal(duplicate(OnDevice()), torch.zeros(3))


def test_a_learner_that_finds_no_room_says_how_much_it_needs(monkeypatch):
    def full(*_):
        raise MemoryError

    task = SimpleNamespace(state=[torch.zeros(1000, 5)], target_test_loss=0.1)
    monkeypatch.setattr(learners, "start_carry", full)
    with pytest.raises(RuntimeError, match="5,000 weights need 140,000 bytes .* cpu has free"):
        Learner(task, Spec(), None)


def test_other_faults_of_a_beginning_get_out_as_they_are(monkeypatch):
    def broken(*_):
        raise RuntimeError("expected a floating point tensor")

    task = SimpleNamespace(state=[torch.zeros(2)], target_test_loss=0.1)
    monkeypatch.setattr(learners, "start_carry", broken)
    with pytest.raises(RuntimeError, match="floating point"):
        Learner(task, Spec(), None)
