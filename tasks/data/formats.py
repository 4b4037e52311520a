"""The types that loaders return, their conversion to examples, and helpers for images."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


class DataError(RuntimeError):
    """A data set can't be read, or not with the given options."""


class Shape(NamedTuple):
    """The shape of one input and the number of classes, for architectures."""

    input: tuple[int, ...]
    classes: int


class Samples(NamedTuple):
    """Examples: x [N, *shape.input]. y is [N] for images, [N, context] (next tokens) for text."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    classes: int

    @property
    def shape(self) -> Shape:
        return Shape(tuple(self.train_x.shape[1:]), self.classes)


class Images(Samples):
    """x: float32 [N, channels, pixels, pixels], y: int64 [N]."""


class Text(NamedTuple):
    """Token streams, int64 [n]. `context` is the number of tokens per example.

    symbols: the string that each token stands for.
    """

    train: Tensor
    test: Tensor
    classes: int
    context: int
    symbols: tuple[str, ...] = ()


def samples(data: Images | Text) -> Samples:
    """Return images unchanged, and text as non-overlapping windows of `context` tokens."""
    if isinstance(data, Images):
        return data
    train, test = _windows(data.train, data.context), _windows(data.test, data.context)
    return Samples(*train, *test, data.classes)


def _windows(stream: Tensor, context: int) -> tuple[Tensor, Tensor]:
    count = (len(stream) - 1) // context
    x, y = stream[: count * context], stream[1 : count * context + 1]
    return x.view(count, context), y.view(count, context)


def resize(images: Tensor, pixels: int) -> Tensor:
    """Resize [N, C, H, H] to [N, C, pixels, pixels]: area means down, bilinear up."""
    if images.shape[-1] == pixels:
        return images
    if images.shape[-1] > pixels:
        return F.interpolate(images, size=(pixels, pixels), mode="area")
    return F.interpolate(images, size=(pixels, pixels), mode="bilinear", align_corners=False)


def standardise(train_x: Tensor, test_x: Tensor) -> tuple[Tensor, Tensor]:
    """Scale to zero mean and unit variance over all training pixels."""
    mean, std = train_x.mean(), train_x.std()
    return (train_x - mean) / std, (test_x - mean) / std


def split(x: Tensor, y: Tensor, train: int, classes: int) -> Images:
    """Return standardised images: the first `train` for training, the others for testing."""
    train_x, test_x = standardise(x[:train], x[train:])
    return Images(train_x, y[:train], test_x, y[train:], classes)
