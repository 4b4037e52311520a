"""Data that several kinds share; what is drawn is drawn from fixed seeds."""

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.data import load
from tasks.data.formats import Text

Split = tuple[tuple[Tensor, ...], tuple[Tensor, ...]]  # examples to train and to test
SYMBOLS = 97  # that `characters` tells apart


def generator(seed: int) -> torch.Generator:
    """Of a data set's random numbers, apart from those of initial weights."""
    return torch.Generator().manual_seed(seed)


def divided(tensors: tuple[Tensor, ...], test: int) -> Split:
    """All but the last `test` examples, and these."""
    return tuple(x[:-test] for x in tensors), tuple(x[-test:] for x in tensors)


@functools.lru_cache(maxsize=1)  # large, and read anew by every run of a network
def fashion(train: int = 6_000, test: int = 1_000) -> Split:
    """Fashion-MNIST: images `[n, 1, 28, 28]` and labels, to train and to test."""
    images = load("fashion", {"train": train, "test": test}, None)
    return (images.train_x, images.train_y), (images.test_x, images.test_y)


def characters(context: int, text: str = "topics", train: int = 80_000) -> Split:
    """Windows of a text, by default English: symbols `[n, context]` and those that follow."""
    return _windows(load(text, {"context": context, "train": train}, None), context)


def words(context: int, vocabulary: int) -> Split:
    """Likewise in words."""
    data = {"context": context, "vocabulary": vocabulary}
    return _windows(load("topic_words", data, None), context)


def _windows(text: Text, context: int) -> Split:
    def windows(stream):
        rows = stream[: len(stream) // (context + 1) * (context + 1)].view(-1, context + 1)
        return rows[:, :-1], rows[:, 1:]

    return windows(text.train), windows(text.test)


def classification(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of logits `[n, classes]`, or `[n, context, classes]`."""
    return functional.cross_entropy(model(x).flatten(0, -2), y.flatten())


def squared_error(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Mean squared error."""
    return functional.mse_loss(model(x), y)
