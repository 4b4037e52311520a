"""A kind of network with its data and loss, as a task of the challenge's interface."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tasks import Done


class Kind(NamedTuple):
    """A network with its data and loss.

    train, test: tensors whose first axes are examples.
    loss: maps the model and the tensors of a batch to a scalar.
    test_batch: number of examples per test batch.
    outer: parameters that embed or classify; Muon leaves them to AdamW.
    """

    model: nn.Module
    train: tuple[Tensor, ...]
    test: tuple[Tensor, ...]
    loss: Callable[..., Tensor]
    batch_size: int = 32
    test_batch: int = 256
    outer: Sequence[Any] = ()

    def test_batches(self) -> Iterator[tuple[Tensor, ...]]:
        """Yield all test examples in order."""
        return zip(*(tensor.split(self.test_batch) for tensor in self.test), strict=True)

    @torch.no_grad()
    def test_loss(self) -> float:
        """Return the mean loss on the test examples, with the same random numbers each time."""
        total = 0.0
        with torch.random.fork_rng():
            torch.manual_seed(0)
            for batch in self.test_batches():
                total += self.loss(self.model, *batch).item() * len(batch[0])
        return total / len(self.test[0])


class KindTask:
    """A `tasks.contract.Task` on the kind that `make` returns, with initial weights from `seed`."""

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
        """Return the mean loss of the given tensors on the test examples."""
        self._use(state)
        self.kind.model.eval()
        loss = self.kind.test_loss()
        self.kind.model.train()
        self._use(self.state)
        if loss < self.target_test_loss:
            raise Done(loss)
        return loss

    def _use(self, state: Sequence[Tensor]) -> None:
        for parameter, value in zip(self._parameters, state, strict=True):
            parameter.data = value.data


def perceptron(*sides: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Return linear layers of these sizes, with the activation after all but the last."""
    layers = []
    for inputs, outputs in zip(sides, sides[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])
