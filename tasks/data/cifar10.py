"""CIFAR-10 (Krizhevsky 2009) in torchvision's layout, if downloaded."""

from pathlib import Path

import torch

from tasks.data.formats import DataError, Images
from tasks.data.places import DEFAULT_ROOT, download


def cifar10(root: Path | None, *, train: int = 50_000, test: int = 10_000) -> Images:
    """Return the first `train` and `test` images, 3 x 32 x 32, with standardised channels."""
    folder = find_cifar10(root)
    x, y = _part(folder, True, train)
    test_x, test_y = _part(folder, False, test)
    mean, std = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)
    return Images((x - mean) / std, y, (test_x - mean) / std, test_y, classes=10)


def find_cifar10(root: Path | None) -> Path:
    """Return the folder that torchvision downloaded to. Raises DataError if it is absent."""
    folder = root or DEFAULT_ROOT
    if not (folder / "cifar-10-batches-py").is_dir():
        raise _absent(folder)
    return folder


def download_cifar10(root: Path = DEFAULT_ROOT) -> Path:
    """Download CIFAR-10 to `root` in torchvision's layout, and return the folder."""
    download("CIFAR10", "CIFAR-10", root)
    return root


def _part(folder: Path, train: bool, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    from torchvision.datasets import CIFAR10

    try:
        part = CIFAR10(str(folder), train=train)
    except Exception as error:  # incomplete: RuntimeError; damaged: also pickle's and OS errors
        raise _absent(folder) from error
    x = torch.from_numpy(part.data[:count]).permute(0, 3, 1, 2).float() / 255
    return x, torch.tensor(part.targets[:count])


def _absent(folder: Path) -> DataError:
    return DataError(
        f"CIFAR-10 is not in {folder}, or damaged there: run `python -m tasks download cifar10`"
    )
