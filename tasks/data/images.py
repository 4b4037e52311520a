"""Alterations that image data sets share: colours, permuted pixels, fewer classes."""

import torch
from torch import Generator, Tensor

from tasks.data.formats import DataError


def altered(x: Tensor, colour: bool, permuted: bool) -> Tensor:
    """Return grey images [N, 1, H, W] with the given alterations, equal for equal N.

    colour: [N, 3, H, W], each image between a dark and a bright colour of its own.
    permuted: one fixed permutation of the pixels for all images (Goodfellow et al.,
        arXiv:1312.6211), which removes neighbourhoods.
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


def first_classes(name: str, x: Tensor, y: Tensor, classes: int, known: int) -> tuple:
    """The examples of the first `classes` classes. Raises DataError if there are fewer."""
    if not 2 <= classes <= known:
        raise DataError(f"{name} has {known} classes: choose from 2 to {known}, not {classes}")
    kept = y < classes
    return x[kept], y[kept]
