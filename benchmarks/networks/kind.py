"""A network of some kind with its data and loss, as a task of the challenge's interface; a layer
that several have."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tasks import Done


class Kind(NamedTuple):
    """train, test: tensors whose first axes are examples. loss: of the model and the tensors of a
    batch, a scalar. test_batch: examples that are tested at a time. outer: the parameters that
    embed or classify, where Muon is to leave them to AdamW."""

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
        """Return the mean loss on the test examples; random numbers in it are always the same."""
        total = 0.0
        with torch.random.fork_rng():
            torch.manual_seed(0)
            for batch in self.test_batches():
                total += self.loss(self.model, *batch).item() * len(batch[0])
        return total / len(self.test[0])


class KindTask:
    """`tasks.contract.Task` on a kind; `make` returns it, its model drawn anew from `seed`."""

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
    """Linear layers from side to side, the activation between them and not behind the last."""
    layers = []
    for inputs, outputs in zip(sides, sides[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])
