"""Data sets that are drawn, not read: any size, no files, equal for equal options.

The images are smooth, so convolutions have something to find.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from tasks.data.formats import Images, standardise

_COARSE = 4  # smooth images are this many random pixels a side, interpolated


def clusters(
    root: Path | None,
    *,
    pixels: int = 8,
    classes: int = 10,
    modes: int = 3,
    noise: float = 0.9,
    rolled: bool = False,
    train: int = 2_000,
    test: int = 500,
    seed: int = 1,
) -> Images:
    """Gaussian mixture: each class has `modes` smooth centres under white noise.

    noise: share of the amplitude, so a pixel is sqrt(1 - noise^2) centre + noise normal.
    rolled: shift each image, around the border, by a random number of pixels either way.
    """
    generator, count = Generator().manual_seed(seed), train + test
    centres = _smooth(classes * modes, pixels, generator)
    mode = torch.randint(classes * modes, (count,), generator=generator)
    white = torch.randn(count, 1, pixels, pixels, generator=generator)
    clean = _roll(centres[mode], generator) if rolled else centres[mode]
    return _split((1 - noise**2) ** 0.5 * clean + noise * white, mode % classes, train)


def teacher(
    root: Path | None,
    *,
    pixels: int = 8,
    classes: int = 10,
    width: int = 16,
    train: int = 4_000,
    test: int = 500,
    seed: int = 1,
) -> Images:
    """Labels of a random network with one hidden layer of `width` tanh units (Saad & Solla 1995).

    Its logits are standardised over the data, so the classes are about equally frequent, and the
    labels drawn from three times them, so some uncertainty remains.
    """
    generator, count = Generator().manual_seed(seed), train + test
    white = torch.randn(count, 1, pixels, pixels, generator=generator)
    x = _smooth(count, pixels, generator) + 0.5 * white
    flat = F.layer_norm(x.flatten(1), (pixels**2,))
    hidden = (flat @ torch.randn(pixels**2, width, generator=generator) / 4).tanh()
    logits = hidden @ torch.randn(width, classes, generator=generator)
    logits = (logits - logits.mean(0)) / logits.std(0)
    y = torch.multinomial((3 * logits).softmax(1), 1, generator=generator).squeeze(1)
    return _split(x, y, train)


def _smooth(count: int, pixels: int, generator: Generator) -> Tensor:
    """Interpolated white noise, [count, 1, pixels, pixels], each pixel of unit variance."""
    coarse = torch.randn(count, 1, _COARSE, _COARSE, generator=generator)
    images = F.interpolate(coarse, size=(pixels, pixels), mode="bilinear", align_corners=False)
    return images / images.std()


def _roll(images: Tensor, generator: Generator) -> Tensor:
    """Each of [N, 1, H, H] shifted around the border by its own random offsets."""
    count, _, _, pixels = images.shape
    shift = torch.randint(pixels, (2, count, 1), generator=generator)
    rows, columns = (shift + torch.arange(pixels)) % pixels
    image = torch.arange(count)[:, None, None]
    return images[image, 0, rows[:, :, None], columns[:, None]].unsqueeze(1)


def _split(x: Tensor, y: Tensor, train: int) -> Images:
    train_x, test_x = standardise(x[:train], x[train:])
    return Images(train_x, y[:train], test_x, y[train:], classes=int(y.max()) + 1)
