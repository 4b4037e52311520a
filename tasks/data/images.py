"""Alterations of image data sets: colours, permuted pixels, fewer classes."""

import torch
from torch import Generator, Tensor

from tasks.data.formats import DataError, Images, standardise

Labelled = tuple[Tensor, Tensor]  # images and their labels


def altered(x: Tensor, colour: bool, permuted: bool) -> Tensor:
    """Alter grey images [N, 1, H, W], in the same way for equal N.

    colour: return [N, 3, H, W], each image between its own dark and bright colour.
    permuted: permute the pixels of all images in one fixed way, which destroys neighbourhoods
        (Goodfellow et al., arXiv:1312.6211).
    """
    if colour:
        x = _coloured(x)
    if permuted:
        order = torch.randperm(x[0, 0].numel(), generator=Generator().manual_seed(0))
        x = x.flatten(2)[:, :, order].view(x.shape)
    return x


def _coloured(x: Tensor) -> Tensor:
    colours = torch.rand(2, len(x), 3, 1, 1, generator=Generator().manual_seed(1))
    dark, bright = 0.5 * colours[0], 1 - 0.5 * colours[1]
    return torch.lerp(dark, bright, x)


def first_classes(name: str, train: Labelled, test: Labelled, classes: int) -> Images:
    """Return the standardised images of the first `classes` of ten classes."""
    if not 2 <= classes <= 10:
        raise DataError(f"{name} has 10 classes: choose from 2 to 10, not {classes}")
    (train_x, train_y), (test_x, test_y) = (
        (x[y < classes], y[y < classes]) for x, y in (train, test)
    )
    train_x, test_x = standardise(train_x, test_x)
    return Images(train_x, train_y, test_x, test_y, classes)
