"""A network of some kind with its data and loss, as a task of the challenge's interface."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tasks import Done


class Kind(NamedTuple):
    """train, test: tensors whose first axes are examples. loss: of the model and the tensors of a
    batch, a scalar. test_batch: examples that are tested at a time."""

    model: nn.Module
    train: tuple[Tensor, ...]
    test: tuple[Tensor, ...]
    loss: Callable[..., Tensor]
    batch_size: int = 32
    test_batch: int = 256


class KindTask:
    """`tasks.contract.Task` on a kind; `make` returns it, its model drawn anew from `seed`.

    Tests that draw random numbers, as of a variational autoencoder, draw the same each time.
    """

    def __init__(self, make: Callable[[], Kind], seed: int, target: float = 0.0) -> None:
        torch.manual_seed(seed)
        self.kind = make()
        self.kind.model.train()
        self._parameters = list(self.kind.model.parameters())
        self._order = torch.Generator().manual_seed(seed)
        self.state = [parameter.data for parameter in self._parameters]
        self.default_batch_size = self.kind.batch_size
        self.target_test_loss = target

    def train_iterator(self, batch_size: int, shuffle: bool) -> Any:
        count = len(self.kind.train[0])
        order = torch.randperm(count, generator=self._order) if shuffle else torch.arange(count)
        for index in order.split(batch_size)[: count // batch_size]:
            yield [tensor[index] for tensor in self.kind.train]

    def batch_loss(self, batch: Any) -> float:
        with torch.no_grad():
            return self.kind.loss(self.kind.model, *batch).item()

    def batch_loss_and_gradient(self, batch: Any) -> tuple[float, tuple[Tensor, ...]]:
        loss = self.kind.loss(self.kind.model, *batch)
        return loss.item(), torch.autograd.grad(loss, self._parameters)

    def test(self, state: Sequence[Tensor]) -> float:
        """The mean loss of the given tensors on the test examples."""
        for parameter, value in zip(self._parameters, state, strict=True):
            parameter.data = value.data
        self.kind.model.eval()
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(0)
            loss = self._test_loss()
        self.kind.model.train()
        for parameter, value in zip(self._parameters, self.state, strict=True):
            parameter.data = value
        if loss < self.target_test_loss:
            raise Done(loss)
        return loss

    def _test_loss(self) -> float:
        count, total = len(self.kind.test[0]), 0.0
        for index in torch.arange(count).split(self.kind.test_batch):
            batch = [tensor[index] for tensor in self.kind.test]
            total += self.kind.loss(self.kind.model, *batch).item() * len(index)
        return total / count
