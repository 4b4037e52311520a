"""What is tested, and what it costs besides."""

import pytest
import torch

from policy.tester import may_normalise


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ([torch.randn(3, 2), torch.zeros(3)], False),
        ([torch.randn(3, 2), torch.zeros(3), torch.ones(3)], True),
        ([torch.randn(3, 2), torch.full((3,), 0.3)], True),  # gains that were rescaled
        ([torch.ones(3, 2), torch.ones(1), torch.tensor(1.0)], False),
        ([torch.randn(3)], False),
    ],
    ids=["biases", "gains", "rescaled gains", "no vectors", "other vectors"],
)
def test_gains_tell_that_there_may_be_running_statistics(state, expected):
    assert may_normalise(state) is expected


@pytest.mark.parametrize("gain", [0.0, 1.0])
def test_statistics_are_renewed_only_where_there_may_be_some(Bowl, finish, gain):
    class Task(Bowl):
        """Its first tests never reach the target."""

        forward = 0  # calls beside those for gradients

        def make_state(self):
            return [torch.zeros(3, 2), torch.full((5,), gain)]

        def batch_loss(self, batch):
            self.forward += 1
            return super().batch_loss(batch)

        def gradients(self):
            self.forward -= 1
            return super().gradients()

        def test(self, state):
            self.tested.append(self.true_loss(state))
            return self.tested[-1]

    task = Task(calls=300)
    assert finish(task) == "limit"
    comparisons = len(task.tested)
    assert comparisons > 1
    assert (task.forward > comparisons + 5) == bool(gain)
