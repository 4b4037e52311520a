"""The single task with independent examples, with the quirks of the challenge's image task.

* `batch_loss` runs in training mode and updates batch-norm statistics.
* Gradients reuse storage: the next call overwrites them.
* `test` uses the given tensors, but the training run's batch-norm statistics.
* `train_iterator` drops the last, incomplete batch. Its `shuffle` has no default.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor

from tasks.contract import Batch, BatchIterable
from tasks.data import load_samples
from tasks.model import TEST_BATCH, inputs_of, mean_loss, model_of, noisy_labels
from tasks.oracles import GradientOracle, TestOracle
from tasks.variant import Variant


class SupervisedTask:
    """A `tasks.contract.Task` on images or on windows of text."""

    def __init__(
        self, variant: Variant, device: str | torch.device, root: Path | None, dtype: torch.dtype
    ) -> None:
        data = load_samples(variant.data, variant.data_options, root)
        labels = noisy_labels(variant, data.train_y, data.shape.classes)
        self._variant = variant
        self._train_x = inputs_of(variant, data.train_x, device, dtype)
        self._test_x = inputs_of(variant, data.test_x, device, dtype)
        self._train_y, self._test_y = labels.to(device), data.test_y.to(device)
        self._model = model_of(variant, data.shape).to(device, dtype).train()
        self._gradients = GradientOracle(variant, list(self._model.parameters()))
        self._finish = TestOracle(variant)
        # All epochs share this generator, not torch's global one, so that tasks are reproducible.
        self._order = torch.Generator().manual_seed(variant.seed)
        self.state = [parameter.data for parameter in self._model.parameters()]
        self.default_batch_size = variant.batch_size
        self.target_test_loss = variant.target or 0.0

    def train_iterator(self, batch_size: int, shuffle: bool) -> BatchIterable:
        return EpochOfBatches(self._train_x, self._train_y, batch_size, shuffle, self._order)

    def batch_loss(self, batch: Batch) -> float:
        with torch.no_grad():
            return self._loss(self._model, batch.x, batch.y).item()

    def batch_loss_and_gradient(self, batch: Batch) -> tuple[float, list[Tensor]]:
        loss = self._loss(self._model, batch.x, batch.y)
        return loss.item(), self._gradients(loss)

    def test(self, state: list[Tensor]) -> float:
        model = deepcopy(self._model).eval()
        for parameter, value in zip(model.parameters(), state, strict=True):
            parameter.data = value.data
        parts = zip(self._test_x.split(TEST_BATCH), self._test_y.split(TEST_BATCH), strict=True)
        with torch.no_grad():
            return self._finish([self._loss(model, x, y).item() for x, y in parts])

    def _loss(self, model: Callable, x: Tensor, y: Tensor) -> Tensor:
        return mean_loss(self._variant, model(x), x, y)


class EpochOfBatches:
    """Complete batches of one epoch. With `shuffle`, each iteration has a new order."""

    def __init__(
        self, x: Tensor, y: Tensor, batch_size: int, shuffle: bool, generator: torch.Generator
    ) -> None:
        self._x, self._y = x, y
        self._batch_size, self._shuffle, self._generator = batch_size, shuffle, generator

    def __len__(self) -> int:
        return len(self._x) // self._batch_size

    def __iter__(self) -> Iterator[Batch]:
        order = torch.arange(len(self._x))
        if self._shuffle:
            order = torch.randperm(len(self._x), generator=self._generator)
        for start in range(0, len(self) * self._batch_size, self._batch_size):
            index = order[start : start + self._batch_size].to(self._x.device)
            yield Batch(self._x[index], self._y[index])
