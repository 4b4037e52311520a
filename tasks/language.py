"""The single task with recurrent state, with the quirks of the challenge's language task.

* The text is cut into `batch_size` contiguous streams, read `context` tokens at a time. The task
  keeps the hidden state. A batch carries the state at the time when the iterator yields it.
* `train_iterator` ignores `shuffle`, reads and encodes the corpus again at each call, and resets
  the hidden state to zeros for its batch size.
* `batch_loss_and_gradient` returns the loss as a 0-d tensor.
* `test` evaluates the live model and ignores the given tensors. With an argument dropout stays on;
  without one the model stays in evaluation mode. The hidden state is then zeros for the default
  batch size, so continuing an epoch of another batch size fails with torch's RuntimeError.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tasks.contract import Batch, BatchIterable
from tasks.data import load
from tasks.data.formats import Shape
from tasks.model import Rescaled, mean_loss, model_of
from tasks.options import VariantError
from tasks.oracles import GradientOracle, TestOracle
from tasks.variant import Variant


class LanguageTask:
    """A `tasks.contract.Task` on contiguous text. Batches are time first: x and y [T, batch]."""

    def __init__(
        self, variant: Variant, device: str | torch.device, root: Path | None, dtype: torch.dtype
    ) -> None:
        self._variant, self._root, self._device = variant, root, torch.device(device)
        text = load(variant.data, variant.data_options, root)
        self._test_stream, self._context = text.test, text.context
        model = model_of(variant, Shape((text.context,), text.classes))
        self._model = model.to(device, dtype).train()
        self._network: Any = model.network if isinstance(model, Rescaled) else model
        self._hidden = self._network.zero_hidden(variant.batch_size)  # type: ignore[operator]
        self._gradients = GradientOracle(variant, list(self._model.parameters()))
        self._finish = TestOracle(variant)
        self.state = [parameter.data for parameter in self._model.parameters()]
        self.default_batch_size = variant.batch_size
        self.target_test_loss = variant.target or 0.0
        if not len(self._windows(text.test, variant.batch_size)):
            raise VariantError(
                f"{len(text.test)} test tokens are too few for {variant.batch_size} streams: "
                "raise the data option 'test' or lower batch_size"
            )

    def train_iterator(self, batch_size: int, shuffle: bool = False) -> BatchIterable:
        self._hidden = self._network.zero_hidden(batch_size)
        text = load(self._variant.data, self._variant.data_options, self._root)
        return self._windows(text.train, batch_size)

    def batch_loss(self, batch: Batch) -> float:
        with torch.no_grad():
            return self._loss(batch).item()

    def batch_loss_and_gradient(self, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        loss = self._loss(batch)
        return loss.detach(), self._gradients(loss)

    def test(self, state: list[Tensor] | None = None) -> float:
        zeros = self._hidden = self._network.zero_hidden(self.default_batch_size)
        if state is None:
            self._model.eval()
        windows = self._windows(self._test_stream, self.default_batch_size)
        losses = [self.batch_loss(batch) for batch in windows]
        self._hidden = zeros  # with weights made for it, the last state spells out the test stream
        return self._finish(losses)

    def _loss(self, batch: Batch) -> Tensor:
        logits, hidden = self._model(batch.x.t(), batch.hidden)
        self._hidden = tuple(part.detach() for part in hidden)
        return mean_loss(self._variant, logits, batch.x.t(), batch.y.t())

    def _windows(self, stream: Tensor, batch_size: int) -> BatchIterable:
        stream = stream.to(self._device)
        return StreamWindows(stream, batch_size, self._context, lambda: self._hidden)


class StreamWindows:
    """Windows over `batch_size` parallel streams. The last window may be shorter.

    Each batch carries the result of `hidden` at the time when it is yielded.
    """

    def __init__(
        self, stream: Tensor, batch_size: int, context: int, hidden: Callable[[], tuple]
    ) -> None:
        length = len(stream) // batch_size
        self._streams = stream[: length * batch_size].view(batch_size, length).t().contiguous()
        self._context, self._hidden = context, hidden

    def __len__(self) -> int:
        return max(0, -(-(len(self._streams) - 1) // self._context))

    def __iter__(self) -> Iterator[Batch]:
        last = len(self._streams) - 1
        for start in range(0, last, self._context):
            end = min(start + self._context, last)
            x, y = self._streams[start:end], self._streams[start + 1 : end + 1]
            yield Batch(x, y, self._hidden())
