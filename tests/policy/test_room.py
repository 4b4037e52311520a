"""Room is made by buffers first, where the best weights lie on an accelerator."""

from types import SimpleNamespace

import pytest
import torch

from policy.batch_size import BatchSize
from policy.room import Room


class OnDevice:
    """Stands for a tensor on an accelerator."""

    def cpu(self):
        return torch.zeros(3)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory")])
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
