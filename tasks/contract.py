"""The contract between a task and a training rule: the AutoTrain challenge's names and semantics.

Source of the semantics: the public challenge repository, github.com/epfml/autoTrain.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from torch import Tensor


class Done(Exception):
    """Raised by `Task.test` once the test loss is strictly below the target; must not be caught."""


class Batch(NamedTuple):
    """A mini-batch; rules only pass it back to the oracles.

    hidden: the recurrent state at the batch's first token (language oracle only).
    """

    x: Tensor
    y: Tensor
    hidden: Any = None


class BatchIterable(Protocol):
    """What `Task.train_iterator` returns: one epoch, of known length."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch]: ...


class Task(Protocol):
    """A network, its data, and three oracles.

    state: the model's weights, aliases of its own storage. Update in place: rebinding an entry
        leaves the model unchanged.
    default_batch_size: examples in a batch that fits the memory.
    target_test_loss: test loss that ends the task (mean cross-entropy in nats, or mean squared
        error); 0.0 if it has no target.
    """

    state: list[Tensor]
    default_batch_size: int
    target_test_loss: float

    def train_iterator(self, batch_size: int, shuffle: bool) -> BatchIterable:
        """One epoch of training batches; none at all if `batch_size` exceeds the data."""

    def batch_loss(self, batch: Batch) -> float:
        """The mean loss of a batch in training mode."""

    def batch_loss_and_gradient(self, batch: Batch) -> tuple[float | Tensor, Iterable[Tensor]]:
        """The mean loss of a batch and one gradient per entry of `state`.

        The next call may overwrite the gradients. The loss may be a float or a 0-d tensor.
        """

    def test(self, state: list[Tensor]) -> float:
        """The mean test loss, NaN included. Raises `Done` strictly below the target."""
