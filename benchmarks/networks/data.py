"""Data shared by several kinds; random data have fixed seeds."""

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.data import load
from tasks.data.formats import Text

Split = tuple[tuple[Tensor, ...], tuple[Tensor, ...]]  # training and test examples
SYMBOLS = 97  # distinct symbols of `characters`


def generator(seed: int) -> torch.Generator:
    """Return the generator of a data set's random numbers, separate from the initial weights'."""
    return torch.Generator().manual_seed(seed)


def divided(tensors: tuple[Tensor, ...], test: int) -> Split:
    """Return all but the last `test` examples, and the last ones."""
    return tuple(x[:-test] for x in tensors), tuple(x[-test:] for x in tensors)


@functools.lru_cache(maxsize=1)  # large, and used by every run of a network
def fashion(train: int = 6_000, test: int = 1_000) -> Split:
    """Return Fashion-MNIST: images `[n, 1, 28, 28]` and labels, for training and testing."""
    images = load("fashion", {"train": train, "test": test}, None)
    return (images.train_x, images.train_y), (images.test_x, images.test_y)


def characters(context: int, text: str = "topics", train: int = 80_000) -> Split:
    """Return windows of a text, English by default: symbols `[n, context]` and the next ones."""
    return _windows(load(text, {"context": context, "train": train}, None), context)


def words(context: int, vocabulary: int) -> Split:
    """Return windows of words `[n, context]`, and the next words."""
    data = {"context": context, "vocabulary": vocabulary}
    return _windows(load("topic_words", data, None), context)


def _windows(text: Text, context: int) -> Split:
    def windows(stream):
        rows = stream[: len(stream) // (context + 1) * (context + 1)].view(-1, context + 1)
        return rows[:, :-1], rows[:, 1:]

    return windows(text.train), windows(text.test)


def classification(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return the cross-entropy of logits `[n, classes]` or `[n, context, classes]`."""
    return functional.cross_entropy(model(x).flatten(0, -2), y.flatten())


def squared_error(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared error."""
    return functional.mse_loss(model(x), y)
