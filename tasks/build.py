"""Build the single task of a variant."""

from pathlib import Path

import torch

from tasks.contract import Task
from tasks.language import LanguageTask
from tasks.supervised import SupervisedTask
from tasks.variant import Variant


def build_task(
    variant: Variant,
    device: str | torch.device = "cpu",
    root: Path | None = None,
    dtype: torch.dtype = torch.float32,
) -> Task:
    """Build the single task that `variant` describes.

    root: the folder of downloaded data; None searches `data` and the system's folders.
    Raises DataError if the data set's files are absent.
    """
    kind = LanguageTask if variant.oracle == "language" else SupervisedTask
    return kind(variant, device, root, dtype)
