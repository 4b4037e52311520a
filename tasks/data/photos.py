"""Patches of scikit-learn's two colour photographs: natural images without a download.

Training and test patches come from different blocks of the photographs, so they never overlap.
"""

from pathlib import Path

import torch
from torch import Generator, Tensor

from tasks.data.formats import DataError, Images, resize, split

_BLOCK = 48  # pixels per side; a patch is within one block


def photos(
    root: Path | None,
    *,
    pixels: int = 16,
    patch: int = 32,
    train: int = 8_000,
    test: int = 2_000,
    seed: int = 1,
) -> Images:
    """Return square patches of `patch` pixels (at most 48), resized: [N, 3, pixels, pixels].

    The eight classes are the photograph, its upper or lower half, and its left or right half.
    """
    if patch > _BLOCK:
        raise DataError(f"patches of photos have at most {_BLOCK} pixels a side, not {patch}")
    generator, pictures = Generator().manual_seed(seed), _pictures()
    rows, columns = (side // _BLOCK for side in pictures.shape[-2:])
    blocks = torch.cartesian_prod(torch.arange(2), torch.arange(rows), torch.arange(columns))
    is_test = (blocks[:, 1] + 2 * blocks[:, 2]) % 5 == 0
    parts = [
        chosen[torch.randint(len(chosen), (count,), generator=generator)]
        for chosen, count in ((blocks[~is_test], train), (blocks[is_test], test))
    ]
    block = torch.cat(parts)
    offset = torch.randint(_BLOCK - patch + 1, (len(block), 2), generator=generator)
    x = resize(_cut(pictures, block[:, 0], block[:, 1:] * _BLOCK + offset, patch), pixels)
    low, right = 2 * block[:, 1] >= rows, 2 * block[:, 2] >= columns
    return split(x, 4 * block[:, 0] + 2 * low + right, train, classes=8)


def _pictures() -> Tensor:
    """Return the photographs [2, 3, 427, 640], with values in [0, 1]."""
    from sklearn.datasets import load_sample_images

    images = torch.stack([torch.from_numpy(image.copy()) for image in load_sample_images().images])
    return images.permute(0, 3, 1, 2).float() / 255


def _cut(pictures: Tensor, which: Tensor, corner: Tensor, size: int) -> Tensor:
    """Cut squares [N, 3, size, size] from pictures `which` [N], upper left `corner` [N, 2]."""
    rows, columns = (corner[:, axis, None] + torch.arange(size) for axis in (0, 1))
    pixels = pictures.permute(0, 2, 3, 1)[which[:, None, None], rows[:, :, None], columns[:, None]]
    return pixels.permute(0, 3, 1, 2)
