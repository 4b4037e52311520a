"""Noise that a variant adds: to training labels, and to what the oracles return."""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.variant import Variant


def noisy_labels(variant: Variant, y: Tensor, classes: int) -> Tensor:
    """`y` with each label replaced, with probability `label_noise`, by a uniformly drawn class."""
    if not variant.label_noise:
        return y
    generator = torch.Generator().manual_seed(variant.seed)
    replaced = torch.rand(y.shape, generator=generator) < variant.label_noise
    drawn = torch.randint(classes, y.shape, generator=generator)
    return torch.where(replaced, drawn, y)


class KeyedNormal:
    """Normal numbers that a key determines, so that noise needs no state and no host sync.

    They come from a bank of 2^18 numbers, at a place that the key decides.
    """

    SIZE = 2**18

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        bank = torch.randn(self.SIZE, generator=torch.Generator().manual_seed(0))
        self._bank = bank.to(device, dtype)

    def __call__(self, losses: Tensor, count: int) -> Tensor:
        """[P, count] numbers for losses [P]: their lowest bits, as good as random, are the key."""
        bits = losses.detach().view(torch.int64 if losses.dtype == torch.float64 else torch.int32)
        start = bits.long() * 2_654_435_761  # Knuth's multiplicative hash
        place = start.unsqueeze(1) + torch.arange(count, device=losses.device)
        return self._bank[place.remainder(self.SIZE)]
