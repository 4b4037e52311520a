"""Generated data sets: any size, no files, equal for equal options.

Images are smooth, so convolutions can exploit their structure. Waves are one-dimensional.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from tasks.data.formats import Images, split

_KNOTS = 12  # random numbers per template of a wave
_TERMS = 32  # sines per function
_COARSE = 4  # random pixels per side, from which smooth images are interpolated


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
    """Return a Gaussian mixture: each class has `modes` smooth centres with white noise.

    noise: its share of the amplitude. A pixel is sqrt(1 - noise^2) centre + noise normal.
    rolled: shift each image cyclically by a random number of pixels in both directions.
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
    """Return images labelled by a random network (Saad & Solla 1995).

    The network has one hidden layer of `width` tanh units. Its logits are standardised over the
    data, so classes are about equally frequent. Labels are drawn with three times these logits, so
    some uncertainty remains.
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
    """Return rows of inputs and smooth functions of them, [N, 1, 1, inputs + outputs].

    The functions are random sums of sines, of unit variance. `noise` is the standard deviation of
    the noise on them. If the inputs move by one, the phase of a sine moves by about twice the
    roughness. `classes` is the number of outputs. All labels are zero.
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
    """Return waves [N, 1, 1, length]: one template per class, stretched, tilted, shifted and noisy.

    The idea is that of MNIST-1D (Greydanus, arXiv:2011.14439), here with random templates.
    """
    generator, count = Generator().manual_seed(seed), train + test
    template = torch.randn(classes, _KNOTS, generator=generator)
    y = torch.randint(classes, (count,), generator=generator)
    start, span, gain, tilt = torch.rand(4, count, 1, generator=generator).unbind(0)
    time = torch.linspace(0, 1, length)
    span = 0.4 + 0.2 * span  # share of the length; the rest is zero before tilt and noise
    place = (time - start * (1 - span)) / span * (_KNOTS - 1)
    left = place.floor().clamp(0, _KNOTS - 2).long()
    knots, part = template[y], place - left
    inside = (place >= 0) & (place <= _KNOTS - 1)
    value = torch.lerp(knots.gather(1, left), knots.gather(1, left + 1), part) * inside
    wave = (0.6 + 0.8 * gain) * value + (2 * tilt - 1) * (2 * time - 1)
    wave = wave + noise * torch.randn(count, length, generator=generator)
    return split(wave.view(count, 1, 1, length), y, train, classes)


def _smooth(count: int, pixels: int, generator: Generator) -> Tensor:
    """Return interpolated white noise, [count, 1, pixels, pixels], of unit variance."""
    coarse = torch.randn(count, 1, _COARSE, _COARSE, generator=generator)
    images = F.interpolate(coarse, size=(pixels, pixels), mode="bilinear", align_corners=False)
    return images / images.std()


def _roll(images: Tensor, generator: Generator) -> Tensor:
    """Shift each of [N, 1, H, H] cyclically by its own random offsets."""
    shifts = torch.randint(images.shape[-1], (2, len(images)), generator=generator)
    moves = zip(*(-shifts).tolist(), strict=True)
    return torch.stack([x.roll(move, (1, 2)) for x, move in zip(images, moves, strict=True)])
