"""The contract between a task and a training rule: the AutoTrain challenge's names and semantics.

The semantics come from the public challenge repository, github.com/epfml/autoTrain.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from torch import Tensor


class Done(Exception):
    """The test loss is strictly below the target. `Task.test` raises this; do not catch it."""


class Batch(NamedTuple):
    """A mini-batch. Training rules only pass it back to the oracles.

    hidden: the recurrent state at the batch's first token (language oracle only).
    """

    x: Tensor
    y: Tensor
    hidden: Any = None


class BatchIterable(Protocol):
    """One epoch of batches, of known length, as `Task.train_iterator` returns."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch]: ...


class Task(Protocol):
    """A network, its data, and three oracles.

    state: the model's weights, which share its storage. Update them in place: rebinding an entry
        leaves the model unchanged.
    default_batch_size: a batch size that fits into memory.
    target_test_loss: test loss that ends the task (mean cross-entropy in nats, or mean squared
        error); 0.0 if it has no target.
    """

    state: list[Tensor]
    default_batch_size: int
    target_test_loss: float

    def train_iterator(self, batch_size: int, shuffle: bool) -> BatchIterable:
        """Return one epoch of training batches, empty if `batch_size` exceeds the data."""

    def batch_loss(self, batch: Batch) -> float:
        """Return the mean loss of a batch in training mode."""

    def batch_loss_and_gradient(self, batch: Batch) -> tuple[float | Tensor, Iterable[Tensor]]:
        """Return the mean loss of a batch and one gradient per entry of `state`.

        The next call may overwrite the gradients. The loss may be a float or a 0-d tensor.
        """

    def test(self, state: list[Tensor]) -> float:
        """Return the mean test loss, which may be NaN. Raises `Done` strictly below the target."""
