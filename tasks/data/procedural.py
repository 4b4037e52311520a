"""Generated data sets: any size, no files, equal for equal options.

The images are smooth, so convolutions have structure to find. The waves are one-dimensional.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from tasks.data.formats import Images, split

_KNOTS = 12  # random numbers that make a template of a wave
_TERMS = 32  # sines that make a function
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
    x = (1 - noise**2) ** 0.5 * clean + noise * white
    return split(x, mode % classes, train, classes)


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
    return split(x, y, train, classes)


def functions(
    root: Path | None,
    *,
    inputs: int = 4,
    outputs: int = 1,
    roughness: float = 0.5,
    noise: float = 0.0,
    train: int = 4_000,
    test: int = 500,
    seed: int = 1,
) -> Images:
    """Rows of inputs and smooth random functions of them, sums of sines; [N, 1, 1, all numbers].

    The functions have unit variance; noise of one would have as much. The phase of a sine moves by
    about twice the roughness while the inputs move by one. `classes` is the number of outputs;
    all labels are zero.
    """
    generator, count = Generator().manual_seed(seed), train + test
    x = (2 * torch.rand(count, inputs, generator=generator) - 1) * 3**0.5
    frequency = torch.randn(inputs, _TERMS, generator=generator) * 2 * roughness / inputs**0.5
    phase = 2 * torch.pi * torch.rand(_TERMS, generator=generator)
    y = (x @ frequency + phase).sin() @ torch.randn(_TERMS, outputs, generator=generator)
    y = (y - y.mean(0)) / y.std(0) + noise * torch.randn(count, outputs, generator=generator)
    rows = torch.cat([x, y], 1).view(count, 1, 1, inputs + outputs)
    return split(rows, torch.zeros(count, dtype=torch.long), train, outputs)


def waves(
    root: Path | None,
    *,
    length: int = 40,
    classes: int = 10,
    noise: float = 0.25,
    train: int = 4_000,
    test: int = 1_000,
    seed: int = 1,
) -> Images:
    """One template per class, stretched, tilted, moved and blurred by noise; [N, 1, 1, length].

    After the idea of MNIST-1D (Greydanus, arXiv:2011.14439), with random templates.
    """
    generator, count = Generator().manual_seed(seed), train + test
    template = torch.randn(classes, _KNOTS, generator=generator)
    y = torch.randint(classes, (count,), generator=generator)
    start, span, gain, tilt = torch.rand(4, count, 1, generator=generator).unbind(0)
    time = torch.linspace(0, 1, length)
    span = 0.4 + 0.2 * span  # of the whole length; the rest is silence
    place = (time - start * (1 - span)) / span * (_KNOTS - 1)
    left = place.floor().clamp(0, _KNOTS - 2).long()
    knots, part = template[y], place - left
    inside = (place >= 0) & (place <= _KNOTS - 1)
    value = torch.lerp(knots.gather(1, left), knots.gather(1, left + 1), part) * inside
    wave = (0.6 + 0.8 * gain) * value + (2 * tilt - 1) * (2 * time - 1)
    wave = wave + noise * torch.randn(count, length, generator=generator)
    return split(wave.view(count, 1, 1, length), y, train, classes)


def _smooth(count: int, pixels: int, generator: Generator) -> Tensor:
    """Interpolated white noise, [count, 1, pixels, pixels], each pixel of unit variance."""
    coarse = torch.randn(count, 1, _COARSE, _COARSE, generator=generator)
    images = F.interpolate(coarse, size=(pixels, pixels), mode="bilinear", align_corners=False)
    return images / images.std()


def _roll(images: Tensor, generator: Generator) -> Tensor:
    """Each of [N, 1, H, H] shifted around the border by its own random offsets."""
    shifts = torch.randint(images.shape[-1], (2, len(images)), generator=generator)
    moves = zip(*(-shifts).tolist(), strict=True)
    return torch.stack([x.roll(move, (1, 2)) for x, move in zip(images, moves, strict=True)])
