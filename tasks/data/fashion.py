"""Fashion-MNIST (Xiao et al., arXiv:1708.07747), if its files are present."""

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tasks.data.formats import DataError, Images, resize
from tasks.data.images import altered, first_classes
from tasks.data.places import DEFAULT_ROOT, download

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def fashion(
    root: Path | None,
    *,
    pixels: int = 28,
    classes: int = 10,
    colour: bool = False,
    permuted: bool = False,
    train: int = 60_000,
    test: int = 10_000,
) -> Images:
    """Return the first `train` and `test` images, grey, 28 x 28 pixels resized to `pixels`.

    Fewer classes have fewer images. colour, permuted: see `tasks.data.images`.
    """
    folder = find_fashion(root)

    def part(name: str, count: int) -> tuple[Tensor, Tensor]:
        x = resize(_images(folder, name, count), pixels)
        return altered(x, colour, permuted), _labels(folder, name, count)

    return first_classes("fashion", part("train", train), part("t10k", test), classes)


def find_fashion(root: Path | None) -> Path:
    """Return the folder of the files: a root, or torchvision's layout below it.

    The root is `root`; if None, the default one or Debian's. Raises DataError without the files.
    """
    roots = [root] if root else [DEFAULT_ROOT, DEBIAN]
    folders = [folder for base in roots for folder in (base, base / "FashionMNIST" / "raw")]
    for folder in folders:
        if any((folder / f"train-images-idx3-ubyte{end}").exists() for end in ("", ".gz")):
            return folder
    raise DataError(
        f"Fashion-MNIST is not in {' or '.join(map(str, roots))}: "
        "install the Debian package dataset-fashion-mnist or run `python -m tasks download fashion`"
    )


def download_fashion(root: Path = DEFAULT_ROOT) -> Path:
    """Download Fashion-MNIST to `root` in torchvision's layout, and return its folder."""
    download("FashionMNIST", "Fashion-MNIST", root)
    return find_fashion(root)


def _images(folder: Path, part: str, count: int) -> Tensor:
    raw = _read(folder, f"{part}-images-idx3-ubyte", header=16, size=28 * 28)
    return (raw.reshape(-1, 1, 28, 28)[:count].float()) / 255


def _labels(folder: Path, part: str, count: int) -> Tensor:
    return _read(folder, f"{part}-labels-idx1-ubyte", header=8, size=1)[:count].long()


def _read(folder: Path, name: str, header: int, size: int) -> Tensor:
    """Return the content of an IDX file, gzipped or not. Raises DataError if it is truncated: the
    header gives the number of items, of `size` bytes each."""
    plain, packed = folder / name, folder / f"{name}.gz"
    try:
        content = plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read Fashion-MNIST's {name} in {folder}: {error}") from error
    if len(content) != header + size * int.from_bytes(content[4:8], "big"):
        raise DataError(
            f"Fashion-MNIST's {name} in {folder} is truncated: remove it, and download it again"
        )
    return torch.from_numpy(np.frombuffer(content, dtype=np.uint8, offset=header).copy())
