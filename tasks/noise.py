"""Noise that a variant adds to training labels."""

import torch
from torch import Tensor

from tasks.variant import Variant


def noisy_labels(variant: Variant, y: Tensor, classes: int) -> Tensor:
    """Return `y` with each label replaced by a random class with probability `label_noise`."""
    if not variant.label_noise:
        return y
    generator = torch.Generator().manual_seed(variant.seed)
    replaced = torch.rand(y.shape, generator=generator) < variant.label_noise
    drawn = torch.randint(classes, y.shape, generator=generator)
    return torch.where(replaced, drawn, y)
