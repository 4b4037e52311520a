"""A network with its data and loss, to be trained for a number of steps."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.networks.data import classification

Batch = tuple[Tensor, ...]


class Workload(NamedTuple):
    """A network and what it is trained on.

    train, test: tensors whose first axes are examples. loss: of the model and a batch. outer: the
    parameters that embed or classify, which Muon leaves to AdamW.
    """

    model: nn.Module
    train: Batch
    test: Batch
    loss: Callable[..., Tensor]
    outer: Sequence
    batch_size: int


def batches(workload: Workload, seed: int) -> Iterator[Batch]:
    """Yield shuffled batches, epoch after epoch, the short last one of each left out."""
    generator, count = torch.Generator().manual_seed(seed), len(workload.train[0])
    while True:
        order = torch.randperm(count, generator=generator)
        for index in order.split(workload.batch_size)[: count // workload.batch_size]:
            yield tuple(tensor[index] for tensor in workload.train)


@torch.no_grad()
def validation_loss(workload: Workload, batch_size: int = 250) -> float:
    """Return the mean loss on the test examples; random numbers in it are the same each time."""
    count, total = len(workload.test[0]), 0.0
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for index in torch.arange(count).split(batch_size):
            batch = tuple(tensor[index] for tensor in workload.test)
            total += workload.loss(workload.model, *batch).item() * len(index)
    return total / count


@torch.no_grad()
def accuracy(workload: Workload, batch_size: int = 250) -> float | None:
    """Return the share of test examples, or of their symbols, that a classifier gets right; None of
    a network that is none."""
    if workload.loss is not classification:
        return None
    x, y = workload.test
    hits = [
        workload.model(x[index]).argmax(-1) == y[index]
        for index in torch.arange(len(x)).split(batch_size)
    ]
    return torch.cat(hits).float().mean().item()
