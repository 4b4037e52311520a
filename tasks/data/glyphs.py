"""Letters and digits in the fonts of matplotlib, rotated, sheared and shifted."""

import math
import string
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from tasks.data.formats import DataError, Images, split
from tasks.data.images import altered

_FONTS = tuple(
    f"DejaVu{face}.ttf"
    for face in (
        *("Sans", "Sans-Bold", "Sans-Oblique", "SansMono", "SansMono-Oblique"),
        *("Serif", "Serif-Bold", "Serif-Italic"),
    )
) + tuple(f"STIXGeneral{face}.ttf" for face in ("", "Bol", "Italic", "BolIta"))
_SYMBOLS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_MASTER = 40  # pixels per side of a drawing before it is transformed


def glyphs(
    root: Path | None,
    *,
    pixels: int = 20,
    classes: int = 36,
    colour: bool = False,
    permuted: bool = False,
    noise: float = 0.1,
    train: int = 8_000,
    test: int = 2_000,
    seed: int = 1,
) -> Images:
    """Return the first `classes` of 0-9, A-Z, a-z (at most 62), in random fonts and poses.

    noise: standard deviation of white noise on grey levels between 0 and 1.
    """
    generator, count = Generator().manual_seed(seed), train + test
    if classes > len(_SYMBOLS):
        raise DataError(f"glyphs has {len(_SYMBOLS)} classes, not {classes}: choose fewer")
    y = torch.randint(classes, (count,), generator=generator)
    font = torch.randint(len(_FONTS), (count,), generator=generator)
    x = _posed(_masters()[font, y], pixels, generator)
    x = x + noise * torch.randn(x.shape, generator=generator)
    x = altered(x, colour, permuted)
    return split(x, y, train, classes)


@lru_cache(maxsize=1)
def _masters() -> Tensor:
    """Return every symbol in every font, white on black, [fonts, symbols, 1, 40, 40] in [0, 1]."""
    import matplotlib
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    images = []
    for name in _FONTS:
        font = ImageFont.truetype(str(folder / name), 30)
        for symbol in _SYMBOLS:
            image = Image.new("L", (_MASTER, _MASTER))
            middle = (_MASTER / 2, _MASTER / 2)
            ImageDraw.Draw(image).text(middle, symbol, fill=255, font=font, anchor="mm")
            images.append(torch.from_numpy(np.array(image)))
    grid = torch.stack(images).view(len(_FONTS), len(_SYMBOLS), 1, _MASTER, _MASTER)
    return grid.float() / 255


def _posed(masters: Tensor, pixels: int, generator: Generator) -> Tensor:
    """Rotate each image by up to 20 degrees, scale it by 0.8 to 1.25, shear, shift and resample."""
    count = len(masters)
    turn, size, shear, right, down = (2 * torch.rand(5, count, generator=generator) - 1).unbind(0)
    angle, scale = turn * math.pi / 9, 1.25**-size
    first = torch.stack([angle.cos(), -angle.sin() + 0.2 * shear, 0.15 * right / scale], 1)
    second = torch.stack([angle.sin(), angle.cos(), 0.15 * down / scale], 1)
    theta = scale[:, None, None] * torch.stack([first, second], 1)
    grid = F.affine_grid(theta, [count, 1, pixels, pixels], align_corners=False)
    return F.grid_sample(masters, grid, align_corners=False)
