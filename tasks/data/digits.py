"""Optical recognition of handwritten digits (Alpaydin & Kaynak 1998), from scikit-learn."""

from pathlib import Path

import torch

from tasks.data.formats import DataError, Images, resize
from tasks.data.images import altered, first_classes


def digits(
    root: Path | None,
    *,
    pixels: int = 8,
    classes: int = 10,
    colour: bool = False,
    permuted: bool = False,
    test: int = 400,
) -> Images:
    """Return 1,797 grey images of 8 x 8 pixels, resized to `pixels`, `test` of them for testing.

    Fewer classes have fewer images. colour, permuted: see `tasks.data.images`.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    if test >= len(bunch.images):
        raise DataError(f"digits has {len(bunch.images)} images: choose fewer than {test} for test")
    # The file is ordered by writer. A fixed permutation gives both parts the same distribution.
    order = torch.randperm(len(bunch.images), generator=torch.Generator().manual_seed(0))
    x = resize(torch.from_numpy(bunch.images).float()[order].unsqueeze(1), pixels)
    y = torch.from_numpy(bunch.target).long()[order]
    x = altered(x / 16, colour, permuted)
    return first_classes("digits", (x[test:], y[test:]), (x[:test], y[:test]), classes)
