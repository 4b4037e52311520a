"""The default folder of downloaded data, and downloads by torchvision."""

from pathlib import Path

from tasks.data.formats import DataError

DEFAULT_ROOT = Path("data")


def download(name: str, title: str, root: Path) -> None:
    """Download both parts of torchvision's data set `name` to `root`. Errors name it `title`."""
    from torchvision import datasets

    try:
        for train in (True, False):
            getattr(datasets, name)(str(root), train=train, download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(f"{title} did not download to {root}: {error}") from error
